//! The text of the word count.

#![allow(clippy::indexing_slicing, reason = "the places are made with the words")]

use millstream::random::Random;

const DISTINCT: usize = 100_000;

/// The words in the order of their frequency, and which of them come one after the other: the n-th
/// as often as one n-th of the first, as Zipf found of English.
pub(crate) struct Text {
    words: Vec<String>,
    order: Vec<u32>,
}

impl Text {
    /// For the whole life of the process, so that threads and graphs alike can borrow it.
    pub(crate) fn of(records: u64) -> &'static Self {
        let words = (0..DISTINCT).map(|n| format!("word-{n:x}")).collect();
        let mut shares: Vec<f64> = (1..=DISTINCT).map(|n| 1.0 / n as f64).collect();
        let sum = shares.iter().sum::<f64>();
        let mut so_far = 0.0;
        for share in &mut shares {
            so_far += *share / sum;
            *share = so_far;
        }
        let mut random = Random::fork(7, 0, 0);
        let order = (0..records).map(|_| {
            let point = random.ratio();
            let place = shares.partition_point(|share| *share < point);
            place.min(DISTINCT - 1) as u32
        });
        let order = order.collect();
        Box::leak(Box::new(Self { words, order }))
    }

    /// The words one after the other, each by its index.
    pub(crate) fn order(&self) -> &[u32] {
        &self.order
    }

    /// One of so many parts of the order.
    pub(crate) fn part(&self, part: usize, of: usize) -> &[u32] {
        let length = self.order.len();
        &self.order[length * part / of..length * (part + 1) / of]
    }

    /// A word as it comes from outside: a `String` of its own.
    pub(crate) fn word(&self, index: u32) -> String {
        self.words[index as usize].clone()
    }
}

/// What all must agree on: the sum of this over all words.
pub(crate) fn checksum(word: &str, count: u64) -> u64 {
    count.wrapping_mul(word.len() as u64).wrapping_add(count.wrapping_mul(count))
}
