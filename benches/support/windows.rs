//! Counts by key and tumbling window of event time, of events that come out of order: by hand, and
//! by Millstream.

use std::collections::BTreeMap;
use std::time::Duration;

use hashbrown::HashMap;
use millstream::aggregate::Count;
use millstream::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::runtime::run;

const KEYS: u64 = 10_000;
/// All times are in milliseconds.
pub(crate) const WINDOW: u64 = 1_000;
const DISORDER: u64 = 100;
/// How many events that follow each other are made in one place.
pub(crate) const CHUNK: u64 = 1024;

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) key: u64,
    pub(crate) time: u64,
}

/// A hundred a millisecond, up to a tenth of a second out of order.
pub(crate) fn event(n: u64) -> Event {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let late = (mixed >> 50) % DISORDER;
    Event { key: (mixed >> 20) % KEYS, time: in_order(n) + DISORDER - late }
}

/// Nothing that comes after the n-th event is earlier.
pub(crate) fn in_order(n: u64) -> u64 {
    n / 100
}

pub(crate) fn checksum(window: u64, key: u64, count: u64) -> u64 {
    let mixed = window.wrapping_mul(31).wrapping_add(key).wrapping_mul(0x9e37_79b9);
    mixed.wrapping_mul(count)
}

/// What all keep but Millstream, which brings its own: a map for each window, the one that was
/// written to last at hand.
#[derive(Default)]
pub(crate) struct Windows {
    others: BTreeMap<u64, HashMap<u64, u64>>,
    /// When the window at hand begins.
    pub(crate) start: u64,
    counts: HashMap<u64, u64>,
}

impl Windows {
    pub(crate) fn count(&mut self, event: Event) {
        let start = event.time / WINDOW * WINDOW;
        if start != self.start {
            self.turn_to(start);
        }
        *self.counts.entry(event.key).or_default() += 1;
    }

    fn turn_to(&mut self, start: u64) {
        let counts = self.others.remove(&start).unwrap_or_default();
        let before = std::mem::replace(&mut self.counts, counts);
        if !before.is_empty() {
            self.others.insert(self.start, before);
        }
        self.start = start;
    }

    /// Tells and forgets the windows that end at `time` or before: start, key and count.
    pub(crate) fn close(&mut self, time: u64, mut tell: impl FnMut(u64, u64, u64)) {
        if self.start.saturating_add(WINDOW) <= time {
            // The window at hand is done with as well: none is.
            self.turn_to(u64::MAX);
        }
        while let Some(window) = self.others.first_entry()
            && window.key().saturating_add(WINDOW) <= time
        {
            let (start, counts) = window.remove_entry();
            counts.into_iter().for_each(|(key, count)| tell(start, key, count));
        }
    }
}

/// The limit, and the reference.
pub(crate) fn by_hand(records: u64) -> u64 {
    let (mut windows, mut latest, mut sum) = (Windows::default(), 0, 0_u64);
    let mut add = |start, key, count| sum = sum.wrapping_add(checksum(start, key, count));
    for n in 0..records {
        let event = event(n);
        windows.count(event);
        if event.time > latest {
            latest = event.time;
            windows.close(latest.saturating_sub(DISORDER), &mut add);
        }
    }
    windows.close(u64::MAX, &mut add);
    sum
}

/// The events with their times, and with a watermark.
pub(crate) fn timed<C: Chain<Item = Event>>(
    events: DataStream<Event, C>,
) -> DataStream<Event, impl Chain<Item = Event>> {
    let time = |event: &Event| Timestamp::from_millis(event.time as i64);
    events.event_time(time, Watermarks::bounded_disorder(Duration::from_millis(DISORDER)))
}

/// Every second chunk of the events, for one of two instances.
fn part(instance: usize, records: u64) -> impl Iterator<Item = Event> + Clone + Send {
    let nth = move |n| (n / CHUNK * 2 + instance as u64) * CHUNK + n % CHUNK;
    (0..records).map(nth).take_while(move |n| *n < records).map(event)
}

#[allow(clippy::needless_pass_by_value, reason = "so a fold gives it")]
pub(crate) fn add(sum: &mut u64, told: Windowed<u64, TimeWindow, u64>) {
    let start = told.window.start.as_millis() as u64;
    *sum = sum.wrapping_add(checksum(start, told.key, told.value));
}

pub(crate) fn fused(runtime: &Runtime, records: u64) -> u64 {
    let flow = Dataflow::new("windows");
    let events = timed(flow.source("events", source::from_iter((0..records).map(event))));
    let windows = Tumbling::of(Duration::from_millis(WINDOW));
    let sum = events.key_by(|event| event.key).window(windows).aggregate(Count).fold(0, add);
    run(runtime, &flow, sum)
}

pub(crate) fn two_instances(runtime: &Runtime, records: u64) -> u64 {
    let flow = Dataflow::new("windows");
    let part = move |instance| source::from_iter(part(instance, records));
    let events = timed(flow.parallel_source("events", 2, part));
    let windows = Tumbling::of(Duration::from_millis(WINDOW));
    let sum = events.key_by(|event| event.key).window(windows).aggregate(Count).fold(0, add);
    run(runtime, &flow, sum)
}

/// The same, counted on both sides of the shuffle.
pub(crate) fn combined(runtime: &Runtime, records: u64) -> u64 {
    let flow = Dataflow::new("windows");
    let part = move |instance| source::from_iter(part(instance, records));
    let keyed = timed(flow.parallel_source("events", 2, part)).key_by(|event| event.key);
    let windows = Tumbling::of(Duration::from_millis(WINDOW));
    let sum = keyed.combined(1 << 15).window(windows).aggregate(Count).fold(0, add);
    run(runtime, &flow, sum)
}
