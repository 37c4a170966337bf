//! What does counting by key and window cost, next to a hash map for each window by hand?
//!
//! `cargo bench -p millstream-benches --bench windows`

#![allow(missing_docs, reason = "a bench has no interface")]

#[path = "support/runtime.rs"]
mod runtime;
mod support;
#[path = "support/windows.rs"]
mod windows;

use std::time::Duration;

use millstream::aggregate::Count;
use millstream::prelude::*;
use runtime::{run, runtime};
use support::{compare, must, shown};
use windows::{WINDOW, add, by_hand, combined, event, fused, timed, two_instances};

const EVENTS: u64 = 10_000_000;

/// Two instances that count, and one that makes events for both.
fn from_one_source(runtime: &tokio::runtime::Runtime) -> u64 {
    let flow = Dataflow::new("windows");
    let events = timed(flow.source("events", source::from_iter((0..EVENTS).map(event))));
    let windows = Tumbling::of(Duration::from_millis(WINDOW));
    let keyed = events.key_by(|event| event.key).parallel(2);
    let sum = keyed.window(windows).aggregate(Count).fold(0, add);
    run(runtime, &flow, sum)
}

fn main() {
    let (one, two) = (runtime(1), runtime(2));
    compare(
        "What does counting by key and window cost, next to a hash map for each window?",
        EVENTS,
        vec![
            shown("by hand, a map of maps", || by_hand(EVENTS)),
            must(1.5, "Tumbling and Count, one thread", || fused(&one, EVENTS)),
            shown("two instances, two workers, one source", || from_one_source(&two)),
            shown("two instances, two workers", || two_instances(&two, EVENTS)),
            shown("two instances, two workers, combined", || combined(&two, EVENTS)),
        ],
    );
}
