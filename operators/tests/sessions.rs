//! Sessions: golden runs after the rules that Flink documents, random ones against a model,
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

type By = Made<fn(&Click) -> u8>;

fn sessions<R: Trigger>(gap: u64, lateness: u64, trigger: R) -> Sessions<R> {
    let session = Session::with_gap(Duration::from_millis(gap));
    session.operator(Made(key_of as fn(&Click) -> u8), Values, rules(lateness, trigger))
}

type Sessions<R> = <Session as Windows<Click>>::Operator<By, Values, R>;

fn harness(gap: u64, lateness: u64) -> OperatorHarness<Keyed<Click>, Sessions<OnWatermark>> {
    OperatorHarness::new(sessions(gap, lateness, OnWatermark))
}

#[test]
fn h5_a_session_ends_when_nothing_has_come_for_the_gap() {
    // Flink: "a session window closes when it does not receive elements for a certain period of
    // time", its end is the last element's time plus the gap, and its result has the end less 1 ms.
    let mut harness = harness(10, 0);
    for time in [0, 9, 18, 40] {
        harness.push(click(1, time));
    }
    harness.watermark(at(27));
    assert_eq!(harness.events(), [passed(27)]);
    harness.watermark(at(28));
    assert_eq!(harness.events(), [told(1, (0, 28), &[0, 9, 18], Firing::OnTime), passed(28)]);
    harness.end();
    assert_eq!(harness.values().len(), 1);
}

#[test]
fn h5_windows_that_overlap_are_one_session_and_those_that_meet_are_not() {
    // Flink's `TimeWindow.intersects` includes ends that meet. Then a watermark at the end, which
    // holds no record on time back, would decide whether 19 belongs to the first.
    let mut harness = harness(10, 0);
    for time in [0, 9, 19] {
        harness.push(click(1, time));
    }
    harness.end();
    assert_eq!(
        harness.values(),
        [
            windowed(1, (0, 19), &[0, 9], Firing::OnTime),
            windowed(1, (19, 29), &[19], Firing::OnTime),
        ]
    );
}

#[test]
fn h5_a_record_that_is_not_late_joins_sessions_before_they_are_told() {
    let mut harness = harness(10, 0);
    for time in [0, 30, 60, 15, 45, 8, 23, 38, 53] {
        harness.push(click(1, time));
    }
    assert_eq!(harness.operator().keys(), 1);
    harness.end();
    let all = [0, 8, 15, 23, 30, 38, 45, 53, 60];
    assert_eq!(harness.values(), [windowed(1, (0, 70), &all, Firing::OnTime)]);
}

#[test]
fn h5_a_late_click_bridges_two_sessions() {
    // Flink: a late element within the allowed lateness "can bridge the gap between two
    // pre-existing, unmerged windows", and the merged one fires.
    let mut harness = harness(10, 100);
    harness.push(click(1, 0));
    harness.push(click(1, 16));
    harness.watermark(at(50));
    assert_eq!(
        harness.values(),
        [windowed(1, (0, 10), &[0], Firing::OnTime), windowed(1, (16, 26), &[16], Firing::OnTime),]
    );
    harness.push(click(1, 8));
    assert_eq!(harness.values(), [windowed(1, (0, 26), &[0, 8, 16], Firing::Late)]);
    harness.end();
    assert_eq!(harness.values(), []);
}

#[test]
fn h5_a_told_session_that_is_open_again_is_told_when_it_ends() {
    let mut harness = harness(10, 100);
    harness.push(click(1, 0));
    harness.watermark(at(12));
    harness.push(click(1, 9));
    harness.push(click(1, 12));
    assert_eq!(harness.values(), [windowed(1, (0, 10), &[0], Firing::OnTime)]);
    harness.watermark(at(22));
    assert_eq!(harness.values(), [windowed(1, (0, 22), &[0, 9, 12], Firing::Late)]);
}

