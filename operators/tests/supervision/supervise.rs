//! One operator that stops, goes on or begins anew.

use std::time::Duration;

use millstream_engine::metrics::OperatorMetrics;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::time::Instant;
use millstream_engine::{Error, ErrorKind};
use millstream_operators::prelude::*;
use millstream_operators::recovery::{Directive, Panicked, Supervision};

use super::*;

/// Adds up, and fails at zero and panics at 99.
#[derive(Clone, Default)]
struct Sums(u32);

impl Operator<u32> for Sums {
    type Out = u32;
    const NAME: &'static str = "sums";

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        assert_ne!(record.value, 99, "no 99");
        self.0 += record.value;
        if record.value == 0 {
            return Err(OperatorError::new("no zero"));
        }
        out.push(record.with(|_| self.0));
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        if self.0 == 77 {
            return Err(OperatorError::new("no 77 at the end"));
        }
        out.push((1000 + self.0).into());
        Ok(())
    }
}

async fn sums(
    numbers: &'static [u32],
    supervision: Supervision,
) -> Result<(Vec<u32>, OperatorMetrics), Error> {
    let flow = Dataflow::new("sums");
    let numbers = flow.source("in", source::from_iter(numbers.iter().copied()));
    let sums = numbers.via(Sums::default()).supervise(supervision).collect();
    let report = flow.run_with(small()).await?;
    Ok((report.take(sums).unwrap(), operator(&report, "sums")))
}

#[tokio::test]
async fn j2_stop_is_what_happens_without_supervision() {
    for (bad, kind) in [(0, ErrorKind::Operator), (99, ErrorKind::Panic(String::new()))] {
        let numbers: &'static [u32] = if bad == 0 { &[1, 0, 2] } else { &[1, 99, 2] };
        let error = sums(numbers, Supervision::stop()).await.unwrap_err();
        assert_eq!(error.operator_name(), Some("sums"));
        assert_eq!(std::mem::discriminant(error.kind()), std::mem::discriminant(&kind));
    }
}

#[tokio::test]
async fn j2_resume_drops_the_record_and_keeps_the_state() {
    let (all, counts) = sums(&[1, 0, 2, 0, 3], Supervision::resume()).await.unwrap();
    assert_eq!(all, [1, 3, 6, 1006]);
    assert_eq!((counts.skipped, counts.errors, counts.filtered), (2, 2, 2));
}

#[tokio::test]
async fn j2_restart_drops_the_record_and_resets_the_state() {
    let (all, counts) = sums(&[1, 0, 2, 99, 3], Supervision::restart()).await.unwrap();
    assert_eq!(all, [1, 2, 3, 1003]);
    assert_eq!((counts.skipped, counts.errors), (2, 2));
}

#[tokio::test]
async fn j2_after_a_panic_resume_restarts_because_nobody_knows_the_state() {
    let (all, counts) = sums(&[1, 99, 2, 0, 3], Supervision::resume()).await.unwrap();
    assert_eq!(all, [1, 2, 5, 1005]);
    assert_eq!(counts.skipped, 2);
}

#[tokio::test]
async fn j2_a_decider_chooses_by_the_error() {
    let policy = Supervision::decide(|error| {
        match (error.to_string().as_str(), error.get_ref().is::<Panicked>()) {
            ("no zero", false) => Directive::Resume,
            (_, true) => Directive::Stop,
            _ => Directive::Restart,
        }
    });
    let (all, _) = sums(&[1, 0, 2], policy.clone()).await.unwrap();
    assert_eq!(all, [1, 3, 1003]);
    let error = sums(&[1, 99, 2], policy).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Panic(why) if why.contains("no 99")), "{error}");
}

#[tokio::test]
async fn j2_a_failure_at_the_end_is_no_record_to_be_dropped() {
    let error = sums(&[70, 7], Supervision::restart()).await.unwrap_err();
    assert_eq!(error.cause().unwrap().to_string(), "no 77 at the end");
}

