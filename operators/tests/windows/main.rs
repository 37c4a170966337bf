//! Windows: the rules that Flink documents, ours where they differ, and what crashes, schedules and
//! hostile times do to them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod counts;
mod crashes;
mod lateness;
mod model;

mod triggers;
mod tumbling;

use std::time::Duration;

use millstream_engine::edge::Keyed;
use millstream_engine::key::{Made, stable_hash};
use millstream_engine::operator::Operator;
use millstream_engine::testing::{Event, OperatorHarness, Step};
use millstream_operators::aggregate::Aggregate;
use millstream_operators::prelude::*;
use millstream_operators::window::trigger::{Moment, NextTime, TriggerResult};
use millstream_operators::window::{Accumulation, LateRecords, Trigger, WindowRules, Windows};

/// A record: its key, its event time, and a number.
type Click = (char, i64, u64);

/// The numbers of the records, added up.
#[derive(Clone, Debug)]
struct Total;

impl Aggregate<Click> for Total {
    type Accumulator = u64;
    type Out = u64;
    const NAME: &'static str = "total";

    fn create(&self) -> u64 {
        0
    }

    fn add(&self, total: &mut u64, click: &Click) {
        *total += click.2;
    }

    fn merge(&self, total: &mut u64, other: &u64) {
        *total += other;
    }

    fn result(&self, total: &u64) -> u64 {
        *total
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn time_of(click: &Click) -> Timestamp {
    at(click.1)
}

fn key_of(click: &Click) -> char {
    click.0
}

type ByKey = Made<fn(&Click) -> char>;

/// The operator of some windows, as `rules` say.
fn operator<W: Windows<Click>, R: Trigger>(
    windows: W,
    rules: WindowRules<Click, R>,
) -> W::Operator<ByKey, Total, R> {
    windows.operator(Made(key_of as fn(&Click) -> char), Total, rules)
}

fn rules<R: Trigger>(trigger: R) -> WindowRules<Click, R> {
    let accumulation = Accumulation::Accumulating;
    WindowRules { trigger, accumulation, lateness: Duration::ZERO, late: LateRecords::dropped() }
}

/// A record as it comes over the shuffle.
fn click(key: char, time: i64, number: u64) -> Record<Keyed<Click>> {
    Record::at(Keyed { hash: stable_hash(&key), value: (key, time, number) }, at(time))
}

/// What comes out of windows of time.
type Out = Windowed<char, TimeWindow, u64>;

/// What was told: key, start of the window, value, why.
type Told = (char, i64, u64, Firing);

/// An operator, driven by hand.
struct Driven<O: Operator<Keyed<Click>>>(OperatorHarness<Keyed<Click>, O>);

impl<O: Operator<Keyed<Click>, Out = Out>> Driven<O> {
    fn new(operator: O) -> Self {
        Self(OperatorHarness::new(operator))
    }

    /// What is told when a record of the key comes.
    fn push(&mut self, key: char, time: i64, number: u64) -> Vec<Told> {
        self.0.push(click(key, time, number));
        self.told()
    }

    /// What is told when the watermark comes.
    fn watermark(&mut self, time: i64) -> Vec<Told> {
        self.0.watermark(at(time));
        self.told()
    }

    /// What is told when time passes.
    fn advance(&mut self, by: u64) -> Vec<Told> {
        self.0.advance(ms(by));
        self.told()
    }

    /// What is told when the input has ended.
    fn end(&mut self) -> Vec<Told> {
        self.0.end();
        self.told()
    }

    fn told(&mut self) -> Vec<Told> {
        let event = |event| match event {
            Event::Record(record) => Some(record),
            Event::Watermark(_) | Event::End => None,
        };
        let told = |record: Record<Out>| {
            let Windowed { key, window, value, firing } = record.value;
            assert_eq!(record.time, window.last());
            (key, window.start.as_millis(), value, firing)
        };
        self.0.events().into_iter().filter_map(event).map(told).collect()
    }
}

/// Windows of ten milliseconds.
fn ten() -> Tumbling {
    Tumbling::of(ms(10))
}

/// A script of records, watermarks and passing time, in short.
fn script<const N: usize>(steps: [Step<Keyed<Click>>; N]) -> Vec<Step<Keyed<Click>>> {
    steps.into()
}
