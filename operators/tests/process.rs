//! Functions over keyed records: their state, its time to live, their timers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::edge::Keyed;
use millstream_engine::key::{Made, stable_hash};
use millstream_engine::random::Random;
use millstream_engine::state::Snapshot;
use millstream_engine::testing::{
    Event, OperatorHarness, Step, TestDriver, assert_survives_crashes, probe_sink, probe_source,
};
use millstream_operators::aggregate::Aggregate;
use millstream_operators::keyed::process::{
    AggregatingState, KeyContext, ListState, MapState, Process, ProcessFunction, ReducingState,
    StateTtl, Timer, ValueState,
};
use millstream_operators::prelude::*;

/// A command to the function under test, of a key.
#[derive(Clone, Debug)]
struct Command(u8, Act);

#[derive(Clone, Debug)]
enum Act {
    /// Adds to every kind of state.
    Add(i64),
    Tell,
    Clear,
    EventTimer(i64),
    DeleteEventTimer(i64),
    After(u64),
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How many there were.
#[derive(Clone)]
struct HowMany;

impl Aggregate<i64> for HowMany {
    type Accumulator = u32;
    type Out = u32;
    const NAME: &'static str = "how_many";

    fn create(&self) -> u32 {
        0
    }

    fn add(&self, count: &mut u32, _value: &i64) {
        *count += 1;
    }

    fn merge(&self, count: &mut u32, other: &u32) {
        *count += other;
    }

    fn result(&self, count: &u32) -> u32 {
        *count
    }
}

type Everything = (
    ValueState<i64>,
    ListState<i64>,
    MapState<i64, i64>,
    ReducingState<i64, fn(&i64, &i64) -> i64>,
    AggregatingState<i64, HowMany>,
);

/// Does what it is told, and tells what it keeps.
#[derive(Clone)]
struct Obeys {
    ttl: Option<StateTtl>,
}

fn greater(a: &i64, b: &i64) -> i64 {
    *a.max(b)
}

impl ProcessFunction<u8, Command> for Obeys {
    type Out = String;
    type States = Everything;

    fn states(&self) -> Everything {
        let value = ValueState::new("last");
        let list = ListState::new("all");
        let map = MapState::new("squares");
        let most = ReducingState::new("most", greater as fn(&i64, &i64) -> i64);
        let count = AggregatingState::new("count", HowMany);
        match self.ttl {
            None => (value, list, map, most, count),
            Some(ttl) => (
                value.with_ttl(ttl),
                list.with_ttl(ttl),
                map.with_ttl(ttl),
                most.with_ttl(ttl),
                count.with_ttl(ttl),
            ),
        }
    }

