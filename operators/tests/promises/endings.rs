//! Endings: everything of a bounded input comes out; an error or a panic names who it was, keeps
//! its causes, and lets no sink publish what is not whole.

use std::error::Error as _;
use std::fmt;

use millstream_engine::ErrorKind;
use millstream_engine::edge::PortRouter;
use millstream_engine::graph::EdgeOptions;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::Outcome;
use millstream_engine::sink::SinkWith;
use millstream_engine::source::{OneShot, Source, SourceBatch, SourceStatus};
use millstream_operators::prelude::*;

use super::{Expand, First, Ledger, Numbers};

/// Gathers three records into their sum: the last group may be smaller.
#[derive(Clone, Default)]
struct Sums {
    sum: u64,
    count: usize,
}

impl Operator<u64> for Sums {
    type Out = u64;
    const NAME: &'static str = "sums";

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        (self.sum, self.count) = (self.sum + record.value, self.count + 1);
        if self.count == 3 { self.on_end(out) } else { Ok(()) }
    }

    fn on_end(&mut self, out: &mut impl Collector<u64>) -> Result<(), OperatorError> {
        if self.count > 0 {
            out.push(std::mem::take(&mut self.sum).into());
            self.count = 0;
        }
        Ok(())
    }
}

#[tokio::test]
async fn the_last_partial_group_of_every_instance_comes_out() {
    for total in 0..20_u64 {
        for instances in 1..4 {
            let ledger = Ledger::default();
            let flow = Dataflow::new("sums");
            let numbers = flow.source("in", source::from_iter(1..=total));
            let sums = numbers.parallel(instances).via(Sums::default()).gather();
            sums.sink("out", ledger.clone());
            let options = JobOptions::default().with_batch_records(2);
            let report = flow.run_with(options).await.unwrap();
            assert_eq!(report.outcome(), Outcome::Completed);
            let entries = ledger.entries();
            assert_eq!(entries.written.iter().sum::<u64>(), total * (total + 1) / 2);
            assert_eq!((entries.prepared, entries.committed), (1, 1));
            let per_instance = (0..instances as u64).map(|i| (total + i) / instances as u64);
            let groups: u64 = per_instance.map(|records| records.div_ceil(3)).sum();
            assert_eq!(entries.written.len() as u64, groups, "{total} over {instances}");
        }
    }
}

