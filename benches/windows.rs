//! What does counting by key and window cost, next to a hash map for each window by hand?
//!
//! `cargo bench -p millstream-benches --bench windows`

#![allow(missing_docs, reason = "a bench has no interface")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use hashbrown::HashMap;
use millstream::aggregate::Count;
use millstream::prelude::*;
use millstream::runtime::Output;
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

/// Every second stretch of the events, for one of two instances.
fn part(instance: usize) -> impl Iterator<Item = Event> + Clone + Send {
    const STRETCH: u64 = 1024;
    let nth = move |n| (n / STRETCH * 2 + instance as u64) * STRETCH + n % STRETCH;
    (0..EVENTS).map(nth).take_while(|n| *n < EVENTS).map(event)
}

/// The events with their times, and with a watermark.
fn timed<C: Chain<Item = Event>>(
    events: DataStream<Event, C>,
) -> DataStream<Event, impl Chain<Item = Event>> {
    let disorder = Duration::from_millis(DISORDER.unsigned_abs());
    let time = |event: &Event| Timestamp::from_millis(event.millis);
    events.event_time(time, Watermarks::bounded_disorder(disorder))
}

fn windows() -> Tumbling {
    Tumbling::of(Duration::from_millis(WINDOW.unsigned_abs()))
}

#[allow(clippy::needless_pass_by_value, reason = "so a fold gives it")]
fn add(sum: &mut u64, told: Windowed<u64, TimeWindow, u64>) {
    *sum = sum.wrapping_add(checksum(told.window.start.as_millis(), told.key, told.value));
}

fn run(runtime: &tokio::runtime::Runtime, flow: &Dataflow, sum: Output<u64>) -> u64 {
    runtime.block_on(flow.run()).expect("nothing fails").take(sum).expect("it came to its end")
}

fn ours(runtime: &tokio::runtime::Runtime, instances: usize) -> u64 {
    let flow = Dataflow::new("windows");
    let events = timed(flow.source("events", source::from_iter((0..EVENTS).map(event))));
    let keyed = events.key_by(|event| event.key).parallel(instances);
    let sum = keyed.window(windows()).aggregate(Count).fold(0, add);
    run(runtime, &flow, sum)
}

/// Two instances that make events as well, so that both have the same to do.
fn in_two_parts(runtime: &tokio::runtime::Runtime) -> u64 {
    let flow = Dataflow::new("windows");
    let part = |instance| source::from_iter(part(instance));
    let keyed = timed(flow.parallel_source("events", 2, part)).key_by(|event| event.key);
    let sum = keyed.window(windows()).aggregate(Count).fold(0, add);
    run(runtime, &flow, sum)
}

/// The same, counted on both sides of the shuffle.
fn combined(runtime: &tokio::runtime::Runtime) -> u64 {
    let flow = Dataflow::new("windows");
    let part = |instance| source::from_iter(part(instance));
    let keyed = timed(flow.parallel_source("events", 2, part)).key_by(|event| event.key);
    let sum = keyed.combined(1 << 15).window(windows()).aggregate(Count).fold(0, add);
    run(runtime, &flow, sum)
}

fn main() {
    let (one, two) = (runtime(1), runtime(2));
    compare(
        "What does counting by key and window cost, next to a hash map for each window?",
        EVENTS,
        vec![
            shown("by hand, a map of maps", by_hand),
            must(1.5, "Tumbling and Count, one thread", || ours(&one, 1)),
            shown("two instances, two workers, one source", || ours(&two, 2)),
            shown("two instances, two workers", || in_two_parts(&two)),
            shown("two instances, two workers, combined", || combined(&two)),
        ],
    );
}
