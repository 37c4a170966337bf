//! Sliding windows: golden runs after the rules that Flink documents, random ones against a model,
//! crashes, and what is left behind.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::key::Made;
use millstream_engine::metrics::DropReason;
use millstream_engine::random::Random;
use millstream_engine::state::Snapshot;
use millstream_engine::testing::{
    OperatorHarness, Step, TestDriver, assert_survives_crashes, explore, probe_sink, probe_source,
};
use millstream_operators::prelude::*;
use millstream_operators::state::Checkpointed;
use millstream_operators::window::{Accumulation, Firing, TimeWindow, Trigger, Windows};
use support::*;

thread_local! {
    static ADDED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    static MERGED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// A count that counts what it costs.
#[derive(Clone, Copy)]
struct Adds;

impl Aggregate<Click> for Adds {
    type Accumulator = u64;
    type Out = u64;
    const NAME: &'static str = "adds";

    fn create(&self) -> u64 {
        0
    }

    fn add(&self, count: &mut u64, _click: &Click) {
        *count += 1;
        ADDED.set(ADDED.get() + 1);
    }

    fn merge(&self, count: &mut u64, other: &u64) {
        *count += other;
        MERGED.set(MERGED.get() + 1);
    }

    fn result(&self, count: &u64) -> u64 {
        *count
    }
}

type By = Made<fn(&Click) -> u8>;
type Windowing<R> = <Sliding as Windows<Click>>::Operator<By, Values, R>;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn windows<R: Trigger>(sliding: Sliding, lateness: u64, trigger: R) -> Windowing<R> {
    sliding.operator(Made(key_of as fn(&Click) -> u8), Values, rules(lateness, trigger))
}

fn harness(
    size: u64,
    step: u64,
    lateness: u64,
) -> OperatorHarness<Keyed<Click>, Windowing<OnWatermark>> {
    let sliding = Sliding::of(millis(size), millis(step));
    OperatorHarness::new(windows(sliding, lateness, OnWatermark))
}

#[test]
fn h4_a_record_is_in_every_window_that_covers_it() {
    // Flink: "windows of 10 minutes that slide by 5 minutes": each element in two of them, and the
    // result has the end of the window less 1 ms.
    let mut harness = harness(10, 5, 0);
    for time in [0, 4, 5, 12] {
        harness.push(click(1, time));
    }
    harness.watermark(at(4));
    assert_eq!(harness.events(), [passed(4)]);
    harness.watermark(at(10));
    assert_eq!(
        harness.events(),
        [
            told(1, (-5, 5), &[0, 4], Firing::OnTime),
            told(1, (0, 10), &[0, 4, 5], Firing::OnTime),
            passed(10)
        ]
    );
    harness.end();
    let rest = [((5, 15), vec![5, 12]), ((10, 20), vec![12])];
    let rest = rest.map(|(window, values)| windowed(1, window, &values, Firing::OnTime));
    assert_eq!(harness.values(), rest);
}

#[test]
fn h4_windows_begin_at_multiples_of_the_step_and_an_offset() {
    // Flink: "SlidingEventTimeWindows.of(size, slide, offset)", counted from the epoch.
    let sliding = Sliding::of(millis(10), millis(10)).offset(millis(3));
    let mut harness = OperatorHarness::new(windows(sliding, 0, OnWatermark));
    for time in [-8, 2, 3, 12, 13] {
        harness.push(click(1, time));
    }
    harness.end();
    let told =
        [((-17, -7), vec![-8]), ((-7, 3), vec![2]), ((3, 13), vec![3, 12]), ((13, 23), vec![13])];
    let told = told.map(|(window, values)| windowed(1, window, &values, Firing::OnTime));
    assert_eq!(harness.values(), told);
}

#[test]
fn h4_between_windows_a_record_belongs_to_none_and_is_not_late() {
    let mut harness = harness(3, 10, 0);
    for time in [0, 2, 3, 9, 10, 15] {
        harness.push(click(1, time));
    }
    harness.watermark(at(14));
    harness.push(click(1, 4));
    assert_eq!(harness.counters().drops().total(), 0);
    harness.push(click(1, 2));
    assert_eq!(harness.counters().drops().of(DropReason::Late), 1);
    harness.end();
    let told = [((0, 3), vec![0, 2]), ((10, 13), vec![10])];
    let told = told.map(|(window, values)| windowed(1, window, &values, Firing::OnTime));
    assert_eq!(harness.values(), told);
}

#[test]
fn h4_only_windows_that_a_late_record_changes_are_told_of_again() {
    // Flink: a late element within the allowed lateness fires each of its windows again that it is
    // not too late for.
    let mut harness = harness(10, 5, 6);
    for time in [1, 8, 11] {
        harness.push(click(1, time));
    }
    harness.watermark(at(16));
    assert_eq!(harness.values().len(), 3);
    // In [0, 10), which is over, and in [5, 15), which is complete.
    harness.push(click(1, 7));
    assert_eq!(harness.values(), [windowed(1, (5, 15), &[7, 8, 11], Firing::Late)]);
    // In [5, 15), and in [10, 20), which is not complete.
    harness.push(click(1, 14));
    assert_eq!(harness.values(), [windowed(1, (5, 15), &[7, 8, 11, 14], Firing::Late)]);
    harness.push(click(2, 12));
    assert_eq!(harness.values(), [windowed(2, (5, 15), &[12], Firing::OnTime)]);
    harness.push(click(1, 4));
    assert_eq!(harness.counters().drops().of(DropReason::Late), 1);
    harness.end();
    let rest = [(1, vec![11, 14]), (2, vec![12])];
    let mut told = harness.values();
    told.sort_by_key(|one| one.key);
    assert_eq!(told, rest.map(|(key, values)| windowed(key, (10, 20), &values, Firing::OnTime)));
}

#[test]
fn h4_a_day_by_a_second_adds_each_record_once() {
    let day = Sliding::of(Duration::from_secs(86_400), Duration::from_secs(1));
    let operator = day.operator(Made(key_of as fn(&Click) -> u8), Adds, rules(0, OnWatermark));
    ADDED.set(0);
    MERGED.set(0);
    let mut harness = OperatorHarness::new(operator);
    let records = 20_000_i64;
    (0..records).for_each(|n| harness.push(click(1, n * 500)));
    assert_eq!(ADDED.get(), 20_000);
    harness.end();
    let told = harness.values();
    assert_eq!(told.len(), 86_400 + 10_000 - 1);
    assert_eq!(told.iter().map(|one| one.value).max(), Some(20_000));
    assert!(MERGED.get() < 4 * 86_400 + 4 * 10_000, "{} merges", MERGED.get());
    assert_eq!(harness.operator().keys(), 0);
}

#[test]
fn h4_silence_costs_nothing_for_windows_without_records() {
    let mut harness = harness(10, 1, 0);
    harness.push(click(1, 0));
    harness.push(click(1, 1_000_000_000_000));
    harness.watermark(at(1_000_000_000_000));
    assert_eq!(harness.values().len(), 10);
    harness.push(click(1, 4_000_000_000_000_000_000));
    harness.end();
    assert_eq!(harness.values().len(), 20);
}

#[test]
fn n1_windows_that_one_late_record_changes_wait_for_room() {
    let hour = Sliding::of(Duration::from_secs(3_600), Duration::from_secs(1));
    let mut operator = windows(hour, 10_000_000, OnWatermark);
    let mut out = Tight(Vec::new(), 7);
    operator.on_watermark(at(5_000_000), &mut out).unwrap();
    let record = click(1, 0);
    operator.process(record, &mut out).unwrap();
    assert_eq!(out.0.len(), 7);
    assert_eq!(drain(&mut operator, 7), (3_593, 514));
}

#[test]
fn h8_a_trigger_by_key_is_asked_for_each_window() {
    let sliding = Sliding::of(millis(10), millis(5));
    let mut harness = OperatorHarness::new(windows(sliding, 0, Every(2)));
    harness.push(click(1, 1));
    harness.push(click(1, 6));
    assert_eq!(harness.values(), [windowed(1, (0, 10), &[1, 6], Firing::Early)]);
    harness.push(click(1, 7));
    assert_eq!(harness.values(), [windowed(1, (5, 15), &[6, 7], Firing::Early)]);
    // What it has not told is told when the window is given up.
    harness.end();
    let rest = [((-5, 5), vec![1]), ((0, 10), vec![1, 6, 7])];
    let rest = rest.map(|(window, values)| windowed(1, window, &values, Firing::OnTime));
    assert_eq!(harness.values(), rest);
    assert_eq!(harness.operator().keys(), 0);
}

#[test]
fn h9_with_every_record_or_only_when_final() {
    let sliding = Sliding::of(millis(10), millis(5));
    let mut each = OperatorHarness::new(windows(sliding, 5, OnEveryRecord));
    let mut last = OperatorHarness::new(windows(sliding, 5, OnFinal));
    let early = |window, values: &[i64]| windowed(1, window, values, Firing::Early);
    each.push(click(1, 6));
    assert_eq!(each.values(), [early((0, 10), &[6]), early((5, 15), &[6])]);
    each.push(click(1, 7));
    assert_eq!(each.values(), [early((0, 10), &[6, 7]), early((5, 15), &[6, 7])]);
    last.push(click(1, 6));
    last.watermark(at(14));
    last.push(click(1, 7));
    assert_eq!(last.values(), []);
    last.watermark(at(15));
    assert_eq!(last.values(), [windowed(1, (0, 10), &[6, 7], Firing::OnTime)]);
}

#[test]
fn h6_discarding_tells_only_what_is_new() {
    fn run<R: Trigger>(trigger: R) -> Results {
        let mut rules = rules(100, trigger);
        rules.accumulation = Accumulation::Discarding;
        let sliding = Sliding::of(millis(10), millis(5));
        let mut harness = OperatorHarness::new(sliding.operator(Made(key_of), Values, rules));
        harness.push(click(1, 1));
        harness.watermark(at(12));
        harness.push(click(1, 3));
        harness.values()
    }
    let expected = [
        windowed(1, (-5, 5), &[1], Firing::OnTime),
        windowed(1, (0, 10), &[1], Firing::OnTime),
        windowed(1, (-5, 5), &[3], Firing::Late),
        windowed(1, (0, 10), &[3], Firing::Late),
    ];
    assert_eq!(run(OnWatermark), expected);
    assert_eq!(run(EverySecond), expected);
}

#[test]
fn f16_times_at_both_ends_neither_panic_nor_are_lost() {
    let hour = 3_600_000;
    for (size, step, lateness) in [(10, 5, 0), (3, 1, 7), (hour, hour, u64::MAX), (7, 3, 2)] {
        let mut harness = harness(size, step, lateness);
        let times = [i64::MIN, i64::MIN + 1, -5, 0, i64::MAX - 1, i64::MAX];
        times.iter().for_each(|time| harness.push(click(1, *time)));
        harness.watermark(at(0));
        harness.end();
        let told: std::collections::BTreeSet<_> =
            harness.values().into_iter().flat_map(|one| one.value).collect();
        assert_eq!(told.len(), times.len(), "size {size}, step {step}, lateness {lateness}");
        assert_eq!(harness.operator().keys(), 0);
        harness.push(click(1, i64::MAX));
        assert_eq!(harness.counters().drops().of(DropReason::Late), 1);
        assert!(harness.take_error().is_none());
    }
}

#[test]
fn h4_nothing_is_left_of_keys_whose_panes_are_over() {
    let sliding = Sliding::of(millis(10), millis(2));
    let mut harness = OperatorHarness::with_room(windows(sliding, 3, OnWatermark), 3);
    for key in 0..20_000_i64 {
        harness.push(Keyed { hash: hash(key), value: Click { key: (key % 251) as u8, time: key } });
    }
    harness.watermark(at(30_000));
    assert_eq!(harness.operator().keys(), 0);
    assert!(harness.operator().capacity() < 200, "{}", harness.operator().capacity());
}

/// Every window from scratch, of all records that were ever let in.
struct Model {
    sliding: (i64, i64, i64),
    lateness: i64,
    watermark: i64,
    records: Vec<Click>,
    on_time: std::collections::BTreeSet<(u8, i64)>,
    late: u64,
    told: Results,
}

impl Model {
    /// The starts of the windows that a time lies in.
    fn windows(&self, time: i64) -> Vec<i64> {
        let (size, step, offset) = self.sliding;
        let near = (time - size - offset).div_euclid(step)..=(time - offset).div_euclid(step);
        near.map(|n| n * step + offset).filter(|s| *s <= time && time < s + size).collect()
    }

    fn tell(&mut self, key: u8, start: i64) {
        let window = (start, start + self.sliding.0);
        let records = self.records.iter().filter(|click| click.key == key);
        let inside = records.filter(|click| window.0 <= click.time && click.time < window.1);
        let mut values: Vec<i64> = inside.map(|click| click.time).collect();
        values.sort_unstable();
        let first = self.on_time.insert((key, start));
        let firing = if first { Firing::OnTime } else { Firing::Late };
        self.told.push(windowed(key, window, &values, firing));
    }

    fn record(&mut self, click: Click) {
        let size = self.sliding.0;
        let of = self.windows(click.time);
        let open = |start: &&i64| **start + size + self.lateness > self.watermark;
        let open: Vec<i64> = of.iter().filter(open).copied().collect();
        if open.is_empty() {
            self.late += u64::from(!of.is_empty());
            return;
        }
        self.records.push(click);
        for start in open {
            if start + size <= self.watermark {
                self.tell(click.key, start);
            }
        }
    }

    fn watermark(&mut self, watermark: i64) {
        let before = std::mem::replace(&mut self.watermark, watermark);
        let mut due = std::collections::BTreeSet::new();
        for click in &self.records {
            for start in self.windows(click.time) {
                let end = start + self.sliding.0;
                if before < end && end <= watermark {
                    due.insert((end, hash(click.key), click.key, start));
                }
            }
        }
        due.into_iter().for_each(|(_, _, key, start)| self.tell(key, start));
    }
}

#[test]
fn h4_any_run_tells_what_every_window_from_scratch_would() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let mut some = |most| 1 + random.below(most);
        let (size, step, offset, room) = (some(15), some(10), some(10), some(4) as usize);
        let lateness = [0, 5, 20, 1_000][random.below(4) as usize];
        let sliding = Sliding::of(millis(size), millis(step)).offset(millis(offset));
        let operator = windows(sliding, lateness, OnWatermark);
        let mut harness = OperatorHarness::with_room(operator, room);
        let mut model = Model {
            sliding: (size as i64, step as i64, offset as i64),
            lateness: lateness as i64,
            watermark: i64::MIN,
            records: Vec::new(),
            on_time: std::collections::BTreeSet::new(),
            late: 0,
            told: Vec::new(),
        };
        for step in script(&mut random, 30, 3) {
            harness.play(&step);
            match step {
                Step::Record(record) => model.record(record.value.value),
                Step::Watermark(watermark) => model.watermark(watermark.as_millis()),
                _ => {}
            }
        }
        harness.end();
        model.watermark(i64::MAX / 2);
        let case = format!("seed {seed}, {:?}, lateness {lateness}", model.sliding);
        assert_same(&harness.values(), &model.told, &case);
        assert_eq!(harness.counters().drops().of(DropReason::Late), model.late, "{case}");
        assert_eq!(harness.operator().keys(), 0, "{case}");
    }
}

