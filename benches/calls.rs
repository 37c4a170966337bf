//! What does a call cost, next to a stream of futures polled by hand?
//!
//! `cargo bench -p millstream-benches --bench calls`

#![allow(missing_docs, reason = "a bench has no interface")]

#[path = "support/calls.rs"]
mod calls;
#[path = "support/runtime.rs"]
mod runtime;
mod support;

use calls::{buffer_unordered, buffered, map_async, map_async_unordered, sleeps, yields};
use runtime::runtime;
use support::{compare, must, shown};

const CALLS: u64 = 200_000;

fn main() {
    let two = runtime(2);
    compare(
        "What does a call cost that yields four times, 1,024 in flight, two workers?",
        CALLS,
        vec![
            shown("futures buffer_unordered", || buffer_unordered(&two, CALLS, yields)),
            must(1.0, "map_async_unordered", || map_async_unordered(&two, CALLS, yields)),
            shown("futures buffered", || buffered(&two, CALLS, yields)),
            must(1.0, "map_async", || map_async(&two, CALLS, yields)),
        ],
    );
    compare(
        "And one that sleeps a millisecond? Its wall time is the timer's.",
        CALLS,
        vec![
            shown("futures buffer_unordered", || buffer_unordered(&two, CALLS, sleeps)),
            must(1.2, "map_async_unordered", || map_async_unordered(&two, CALLS, sleeps)),
            shown("futures buffered", || buffered(&two, CALLS, sleeps)),
            must(1.2, "map_async", || map_async(&two, CALLS, sleeps)),
        ],
    );
}
