//! What tests of windows have in common: clicks, an aggregate that shows everything, triggers.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test takes what it needs")]

use std::time::Duration;

pub use millstream_engine::edge::Keyed;
use millstream_engine::key::stable_hash;
pub use millstream_engine::operator::{Collector, Operator};
use millstream_engine::random::Random;
use millstream_engine::testing::{Event, Step};
pub use millstream_operators::aggregate::Aggregate;
use millstream_operators::prelude::*;
pub use millstream_operators::window::Windowed;
use millstream_operators::window::trigger::{Moment, NextTime, TriggerResult};
use millstream_operators::window::{
    Accumulation, Firing, LateRecords, TimeWindow, Trigger, WindowRules,
};

/// What happened, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Click {
    pub key: u8,
    pub time: i64,
}

pub fn key_of(click: &Click) -> u8 {
    click.key
}

pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub fn hash(key: impl std::hash::Hash) -> u64 {
    stable_hash(&key)
}

pub fn click(key: u8, time: i64) -> Record<Keyed<Click>> {
    Record::at(Keyed { hash: hash(key), value: Click { key, time } }, at(time))
}

pub fn rules<R>(lateness: u64, trigger: R) -> WindowRules<Click, R> {
    let lateness = Duration::from_millis(lateness);
    WindowRules {
        trigger,
        accumulation: Accumulation::Accumulating,
        lateness,
        late: LateRecords::dropped(),
    }
}

pub fn windowed(
    key: u8,
    (start, end): (i64, i64),
    values: &[i64],
    firing: Firing,
) -> Windowed<u8, TimeWindow, Vec<i64>> {
    let window = TimeWindow::new(at(start), at(end));
    Windowed { key, window, value: values.to_vec(), firing }
}

pub type Told = Event<Windowed<u8, TimeWindow, Vec<i64>>>;

pub fn told(key: u8, window: (i64, i64), values: &[i64], firing: Firing) -> Told {
    let windowed = windowed(key, window, values, firing);
    Event::Record(Record::at(windowed, at(window.1 - 1)))
}

pub fn passed(watermark: i64) -> Told {
    Event::Watermark(at(watermark))
}

/// Clicks of some keys, about in the order of time, and watermarks between them.
pub fn script(random: &mut Random, disorder: u64, keys: u64) -> Vec<Step<Keyed<Click>>> {
    let (mut now, mut told) = (0, i64::MIN);
    let mut steps = Vec::new();
    for _ in 0..120 {
        now += i64::try_from(random.below(5)).unwrap();
        if random.below(4) == 0 && told < now - 10 {
            told = now - 10;
            steps.push(Step::Watermark(at(told)));
        } else {
            let time = now - i64::try_from(random.below(disorder)).unwrap();
            steps.push(Step::Record(click(random.below(keys) as u8, time)));
        }
    }
    steps
}

/// The same, as clicks alone.
pub fn clicks(seed: u64, count: i64) -> Vec<Click> {
    let mut random = Random::new(seed);
    let disorder = |random: &mut Random| i64::try_from(random.below(30)).unwrap();
    (0..count)
        .map(|n| Click { key: random.below(5) as u8, time: 2 * n - disorder(&mut random) })
        .collect()
}

/// The times of all clicks, sorted.
#[derive(Clone, Copy)]
pub struct Values;

impl Aggregate<Click> for Values {
    type Accumulator = Vec<i64>;
    type Out = Vec<i64>;
    const NAME: &'static str = "values";

    fn create(&self) -> Vec<i64> {
        Vec::new()
    }

    fn add(&self, values: &mut Vec<i64>, click: &Click) {
        let place = values.partition_point(|value| *value <= click.time);
        values.insert(place, click.time);
    }

    fn merge(&self, values: &mut Vec<i64>, other: &Vec<i64>) {
        values.extend(other);
        values.sort_unstable();
    }

    fn result(&self, values: &Vec<i64>) -> Vec<i64> {
        values.clone()
    }
}

/// Tells when so many records have come since the last time, and at no end.
#[derive(Clone, Copy)]
pub struct Every(pub u64);

impl Trigger for Every {
    type State = u64;

    fn on_record(&self, count: &mut u64, _record: Timestamp, _at: Moment) -> TriggerResult {
        *count += 1;
        if *count < self.0 { TriggerResult::Continue } else { TriggerResult::Fire }
    }

    fn on_time(&self, _count: &mut u64, _at: Moment) -> TriggerResult {
        TriggerResult::Continue
    }

    fn next(&self, _count: &u64, _window: TimeWindow) -> NextTime {
        NextTime::default()
    }

    fn on_fired(&self, count: &mut u64) {
        *count = 0;
    }

    fn merge(&self, count: &mut u64, other: u64) {
        *count += other;
    }
}

/// Tells a second of the clock after the first record that is new, and when the window is complete.
#[derive(Clone, Copy)]
pub struct EverySecond;

impl Trigger for EverySecond {
    type State = Option<i64>;

    fn on_record(&self, due: &mut Option<i64>, _record: Timestamp, at: Moment) -> TriggerResult {
        if at.window.is_complete(at.watermark) {
            return TriggerResult::Fire;
        }
        due.get_or_insert(at.clock.as_millis() + 1_000);
        TriggerResult::Continue
    }

    fn on_time(&self, due: &mut Option<i64>, at: Moment) -> TriggerResult {
        let reached = due.is_some_and(|due| due <= at.clock.as_millis());
        if reached || at.window.is_complete(at.watermark) {
            TriggerResult::Fire
        } else {
            TriggerResult::Continue
        }
    }

    fn next(&self, due: &Option<i64>, window: TimeWindow) -> NextTime {
        NextTime { watermark: Some(window.end), clock: due.map(Timestamp::from_millis) }
    }

    fn on_fired(&self, due: &mut Option<i64>) {
        *due = None;
    }

    fn merge(&self, due: &mut Option<i64>, other: Option<i64>) {
        *due = due.iter().chain(&other).min().copied();
    }
}

/// Compares long lists so that one sees where they differ.
pub fn assert_same<T: PartialEq + std::fmt::Debug>(left: &[T], right: &[T], case: &str) {
    for (at, (left, right)) in left.iter().zip(right).enumerate() {
        assert_eq!(left, right, "result {at} of {case}");
    }
    assert_eq!(left.len(), right.len(), "{case}");
}

/// Room for a few results: panics when there are more.
pub struct Tight<T>(pub Vec<Record<T>>, pub usize);

impl<T> Collector<T> for Tight<T> {
    fn push(&mut self, record: Record<T>) {
        assert!(!self.is_full(), "pushed after a stop");
        self.0.push(record);
    }

    fn is_full(&self) -> bool {
        self.0.len() >= self.1
    }
}

/// Lets an operator go on, with new room each time, until nothing is pending: how much came out,
/// and in how many calls.
pub fn drain<In, O: Operator<In>>(operator: &mut O, room: usize) -> (usize, usize) {
    let (mut results, mut calls) = (0, 0);
    while operator.pending() {
        let mut out = Tight(Vec::new(), room);
        operator.resume(&mut out).unwrap();
        results += out.0.len();
        calls += 1;
    }
    (results, calls)
}
