//! A crash behind every step, and other numbers of instances afterwards.

use millstream_engine::batch::Barrier;
use millstream_engine::state::Snapshot;
use millstream_engine::testing::{TestDriver, assert_survives_crashes, probe_sink, probe_source};
use millstream_operators::state::Checkpointed;

use super::*;

/// Keys whose place in a table does not depend on the order in which they came there: the order of
/// keys in a window is the table's own.
fn keys() -> [char; 3] {
    let place = |key: &char| stable_hash(key) & 3;
    let mut found: Vec<char> = Vec::new();
    for key in 'a'..='z' {
        if found.iter().all(|other| place(other) != place(&key)) {
            found.push(key);
        }
    }
    [found[0], found[1], found[2]]
}

/// Records of three keys, some of them late, and watermarks between them.
fn history() -> Vec<Step<Keyed<Click>>> {
    let [a, b, c] = keys();
    let record = |key, time| Step::Record(click(key, time, 1 + time.unsigned_abs() % 7));
    let watermark = |time| Step::Watermark(at(time));
    let advance = |by| Step::Advance(ms(by));
    script([
        record(a, -15),
        record(b, 3),
        watermark(-10),
        record(a, -12),
        advance(4),
        record(a, 5),
        record(c, 14),
        watermark(8),
        record(b, 2),
        record(a, 11),
        advance(3),
        watermark(12),
        record(b, 9),
        record(c, 4),
        record(a, 21),
        advance(20),
        watermark(17),
        record(a, 3),
        record(c, 19),
        watermark(26),
        record(a, 15),
        record(b, 25),
        advance(7),
        record(b, 31),
        record(b, 26),
        watermark(40),
        record(c, 45),
        Step::End,
    ])
}

pub(super) fn survive<W, R, V>(windows: W, rules: WindowRules<Click, R>)
where
    W: Windows<Click, Window = V>,
    R: Trigger,
    W::Operator<ByKey, Total, R>: Checkpointed,
    V: PartialEq + std::fmt::Debug,
{
    assert_survives_crashes(&operator(windows, rules).checkpointed(), &history());
}

#[test]
fn g2_windows_survive_a_crash_behind_every_step() {
    for lateness in [0, 3, 10, 100] {
        for accumulation in [Accumulation::Accumulating, Accumulation::Discarding] {
            let rules = WindowRules { lateness: ms(lateness), accumulation, ..rules(OnWatermark) };
            survive(ten(), rules.clone());
            survive(ten().offset(ms(3)), rules);
        }
    }
}

#[test]
fn g2_what_triggers_keep_survives_a_crash_behind_every_step() {
    fn each<R: Trigger>(trigger: &R) {
        for lateness in [0, 10] {
            for accumulation in [Accumulation::Accumulating, Accumulation::Discarding] {
                let rules = rules(trigger.clone());
                let rules = WindowRules { lateness: ms(lateness), accumulation, ..rules };
                survive(ten(), rules.clone());
                survive(Tumbling::of(ms(50)), rules.clone());
                survive(ten().by_processing_time(), rules.clone());
                survive(CountWindows::of(3).every(2).with_partial(), rules.clone());
                survive(Global, rules);
            }
        }
    }
    each(&OnWatermark);
    each(&OnFinal);
    each(&OnCount::of(2));
    each(&OnEveryRecord.once());
    each(&AfterProcessingTime::of(ms(5)));
    each(&AfterEventTime::of(ms(4)).or(OnCount::of(3)));
    each(&OnCount::of(2).and(AfterProcessingTime::of(ms(3))));
    each(&OnWatermark.with_early(AfterEventTime::of(ms(3))).with_late(OnCount::of(2)));
}

/// Runs clicks through windows by some instances, and gives what was told and the state.
fn run(
    clicks: &[Click],
    parallel: usize,
    state: Option<Snapshot>,
    end: bool,
) -> (Vec<Told>, Snapshot) {
    let (input, source) = probe_source::<Click>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("clicks");
    let clicks_in = flow.source("clicks", source).event_time(time_of, Watermarks::monotonic());
    let windows = clicks_in.uid("time").key_by(key_of).parallel(parallel).window(ten());
    let told = windows.allowed_lateness(ms(10)).aggregate(Total).uid("windows");
    told.boundary().sink("out", sink);
    let options = JobOptions::default().with_publish_every(None).with_stall_warning(None);
    let options = state.into_iter().fold(options, JobOptions::with_state);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    clicks.iter().for_each(|click| driver.push(&input, *click));
    driver.barrier(&input, Barrier(1));
    let mut out = driver.read(&output);
    let snapshot = driver.snapshot(Barrier(1));
    if end {
        driver.end(&input);
        out.extend(driver.read(&output));
        driver.finish().unwrap();
    }
    let told =
        |w: Windowed<char, TimeWindow, u64>| (w.key, w.window.start.as_millis(), w.value, w.firing);
    (out.into_iter().map(told).collect(), Snapshot::from_bytes(&snapshot.to_bytes()).unwrap())
}

#[test]
fn g2_windows_are_taken_over_by_other_numbers_of_instances() {
    let clicks: Vec<Click> = ('a'..='f')
        .cycle()
        .zip([3, 8, 5, 12, 9, 2, 25, 21, 14, 28, 33, 4, 39, 31, 45, 36, 26, 50])
        .map(|(key, time)| (key, time, 1))
        .collect();
    let (mut whole, end) = run(&clicks, 1, None, true);
    whole.sort();
    assert!(whole.iter().any(|told| told.3 == Firing::Late) || whole.len() > 6);
    for first in 0..=clicks.len() {
        for second in [first, clicks.len()] {
            let (mut out, state) = run(&clicks[..first], 1, None, false);
            let (more, state) = run(&clicks[first..second], 3, Some(state), false);
            let (rest, state) = run(&clicks[second..], 2, Some(state), true);
            out.extend(more.into_iter().chain(rest));
            out.sort();
            assert_eq!(out, whole, "1 instance, 3 behind {first} records, 2 behind {second}");
            let groups = |state: &Snapshot| {
                let entries = &state.operator("windows").unwrap().entries;
                let of_keys = |scope: &millstream_engine::state::StateScope| {
                    matches!(scope, millstream_engine::state::StateScope::KeyGroup(_))
                };
                let entries = entries.iter().filter(|(scope, _)| of_keys(scope));
                entries.map(|(scope, bytes)| (*scope, bytes.clone())).collect::<Vec<_>>()
            };
            assert_eq!(groups(&state), groups(&end));
        }
    }
}