#[test]
fn h8_a_trigger_that_does_as_the_default_does_tells_the_same() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut some = |most| 1 + random.below(most);
        let sliding = Sliding::of(millis(some(15)), millis(some(10))).offset(millis(some(10)));
        let lateness = [0, 5, 20, 1_000][random.below(4) as usize];
        let mut plain = OperatorHarness::new(windows(sliding, lateness, OnWatermark));
        let mut by_key = OperatorHarness::with_room(windows(sliding, lateness, EverySecond), 2);
        for step in script(&mut random, 30, 3) {
            plain.play(&step);
            by_key.play(&step);
        }
        plain.end();
        by_key.end();
        assert_same(&by_key.values(), &plain.values(), &format!("seed {seed}, {sliding:?}"));
        assert_eq!(by_key.operator().keys(), 0);
    }
}

#[test]
fn g5_no_crash_changes_anything() {
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let mut steps = script(&mut random, 30, 3);
        steps.truncate(60);
        for at in [20, 40] {
            steps.insert(at, Step::Advance(millis(600)));
        }
        steps.push(Step::End);
        let lateness = random.below(20);
        let sliding = Sliding::of(millis(1 + random.below(12)), millis(1 + random.below(6)));
        assert_survives_crashes(&windows(sliding, lateness, OnWatermark).checkpointed(), &steps);
        assert_survives_crashes(&windows(sliding, lateness, Every(2)).checkpointed(), &steps);
        assert_survives_crashes(&windows(sliding, lateness, EverySecond).checkpointed(), &steps);
    }
}

