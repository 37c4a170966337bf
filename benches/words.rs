//! What does a keyed word count cost, next to a shuffle of `String`s written by hand? And where
//! words are counted on both sides of the shuffle, next to that by hand?
//!
//! `cargo bench -p millstream-benches --bench words`

#![allow(missing_docs, reason = "a bench has no interface")]
#![allow(clippy::indexing_slicing, reason = "as it is written by hand")]

mod support;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::mpsc::sync_channel;

use millstream::prelude::*;
use support::{compare, must, runtime, shown};

const WORDS: u64 = 5_000_000;
const DISTINCT: usize = 100_000;
const BATCH: usize = 256;
const SLOTS: usize = 16;

/// The words in the order of their frequency, and which of them come one after the other: the n-th
/// as often as one n-th of the first, as Zipf found of English.
struct Text {
    words: Vec<String>,
    order: Vec<u32>,
}

impl Text {
    fn new() -> &'static Self {
        let words = (0..DISTINCT).map(|n| format!("word-{n:x}")).collect();
        let mut shares: Vec<f64> = (1..=DISTINCT).map(|n| 1.0 / n as f64).collect();
        let sum = shares.iter().sum::<f64>();
        let mut so_far = 0.0;
        for share in &mut shares {
            so_far += *share / sum;
            *share = so_far;
        }
        let mut random = millstream::random::Random::fork(7, 0, 0);
        let order = (0..WORDS).map(|_| {
            let point = random.ratio();
            let place = shares.partition_point(|share| *share < point);
            u32::try_from(place.min(DISTINCT - 1)).unwrap_or_default()
        });
        let order = order.collect();
        // For the whole life of the bench, so that threads and graphs alike can borrow it.
        Box::leak(Box::new(Self { words, order }))
    }

    fn word(&self, index: u32) -> String {
        self.words.get(index as usize).cloned().unwrap_or_default()
    }
}

/// What all contestants must agree on.
fn checksum(word: &str, count: u64) -> u64 {
    count.wrapping_mul(word.len() as u64).wrapping_add(count.wrapping_mul(count))
}

/// The limit: two threads that make words and hash them once, two that count them, and batches of
/// words with their hashes between them.
#[allow(clippy::disallowed_methods, reason = "the limit runs on threads")]
fn by_hand(text: &'static Text) -> u64 {
    let hasher = &hashbrown::DefaultHashBuilder::default();
    let mut senders: [Vec<_>; 2] = [Vec::new(), Vec::new()];
    std::thread::scope(|scope| {
        let counters: Vec<_> = (0..2)
            .map(|_| {
                // One channel for each pair, as between the instances of two stages.
                let (one, first) = sync_channel::<Vec<(u64, String)>>(SLOTS);
                let (two, second) = sync_channel::<Vec<(u64, String)>>(SLOTS);
                senders[0].push(one);
                senders[1].push(two);
                scope.spawn(move || {
                    let mut counts = hashbrown::HashTable::<(u64, String, u64)>::new();
                    let (mut first, mut second) = (first.into_iter(), second.into_iter());
                    let (mut open, mut turn) = ([true, true], 0);
                    while open != [false, false] {
                        turn = 1 - turn;
                        if !open[turn] {
                            continue;
                        }
                        let batch = if turn == 0 { first.next() } else { second.next() };
                        let Some(batch) = batch else {
                            open[turn] = false;
                            continue;
                        };
                        for (hash, word) in batch {
                            match counts.find_mut(hash, |slot| slot.1 == word) {
                                Some(slot) => slot.2 += 1,
                                None => {
                                    counts.insert_unique(hash, (hash, word, 1), |slot| slot.0);
                                }
                            }
                        }
                    }
                    counts
                        .iter()
                        .fold(0_u64, |sum, (_, word, n)| sum.wrapping_add(checksum(word, *n)))
                })
            })
            .collect();
        let half = text.order.len() / 2;
        for (senders, part) in senders.into_iter().zip(text.order.chunks(half)) {
            scope.spawn(move || {
                let mut batches = [Vec::with_capacity(BATCH), Vec::with_capacity(BATCH)];
                for index in part {
                    let word = text.word(*index);
                    let hash = hasher.hash_one(&word);
                    let target = (hash >> 32 & 1) as usize;
                    batches[target].push((hash, word));
                    if batches[target].len() == BATCH {
                        let full =
                            std::mem::replace(&mut batches[target], Vec::with_capacity(BATCH));
                        senders[target].send(full).expect("the counter lives");
                    }
                }
                for (sender, rest) in senders.iter().zip(batches) {
                    sender.send(rest).expect("the counter lives");
                }
            });
        }
        let sums = counters.into_iter().map(|counter| counter.join().expect("no panic"));
        sums.fold(0, u64::wrapping_add)
    })
}

/// The words, made in two instances as they are by hand.
fn words(flow: &Dataflow, text: &'static Text) -> DataStream<String, impl Chain<Item = String>> {
    let half = text.order.len() / 2;
    let part = move |part: usize| {
        source::from_iter(text.order[part * half..(part + 1) * half].iter().copied())
    };
    flow.parallel_source("words", 2, part).map(|index| text.word(index))
}

