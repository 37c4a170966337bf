//! What is over takes no memory: closed windows, expired state, timers that have fired or were
//! deleted. Counted by an allocator, which counts for each thread.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use millstream_engine::edge::Keyed;
use millstream_engine::key::{Made, stable_hash};
use millstream_engine::operator::Operator;
use millstream_engine::testing::OperatorHarness;
use millstream_operators::aggregate::Count;
use millstream_operators::keyed::process::{
    KeyContext, Process, ProcessFunction, StateTtl, ValueState,
};
use millstream_operators::prelude::*;
use millstream_operators::window::{Accumulation, LateRecords, WindowRules, Windows};

/// A key that takes memory of its own, and what becomes of it.
type Name = String;
type By = Made<fn(&i64) -> Name>;

/// Keys that are open at a time, and how often others take their place.
const KEYS: i64 = 4_000;
const ROUNDS: i64 = 25;

/// As much may be left of all of them: less than a byte for each key that there was, in tables that
/// are too small to be given back.
const BOUND: i64 = 32 * 1024;

fn name(value: &i64) -> Name {
    format!("{value:032}")
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Sends records of many keys, and then a watermark and time behind all that is kept of them, again
/// and again. Little is left in between, and nothing more after the last than after the second.
fn gives_back<O: Operator<Keyed<i64>>>(what: &str, operator: O) {
    let mut harness = None;
    let mut held = allocation_counter::measure(|| {
        harness = Some(OperatorHarness::new(operator));
    })
    .bytes_current;
    let start = held;
    let mut harness = harness.unwrap();
    let (mut most, mut after_second) = (0, 0);
    for round in 0..ROUNDS {
        let times = round * 100_000;
        let counted = allocation_counter::measure(|| {
            for number in 0..KEYS {
                let value = round * KEYS + number;
                let keyed = Keyed { hash: stable_hash(name(&value).as_str()), value };
                harness.push(Record::at(keyed, at(times + number % 1_000)));
                harness.events();
            }
            harness.advance(Duration::from_secs(100));
            harness.watermark(at(times + 99_999));
            harness.events();
        });
        most = most.max(counted.bytes_max);
        held += counted.bytes_current;
        if round == 1 {
            after_second = held;
        }
        assert!(held - start < BOUND, "{what}: {} bytes after round {round}", held - start);
    }
    assert!(harness.take_error().is_none());
    assert!(most > 100_000, "{what} keeps something while it is open: {most} bytes");
    assert!(held <= after_second + 4 * 1024, "{what} grows: {after_second}, then {held}");
}

fn windows<W, R>(windows: W, trigger: R, lateness: u64) -> W::Operator<By, Count, R>
where
    W: Windows<i64>,
    R: Trigger,
{
    let lateness = Duration::from_millis(lateness);
    let accumulation = Accumulation::Accumulating;
    let rules = WindowRules { trigger, accumulation, lateness, late: LateRecords::dropped() };
    windows.operator(Made(name as fn(&i64) -> Name), Count, rules)
}

#[test]
fn h3_closed_tumbling_windows_give_their_memory_back() {
    let second = Tumbling::of(Duration::from_secs(1));
    gives_back("tumbling", windows(second, OnWatermark, 0));
    gives_back("tumbling, late", windows(second, OnWatermark, 5_000));
    let early = OnWatermark.with_early(AfterEventTime::of(Duration::from_millis(10)));
    gives_back("tumbling, early", windows(second, early, 0));
    let clocked = OnWatermark.with_early(AfterProcessingTime::of(Duration::from_millis(10)));
    gives_back("tumbling, early by the clock", windows(second, clocked, 0));
}

#[test]
fn h4_closed_sliding_windows_give_their_memory_back() {
    let sliding = Sliding::of(Duration::from_secs(2), Duration::from_millis(500));
    gives_back("sliding", windows(sliding, OnWatermark, 0));
    gives_back("sliding, late", windows(sliding, OnWatermark, 5_000));
    gives_back("sliding, each", windows(sliding, OnEveryRecord, 0));
}

#[test]
fn h5_closed_sessions_give_their_memory_back() {
    let session = Session::with_gap(Duration::from_secs(3));
    gives_back("session", windows(session, OnWatermark, 0));
    gives_back("session, late", windows(session, OnFinal, 5_000));
    let clocked = OnWatermark.with_early(AfterProcessingTime::of(Duration::from_millis(10)));
    gives_back("session, early by the clock", windows(session, clocked, 0));
}

/// What is done for each record.
#[derive(Clone, Copy)]
enum Does {
    /// Keeps a value for some time, by event time or by the clock.
    Keeps(StateTtl),
    /// Sets timers by event time and the clock, which fire.
    Sets,
    /// Sets timers and deletes them at once.
    Deletes,
    /// Keeps a value for a very long time, and clears it in the next record.
    Clears,
}

#[derive(Clone)]
struct Function(Does);

impl ProcessFunction<Name, i64> for Function {
    type Out = i64;
    type States = ValueState<i64>;

    fn states(&self) -> ValueState<i64> {
        let ttl = match self.0 {
            Does::Keeps(ttl) => ttl,
            _ => StateTtl::event_time(Duration::from_secs(1_000_000_000)),
        };
        ValueState::new("value").with_ttl(ttl)
    }

    fn process(
        &mut self,
        record: Record<i64>,
        context: &mut KeyContext<'_, Name, ValueState<i64>>,
        _out: &mut impl Collector<i64>,
    ) -> Result<(), OperatorError> {
        let far = at(i64::MAX - 1);
        match self.0 {
            Does::Keeps(_) => context.states.set(record.value),
            Does::Sets => {
                for n in 0..4 {
                    context.timers.set_event_time(at(record.time.as_millis() + n * 7));
                    context.timers.set_after(Duration::from_millis(50));
                }
            }
            Does::Deletes => {
                context.timers.set_event_time(far);
                context.timers.set_processing_time(far);
                context.timers.set_event_time(at(record.time.as_millis() + 9));
                context.timers.delete_event_time(far);
                context.timers.delete_processing_time(far);
            }
            Does::Clears => {
                context.states.set(record.value);
                context.timers.set_event_time(record.time);
            }
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        _timer: millstream_operators::keyed::process::Timer,
        context: &mut KeyContext<'_, Name, ValueState<i64>>,
        _out: &mut impl Collector<i64>,
    ) -> Result<(), OperatorError> {
        context.states.clear();
        Ok(())
    }
}

fn process(does: Does) -> Process<i64, By, Function> {
    Process::new(Made(name as fn(&i64) -> Name), Function(does))
}

#[test]
fn g5_expired_and_cleared_state_gives_its_memory_back() {
    let life = Duration::from_secs(20);
    gives_back("state by event time", process(Does::Keeps(StateTtl::event_time(life))));
    gives_back("state by the clock", process(Does::Keeps(StateTtl::processing_time(life))));
    gives_back("state that is cleared", process(Does::Clears));
}

#[test]
fn g4_fired_and_deleted_timers_give_their_memory_back() {
    gives_back("timers that fire", process(Does::Sets));
    gives_back("timers that are deleted", process(Does::Deletes));
}