#[test]
fn h5_each_record_may_bring_a_gap_of_its_own() {
    // Flink: `withDynamicGap`, a window of its own gap for each element.
    let session =
        Session::with_gap_of(|click: &Click| Duration::from_millis(click.time.unsigned_abs()));
    let operator = session.operator(Made(key_of), Values, rules(0, OnWatermark));
    let mut harness = OperatorHarness::new(operator);
    // [40, 80), and [10, 20) which ends long before; then one within the long gap.
    for time in [40, 10, 75, 6] {
        harness.push(click(1, time));
    }
    harness.end();
    assert_eq!(
        harness.values(),
        [
            windowed(1, (6, 20), &[6, 10], Firing::OnTime),
            windowed(1, (40, 150), &[40, 75], Firing::OnTime),
        ]
    );
}

#[test]
fn h5_a_record_is_late_only_if_its_own_session_would_be_over_and_it_joins_none() {
    // Flink: an element is late if the *merged* window's cleanup time has passed.
    let mut harness = harness(10, 5);
    harness.push(click(1, 20));
    harness.watermark(at(31));
    assert_eq!(harness.values(), [windowed(1, (20, 30), &[20], Firing::OnTime)]);
    harness.push(click(1, 15));
    assert_eq!(harness.values(), [windowed(1, (15, 30), &[15, 20], Firing::Late)]);
    // A session of its own that would have ended at 14, and touches none.
    harness.push(click(1, 4));
    harness.push(click(2, 15));
    assert_eq!(harness.counters().drops().of(DropReason::Late), 2);
    // That of another key ends at 27, five before it is given up.
    harness.push(click(2, 17));
    assert_eq!(harness.values(), [windowed(2, (17, 27), &[17], Firing::OnTime)]);
    harness.watermark(at(35));
    assert_eq!(harness.operator().keys(), 0);
    harness.push(click(1, 19));
    assert_eq!(harness.counters().drops().of(DropReason::Late), 3);
}

#[test]
fn h5_what_is_too_late_goes_to_the_late_output_with_its_time() {
    let flow = Dataflow::new("late");
    let (late, too_late) = flow.side_output("late");
    let clicks =
        flow.source("clicks", source::from_iter([0, 50, 5, 59].map(|t| Click { key: 1, time: t })));
    let timed = clicks.event_time(|click| at(click.time), Watermarks::monotonic());
    let session = Session::with_gap(Duration::from_millis(10));
    let told = timed.key_by(key_of).window(session).late_to(&late).aggregate(Values).collect();
    let too_late = too_late.map(|click| click.time).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let report = runtime.block_on(flow.run()).unwrap();
    assert_eq!(report.take(too_late), Some(vec![5]));
    assert_eq!(
        report.take(told),
        Some(vec![
            windowed(1, (0, 10), &[0], Firing::OnTime),
            windowed(1, (50, 69), &[50, 59], Firing::OnTime),
        ])
    );
}

#[test]
fn h8_triggers_of_joined_sessions_are_joined() {
    // Flink: a trigger of merging windows merges what it keeps of them (`onMerge`).
    let mut harness = OperatorHarness::new(sessions(10, 0, Every(3)));
    harness.push(click(1, 0));
    harness.push(click(1, 18));
    assert_eq!(harness.values(), []);
    harness.push(click(1, 9));
    assert_eq!(harness.values(), [windowed(1, (0, 28), &[0, 9, 18], Firing::Early)]);
    harness.push(click(1, 1));
    harness.watermark(at(20));
    assert_eq!(harness.values(), []);
    // Nothing is lost by a trigger that says nothing of the end.
    harness.end();
    assert_eq!(harness.values(), [windowed(1, (0, 28), &[0, 1, 9, 18], Firing::OnTime)]);
    assert_eq!((harness.operator().keys(), harness.operator().capacity() < 10), (0, true));
}