type Results = Vec<Windowed<u8, TimeWindow, Vec<i64>>>;

/// Windows of some clicks, over `instances`, from where `state` left off.
fn run(
    clicks: &[Click],
    instances: usize,
    state: Option<Snapshot>,
    options: &JobOptions,
    end: bool,
) -> (Results, Snapshot) {
    let (input, source) = probe_source::<Click>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("sliding");
    let timed = flow
        .source("clicks", source)
        .event_time(|click| at(click.time), Watermarks::bounded_disorder(Duration::from_millis(9)))
        .uid("time");
    let sliding = Sliding::of(millis(12), millis(5));
    let told = timed.key_by(key_of).parallel(instances).window(sliding);
    let told = told.allowed_lateness(millis(15)).aggregate(Values).uid("windows");
    told.boundary().sink("out", sink);
    let options = state.into_iter().fold(options.clone(), JobOptions::with_state);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    let mut out = Vec::new();
    for click in clicks {
        driver.push(&input, *click);
        out.extend(driver.read(&output));
    }
    driver.barrier(&input, Barrier(1));
    out.extend(driver.read(&output));
    let snapshot = driver.snapshot(Barrier(1));
    driver.end(&input);
    let rest = driver.read(&output);
    if end {
        out.extend(rest);
    }
    driver.finish().unwrap();
    out.sort_by_key(|one| (one.key, one.window, one.firing, one.value.clone()));
    (out, Snapshot::from_bytes(&snapshot.to_bytes()).unwrap())
}