#[tokio::test]
async fn j2_the_scope_is_one_operator_and_not_what_is_behind_it() {
    let (first, second) = (|n: u32| 10 / n, |n: u32| 10 / (n - 1));
    let run = |supervised: bool| async move {
        let flow = Dataflow::new("scope");
        let numbers = flow.source("in", source::from_iter([2_u32, 10, 0, 5]));
        let first = numbers.map(first).named("first").supervise(Supervision::resume());
        let all = if supervised {
            first.map(second).named("second").supervise(Supervision::resume()).collect()
        } else {
            first.map(second).named("second").collect()
        };
        flow.run().await.map(|report| (report.take(all).unwrap(), report))
    };
    // 10 / 10 - 1 is zero, which the second one panics at.
    let error = run(false).await.unwrap_err();
    assert_eq!(error.operator_name(), Some("second"));
    let (all, report) = run(true).await.unwrap();
    assert_eq!(all, [2, 10]);
    assert_eq!((operator(&report, "first").skipped, operator(&report, "second").skipped), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn j2_restarts_rest_and_are_limited() {
    let policy = Supervision::restart().with_restarts(quick(3));
    let (all, counts) = sums(&[1, 0, 2, 0, 3], policy.clone()).await.unwrap();
    assert_eq!((all, counts.skipped), (vec![1, 2, 3, 1003], 2));
    let error = sums(&[1, 0, 2, 0, 3, 0, 4], policy.clone()).await.unwrap_err();
    assert_eq!(error.cause().unwrap().to_string(), "no zero");
    let error = sums(&[99, 99, 99], policy).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Panic(_)), "{error}");

    let flow = Dataflow::new("rests");
    let numbers = flow.source("in", source::from_iter([0, 1]));
    let policy = Supervision::restart().with_restarts(quick(2));
    let count = numbers.via(Sums::default()).supervise(policy).count();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(count), Some(2));
    assert!(report.elapsed() >= Duration::from_millis(10), "{:?}", report.elapsed());
}

#[tokio::test]
async fn j2_each_run_and_each_instance_begins_with_the_configuration() {
    let flow = Dataflow::new("again");
    let numbers = flow.source("in", source::from_iter([1, 1, 0, 0, 5, 5])).parallel(2);
    let sums = numbers.via(Sums(100)).supervise(Supervision::restart()).gather().collect();
    for _ in 0..2 {
        let mut all = flow.run().await.unwrap().take(sums).unwrap();
        all.sort_unstable();
        assert_eq!(all, [101, 101, 105, 105, 1105, 1105]);
    }
}

#[tokio::test]
async fn j2_an_operator_with_a_side_output_is_refused_at_the_start() {
    let flow = Dataflow::new("side");
    let (dead, letters) = flow.dead_letters("bad words");
    let words = flow.source("words", source::from_iter(["1", "one"]));
    let numbers = words.try_map(OnError::dead_letter(&dead), parse).named("parse");
    numbers.supervise(Supervision::restart()).ignore();
    letters.ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("parse"));
    assert!(error.to_string().contains("side output"), "{error}");
}

/// Emits what it is given twice, a little later, and fails in between as it is told.
#[derive(Clone, Default)]
struct Later {
    due: Option<Instant>,
    left: Option<u32>,
    clock: Option<millstream_engine::time::Clock>,
}

impl Operator<u32> for Later {
    type Out = u32;
    const NAME: &'static str = "later";

    fn open(
        &mut self,
        context: &mut millstream_engine::runtime::OperatorContext<'_>,
    ) -> Result<(), Error> {
        self.clock = Some(context.clock());
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<u32>,
        _out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        self.left = Some(record.value);
        self.due = Some(self.clock.as_ref().unwrap().now() + Duration::from_millis(5));
        Ok(())
    }

    fn on_timer(
        &mut self,
        _now: Instant,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        self.due = None;
        match self.left.take() {
            Some(0) => Err(OperatorError::new("late failure")),
            Some(n) => {
                out.push(n.into());
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn pending(&self) -> bool {
        self.left.is_some()
    }

    fn waiting(&self) -> bool {
        self.left.is_some()
    }

    fn next_timer(&self) -> Option<Instant> {
        self.due
    }
}

#[tokio::test(start_paused = true)]
async fn j2_what_fails_at_a_timer_is_supervised_too() {
    for policy in [Supervision::resume(), Supervision::restart()] {
        let flow = Dataflow::new("timers");
        let numbers = flow.source("in", source::from_iter([1, 0, 2]));
        let all = numbers.via(Later::default()).supervise(policy).collect();
        let report = flow.run().await.unwrap();
        assert_eq!(report.take(all), Some(vec![1, 2]));
        assert_eq!(operator(&report, "later").errors, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn j2_a_record_that_was_tried_again_in_vain_is_counted_as_dropped() {
    let flow = Dataflow::new("vain");
    let words = flow.source("in", source::from_iter(["1", "x", "2"]));
    let numbers = words.try_map(OnError::retry(Backoff::default().with_attempts(2)), parse);
    let numbers = numbers.supervise(Supervision::resume()).collect();
    let report = flow.run_with(small()).await.unwrap();
    assert_eq!(report.take(numbers), Some(vec![1, 2]));
    let counts = operator(&report, "try_map");
    assert_eq!((counts.skipped, counts.retries), (1, 1));
}
