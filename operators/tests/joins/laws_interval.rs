//! The laws of joins over random scripts: what comes out at each step is what the definition says,
//! whatever the size of batches and edges, the schedule, the number of instances and the place of a
//! crash.
//!
//! `SEEDS=1000..2000 cargo test -p millstream-operators --test joins` takes others than the
//! default.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use millstream_engine::random::Random;
use millstream_operators::fan::Either;
use millstream_operators::prelude::*;

use crate::oracle::{Case, Kind, Oracle, is_deletion};
use crate::rig::{Event, Output, Rig, Side, Step, Told, ms};

struct Draw(Random);

impl Draw {
    fn below(&mut self, bound: u64) -> i64 {
        i64::try_from(self.0.below(bound)).unwrap()
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.0.below(bound) == 0
    }

    fn interval(&mut self) -> Case {
        let (lower, length) = (self.below(24) - 16, self.below(16));
        let alone = [self.one_in(2), self.one_in(2)];
        Case { kind: Kind::Interval(lower, lower + length), alone, grace: self.grace() }
    }

    fn as_of(&mut self) -> Case {
        let life = if self.one_in(2) { 1 << 50 } else { self.below(30) };
        Case { kind: Kind::AsOf(life), alone: [self.one_in(2), false], grace: self.grace() }
    }

    fn grace(&mut self) -> i64 {
        if self.one_in(3) { self.below(12) } else { 0 }
    }

    /// Two streams, each at its own pace and out of order, some records late.
    fn script(&mut self, steps: u64, idles: bool) -> Vec<Step> {
        let start = self.below(100) - 50;
        let mut nows = [start, start + self.below(10)];
        let (keys, disorder) = (1 + self.0.below(4), 1 + self.0.below(12));
        let (mut ended, mut resting) = (None, [false; 2]);
        let steps = (0..self.0.below(steps + 1)).map(|number| {
            let side = ended.map_or(self.below(2) as usize, |ended: usize| 1 - ended);
            nows[side] += if self.one_in(10) { 25 } else { self.below(6) };
            let number = u32::try_from(number).unwrap();
            match self.below(24) {
                0 if idles => {
                    resting[side] = true;
                    Step::Idle(side)
                }
                1 if !idles && ended.is_none() => {
                    ended = Some(side);
                    Step::End(side)
                }
                2..8 if !resting[side] => Step::Watermark(side, nows[side] - self.below(disorder)),
                _ => {
                    resting[side] = false;
                    let behind = if self.one_in(8) { 40 } else { disorder };
                    let time = nows[side] - self.below(behind);
                    Step::Record(side, (self.below(keys) as u8, number, time))
                }
            }
        });
        steps.collect()
    }

    fn options(&mut self) -> JobOptions {
        let options = JobOptions::default().with_publish_every(None).with_stall_warning(None);
        let options = options.with_batch_records(1 + self.0.below(5) as usize);
        let options = options.with_edge_capacity(1 + self.0.below(4) as usize);
        if self.one_in(4) { options } else { options.with_schedule_seed(self.0.next_u64()) }
    }

    fn instances(&mut self) -> usize {
        1 + self.0.below(4) as usize
    }
}

/// Runs a law for each seed, and says how to run a failing one again.
#[allow(clippy::print_stderr, reason = "as a test harness does")]
fn law(name: &str, seeds: Range<u64>, law: impl Fn(&mut Draw)) {
    let chosen = std::env::var("SEEDS").ok().map(|range| {
        let (first, last) = range.split_once("..").expect("SEEDS=first..last");
        first.parse().unwrap()..last.parse().unwrap()
    });
    let number = name.bytes().map(usize::from).sum::<usize>();
    for seed in chosen.unwrap_or(seeds) {
        let run = || law(&mut Draw(Random::fork(seed, number, 0)));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            eprintln!(
                "SEEDS={seed}..{} cargo test -p millstream-operators --test joins {name}",
                seed + 1
            );
            resume_unwind(panic);
        }
    }
}

fn number(event: &Event) -> u32 {
    event.1
}