#[tokio::test]
async fn what_is_busy_behind_an_operator_that_has_enough_comes_out() {
    for floods in [false, true] {
        for boxed in [false, true] {
            let flow = Dataflow::new("first");
            let first = flow.source("in", Numbers::default()).via(First(3)).boxed();
            let expanded = first.via(Expand::new(50, floods));
            let expanded = if boxed { expanded.boxed() } else { expanded.map(|n| n).boxed() };
            let all = expanded.boundary().collect();
            let options = JobOptions::default().with_edge_capacity(4).with_batch_records(2);
            let all = flow.run_with(options).await.unwrap().take(all).unwrap();
            let expected: Vec<_> = (0..3).flat_map(|n| std::iter::repeat_n(n, 50)).collect();
            assert_eq!(all, expected, "floods: {floods}, boxed: {boxed}");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Error,
    Panic,
}

#[derive(Debug)]
struct Outer(std::io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Passes on, and at one record fails as it is told.
#[derive(Clone)]
struct Trap {
    at: Option<u64>,
    how: How,
}

impl Trap {
    fn spring(&self, value: u64) -> Result<(), OperatorError> {
        if self.at == Some(value) {
            match self.how {
                How::Error => return Err(Outer(std::io::Error::other("inner")).into()),
                How::Panic => panic!("sprung"),
            }
        }
        Ok(())
    }
}

const AT_END: u64 = u64::MAX;

impl Operator<u64> for Trap {
    type Out = u64;
    const NAME: &'static str = "trap";

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        self.spring(record.value)?;
        out.push(record);
        Ok(())
    }

    fn on_end(&mut self, _out: &mut impl Collector<u64>) -> Result<(), OperatorError> {
        self.spring(AT_END)
    }
}

#[derive(Clone)]
struct Trapped {
    next: u64,
    trap: Trap,
}

impl Source for Trapped {
    type Item = u64;

    async fn next(&mut self, batch: &mut SourceBatch<u64>) -> Result<SourceStatus, OperatorError> {
        self.trap.spring(self.next)?;
        batch.push(self.next);
        self.next += 1;
        Ok(if self.next < 20 { SourceStatus::More } else { SourceStatus::End })
    }
}

const PLACES: [&str; 6] = ["in", "early", "behind", "boxed", "late", "out"];

fn failing(place: &str, at: u64, how: How) -> (Dataflow, Ledger) {
    let trap = |name: &str| Trap { at: (name == place).then_some(at), how };
    let ledger = Ledger::default();
    let flow = Dataflow::new("trapped");
    let numbers = Trapped { next: 0, trap: trap("in") };
    let stream = flow.source("in", numbers).via(trap("early")).named("early");
    let stream = stream.boundary().via(trap("behind")).named("behind").boxed();
    let stream = stream.via(trap("boxed")).named("boxed").parallel(2);
    let stream = stream.via(trap("late")).named("late").gather();
    if place == "out" {
        let trap = trap("out");
        let fold = move |_: &mut u64, n: u64| trap.spring(n).unwrap();
        let [left, right] = stream.broadcast();
        let _sum = left.fold(0, fold);
        right.sink("ledger", ledger.clone());
    } else {
        stream.sink("ledger", ledger.clone());
    }
    (flow, ledger)
}

#[tokio::test]
async fn a_failure_anywhere_names_the_operator_and_no_sink_behind_it_commits() {
    for place in PLACES {
        for how in [How::Error, How::Panic] {
            for at in [0, 1, 7, 19, AT_END] {
                let sink = place == "out";
                if (at == AT_END && ["in", "out"].contains(&place)) || (sink && how == How::Error) {
                    continue;
                }
                let (flow, ledger) = failing(place, at, how);
                let options =
                    JobOptions::default().with_batch_records(3).with_operator_counts(true);
                let error = flow.run_with(options).await.unwrap_err();
                let named = if sink { "fold" } else { place };
                assert_eq!(error.operator_name(), Some(named), "{how:?} at {at}: {error}");
                let report = error.report().unwrap();
                assert_eq!(report.outcome(), Outcome::Failed);
                if how == How::Error {
                    assert_eq!(error.kind(), &ErrorKind::Operator);
                    assert!(error.cause().unwrap().is::<Outer>());
                    assert_eq!(error.source().unwrap().to_string(), "inner");
                    let text = format!("operator `{place}` failed: outer: inner");
                    // Behind it comes what the other instances ran into.
                    assert!(format!("{error:?}").starts_with(&text), "{error:?}");
                    let operators = report.metrics().operators.iter();
                    let errors: Vec<_> = operators.filter(|one| one.errors > 0).collect();
                    assert_eq!((errors.len(), &*errors[0].name), (1, place));
                } else if !sink {
                    assert_eq!(error.kind(), &ErrorKind::Panic("sprung".to_owned()));
                }
                let entries = ledger.entries();
                if !sink {
                    assert_eq!((entries.prepared, entries.committed), (0, 0), "{place} {at}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_panic_in_a_router_right_behind_a_source_or_an_edge_has_a_name() {
    for behind_edge in [false, true] {
        let flow = Dataflow::new("router");
        let numbers = flow.source("in", source::from_iter(0..9_u64)).boxed();
        let numbers = if behind_edge { numbers.boundary().named("head") } else { numbers };
        let edge = flow.blueprint().add_edge::<u64>("branch", EdgeOptions::default());
        let choose = |n: &u64| if *n == 5 { panic!("lost") } else { 0 };
        numbers.route(&[edge], PortRouter(choose));
        DataStream::<u64>::behind(flow.clone(), edge, 1, "branch").ignore();
        let error = flow.run().await.unwrap_err();
        let named = if behind_edge { "head" } else { "in" };
        assert_eq!(error.operator_name(), Some(named));
    }
}

#[tokio::test]
async fn a_panic_while_a_stage_is_dropped_fails_the_job() {
    struct Heavy(bool);

    impl Clone for Heavy {
        fn clone(&self) -> Self {
            Self(true)
        }
    }

    impl Drop for Heavy {
        fn drop(&mut self) {
            assert!(!self.0, "dropped badly");
        }
    }

    let flow = Dataflow::new("drop");
    let heavy = Heavy(false);
    flow.source("in", source::from_iter(0..9_u64))
        .map(move |n| n + u64::from(std::hint::black_box(&heavy).0))
        .named("heavy")
        .ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Panic("dropped badly".to_owned()));
    assert_eq!(error.operator_name(), Some("in → heavy → ignore"));
}

#[tokio::test]
async fn a_blueprint_runs_twice_and_a_one_shot_source_says_that_it_can_not() {
    let flow = Dataflow::new("twice");
    let sum = flow.source("in", source::from_iter(0..5_u64)).fold(0, |sum, n| *sum += n);
    for _ in 0..2 {
        assert_eq!(flow.run().await.unwrap().take(sum), Some(10));
    }

    let flow = Dataflow::new("once");
    let once = OneShot::new(source::from_iter(0..5_u64));
    let sum = flow.source("tap", once).fold(0, |sum, n| *sum += n);
    assert_eq!(flow.run().await.unwrap().take(sum), Some(10));
    let error = flow.run().await.unwrap_err();
    let text = "operator `tap` failed: this source can be read only once, and has been";
    assert_eq!(error.to_string(), text);
    assert!(error.report().is_none(), "it never ran");
}

#[tokio::test]
async fn a_sink_that_can_not_be_made_is_named() {
    let flow = Dataflow::new("unmade");
    let make = |_: usize| -> Result<Ledger, OperatorError> {
        Err(std::io::Error::other("no such place").into())
    };
    flow.source("in", source::from_iter(0..5_u64)).sink("out", SinkWith(make));
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.to_string(), "operator `out` failed: no such place");
}

#[tokio::test]
async fn a_panic_while_a_stage_is_made_fails_the_start_and_names_it() {
    let flow = Dataflow::new("made");
    let numbers = flow.source("in", source::from_iter(0..9_u64));
    let badly = |_| -> Result<Ledger, OperatorError> { panic!("made badly") };
    numbers.sink("out", SinkWith(badly));
    let error = flow.start().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Panic("made badly".to_owned()));
    assert_eq!(error.operator_name(), Some("in → out"));
}