#[test]
fn g2_sliding_windows_go_on_with_any_number_of_instances() {
    let quiet = JobOptions::default().with_publish_every(None).with_stall_warning(None);
    let clicks = clicks(3, 90);
    let (whole, end) = run(&clicks, 1, None, &quiet, true);
    let (a, rest) = clicks.split_at(30);
    let (b, c) = rest.split_at(30);
    let (mut out, state) = run(a, 1, None, &quiet, false);
    let (more, state) = run(b, 3, Some(state), &quiet, false);
    out.extend(more);
    let (more, state) = run(c, 2, Some(state), &quiet, true);
    out.extend(more);
    out.sort_by_key(|one| (one.key, one.window, one.firing, one.value.clone()));
    assert_eq!(out, whole);
    let by_group = |state: &Snapshot| {
        let mut entries = state.operator("windows").unwrap().entries.clone();
        entries
            .retain(|scope, _| matches!(scope, millstream_engine::state::StateScope::KeyGroup(_)));
        entries
    };
    assert_eq!(by_group(&state), by_group(&end));
    assert!(!by_group(&end).is_empty());
}

#[test]
fn h4_no_schedule_batch_or_capacity_changes_windows() {
    let clicks = clicks(5, 60);
    let quiet = JobOptions::default().with_publish_every(None).with_stall_warning(None);
    let expected = run(&clicks, 1, None, &quiet, true).0;
    assert!(expected.iter().any(|one| one.firing == Firing::Late));
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut some = |most| 1 + random.below(most) as usize;
        let (batch, capacity, instances) = (some(5), some(4), some(3));
        explore([seed], |options| {
            let options = options.clone().with_batch_records(batch).with_edge_capacity(capacity);
            assert_eq!(run(&clicks, instances, None, &options, true).0, expected);
        });
    }
}