    fn process(
        &mut self,
        record: Record<Command>,
        context: &mut KeyContext<'_, u8, Everything>,
        out: &mut impl Collector<String>,
    ) -> Result<(), OperatorError> {
        let (last, all, squares, most, count) = &mut context.states;
        match record.value.1 {
            Act::Add(n) => {
                last.set(n);
                all.push(n);
                squares.insert(n, n * n);
                most.add(n);
                count.add(&n);
            }
            Act::Tell => {
                let all: Vec<_> = all.iter().copied().collect();
                let squares: Vec<_> = squares.iter().map(|(_, square)| *square).collect();
                let (last, most, count) = (last.get().copied(), most.get().copied(), count.get());
                let told = format!("{last:?} {all:?} {squares:?} {most:?} {count:?}");
                out.push(context.record(told));
            }
            Act::Clear => {
                last.clear();
                all.clear();
                squares.clear();
                most.clear();
                count.clear();
                context.timers.clear();
            }
            Act::EventTimer(time) => context.timers.set_event_time(at(time)),
            Act::DeleteEventTimer(time) => context.timers.delete_event_time(at(time)),
            Act::After(delay) => {
                context.timers.set_after(millis(delay));
            }
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut KeyContext<'_, u8, Everything>,
        out: &mut impl Collector<String>,
    ) -> Result<(), OperatorError> {
        let kind = match timer {
            Timer::EventTime(time) => format!("{time}"),
            Timer::ProcessingTime(_) => "the clock".to_owned(),
        };
        let last = context.states.0.get().copied();
        out.push(context.record(format!("{} at {kind}: {last:?}", context.key)));
        Ok(())
    }
}

type Key = Made<fn(&Command) -> u8>;
type UnderTest = Process<Command, Key, Obeys>;
type Harness = OperatorHarness<Keyed<Command>, UnderTest>;

fn operator(ttl: Option<StateTtl>) -> UnderTest {
    Process::new(Made(|command: &Command| command.0), Obeys { ttl })
}

fn keyed(key: u8, act: Act) -> Keyed<Command> {
    Keyed { hash: stable_hash(&key), value: Command(key, act) }
}

fn tell(harness: &mut Harness, key: u8, time: i64) -> String {
    harness.values();
    harness.push(Record::at(keyed(key, Act::Tell), at(time)));
    harness.values().remove(0)
}

#[test]
fn g2_state_is_that_of_the_key_at_hand() {
    let mut harness = OperatorHarness::new(operator(None));
    for n in [3, 1, 3] {
        harness.push(keyed(7, Act::Add(n)));
        harness.push(keyed(8, Act::Add(10 * n)));
    }
    assert_eq!(tell(&mut harness, 7, 0), "Some(3) [3, 1, 3] [1, 9] Some(3) Some(3)");
    assert_eq!(tell(&mut harness, 8, 0), "Some(30) [30, 10, 30] [100, 900] Some(30) Some(3)");
    assert_eq!(tell(&mut harness, 9, 0), "None [] [] None None");
    assert_eq!(harness.operator().keys(), 2, "a key of which nothing is kept takes no place");
    harness.push(keyed(7, Act::Clear));
    harness.push(keyed(8, Act::Clear));
    assert_eq!(harness.operator().keys(), 0);
}

#[test]
fn g4_timers_fire_in_order_and_once_when_the_watermark_has_passed_them() {
    let mut harness = OperatorHarness::new(operator(None));
    harness.push(keyed(1, Act::Add(5)));
    for time in [30, 10, 10, 20, 20, 40] {
        harness.push(keyed(1, Act::EventTimer(time)));
    }
    harness.push(keyed(2, Act::EventTimer(20)));
    harness.push(keyed(1, Act::DeleteEventTimer(30)));
    assert_eq!(harness.operator().timers(), 4, "the same timer twice is one");
    harness.watermark(at(10));
    assert_eq!(harness.values(), [""; 0], "a record at 10 may still come");
    harness.watermark(at(11));
    assert_eq!(harness.values(), ["1 at 10 ms: Some(5)"]);
    harness.watermark(at(25));
    let mut both = harness.values();
    both.sort();
    assert_eq!(both, ["1 at 20 ms: Some(5)", "2 at 20 ms: None"]);
    harness.push(keyed(3, Act::EventTimer(5)));
    assert_eq!(harness.values(), [""; 0], "one that has passed waits for the next watermark");
    harness.watermark(at(26));
    assert_eq!(harness.values(), ["3 at 5 ms: None"]);
    harness.end();
    assert_eq!(harness.values(), ["1 at 40 ms: Some(5)"], "the end of the input ends event time");
    assert_eq!(harness.operator().timers(), 0);
}

#[test]
fn g4_a_timer_s_output_carries_its_time_and_comes_before_the_watermark() {
    let mut harness = OperatorHarness::new(operator(None));
    harness.push(keyed(1, Act::EventTimer(10)));
    harness.watermark(at(50));
    let told = Event::Record(Record::at("1 at 10 ms: None".to_owned(), at(10)));
    assert_eq!(harness.events(), [told, Event::Watermark(at(50))]);
}

#[test]
fn g4_timers_by_the_clock_fire_without_any_record() {
    let mut harness = OperatorHarness::new(operator(None));
    harness.push(keyed(1, Act::After(100)));
    harness.push(keyed(2, Act::After(50)));
    harness.advance(millis(49));
    assert_eq!(harness.values(), [""; 0]);
    harness.advance(millis(1));
    assert_eq!(harness.values(), ["2 at the clock: None"]);
    harness.advance(millis(1_000));
    assert_eq!(harness.values(), ["1 at the clock: None"]);
    harness.push(keyed(1, Act::After(100)));
    harness.end();
    assert_eq!(harness.values(), [""; 0], "the end does not wait for the clock");
    assert_eq!(harness.next_timer(), None);
}

#[test]
fn g4_many_timers_at_once_wait_for_room() {
    for room in [1, 2, 7] {
        let mut harness = OperatorHarness::with_room(operator(None), room);
        for key in 0..50 {
            harness.push(keyed(key, Act::EventTimer(10)));
        }
        harness.watermark(at(11));
        let events = harness.events();
        assert_eq!(events.len(), 51);
        assert_eq!(events[50], Event::Watermark(at(11)), "behind all of them");
    }
}

#[test]
fn g5_state_that_has_lived_its_time_is_not_seen_again_and_gives_its_memory_back() {
    let ttl = StateTtl::event_time(millis(100));
    let mut harness = OperatorHarness::new(operator(Some(ttl)));
    harness.push(Record::at(keyed(1, Act::Add(1)), at(0)));
    harness.push(Record::at(keyed(2, Act::Add(1)), at(50)));
    harness.push(Record::at(keyed(1, Act::Add(2)), at(60)));
    harness.watermark(at(99));
    assert_eq!(tell(&mut harness, 1, 99), "Some(2) [1, 2] [1, 4] Some(2) Some(2)");
    harness.watermark(at(100));
    assert_eq!(
        tell(&mut harness, 1, 100),
        "Some(2) [2] [4] Some(2) Some(2)",
        "each element has a life of its own, and one value lives on by being written"
    );
    assert_eq!(harness.operator().keys(), 2);
    harness.watermark(at(175));
    assert_eq!(harness.operator().keys(), 0, "also of keys that no record comes of any more");
    assert_eq!(tell(&mut harness, 1, 175), "None [] [] None None");
}

#[test]
fn g5_reading_keeps_state_alive_where_that_was_said() {
    for (on_read, expected) in [(false, "None"), (true, "Some(1)")] {
        let ttl = StateTtl::processing_time(millis(100));
        let ttl = if on_read { ttl.refreshed_on_read() } else { ttl };
        let mut harness = OperatorHarness::new(operator(Some(ttl)));
        harness.push(keyed(1, Act::Add(1)));
        harness.advance(millis(60));
        assert!(tell(&mut harness, 1, 0).starts_with("Some(1)"));
        harness.advance(millis(60));
        assert!(tell(&mut harness, 1, 0).starts_with(expected));
        harness.advance(millis(300));
        assert_eq!(harness.operator().keys(), 0, "without any record");
    }
}

#[test]
fn g5_a_time_to_live_can_be_said_of_state_that_is_already_there() {
    let checkpointed = |ttl| {
        use millstream_operators::state::Checkpointed as _;
        OperatorHarness::new(operator(ttl).checkpointed())
    };
    for ttl in [StateTtl::event_time(millis(100)), StateTtl::processing_time(millis(100))] {
        let mut before = checkpointed(None);
        before.push(Record::at(keyed(1, Act::Add(1)), at(10)));
        let mut after = checkpointed(Some(ttl));
        after.restore(before.snapshot().unwrap()).unwrap();
        assert!(tell(&mut after, 1, 10).starts_with("Some(1)"), "{ttl:?}");
        after.advance(millis(200));
        after.watermark(at(1_000));
        assert!(tell(&mut after, 1, 1_000).starts_with("None"), "{ttl:?}");
        // And back again.
        let mut last = checkpointed(None);
        last.restore(before.snapshot().unwrap()).unwrap();
        last.watermark(at(1_000));
        assert!(tell(&mut last, 1, 1_000).starts_with("Some(1)"), "{ttl:?}");
    }
}

/// A script for a few keys, with everything that can happen to them.
fn script(seed: u64, steps: usize) -> Vec<Step<Keyed<Command>>> {
    let mut random = Random::fork(seed, 0, 0);
    let mut time = 0;
    let mut steps: Vec<_> = (0..steps)
        .map(|_| {
            let key = u8::try_from(random.below(4)).unwrap();
            let n = i64::try_from(random.below(60)).unwrap();
            time += i64::try_from(random.below(8)).unwrap();
            let act = match random.below(9) {
                0 => return Step::Watermark(at(time - 10)),
                1 => return Step::Advance(millis(random.below(40))),
                2 => Act::Clear,
                3 => Act::DeleteEventTimer(time + n - 30),
                4 => Act::EventTimer(time + n - 30),
                5 => Act::After(random.below(60)),
                6 => Act::Tell,
                _ => Act::Add(n),
            };
            Step::Record(Record::at(keyed(key, act), at(time - n / 10)))
        })
        .collect();
    steps.push(Step::End);
    steps
}

#[test]
fn g2_a_crash_at_any_step_changes_nothing() {
    use millstream_operators::state::Checkpointed as _;
    let lives = [
        None,
        Some(StateTtl::event_time(millis(30))),
        Some(StateTtl::processing_time(millis(30)).refreshed_on_read()),
    ];
    for seed in 0..12 {
        for ttl in lives {
            println!("seed {seed}, {ttl:?}");
            assert_survives_crashes(&operator(ttl).checkpointed(), &script(seed, 60));
        }
    }
}

/// Runs a part of a script on a whole graph, from where `state` left off.
fn run(
    part: &[Step<Keyed<Command>>],
    parallel: usize,
    state: Option<Snapshot>,
    end: bool,
) -> (Vec<String>, Snapshot) {
    let (input, source) = probe_source::<Command>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("process");
    let ttl = Some(StateTtl::event_time(millis(30)));
    let told = flow
        .source("commands", source)
        .key_by(|command| command.0)
        .parallel(parallel)
        .process(Obeys { ttl })
        .uid("obeys");
    told.boundary().sink("out", sink);
    let options = JobOptions::default().with_publish_every(None).with_stall_warning(None);
    let options = state.into_iter().fold(options, JobOptions::with_state);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    let mut told = Vec::new();
    for step in part {
        match step {
            Step::Record(record) => {
                driver.push(&input, Record::at(record.value.value.clone(), record.time));
            }
            Step::Watermark(watermark) => driver.watermark(&input, *watermark),
            Step::Advance(_) | Step::End => {}
        }
        let mut step = driver.read(&output);
        // Instances tell in no particular order.
        step.sort();
        told.extend(step);
    }
    driver.barrier(&input, Barrier(1));
    let snapshot = driver.snapshot(Barrier(1));
    if end {
        driver.end(&input);
        let mut last = driver.read(&output);
        last.sort();
        told.extend(last);
        driver.finish().unwrap();
    }
    (told, snapshot)
}

#[test]
fn g2_a_crash_and_another_parallelism_change_nothing() {
    for seed in 0..4 {
        let script = script(seed, 40);
        let (whole, _) = run(&script, 1, None, true);
        assert!(!whole.is_empty(), "the script tells something");
        for (crash, (before, after)) in
            [(1, 3), (3, 1), (2, 5)].into_iter().cycle().take(40).enumerate()
        {
            let (first, second) = script.split_at(crash);
            let (mut told, state) = run(first, before, None, false);
            let (rest, _) = run(second, after, Some(state), true);
            told.extend(rest);
            assert_eq!(told, whole, "seed {seed}, {crash} steps, {before} to {after} instances");
        }
    }
}

#[test]
fn state_of_a_piece_that_is_no_more_is_refused() {
    /// Keeps something else.
    #[derive(Clone)]
    struct Other;

    impl ProcessFunction<u8, Command> for Other {
        type Out = String;
        type States = ValueState<i64>;

        fn states(&self) -> ValueState<i64> {
            ValueState::new("other")
        }

        fn process(
            &mut self,
            _record: Record<Command>,
            _context: &mut KeyContext<'_, u8, ValueState<i64>>,
            _out: &mut impl Collector<String>,
        ) -> Result<(), OperatorError> {
            Ok(())
        }
    }

    use millstream_operators::state::Checkpointed as _;
    let mut before = OperatorHarness::new(operator(None).checkpointed());
    before.push(keyed(1, Act::Add(1)));
    let key: Key = Made(|command: &Command| command.0);
    let mut after = OperatorHarness::new(Process::new(key, Other).checkpointed());
    let error = after.restore(before.snapshot().unwrap()).unwrap_err().to_string();
    assert!(error.contains("state called `last`, and nobody who keeps it"), "{error}");
}