/// The join of a case.
fn join(
    case: &Case,
    parallel: usize,
    [left, right]: [Side; 2],
    late: &SideTag<Either<Event, Event>>,
) -> DataStream<Told> {
    let (left, right) = (left.key_by(|event| event.0), right.key_by(|event| event.0));
    let (right, grace) = (right.parallel(parallel), ms(case.grace as u64));
    let (lower, upper) = match case.kind {
        Kind::Interval(lower, upper) => (lower, upper),
        Kind::AsOf(life) => {
            let join = left.as_of_join(right).grace(grace).late_to(late).deleted_by(is_deletion);
            let join = if life < 1 << 50 { join.valid_for(ms(life as u64)) } else { join };
            return match case.alone[0] {
                true => join.left(|l, r| (Some(l.1), r.map(number))).uid("join").boxed(),
                false => join.inner(|l, r| (Some(l.1), Some(r.1))).uid("join").boxed(),
            };
        }
    };
    let join = left.interval_join(right, Interval::from_millis(lower, upper));
    let join = join.grace(grace).late_to(late);
    match case.alone {
        [false, false] => join.inner(|l, r| (Some(l.1), Some(r.1))).uid("join").boxed(),
        [true, false] => join.left(|l, r| (Some(l.1), r.map(number))).uid("join").boxed(),
        [false, true] => join.right(|l, r| (l.map(number), Some(r.1))).uid("join").boxed(),
        [true, true] => {
            let join = join.outer(|sides| (sides.left().map(number), sides.right().map(number)));
            join.uid("join").boxed()
        }
    }
}

fn start(case: &Case, options: &JobOptions, sides: [usize; 2], parallel: usize) -> Rig {
    Rig::start(options, sides, |sides, late| join(case, parallel, sides, late))
}

/// What comes out at each step is what the definition says.
fn agrees(draw: &mut Draw, case: Case) {
    let idles = draw.one_in(3);
    let script = draw.script(40, idles);
    let (options, sides) = (draw.options(), [draw.instances(), draw.instances()]);
    let (sides, parallel) = if idles { ([1, 1], 1) } else { (sides, draw.instances()) };
    let (mut rig, mut oracle) = (start(&case, &options, sides, parallel), Oracle::new(case));
    for (at, step) in script.iter().enumerate() {
        let (told, expected) = (rig.play(*step).sorted(), oracle.play(*step).sorted());
        assert_eq!(told, expected, "at {at} of {case:?} {script:?} by {sides:?} {parallel}");
    }
    let (told, expected) = (rig.finish().sorted(), oracle.finish().sorted());
    assert_eq!(told, expected, "at the end of {case:?} {script:?} by {sides:?} {parallel}");
}

/// A run that goes on from what was kept behind any step tells what is left to tell.
fn survives(draw: &mut Draw, case: Case) {
    let (script, options) = (draw.script(14, false), draw.options());
    for crash in 0..=script.len() {
        let (from, to) = (draw.instances(), draw.instances());
        let mut oracle = Oracle::new(case);
        let mut rig = start(&case, &options, [1, 1], from);
        for step in &script[..crash] {
            assert_eq!(rig.play(*step).sorted(), oracle.play(*step).sorted());
        }
        if script[..crash].iter().any(|step| matches!(step, Step::End(_))) {
            return;
        }
        let options = options.clone().with_state(rig.snapshot());
        let mut rig = start(&case, &options, [1, 1], to);
        // Sources say their watermarks again.
        for step in script[..crash].iter().filter(|step| matches!(step, Step::Watermark(..))) {
            assert_eq!(rig.play(*step), Output::default());
        }
        for step in &script[crash..] {
            let (told, expected) = (rig.play(*step).sorted(), oracle.play(*step).sorted());
            assert_eq!(told, expected, "{step:?} {case:?} {script:?} {crash} {from} -> {to}");
        }
        assert_eq!(rig.finish().sorted(), oracle.finish().sorted());
    }
}

#[test]
fn i2_what_comes_out_at_each_step_is_what_the_definition_says() {
    law("i2_what_comes_out_at_each_step_is_what_the_definition_says", 0..1_000, |draw| {
        let case = draw.interval();
        agrees(draw, case);
    });
}

#[test]
fn i2_a_crash_behind_any_step_changes_nothing_whatever_the_instances_are() {
    law("i2_a_crash_behind_any_step_changes_nothing", 0..50, |draw| {
        let case = draw.interval();
        survives(draw, case);
    });
}

#[test]
fn i5_each_record_has_the_version_that_the_definition_says() {
    law("i5_each_record_has_the_version_that_the_definition_says", 0..600, |draw| {
        let case = draw.as_of();
        agrees(draw, case);
    });
}

#[test]
fn i5_a_crash_behind_any_step_changes_nothing_whatever_the_instances_are() {
    law("i5_a_crash_behind_any_step_changes_nothing", 0..40, |draw| {
        let case = draw.as_of();
        survives(draw, case);
    });
}
