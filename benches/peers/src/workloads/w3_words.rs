//! W3: how often each word occurs, of words that cross a shuffle as `String`s.

use std::hash::BuildHasher as _;

use dfir_rs::dfir_syntax;
use hashbrown::DefaultHashBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator as _;
use timely::dataflow::operators::vec::ToStream as _;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::text::{Text, checksum};
use super::words::{
    Counts, combine_by_hand, count, count_combined, one_map, shuffle_by_hand, target, told,
};
use super::{Sum, finish};
use crate::contender::{By, Work, Workload};
use crate::results::Measure::Wall;

const SHUFFLE: &str = "two threads make words, two count them";
const COMBINE: &str = "two threads count what they make, then merge";
const WORDS: u64 = 5_000_000;

pub(super) fn workloads() -> [Workload; 2] {
    let work = Work { input: Text::of, expected: one_map };
    [
        Workload {
            name: "w3-shuffled",
            question: "What does a word count cost that shuffles every word?",
            records: WORDS,
            real_time: false,
            contenders: vec![
                work.alone(SHUFFLE, By::Hand, shuffle_by_hand),
                work.alone("one thread, one map, no shuffle", By::Hand, one_map),
                work.on(2, "Millstream, count", By::Millstream, count)
                    .reach(Wall, 1.1, 0.8, SHUFFLE),
                work.alone("timely, exchange", By::Peer("timely"), timely),
                work.alone("renoir, group_by and fold", By::Peer("renoir"), renoir),
                work.alone("dfir_rs, fold_keyed, 1 thread", By::Peer("dfir_rs"), dfir_rs),
                work.on(2, "tokio mpsc, a word a send", By::Peer("tokio"), tokio_mpsc).share(10),
            ],
        },
        Workload {
            name: "w3-combined",
            question: "What does a word count cost that counts on both sides of the shuffle?",
            records: WORDS,
            real_time: false,
            contenders: vec![
                work.alone(COMBINE, By::Hand, combine_by_hand),
                work.on(2, "Millstream, combined", By::Millstream, |runtime, text| {
                    count_combined(runtime, text, 1 << 17)
                })
                .reach(Wall, 1.5, 1.1, COMBINE),
                work.alone("renoir, group_by_count", By::Peer("renoir"), renoir_group_by_count),
            ],
        },
    ]
}

fn timely(text: &'static Text) -> u64 {
    // One for all: each that is made anew has a seed of its own.
    let hasher = DefaultHashBuilder::default();
    super::timely(2, move |worker| {
        let sum = Sum::default();
        let total = sum.clone();
        let part = text.part(worker.index(), worker.peers());
        worker.dataflow::<u64, _, _>(|scope| {
            let hasher = hasher.clone();
            let by_word = Exchange::new(move |word: &String| hasher.hash_one(word));
            let words = part.iter().map(|index| text.word(*index)).to_stream(scope);
            words.sink(by_word, "count", {
                let mut counts = Counts::default();
                move |(input, frontier)| {
                    input.for_each(|_, words| {
                        for word in words.drain(..) {
                            *counts.entry(word).or_default() += 1;
                        }
                    });
                    if frontier.is_empty() {
                        total.add(told(&counts));
                        counts.clear();
                    }
                }
            });
        });
        finish(worker);
        sum.get()
    })
}

/// The words of one replica of a renoir source.
fn of_replica(
    text: &'static Text,
) -> impl Fn(u64, u64) -> Box<dyn Iterator<Item = String> + Send> + Clone + Send {
    move |replica, replicas| {
        let part = text.part(replica as usize, replicas as usize);
        Box::new(part.iter().map(|index| text.word(*index)))
    }
}

fn renoir(text: &'static Text) -> u64 {
    let environment = super::renoir(2);
    let counts = environment
        .stream_par_iter(of_replica(text))
        .group_by(|word: &String| word.clone())
        .fold(0_u64, |count, _| *count += 1)
        .collect_vec();
    environment.execute_blocking();
    let counts = counts.get().expect("it came to its end");
    told(counts.iter().map(|(word, count)| (word, count)))
}

/// It counts on both sides by itself.
fn renoir_group_by_count(text: &'static Text) -> u64 {
    let environment = super::renoir(2);
    let counts = environment
        .stream_par_iter(of_replica(text))
        .group_by_count(|word: &String| word.clone())
        .collect_vec();
    environment.execute_blocking();
    let counts = counts.get().expect("it came to its end");
    let sums = counts.iter().map(|(word, count)| checksum(word, *count as u64));
    sums.fold(0, u64::wrapping_add)
}

fn dfir_rs(text: &'static Text) -> u64 {
    let sum = Sum::default();
    let total = sum.clone();
    let mut flow = dfir_syntax! {
        source_iter(text.order())
            -> map(|index: &u32| (text.word(*index), ()))
            -> fold_keyed::<'tick>(|| 0_u64, |count: &mut u64, _| *count += 1)
            -> for_each(|(word, count): (String, u64)| total.add(checksum(&word, count)));
    };
    flow.run_available_sync();
    sum.get()
}

/// Two tasks make words and two count them, a channel each, with a word a send.
fn tokio_mpsc(runtime: &Runtime, text: &'static Text) -> u64 {
    runtime.block_on(async {
        let (mut senders, mut counters) = (Vec::new(), JoinSet::new());
        for _ in 0..2 {
            let (sender, mut words) = mpsc::channel::<String>(1024);
            senders.push(sender);
            counters.spawn(async move {
                let mut counts = Counts::default();
                while let Some(word) = words.recv().await {
                    *counts.entry(word).or_default() += 1;
                }
                told(&counts)
            });
        }
        let hasher = DefaultHashBuilder::default();
        for part in 0..2 {
            let (senders, hasher) = (senders.clone(), hasher.clone());
            tokio::spawn(async move {
                for index in text.part(part, 2) {
                    let word = text.word(*index);
                    let counter = target(hasher.hash_one(&word));
                    if senders[counter].send(word).await.is_err() {
                        break;
                    }
                }
            });
        }
        drop(senders);
        counters.join_all().await.into_iter().fold(0, u64::wrapping_add)
    })
}
