//! What a test asserts about a whole run: that nothing is left, that no schedule changes it, that
//! no crash does.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use super::driver::quiet_options;
use super::{Event, OperatorHarness};
use crate::operator::Operator;
use crate::record::Record;
use crate::runtime::{JobObserver, JobOptions};
use crate::time::{Timestamp, VirtualClock};

/// Sees to it that nothing of a job is left: no stage, no record in an edge, no timer of its clock.
/// [`TestDriver::finish`](super::TestDriver::finish) does so by itself, and counts the tasks too.
///
/// # Panics
///
/// If anything is.
#[track_caller]
pub fn assert_nothing_left(job: &JobObserver, clock: &VirtualClock) {
    let metrics = job.metrics();
    for stage in &metrics.stages {
        let live = stage.now.iter().filter(|instance| instance.live).count();
        assert_eq!(live, 0, "instances of `{}` are left", stage.name);
    }
    for edge in &metrics.edges {
        assert_eq!(edge.depth, 0, "records are left in {}", edge.name);
        assert_eq!(edge.blocked, 0, "somebody waits for room in {}", edge.name);
    }
    assert_eq!(clock.timers(), 0, "timers are left");
}

/// Runs a test once for each seed, with options under which a job's stages run in an order, and in
/// portions, that depend on nothing else. What holds for a few hundred of them rests on no
/// schedule.
///
/// The test has to be a plain function that drives its graph with a
/// [`TestDriver`](super::TestDriver): then the same seed gives the same run, to the poll. To replay
/// one that has failed, give only that seed.
///
/// # Panics
///
/// With the test's own panic, at the first seed that fails. That seed is printed before.
#[allow(clippy::print_stderr, reason = "as a test harness does")]
pub fn explore(seeds: impl IntoIterator<Item = u64>, test: impl Fn(&JobOptions)) {
    for seed in seeds {
        let options = quiet_options().with_seed(seed).with_schedule_seed(seed);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(&options))) {
            eprintln!("failed with schedule seed {seed}: to replay it, explore([{seed}], …)");
            resume_unwind(panic);
        }
    }
}

/// Something that happens to an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// A record comes.
    Record(Record<T>),
    /// A watermark comes.
    Watermark(Timestamp),
    /// Time passes.
    Advance(Duration),
    /// The input ends.
    End,
}

impl<T: Clone, O: Operator<T>> OperatorHarness<T, O> {
    /// Lets one step of a script happen.
    pub fn play(&mut self, step: &Step<T>) {
        match step {
            Step::Record(record) => self.push(record.clone()),
            Step::Watermark(watermark) => self.watermark(*watermark),
            Step::Advance(by) => self.advance(*by),
            Step::End => self.end(),
        }
    }
}

/// Crashes an operator behind every step of a script, and sees to it that this changes nothing.
///
/// At each place the operator's state is written down, a fresh clone of `operator` takes it over at
/// the same time of the clock, and goes on. Its output has to be that of a run without a crash, and
/// its state, written down again, the same to the byte. Places at which the operator has output
/// pending are left out, as no snapshot is taken there.
///
/// This is one operator, in one instance; a whole graph is crashed with a
/// [`TestDriver`](super::TestDriver).
///
/// # Panics
///
/// If anything differs, with the number of steps before the crash.
#[track_caller]
pub fn assert_survives_crashes<T, O>(operator: &O, script: &[Step<T>])
where
    T: Clone,
    O: Operator<T, Out: PartialEq + fmt::Debug>,
{
    let run = |harness: &mut OperatorHarness<T, O>, steps: &[Step<T>]| -> Vec<Event<O::Out>> {
        steps.iter().for_each(|step| harness.play(step));
        if let Some(error) = harness.take_error() {
            panic!("the operator failed: {error}");
        }
        harness.events()
    };
    let mut whole = run(&mut OperatorHarness::new(operator.clone()), script);
    drop_repeated_watermarks(&mut whole);
    let mut elapsed = Duration::ZERO;
    for crash in 0..=script.len() {
        let (before, after) = script.split_at(crash);
        if let Some(Step::Advance(by)) = before.last() {
            elapsed += *by;
        }
        let mut first = OperatorHarness::new(operator.clone());
        let mut events = run(&mut first, before);
        if first.operator().pending() {
            continue;
        }
        let fail = |error| panic!("no snapshot after {crash} steps: {error}");
        let state = first.snapshot().unwrap_or_else(fail);
        let mut second = OperatorHarness::new(operator.clone());
        second.advance_clock(elapsed);
        if let Err(error) = second.restore(state.clone()) {
            panic!("no restoring after {crash} steps: {error}");
        }
        let again = second.snapshot().unwrap_or_else(fail);
        assert_eq!(again, state, "the state changes by being restored after {crash} steps");
        events.extend(run(&mut second, after));
        drop_repeated_watermarks(&mut events);
        assert_eq!(events, whole, "a crash after {crash} steps changes the output");
    }
}

/// Who sets the time says it again after a restart, so that inputs which meet know of it: to those
/// behind, a watermark that does not advance is none.
fn drop_repeated_watermarks<T>(events: &mut Vec<Event<T>>) {
    let mut told = None;
    events.retain(|event| match event {
        Event::Watermark(watermark) => {
            let advances = told < Some(*watermark);
            told = told.max(Some(*watermark));
            advances
        }
        Event::Record(_) | Event::End => true,
    });
}
