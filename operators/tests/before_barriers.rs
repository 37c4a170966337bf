//! What an operator holds goes before a barrier, and before the news that its input is idle, also
//! where another operator is around it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::chain::{Boundary, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::testing::{OperatorHarness, TestDriver, probe_sink, probe_source};
use millstream_operators::prelude::*;

/// Holds every record until it has to let go, and then adds so much to it.
#[derive(Clone)]
struct Hold {
    adds: u32,
    held: Vec<u32>,
    leaving: Vec<u32>,
}

fn hold(adds: u32) -> Hold {
    Hold { adds, held: Vec::new(), leaving: Vec::new() }
}

impl Hold {
    fn let_go(&mut self, adds: u32, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        assert!(self.leaving.is_empty(), "called while something is pending");
        self.leaving.extend(self.held.drain(..).rev().map(|n| n + adds));
        self.resume(out)
    }
}

impl Operator<u32> for Hold {
    type Out = u32;
    const NAME: &'static str = "hold";

    fn process(
        &mut self,
        record: Record<u32>,
        _out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        assert!(self.leaving.is_empty(), "called while something is pending");
        self.held.push(record.value);
        Ok(())
    }

    fn before_barrier(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        self.let_go(self.adds, out)
    }

    fn before_idle(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        self.let_go(2 * self.adds, out)
    }

    fn pending(&self) -> bool {
        !self.leaving.is_empty()
    }

    fn resume(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        while !out.is_full()
            && let Some(value) = self.leaving.pop()
        {
            out.push(value.into());
        }
        Ok(())
    }
}

/// Holds five records in what `build` makes of a stream, with little room and with much, until a
/// barrier comes, and five more until the input is idle.
#[track_caller]
fn check<U, O>(
    build: impl Fn(DataStream<u32>) -> DataStream<U, Via<Boundary<u32>, O>>,
    value: impl Fn(U) -> u32,
    before_barrier: [u32; 5],
    before_idle: [u32; 5],
) where
    U: Send + 'static,
    O: Operator<u32, Out = U>,
{
    for room in [1, 2, 100] {
        let flow = Dataflow::new("around");
        let numbers = flow.source("in", source::from_iter(0..1)).boxed();
        let (_, operator, _) = build(numbers).into_parts().1.into_parts();
        let mut harness = OperatorHarness::with_room(operator, room);
        let came = |harness: &mut OperatorHarness<u32, O>| {
            assert!(harness.take_error().is_none());
            let mut came: Vec<_> = harness.values().into_iter().map(&value).collect();
            came.sort_unstable();
            came
        };
        (0..5).for_each(|n| harness.push(n));
        assert_eq!(came(&mut harness), [0_u32; 0], "with room for {room}");
        harness.barrier();
        assert_eq!(came(&mut harness), before_barrier, "with room for {room}");
        (0..5).for_each(|n| harness.push(n));
        harness.idle();
        assert_eq!(came(&mut harness), before_idle, "with room for {room}");
    }
}

#[test]
fn what_is_around_an_operator_lets_it_go_before_barriers() {
    let (by_ten, by_twenty) = ([10, 11, 12, 13, 14], [20, 21, 22, 23, 24]);
    check(|n| n.via(hold(10)), |n| n, by_ten, by_twenty);
    check(|n| n.via(hold(10)).map_err(|error| error), |n| n, by_ten, by_twenty);
    check(|n| n.via(hold(10)).supervise(Supervision::restart()), |n| n, by_ten, by_twenty);
}

#[test]
fn every_group_lets_go_before_barriers_one_operator_after_the_other() {
    for records in [1, 2, 100] {
        let (input, source) = probe_source::<u32>();
        let (output, sink) = probe_sink();
        let flow = Dataflow::new("groups");
        let groups = Groups::new(9, Duration::from_secs(9), AtLimit::Evict);
        let grouped = flow.source("in", source).group_by(|n| n % 3, groups);
        let grouped = grouped.each(|group| group.via(hold(10)).via(hold(100)));
        grouped.map(|(_, n)| n).boundary().sink("out", sink);
        let options = JobOptions::default().with_batch_records(records).with_edge_capacity(records);
        let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
        output.request(usize::MAX);
        let came = |driver: &mut TestDriver| {
            let mut came = driver.read(&output);
            came.sort_unstable();
            came
        };
        (0..5).for_each(|n| driver.push(&input, n));
        assert_eq!(came(&mut driver), [0; 0], "in batches of {records}");
        driver.barrier(&input, Barrier(1));
        assert_eq!(came(&mut driver), [110, 111, 112, 113, 114], "in batches of {records}");
        (0..5).for_each(|n| driver.push(&input, n));
        driver.idle(&input);
        assert_eq!(came(&mut driver), [220, 221, 222, 223, 224], "in batches of {records}");
        driver.end(&input);
        driver.finish().unwrap();
    }
}