fn ours(runtime: &tokio::runtime::Runtime, text: &'static Text) -> u64 {
    let flow = Dataflow::new("words");
    let sum = words(&flow, text)
        .key_by_ref(|word: &String| word.as_str())
        .count()
        .fold(0_u64, |sum, (word, count)| *sum = sum.wrapping_add(checksum(&word, count)));
    let report = runtime.block_on(flow.run()).expect("nothing fails");
    report.take(sum).expect("it came to its end")
}

/// The same where one instance reads what there is, and gives it to both in turn.
fn from_one_source(runtime: &tokio::runtime::Runtime, text: &'static Text) -> u64 {
    let flow = Dataflow::new("words");
    let sum = flow
        .source("words", source::from_iter(text.order.iter().copied()))
        .parallel(2)
        .map(|index| text.word(index))
        .key_by_ref(|word: &String| word.as_str())
        .count()
        .fold(0_u64, |sum, (word, count)| *sum = sum.wrapping_add(checksum(&word, count)));
    let report = runtime.block_on(flow.run()).expect("nothing fails");
    report.take(sum).expect("it came to its end")
}

type Counts = HashMap<String, u64, hashbrown::DefaultHashBuilder>;

/// The limit where counts are merged: two threads make words and count them, each in a map of its
/// own; then each of them brings the half of both maps together that has its hashes.
#[allow(clippy::disallowed_methods, reason = "the limit runs on threads")]
fn combined_by_hand(text: &'static Text) -> u64 {
    let hasher = hashbrown::DefaultHashBuilder::default();
    let of = |hash: u64| (hash >> 32 & 1) as usize;
    std::thread::scope(|scope| {
        let half = text.order.len() / 2;
        let counters: Vec<_> = text
            .order
            .chunks(half)
            .map(|part| {
                let hasher = hasher.clone();
                scope.spawn(move || {
                    let mut counts = Counts::with_hasher(hasher);
                    for index in part {
                        *counts.entry(text.word(*index)).or_default() += 1;
                    }
                    let mut halves = [Vec::new(), Vec::new()];
                    let hasher = counts.hasher().clone();
                    for (word, count) in counts {
                        let hash = hasher.hash_one(&word);
                        halves[of(hash)].push((word, count));
                    }
                    halves
                })
            })
            .collect();
        let mut parts: [Vec<_>; 2] = [Vec::new(), Vec::new()];
        for counter in counters {
            let [first, second] = counter.join().expect("no panic");
            parts[0].push(first);
            parts[1].push(second);
        }
        let mergers = parts.map(|parts| {
            let mut merged = Counts::with_hasher(hasher.clone());
            scope.spawn(move || {
                for (word, count) in parts.into_iter().flatten() {
                    *merged.entry(word).or_default() += count;
                }
                merged.iter().fold(0_u64, |sum, (word, n)| sum.wrapping_add(checksum(word, *n)))
            })
        });
        let sums = mergers.map(|merger| merger.join().expect("no panic"));
        sums.into_iter().fold(0, u64::wrapping_add)
    })
}

fn combined(runtime: &tokio::runtime::Runtime, text: &'static Text, entries: usize) -> u64 {
    let flow = Dataflow::new("words");
    let sum = words(&flow, text)
        .key_by_ref(|word: &String| word.as_str())
        .combined(entries)
        .count()
        .fold(0_u64, |sum, (word, count)| *sum = sum.wrapping_add(checksum(&word, count)));
    let report = runtime.block_on(flow.run()).expect("nothing fails");
    report.take(sum).expect("it came to its end")
}

/// No shuffle at all, for scale.
fn one_map(text: &'static Text) -> u64 {
    let mut counts = Counts::default();
    for index in &text.order {
        *counts.entry(text.word(*index)).or_default() += 1;
    }
    counts.iter().fold(0_u64, |sum, (word, n)| sum.wrapping_add(checksum(word, *n)))
}

fn main() {
    let two = runtime(2);
    let text = Text::new();
    compare(
        "What does counting words by key cost, next to a shuffle of `String`s by hand?",
        WORDS,
        vec![
            shown("two threads make words, two count them", || by_hand(text)),
            must(1.5, "key_by_ref and count, two instances", || ours(&two, text)),
            shown("the same from one source", || from_one_source(&two, text)),
            shown("one thread, one map, no shuffle", || one_map(text)),
        ],
    );
    compare(
        "What does it cost with counts on both sides of the shuffle, next to the same by hand?",
        WORDS,
        vec![
            shown("two threads count what they make, then merge", || combined_by_hand(text)),
            must(1.5, "combined(131,072) and count, two instances", || {
                combined(&two, text, 1 << 17)
            }),
            shown("combined(16,384) and count, two instances", || combined(&two, text, 1 << 14)),
            shown("key_by_ref and count, two instances", || ours(&two, text)),
        ],
    );
}