#[test]
fn h5_what_was_told_of_a_part_was_told_of_the_whole() {
    let mut harness = OperatorHarness::new(sessions(10, 100, Every(2)));
    harness.watermark(at(50));
    harness.push(click(1, 16));
    harness.push(click(1, 17));
    assert_eq!(harness.values(), [windowed(1, (16, 27), &[16, 17], Firing::OnTime)]);
    harness.push(click(1, 0));
    assert_eq!(harness.values(), []);
    harness.push(click(1, 8));
    assert_eq!(harness.values(), [windowed(1, (0, 27), &[0, 8, 16, 17], Firing::Late)]);
}

#[test]
fn n1_sessions_that_end_together_wait_for_room() {
    let mut operator = sessions(10, 0, OnWatermark);
    let mut out = Tight(Vec::new(), 7);
    for n in 0..1_000_u32 {
        let value = Click { key: (n % 250) as u8, time: i64::from(n / 250) * 100 };
        let keyed = Keyed { hash: hash(value.key), value };
        operator.process(Record::at(keyed, at(value.time)), &mut out).unwrap();
    }
    operator.on_watermark(at(1_000), &mut out).unwrap();
    assert_eq!(out.0.len(), 7);
    assert_eq!(drain(&mut operator, 7), (993, 142));
    assert_eq!(operator.keys(), 0);
}

#[test]
fn h8_a_trigger_by_the_clock_is_asked_when_its_time_has_come() {
    let mut harness = OperatorHarness::new(sessions(10, 0, EverySecond));
    harness.push(click(1, 0));
    harness.push(click(2, 5));
    assert_eq!(harness.next_timer(), Some(Duration::from_secs(1)));
    harness.advance(Duration::from_millis(1_500));
    let early = |key, window, value| windowed(key, window, &[value], Firing::Early);
    assert_eq!(harness.values(), [early(2, (5, 15), 5), early(1, (0, 10), 0)]);
    assert_eq!(harness.next_timer(), None);
    harness.push(click(2, 6));
    harness.advance(Duration::from_secs(1));
    assert_eq!(harness.values(), [windowed(2, (5, 16), &[5, 6], Firing::Early)]);
    harness.watermark(at(100));
    assert_eq!(harness.values().len(), 2);
}

#[test]
fn h8_early_results_and_corrections_stand_beside_the_result_on_time() {
    let trigger = OnWatermark.with_early(OnCount::of(2)).with_late(OnFinal);
    let mut harness = OperatorHarness::new(sessions(10, 5, trigger));
    harness.push(click(1, 0));
    harness.push(click(1, 4));
    assert_eq!(harness.values(), [windowed(1, (0, 14), &[0, 4], Firing::Early)]);
    harness.watermark(at(14));
    assert_eq!(harness.values(), [windowed(1, (0, 14), &[0, 4], Firing::OnTime)]);
    harness.push(click(1, 1));
    harness.push(click(1, 2));
    assert_eq!(harness.values(), []);
    harness.end();
    assert_eq!(harness.values(), [windowed(1, (0, 14), &[0, 1, 2, 4], Firing::Late)]);
}

#[test]
fn h6_discarding_tells_only_what_is_new() {
    let session = Session::with_gap(Duration::from_millis(10));
    let mut rules = rules(100, OnWatermark);
    rules.accumulation = Accumulation::Discarding;
    let mut harness = OperatorHarness::new(session.operator(Made(key_of), Values, rules));
    harness.push(click(1, 0));
    harness.push(click(1, 16));
    harness.watermark(at(50));
    harness.values();
    harness.push(click(1, 8));
    assert_eq!(harness.values(), [windowed(1, (0, 26), &[8], Firing::Late)]);
    harness.end();
    assert_eq!(harness.values(), []);
}

