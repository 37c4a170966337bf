//! The laws of time and state: what comes out of windows, timers and running totals is what a
//! naive oracle says, whatever the size of batches and edges, the schedule, the number of instances
//! and the place of a crash.
//!
//! Each law is held against scripts that are drawn from seeds. `SEEDS=1000..2000 cargo test -p
//! millstream-operators --test time_laws` takes others than the default.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod by_key;
mod combined;
mod graphs;
mod oracle;
mod scripts;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use millstream_operators::prelude::JobOptions;

use graphs::{Ending, Play, play};
use oracle::expected;
use scripts::{Case, Draw, Kind, Step, When, Why, with_watermarks};

/// Runs a law for each seed, and says how to run a failing one again.
#[allow(clippy::print_stderr, reason = "as a test harness does")]
fn law(name: &str, seeds: Range<u64>, law: impl Fn(u64, &mut Draw)) {
    let chosen = std::env::var("SEEDS").ok().map(|range| {
        let (first, last) = range.split_once("..").expect("SEEDS=first..last");
        first.parse().unwrap()..last.parse().unwrap()
    });
    let mut number = name.bytes().map(u64::from).sum::<u64>();
    for seed in chosen.unwrap_or(seeds) {
        number = number.max(1);
        let run = || law(seed, &mut Draw::new(seed, number));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            let range = format!("SEEDS={seed}..{}", seed + 1);
            eprintln!("{range} cargo test -p millstream-operators --test time_laws {name}");
            resume_unwind(panic);
        }
    }
}

fn options(draw: &mut Draw) -> JobOptions {
    let options = JobOptions::default().with_publish_every(None).with_stall_warning(None);
    let options = options.with_batch_records(1 + draw.0.below(5) as usize);
    let options = options.with_edge_capacity(1 + draw.0.below(4) as usize);
    if draw.one_in(4) { options } else { options.with_schedule_seed(draw.0.next_u64()) }
}

fn plain(options: &JobOptions, parallel: usize) -> Play<'_> {
    let (ending, idle_after, state) = (Ending::End, None, None);
    let (combined, before, barriers, ahead) = (None, 1, &[][..], &[][..]);
    Play { options, parallel, ending, barriers, idle_after, state, combined, before, ahead }
}

/// Some numbers of instances.
fn instances(draw: &mut Draw) -> usize {
    1 + draw.0.below(4) as usize
}

#[test]
fn one_partition_tells_what_the_oracle_does() {
    law("one_partition_tells_what_the_oracle_does", 0..1_500, |_, draw| {
        let case = draw.case();
        let script = draw.script(&case, 24);
        let expected = expected(&case, &with_watermarks(&case, &script)).of(&case);
        let (options, parallel) = (options(draw), instances(draw));
        let ending = draw.one(&[Ending::End, Ending::Drain]);
        // A barrier at any place changes nothing.
        let barriers: Vec<usize> = (0..script.len()).filter(|_| draw.one_in(6)).collect();
        let how = Play { ending, barriers: &barriers, ..plain(&options, parallel) };
        let got = play(&case, &script, how);
        assert_eq!(got.output.of(&case), expected, "{case:?} {script:?} by {parallel}");
        assert!(got.watermarks.is_sorted());
    });
}

#[test]
fn a_crash_behind_any_step_changes_nothing_whatever_the_instances_are() {
    law("a_crash_behind_any_step_changes_nothing", 0..150, |_, draw| {
        let case = draw.case();
        let script = draw.script(&case, 12);
        let expected = expected(&case, &with_watermarks(&case, &script)).of(&case);
        let options = options(draw);
        for crash in 0..=script.len() {
            let (before, after) = script.split_at(crash);
            let (from, to) = draw.one(&[(1, 3), (3, 1), (2, 5), (1, 1), (4, 2)]);
            let context = || format!("{case:?} {script:?} behind {crash}, {from} -> {to}");
            let how = Play { ending: Ending::Crash, ..plain(&options, from) };
            let first = play(&case, before, how.clone());
            let state = Some(first.state.clone());
            if draw.one_in(4) {
                let again = play(&case, &[], Play { state: state.clone(), ..how });
                assert_eq!(again.state.to_bytes(), first.state.to_bytes(), "{}", context());
            }
            let second = play(&case, after, Play { state, ..plain(&options, to) });
            let output = first.output.and(second.output).of(&case);
            assert_eq!(output, expected, "{}", context());
            if case.disorder.is_some() {
                let all = [first.watermarks, second.watermarks].concat();
                assert!(all.is_sorted(), "watermarks go back: {all:?}, {}", context());
            }
        }
    });
}

