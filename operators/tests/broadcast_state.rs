//! Rules that every instance knows, beside keyed records.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::edge::Keyed;
use millstream_engine::key::{Made, stable_hash};
use millstream_engine::random::Random;
use millstream_engine::state::Snapshot;
use millstream_engine::testing::{
    OperatorHarness, SinkProbe, SourceProbe, Step, TestDriver, assert_survives_crashes, explore,
    probe_sink, probe_source,
};
use millstream_operators::fan::Either;
use millstream_operators::keyed::process::{
    BroadcastContext, BroadcastFunction, BroadcastProcess, KeyContext, StateTtl, Timer, ValueState,
};
use millstream_operators::prelude::*;
use millstream_operators::state::Checkpointed as _;

/// A reading of a sensor.
type Reading = (u8, i64);
/// From now on, another limit for sensors of one parity.
type Limit = (u8, i64);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Tells of readings beyond the limit, of sums by a timer, and of all sums when the limit is zero.
#[derive(Clone)]
struct Limits {
    ttl: Option<StateTtl>,
}

type Sum = ValueState<i64>;

impl BroadcastFunction<u8, Reading, Limit> for Limits {
    type Out = String;
    type States = Sum;
    type Rules = BTreeMap<u8, i64>;

    fn states(&self) -> Sum {
        let sum = ValueState::new("sum");
        self.ttl.into_iter().fold(sum, ValueState::with_ttl)
    }

    fn process(
        &mut self,
        reading: Record<Reading>,
        limits: &BTreeMap<u8, i64>,
        context: &mut KeyContext<'_, u8, Sum>,
        out: &mut impl Collector<String>,
    ) -> Result<(), OperatorError> {
        let (sensor, value) = reading.value;
        context.states.update(|| 0, |sum| *sum += value);
        context.timers.set_event_time(context.time.saturating_add(Duration::from_millis(10)));
        if limits.get(&(sensor % 2)).is_some_and(|limit| value > *limit) {
            out.push(context.record(format!("{sensor}: {value}")));
        }
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        change: Record<Limit>,
        limits: &mut BTreeMap<u8, i64>,
        context: &mut BroadcastContext<'_, u8, Sum>,
        out: &mut impl Collector<String>,
    ) -> Result<(), OperatorError> {
        let (parity, limit) = change.value;
        limits.insert(parity, limit);
        if limit != 0 {
            return Ok(());
        }
        context.for_each_key(|context| {
            let sum = context.states.take();
            context.timers.clear();
            out.push(context.record(format!("{} had {sum:?}", context.key)));
            Ok(())
        })
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        limits: &BTreeMap<u8, i64>,
        context: &mut KeyContext<'_, u8, Sum>,
        out: &mut impl Collector<String>,
    ) -> Result<(), OperatorError> {
        let limit = limits.get(&(*context.key % 2));
        let sum = context.states.get().copied();
        out.push(context.record(format!(
            "{}: {sum:?} of {limit:?} at {}",
            context.key,
            timer.time()
        )));
        Ok(())
    }
}

/// The graph, with its two inputs.
struct Running {
    driver: TestDriver,
    readings: SourceProbe<Reading>,
    limits: SourceProbe<Limit>,
    output: SinkProbe<String>,
}

impl Running {
    fn start(parallel: usize, state: Option<Snapshot>, timed_rules: bool) -> Self {
        let (readings, reading_source) = probe_source::<Reading>();
        let (limits, limit_source) = probe_source::<Limit>();
        let (output, sink) = probe_sink();
        let flow = Dataflow::new("limits");
        let rules = flow.source("limits", limit_source).boxed();
        let rules = if timed_rules { rules } else { timeless(rules) };
        let told = flow
            .source("readings", reading_source)
            .key_by(|reading| reading.0)
            .parallel(parallel)
            .connect_broadcast(rules)
            .process(Limits { ttl: None })
            .uid("limits");
        told.boundary().sink("out", sink);
        let options = JobOptions::default().with_publish_every(None).with_stall_warning(None);
        let options = state.into_iter().fold(options, JobOptions::with_state);
        let driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
        Self { driver, readings, limits, output }
    }

    fn play(&mut self, step: &Step<Either<Reading, Limit>>) -> Vec<String> {
        match step {
            Step::Record(record) => match record.value {
                Either::Left(reading) => {
                    self.driver.push(&self.readings, Record::at(reading, record.time));
                }
                Either::Right(limit) => {
                    self.driver.push(&self.limits, Record::at(limit, record.time));
                }
            },
            Step::Watermark(watermark) => {
                self.driver.watermark(&self.readings, *watermark);
                self.driver.watermark(&self.limits, *watermark);
            }
            Step::Advance(by) => self.driver.advance(*by),
            Step::End => {}
        }
        self.told()
    }

    /// What was told since the last time; instances tell in no particular order.
    fn told(&mut self) -> Vec<String> {
        let mut told = self.driver.read(&self.output);
        told.sort();
        told
    }

