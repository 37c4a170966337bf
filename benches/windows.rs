//! What does counting by key and window cost, next to a hash map for each window by hand?
//!
//! `cargo bench --bench windows`

#![allow(missing_docs, reason = "a bench has no interface")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use hashbrown::HashMap;
use millstream::aggregate::Count;
use millstream::prelude::*;
use support::{compare, must, runtime, shown};

const EVENTS: u64 = 10_000_000;
const KEYS: u64 = 10_000;
const WINDOW: i64 = 1_000;
const DISORDER: i64 = 100;

/// The n-th event: a hundred a millisecond, up to a tenth of a second out of order.
#[derive(Clone, Copy)]
struct Event {
    key: u64,
    millis: i64,
}

fn event(n: u64) -> Event {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let jitter = (mixed >> 50) as i64 % DISORDER;
    Event { key: (mixed >> 20) % KEYS, millis: n as i64 / 100 - jitter }
}

fn checksum(window: i64, key: u64, count: u64) -> u64 {
    let mixed = (window as u64).wrapping_mul(31).wrapping_add(key).wrapping_mul(0x9e37_79b9);
    mixed.wrapping_mul(count)
}

/// The limit: a map of windows, each a map of keys, closed when the latest event is beyond its end
/// by the disorder.
fn by_hand() -> u64 {
    let mut windows: BTreeMap<i64, HashMap<u64, u64>> = BTreeMap::new();
    let mut current = (i64::MIN, HashMap::new());
    let (mut latest, mut sum) = (i64::MIN, 0_u64);
    let mut tell = |start: i64, counts: HashMap<u64, u64>| {
        for (key, count) in counts {
            sum = sum.wrapping_add(checksum(start, key, count));
        }
    };
    for n in 0..EVENTS {
        let event = event(n);
        let start = event.millis.div_euclid(WINDOW) * WINDOW;
        if start != current.0 {
            // The window that was written to last is kept at hand.
            let next = windows.remove(&start).unwrap_or_default();
            let (old, counts) = std::mem::replace(&mut current, (start, next));
            if !counts.is_empty() {
                windows.insert(old, counts);
            }
        }
        *current.1.entry(event.key).or_default() += 1;
        if event.millis > latest {
            latest = event.millis;
            while let Some(window) = windows.first_entry()
                && window.key() + WINDOW <= latest - DISORDER
            {
                let (start, counts) = window.remove_entry();
                tell(start, counts);
            }
        }
    }
    windows.into_iter().for_each(|(start, counts)| tell(start, counts));
    tell(current.0, current.1);
    sum
}

fn ours(runtime: &tokio::runtime::Runtime, instances: usize) -> u64 {
    let flow = Dataflow::new("windows");
    let disorder = Duration::from_millis(DISORDER.unsigned_abs());
    let sum = flow
        .source("events", source::from_iter((0..EVENTS).map(event)))
        .event_time(
            |event| Timestamp::from_millis(event.millis),
            Watermarks::bounded_disorder(disorder),
        )
        .key_by(|event| event.key)
        .parallel(instances)
        .window(Tumbling::of(Duration::from_millis(WINDOW.unsigned_abs())))
        .aggregate(Count)
        .fold(0_u64, |sum, told| {
            let window = told.window.start.as_millis();
            *sum = sum.wrapping_add(checksum(window, told.key, told.value));
        });
    let report = runtime.block_on(flow.run()).expect("nothing fails");
    report.take(sum).expect("it came to its end")
}

fn main() {
    let (one, two) = (runtime(1), runtime(2));
    compare(
        "What does counting by key and window cost, next to a hash map for each window?",
        EVENTS,
        vec![
            shown("by hand, a map of maps", by_hand),
            must(1.5, "Tumbling and Count, one thread", || ours(&one, 1)),
            shown("Tumbling and Count, two workers", || ours(&two, 1)),
            shown("two instances, two workers", || ours(&two, 2)),
        ],
    );
}