/// Windows of several partitions.
fn case_of_partitions(draw: &mut Draw) -> Case {
    loop {
        let case = Case { partitions: 2 + draw.0.below(2) as usize, ..draw.case() };
        if matches!(case.kind, Kind::Sliding { .. } | Kind::Session { .. }) {
            return case;
        }
    }
}

#[test]
fn partitions_on_time_tell_the_same_whatever_the_schedule() {
    law("partitions_on_time_tell_the_same", 0..600, |_, draw| {
        let when = draw.one(&[When::OnTime, When::Final, When::Early(2)]);
        let case = Case { when, discarding: false, ..case_of_partitions(draw) };
        let script = draw.script_of_partitions(&case, 24, true);
        let mut expected = expected(&case, &script.records());
        expected.told.values_mut().for_each(|told| told.retain(|one| one.why == Why::OnTime));
        expected.told.retain(|_, told| !told.is_empty());
        let (options, parallel) = (options(draw), instances(draw));
        let how = Play { idle_after: Some(10), ..plain(&options, parallel) };
        let mut got = play(&case, &script.0, how).output;
        got.told.values_mut().for_each(|told| told.retain(|one| one.why != Why::Early));
        got.told.retain(|_, told| !told.is_empty());
        assert_eq!(got.sorted(), expected.sorted(), "{case:?} {script:?} by {parallel}");
    });
}

#[test]
fn what_is_late_and_what_is_told_is_all_there_was() {
    law("what_is_late_and_what_is_told", 0..600, |_, draw| {
        let windows = Case { when: When::OnTime, lateness: 0, ..case_of_partitions(draw) };
        let case = match windows.kind {
            Kind::Sliding { size, offset, .. } => {
                Case { kind: Kind::Sliding { size, step: size, offset }, ..windows }
            }
            _ => windows,
        };
        let script = draw.script_of_partitions(&case, 24, false);
        let (options, parallel) = (options(draw), instances(draw));
        let how = Play { idle_after: Some(10), ..plain(&options, parallel) };
        let got = play(&case, &script.0, how);
        assert!(got.watermarks.is_sorted());
        let told = got.output.told.values().flatten().map(|told| told.value).sum::<i64>();
        let late = got.output.late.values().flatten().map(|late| late.0).sum::<i64>();
        let all = script.0.iter().map(|step| match step {
            Step::Record(_, click) => click.1,
            _ => 0,
        });
        assert_eq!(told + late, all.sum::<i64>(), "{case:?} {script:?} by {parallel}");
    });
}

#[test]
fn the_watermark_is_the_earliest_of_those_that_are_not_idle() {
    law("the_watermark_is_the_earliest", 0..600, |_, draw| {
        let case = Case { kind: Kind::Running, disorder: None, partitions: 2, ..draw.case() };
        let on_time = draw.one_in(2);
        let script = draw.script_of_partitions(&case, 16, on_time);
        let (mut of, mut idle, mut merged) = ([i64::MIN; 2], [false; 2], i64::MIN);
        for step in &script.0 {
            match *step {
                Step::Record(from, _) => idle[from] = false,
                Step::Watermark(from, time) => of[from] = of[from].max(time),
                Step::Idle(from) => idle[from] = true,
                Step::Advance(_) => {}
            }
            let active = (0..2).filter(|input| !idle[*input]).map(|input| of[input]).min();
            merged = merged.max(active.unwrap_or(of[0].max(of[1])));
        }
        let (options, parallel) = (options(draw), instances(draw));
        let how = Play { ending: Ending::Crash, ..plain(&options, parallel) };
        let watermarks = play(&case, &script.0, how).watermarks;
        let reached = watermarks.last().copied().unwrap_or(i64::MIN);
        assert_eq!(reached, merged, "{script:?} by {parallel}");
        assert!(watermarks.is_sorted(), "{watermarks:?}");
    });
}

#[test]
fn what_comes_ahead_of_a_barrier_is_in_no_snapshot() {
    law("what_comes_ahead_of_a_barrier", 0..300, |_, draw| {
        let case = case_of_partitions(draw);
        let script = draw.script_of_partitions(&case, 24, true).0;
        let ahead: Vec<Step> =
            (0..draw.below(4)).map(|n| Step::Record(0, (0, 1, 500 + n))).collect();
        let (options, parallel) = (options(draw), instances(draw));
        let how = Play { ending: Ending::Crash, ..plain(&options, parallel) };
        let without = play(&case, &script, how.clone()).state;
        let with = play(&case, &script, Play { ahead: &ahead, ..how }).state;
        assert_eq!(with, without, "{case:?} {script:?} {ahead:?} by {parallel}");
    });
}
