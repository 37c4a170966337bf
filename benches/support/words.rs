//! How often each word occurs, counted by hand and by Millstream.

#![allow(clippy::disallowed_methods, reason = "the limits run on threads")]
#![allow(clippy::indexing_slicing, reason = "as it is written by hand")]

use std::hash::BuildHasher as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use millstream::prelude::*;
use tokio::runtime::Runtime;

use crate::runtime::run;

use super::text::{Text, checksum};

const BATCH: usize = 256;
const SLOTS: usize = 16;

/// All contenders hash alike where it is theirs to say.
pub(crate) type Counts = HashMap<String, u64, DefaultHashBuilder>;

pub(crate) fn told<'a>(counts: impl IntoIterator<Item = (&'a String, &'a u64)>) -> u64 {
    let sums = counts.into_iter().map(|(word, count)| checksum(word, *count));
    sums.fold(0, u64::wrapping_add)
}

/// Which of two counts the words with this hash.
pub(crate) fn target(hash: u64) -> usize {
    (hash >> 32 & 1) as usize
}

/// No shuffle at all, for scale and as the reference.
pub(crate) fn one_map(text: &'static Text) -> u64 {
    let mut counts = Counts::default();
    for index in text.order() {
        *counts.entry(text.word(*index)).or_default() += 1;
    }
    told(&counts)
}

type Hashed = (u64, String);

/// The limit: words are hashed once, where they are made, and go in batches.
pub(crate) fn shuffle_by_hand(text: &'static Text) -> u64 {
    let hasher = &DefaultHashBuilder::default();
    std::thread::scope(|scope| {
        // A channel for each pair, as between the instances of two stages.
        let mut senders = [Vec::new(), Vec::new()];
        let counters = [0, 1].map(|_| {
            let (one, first) = sync_channel(SLOTS);
            let (two, second) = sync_channel(SLOTS);
            senders[0].push(one);
            senders[1].push(two);
            scope.spawn(move || count_in_turn([first, second]))
        });
        for (part, senders) in senders.into_iter().enumerate() {
            scope.spawn(move || send_words(text, text.part(part, 2), hasher, &senders));
        }
        let sums = counters.map(|counter| counter.join().expect("no panic"));
        sums.into_iter().fold(0, u64::wrapping_add)
    })
}

fn send_words(
    text: &Text,
    part: &[u32],
    hasher: &DefaultHashBuilder,
    senders: &[SyncSender<Vec<Hashed>>],
) {
    let mut batches = [Vec::with_capacity(BATCH), Vec::with_capacity(BATCH)];
    for index in part {
        let word = text.word(*index);
        let hash = hasher.hash_one(&word);
        let batch = &mut batches[target(hash)];
        batch.push((hash, word));
        if batch.len() == BATCH {
            let full = std::mem::replace(batch, Vec::with_capacity(BATCH));
            senders[target(hash)].send(full).expect("the counter lives");
        }
    }
    for (sender, rest) in senders.iter().zip(batches) {
        sender.send(rest).expect("the counter lives");
    }
}

/// Batches of either input in turn, until both have ended.
fn count_in_turn(inputs: [Receiver<Vec<Hashed>>; 2]) -> u64 {
    let mut counts = HashTable::<(u64, String, u64)>::new();
    let mut open = inputs.map(Some);
    let mut turn = 0;
    while open.iter().any(Option::is_some) {
        turn = 1 - turn;
        let Some(input) = &open[turn] else { continue };
        let Ok(batch) = input.recv() else {
            open[turn] = None;
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
    told(counts.iter().map(|(_, word, count)| (word, count)))
}

/// The limit where counts are merged: each thread counts what it makes, then brings the half of
/// both maps together that has its hashes.
pub(crate) fn combine_by_hand(text: &'static Text) -> u64 {
    let hasher = DefaultHashBuilder::default();
    std::thread::scope(|scope| {
        let counters = [0, 1].map(|part| {
            let mut counts = Counts::with_hasher(hasher.clone());
            scope.spawn(move || {
                for index in text.part(part, 2) {
                    *counts.entry(text.word(*index)).or_default() += 1;
                }
                let hasher = counts.hasher().clone();
                let mut halves = [Vec::new(), Vec::new()];
                for (word, count) in counts {
                    halves[target(hasher.hash_one(&word))].push((word, count));
                }
                halves
            })
        });
        let halves = counters.map(|counter| counter.join().expect("no panic"));
        let [[a, b], [c, d]] = halves;
        let mergers = [[a, c], [b, d]].map(|parts| {
            let mut merged = Counts::with_hasher(hasher.clone());
            scope.spawn(move || {
                for (word, count) in parts.into_iter().flatten() {
                    *merged.entry(word).or_default() += count;
                }
                told(&merged)
            })
        });
        let sums = mergers.map(|merger| merger.join().expect("no panic"));
        sums.into_iter().fold(0, u64::wrapping_add)
    })
}

/// The words, made in two instances as they are by hand.
fn words(flow: &Dataflow, text: &'static Text) -> DataStream<String, impl Chain<Item = String>> {
    let part = move |part| source::from_iter(text.part(part, 2).iter().copied());
    flow.parallel_source("words", 2, part).map(|index| text.word(index))
}

pub(crate) fn count(runtime: &Runtime, text: &'static Text) -> u64 {
    let flow = Dataflow::new("words");
    let sum = words(&flow, text)
        .key_by_ref(|word: &String| word.as_str())
        .count()
        .fold(0_u64, |sum, (word, count)| *sum = sum.wrapping_add(checksum(&word, count)));
    run(runtime, &flow, sum)
}

pub(crate) fn count_combined(runtime: &Runtime, text: &'static Text, entries: usize) -> u64 {
    let flow = Dataflow::new("words");
    let sum = words(&flow, text)
        .key_by_ref(|word: &String| word.as_str())
        .combined(entries)
        .count()
        .fold(0_u64, |sum, (word, count)| *sum = sum.wrapping_add(checksum(&word, count)));
    run(runtime, &flow, sum)
}