    fn snapshot(&mut self) -> Snapshot {
        self.driver.barrier(&self.readings, Barrier(1));
        self.driver.barrier(&self.limits, Barrier(1));
        Snapshot::from_bytes(&self.driver.snapshot(Barrier(1)).to_bytes()).unwrap()
    }

    fn end(mut self) -> Vec<String> {
        self.driver.end(&self.readings);
        self.driver.end(&self.limits);
        let told = self.told();
        self.driver.finish().unwrap();
        told
    }
}

/// Lets a stream of rules come from nobody who says what time it is.
fn timeless(rules: DataStream<Limit>) -> DataStream<Limit> {
    let quiet = rules.flow().source("nobody", source::from_iter([]));
    rules.merge(quiet)
}

fn left(sensor: u8, value: i64, time: i64) -> Step<Either<Reading, Limit>> {
    Step::Record(Record::at(Either::Left((sensor, value)), at(time)))
}

fn right(parity: u8, limit: i64, time: i64) -> Step<Either<Reading, Limit>> {
    Step::Record(Record::at(Either::Right((parity, limit)), at(time)))
}

#[test]
fn g8_rules_change_without_a_restart_and_every_instance_knows_them() {
    for parallel in [1, 3, 16] {
        let mut run = Running::start(parallel, None, true);
        assert_eq!(run.play(&left(1, 50, 0)), [""; 0], "there is no rule yet");
        assert_eq!(run.play(&right(1, 40, 1)), [""; 0]);
        let told: Vec<_> = (0..20).flat_map(|sensor| run.play(&left(sensor, 50, 2))).collect();
        let expected: Vec<_> = (0..20).skip(1).step_by(2).map(|n| format!("{n}: 50")).collect();
        assert_eq!(told, expected);
        run.play(&right(1, 60, 3));
        assert_eq!(run.play(&left(3, 55, 4)), [""; 0]);
        run.play(&Step::Watermark(at(11)));
        let told = run.play(&right(0, 0, 11));
        assert_eq!(told.len(), 20, "every key, whichever instance has it: {told:?}");
        assert!(told.contains(&"3 had Some(105)".to_owned()), "{told:?}");
        assert_eq!(run.end(), [""; 0], "no state and no timers are left");
    }
}

/// Readings, changes of rules, and the time passing.
fn script(seed: u64, steps: usize) -> Vec<Step<Either<Reading, Limit>>> {
    let mut random = Random::fork(seed, 0, 0);
    let mut time = 0;
    let mut small = move |below| i64::try_from(random.below(below)).unwrap();
    let step = |_| {
        time += small(6);
        let parity = u8::try_from(small(2)).unwrap();
        match small(8) {
            0 => {
                time += 1;
                Step::Watermark(at(time - 5))
            }
            1 => right(parity, small(3) * 20, time),
            _ => left(u8::try_from(small(9)).unwrap(), small(60), time),
        }
    };
    (0..steps).map(step).collect()
}

#[test]
fn g8_a_crash_behind_every_record_and_another_parallelism_change_nothing() {
    for seed in 0..3 {
        println!("seed {seed}");
        let script = script(seed, 30);
        let mut whole = Running::start(1, None, true);
        let mut expected: Vec<_> = script.iter().flat_map(|step| whole.play(step)).collect();
        expected.extend(whole.end());
        assert!(expected.len() > 15, "a script of which nothing comes shows nothing");
        for crash in 0..=script.len() {
            for (before, after) in [(1, 3), (3, 1), (2, 5)] {
                let mut first = Running::start(before, None, true);
                let (head, tail) = script.split_at(crash);
                let mut told: Vec<_> = head.iter().flat_map(|step| first.play(step)).collect();
                let state = first.snapshot();
                let mut second = Running::start(after, Some(state), true);
                told.extend(tail.iter().flat_map(|step| second.play(step)));
                told.extend(second.end());
                assert_eq!(told, expected, "crash at {crash}, from {before} to {after}");
            }
        }
    }
}

type Key = Made<fn(&Reading) -> u8>;
type UnderTest = BroadcastProcess<Reading, Limit, Key, Limits>;

fn operator(ttl: Option<StateTtl>) -> UnderTest {
    BroadcastProcess::new(Made(|reading: &Reading| reading.0), Limits { ttl })
}

fn keyed(step: &Step<Either<Reading, Limit>>) -> Step<Either<Keyed<Reading>, Limit>> {
    match step {
        Step::Record(record) => Step::Record(record.with(|value| match value {
            Either::Left(value) => Either::Left(Keyed { hash: stable_hash(&value.0), value }),
            Either::Right(limit) => Either::Right(limit),
        })),
        Step::Watermark(watermark) => Step::Watermark(*watermark),
        Step::Advance(by) => Step::Advance(*by),
        Step::End => Step::End,
    }
}