#[test]
fn f16_times_at_both_ends_neither_panic_nor_are_lost() {
    for (gap, lateness) in [(1, 0), (10, 7), (u64::MAX, 3), (10, u64::MAX)] {
        let mut harness = harness(gap, lateness);
        let times = [i64::MIN, i64::MIN + 1, -5, 0, i64::MAX - 1, i64::MAX];
        times.iter().for_each(|time| harness.push(click(1, *time)));
        harness.end();
        let told: usize = harness.values().iter().map(|session| session.value.len()).sum();
        assert_eq!(told, times.len(), "gap {gap}, lateness {lateness}");
        assert_eq!(harness.operator().keys(), 0);
        harness.push(click(1, i64::MAX));
        assert_eq!(harness.counters().drops().of(DropReason::Late), 1);
        assert!(harness.take_error().is_none());
    }
}

#[test]
fn h5_nothing_is_left_of_keys_whose_sessions_are_over() {
    // bytewax#577: shells of keys that were never freed.
    let mut harness = OperatorHarness::with_room(sessions(10, 0, OnWatermark), 3);
    for key in 0..20_000_i64 {
        harness.push(Keyed { hash: hash(key), value: Click { key: (key % 251) as u8, time: key } });
    }
    assert!(harness.operator().capacity() > 251);
    harness.watermark(at(30_000));
    assert!(harness.values().len() > 251);
    assert_eq!(harness.operator().keys(), 0);
    assert!(harness.operator().capacity() < 200, "{}", harness.operator().capacity());
}

/// Whose, from when to when, with which records, and whether it was told of when complete.
type Kept = (u8, (i64, i64), Vec<i64>, bool);

/// All sessions there are, each with all its records: the rules, word for word.
#[derive(Default)]
struct Model {
    sessions: Vec<Kept>,
    watermark: i64,
    late: u64,
    told: Vec<Windowed<u8, TimeWindow, Vec<i64>>>,
}

impl Model {
    fn record(&mut self, key: u8, time: i64, (gap, lateness): (i64, i64)) {
        let (mut window, mut values, mut told) = ((time, time + gap), vec![time], false);
        let mut joined = false;
        self.sessions.retain(|(other, (start, end), records, was)| {
            let overlaps = *other == key && *start < time + gap && time < *end;
            if overlaps {
                joined = true;
                window = (window.0.min(*start), window.1.max(*end));
                values.extend(records);
                told |= was;
            }
            !overlaps
        });
        if !joined && time + gap + lateness <= self.watermark {
            self.late += 1;
            return;
        }
        values.sort_unstable();
        if window.1 <= self.watermark {
            let firing = if told { Firing::Late } else { Firing::OnTime };
            self.told.push(windowed(key, window, &values, firing));
            told = true;
        }
        self.sessions.push((key, window, values, told));
    }

    fn watermark(&mut self, watermark: i64, lateness: i64) {
        let before = std::mem::replace(&mut self.watermark, watermark);
        self.sessions.sort_by_key(|(key, (_, end), ..)| (*end, hash(*key)));
        for (key, window, values, told) in &mut self.sessions {
            if before < window.1 && window.1 <= watermark {
                let firing = if *told { Firing::Late } else { Firing::OnTime };
                self.told.push(windowed(*key, *window, values, firing));
                *told = true;
            }
        }
        self.sessions.retain(|(_, window, ..)| window.1 + lateness > watermark);
    }
}

#[test]
fn h5_any_run_tells_what_the_rules_say() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let gap = 1 + random.below(12);
        let (lateness, room) = ([0, 5, 20, 1_000][random.below(4) as usize], 1 + random.below(4));
        let operator = sessions(gap, lateness, OnWatermark);
        let mut harness = OperatorHarness::with_room(operator, room as usize);
        let mut model = Model { watermark: i64::MIN, ..Model::default() };
        let (gap, lateness) = (gap as i64, lateness as i64);
        for step in script(&mut random, 30, 3) {
            harness.play(&step);
            match step {
                Step::Record(record) => {
                    model.record(record.value.value.key, record.value.value.time, (gap, lateness));
                }
                Step::Watermark(watermark) => model.watermark(watermark.as_millis(), lateness),
                _ => {}
            }
        }
        harness.end();
        model.watermark(i64::MAX / 2, lateness);
        let case = format!("seed {seed}, gap {gap}, lateness {lateness}");
        assert_same(&harness.values(), &model.told, &case);
        let late = harness.counters().drops().of(DropReason::Late);
        assert_eq!(late, model.late, "seed {seed}");
    }
}

