//! What does a keyed word count cost, next to a shuffle of `String`s written by hand? And where
//! words are counted on both sides of the shuffle, next to that by hand?
//!
//! `cargo bench -p millstream-benches --bench words`

#![allow(missing_docs, reason = "a bench has no interface")]

#[path = "support/runtime.rs"]
mod runtime;
mod support;
#[path = "support/text.rs"]
mod text;
#[path = "support/words.rs"]
mod words;

use millstream::prelude::*;
use runtime::{run, runtime};
use support::{compare, must, shown};
use text::{Text, checksum};
use words::{combine_by_hand, count, count_combined, one_map, shuffle_by_hand};

const WORDS: u64 = 5_000_000;

/// One instance reads what there is, and gives it to both in turn.
fn from_one_source(runtime: &tokio::runtime::Runtime, text: &'static Text) -> u64 {
    let flow = Dataflow::new("words");
    let sum = flow
        .source("words", source::from_iter(text.order().iter().copied()))
        .parallel(2)
        .map(|index| text.word(index))
        .key_by_ref(|word: &String| word.as_str())
        .count()
        .fold(0_u64, |sum, (word, count)| *sum = sum.wrapping_add(checksum(&word, count)));
    run(runtime, &flow, sum)
}

fn main() {
    let two = runtime(2);
    let text = Text::of(WORDS);
    compare(
        "What does counting words by key cost, next to a shuffle of `String`s by hand?",
        WORDS,
        vec![
            shown("two threads make words, two count them", || shuffle_by_hand(text)),
            must(1.5, "key_by_ref and count, two instances", || count(&two, text)),
            shown("the same from one source", || from_one_source(&two, text)),
            shown("one thread, one map, no shuffle", || one_map(text)),
        ],
    );
    compare(
        "What does it cost with counts on both sides of the shuffle, next to the same by hand?",
        WORDS,
        vec![
            shown("two threads count what they make, then merge", || combine_by_hand(text)),
            must(1.5, "combined(131,072) and count, two instances", || {
                count_combined(&two, text, 1 << 17)
            }),
            shown("combined(16,384) and count, two instances", || {
                count_combined(&two, text, 1 << 14)
            }),
            shown("key_by_ref and count, two instances", || count(&two, text)),
        ],
    );
}