#[test]
fn g8_the_operator_alone_survives_a_crash_at_any_step() {
    let lives = [None, Some(StateTtl::event_time(Duration::from_millis(20)))];
    for seed in 0..12 {
        for ttl in lives {
            println!("seed {seed}, {ttl:?}");
            let script: Vec<_> = script(seed, 60).into_iter().map(|step| keyed(&step)).collect();
            assert_survives_crashes(&operator(ttl).checkpointed(), &script);
        }
    }
}

#[test]
fn g8_event_time_is_that_of_the_earlier_side_and_rules_without_any_hold_nobody_up() {
    let mut timed = Running::start(2, None, true);
    timed.play(&left(1, 5, 0));
    timed.driver.watermark(&timed.readings, at(100));
    assert_eq!(timed.told(), [""; 0], "a rule for 10 may still come");
    timed.play(&right(1, 7, 10));
    timed.driver.watermark(&timed.limits, at(11));
    assert_eq!(timed.told(), ["1: Some(5) of Some(7) at 10 ms"]);
    assert_eq!(timed.end(), [""; 0]);

    let mut timeless = Running::start(2, None, false);
    timeless.play(&left(1, 5, 0));
    timeless.driver.watermark(&timeless.readings, at(100));
    assert_eq!(timeless.told(), ["1: Some(5) of None at 10 ms"]);
    timeless.play(&right(1, 7, 10));
    timeless.play(&left(1, 5, 101));
    timeless.driver.watermark(&timeless.readings, at(200));
    assert_eq!(timeless.told(), ["1: Some(10) of Some(7) at 111 ms"]);
    assert_eq!(timeless.end(), [""; 0]);
}

#[test]
fn g8_instances_that_knew_different_rules_are_refused() {
    let mut one = OperatorHarness::new(operator(None).checkpointed());
    one.push(Record::at(Either::Right((1, 5)), at(0)));
    let mut other = OperatorHarness::new(operator(None).checkpointed());
    other.push(Record::at(Either::Right((1, 6)), at(0)));
    let mut state = one.snapshot().unwrap();
    let bytes = other.snapshot().unwrap().into_entries().into_values().next().unwrap();
    let mut entries = state.clone().into_entries();
    entries.insert(millstream_engine::state::StateScope::Instance(1), bytes);
    let mut third = operator(None).checkpointed();
    let mut reader = millstream_engine::state::StateReader::new(0, 1, &entries);
    let error = millstream_engine::operator::Operator::restore(&mut third, &mut reader);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("two instances knew different rules"), "{error}");
    state.write(Vec::new());
}

#[test]
fn g8_rules_from_several_instances_come_to_all_in_one_order() {
    explore(0..40, |options| {
        let flow = Dataflow::new("many rules");
        let rules = flow.source("limits", source::from_iter((0..200).map(|n| (1, n + 1))));
        let (readings, source) = probe_source::<Reading>();
        let (output, sink) = probe_sink();
        let told = flow
            .source("readings", source)
            .key_by(|reading| reading.0)
            .parallel(5)
            .connect_broadcast(rules.parallel(4).with_capacity(4))
            .process(Limits { ttl: None });
        told.boundary().sink("out", sink);
        let mut driver = TestDriver::start_with(flow.blueprint(), options).unwrap();
        for sensor in 0..40_u8 {
            driver.push(&readings, Record::at((2 * sensor + 1, 0), at(0)));
        }
        driver.end(&readings);
        let told = driver.read(&output);
        let limit = |line: &String| line.split(" of ").nth(1).unwrap().to_owned();
        let limits: BTreeSet<_> = told.iter().map(limit).collect();
        assert_eq!((told.len(), limits.len()), (40, 1), "{limits:?}");
        driver.finish().unwrap();
    });
}

#[test]
fn g8_rules_that_are_silent_for_long_hold_nobody_up() {
    let (readings, reading_source) = probe_source::<Reading>();
    let (limits, limit_source) = probe_source::<Limit>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("silent rules");
    let watermarks = Watermarks::monotonic().idle_after(Duration::from_secs(1));
    let rules = flow.source("limits", limit_source).event_time(|limit| at(limit.1), watermarks);
    let told = flow
        .source("readings", reading_source)
        .key_by(|reading| reading.0)
        .parallel(3)
        .connect_broadcast(rules)
        .process(Limits { ttl: None });
    told.boundary().sink("out", sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.push(&limits, (1, 7));
    driver.push(&readings, Record::at((1, 5), at(0)));
    driver.watermark(&readings, at(100));
    assert_eq!(driver.read(&output), [""; 0], "a rule for 10 may still come");
    driver.advance(Duration::from_secs(2));
    assert_eq!(driver.read(&output), ["1: Some(5) of Some(7) at 10 ms"]);
    driver.end(&limits);
    driver.end(&readings);
    driver.finish().unwrap();
}