#[test]
fn h5_with_enough_lateness_no_disorder_changes_what_is_left_when_results_are_replaced() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let gap = 1 + random.below(12);
        let mut harness = harness(gap, 10_000);
        let mut times: [Vec<i64>; 3] = std::array::from_fn(|_| Vec::new());
        for step in script(&mut random, 60, 3) {
            if let Step::Record(record) = &step {
                times[usize::from(record.value.value.key)].push(record.value.value.time);
            }
            harness.play(&step);
        }
        harness.end();
        // The rule for whoever keeps results.
        let mut kept: Vec<Windowed<u8, TimeWindow, Vec<i64>>> = Vec::new();
        for result in harness.values() {
            kept.retain(|old| {
                old.key != result.key || old.window.cover(result.window) != result.window
            });
            kept.push(result);
        }
        let mut kept: Vec<_> = kept.into_iter().map(|one| (one.key, one.value)).collect();
        kept.sort();
        let mut expected = Vec::new();
        for (key, mut times) in (0..).zip(times) {
            times.sort_unstable();
            let within = |a: &i64, b: &i64| b - a < gap as i64;
            expected.extend(times.chunk_by(within).map(|session| (key, session.to_vec())));
        }
        assert_eq!(kept, expected, "seed {seed}, gap {gap}");
    }
}

#[test]
fn g5_a_trigger_that_waits_for_the_clock_does_so_after_a_restore() {
    let operator = sessions(10, 0, EverySecond).checkpointed();
    let mut first = OperatorHarness::new(operator.clone());
    first.push(click(1, 0));
    let mut second = OperatorHarness::new(operator);
    second.restore(first.snapshot().unwrap()).unwrap();
    second.advance(Duration::from_secs(1));
    assert_eq!(second.values(), [windowed(1, (0, 10), &[0], Firing::Early)]);
}

#[test]
fn g5_no_crash_changes_anything() {
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let mut steps = script(&mut random, 30, 3);
        steps.truncate(60);
        for at in [20, 40] {
            steps.insert(at, Step::Advance(Duration::from_millis(600)));
        }
        steps.push(Step::End);
        let lateness = random.below(20);
        assert_survives_crashes(&sessions(7, lateness, OnWatermark).checkpointed(), &steps);
        assert_survives_crashes(&sessions(7, lateness, Every(2)).checkpointed(), &steps);
        assert_survives_crashes(&sessions(7, lateness, EverySecond).checkpointed(), &steps);
    }
}

type Results = Vec<Windowed<u8, TimeWindow, Vec<i64>>>;

/// Sessions of some clicks, over `instances`, from where `state` left off.
fn run(
    clicks: &[Click],
    instances: usize,
    state: Option<Snapshot>,
    options: &JobOptions,
    end: bool,
) -> (Results, Snapshot) {
    let (input, source) = probe_source::<Click>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("sessions");
    let timed = flow
        .source("clicks", source)
        .event_time(|click| at(click.time), Watermarks::bounded_disorder(Duration::from_millis(9)))
        .uid("time");
    let session = Session::with_gap(Duration::from_millis(7));
    let told = timed.key_by(key_of).parallel(instances).window(session);
    let told = told.allowed_lateness(Duration::from_millis(15)).aggregate(Values).uid("sessions");
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
fn g2_sessions_go_on_with_any_number_of_instances() {
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
        let mut entries = state.operator("sessions").unwrap().entries.clone();
        entries
            .retain(|scope, _| matches!(scope, millstream_engine::state::StateScope::KeyGroup(_)));
        entries
    };
    assert_eq!(by_group(&state), by_group(&end));
    assert!(!by_group(&end).is_empty());
}

#[test]
fn h5_no_schedule_batch_or_capacity_changes_sessions() {
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
