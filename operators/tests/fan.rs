//! Streams that part and meet: who waits for whom, who goes where, and what ends what.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use millstream_engine::edge::NoSuchBranch;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::source::{Source, SourceBatch, SourceContext, SourceStatus};
use millstream_engine::testing::{probe_sink, probe_source};
use millstream_engine::time::Clock;
use millstream_engine::time::VirtualClock;
use millstream_operators::prelude::*;

/// Long on a clock that is paused: it passes when nothing else can happen.
const LONG: Duration = Duration::from_secs(60);

/// Says of each value which instance it came by.
#[derive(Clone)]
struct ByInstance(usize);

impl<T: Send + 'static> Operator<T> for ByInstance {
    type Out = (usize, T);
    const NAME: &'static str = "by_instance";
    const STATELESS: bool = true;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), millstream_engine::Error> {
        self.0 = context.instance();
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<(usize, T)>,
    ) -> Result<(), OperatorError> {
        let instance = self.0;
        out.push(record.with(|value| (instance, value)));
        Ok(())
    }
}

/// One number, from a source that tells when it is opened.
#[derive(Clone)]
struct Tells(Arc<AtomicBool>);

impl Source for Tells {
    type Item = u32;

    async fn open(&mut self, _context: &SourceContext) -> Result<(), OperatorError> {
        self.0.store(true, Relaxed);
        Ok(())
    }

    async fn next(&mut self, batch: &mut SourceBatch<u32>) -> Result<SourceStatus, OperatorError> {
        batch.push(2);
        Ok(SourceStatus::End)
    }
}

/// Batches and edges of one record, where every wait shows.
fn narrow() -> JobOptions {
    JobOptions::default().with_batch_records(1).with_edge_capacity(1)
}

/// The values of each instance, in the order in which they came.
fn by_instance<T>(pairs: Vec<(usize, T)>) -> BTreeMap<usize, Vec<T>> {
    let mut instances = BTreeMap::<_, Vec<_>>::new();
    for (instance, value) in pairs {
        instances.entry(instance).or_default().push(value);
    }
    instances
}

#[tokio::test(start_paused = true)]
async fn e1_broadcast_runs_at_the_speed_of_the_slowest_branch() {
    let flow = Dataflow::new("slow and fast");
    let (fast, fast_end) = probe_sink();
    let (slow, slow_end) = probe_sink();
    let [left, right] = flow.source("numbers", source::from_iter(0..100_u32)).broadcast();
    left.sink("fast", fast_end);
    right.sink("slow", slow_end);
    let job = flow.start_with(&narrow()).unwrap();

    fast.request(100);
    Clock::system().sleep(LONG).await;
    let ahead = fast.waiting();
    // In the slow branch: its outbox, its edge, its stage, and what its sink collects and writes.
    assert!((1..=5).contains(&ahead), "{ahead}");
    slow.expect(0..10).await;
    Clock::system().sleep(LONG).await;
    assert_eq!(fast.waiting(), ahead + 10, "as many as the slow one took");

    slow.expect(10..100).await;
    fast.expect(0..100).await;
    fast.expect_end().await;
    slow.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn e1_a_branch_that_has_enough_does_not_end_the_others() {
    for options in [JobOptions::default(), narrow()] {
        let flow = Dataflow::new("enough");
        let [some, all] = flow.source("numbers", source::from_iter(0..1000_u32)).broadcast();
        let (some, all) = (some.take(3).collect(), all.collect());
        let report = flow.run_with(options).await.unwrap();
        assert_eq!(report.take(some), Some(vec![0, 1, 2]));
        assert_eq!(report.take(all), Some((0..1000).collect()));
    }
}

#[tokio::test]
async fn e1_broadcast_cancels_its_input_when_every_branch_has_enough() {
    let flow = Dataflow::new("all have enough");
    let branches: [_; 3] = flow.source("numbers", source::from_iter(0_u64..)).broadcast();
    let taken = branches.map(|branch| branch.take(2).collect());
    let report = flow.run().await.unwrap();
    assert_eq!(taken.map(|one| report.take(one).unwrap()), [[0, 1]; 3]);
}

#[tokio::test]
async fn e3_partition_gives_each_record_to_one_branch_in_order() {
    let flow = Dataflow::new("by remainder");
    let numbers = flow.source("numbers", source::from_iter(0..10_usize));
    let branches: [_; 3] = numbers.partition(|n| n % 3);
    let branches = branches.map(DataStream::collect);
    let report = flow.run_with(narrow()).await.unwrap();
    let [zeros, ones, twos] = branches.map(|branch| report.take(branch).unwrap());
    assert_eq!(zeros, [0, 3, 6, 9]);
    assert_eq!(ones, [1, 4, 7]);
    assert_eq!(twos, [2, 5, 8]);
}

#[tokio::test]
async fn e3_partition_out_of_range_fails_with_the_name_of_the_operator() {
    let flow = Dataflow::new("out of range");
    let numbers = flow.source("numbers", source::from_iter(0..9_usize));
    let branches: [_; 2] = numbers.partition(|n| *n);
    branches.into_iter().for_each(DataStream::ignore);
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("partition"));
    let expected = NoSuchBranch { chosen: 2, branches: 2 };
    let cause = error.cause().unwrap().downcast_ref::<NoSuchBranch>();
    assert_eq!(cause, Some(&expected));
}

#[tokio::test]
async fn e3_split_parts_what_matches_from_the_rest() {
    let flow = Dataflow::new("split");
    let numbers = flow.source("numbers", source::from_iter(0..6_u32));
    let (even, odd) = numbers.split(|n| n % 2 == 0);
    let (even, odd) = (even.collect(), odd.collect());
    let report = flow.run_with(narrow()).await.unwrap();
    assert_eq!(report.take(even), Some(vec![0, 2, 4]));
    assert_eq!(report.take(odd), Some(vec![1, 3, 5]));
}

#[tokio::test]
async fn f1_merge_lets_nobody_be_shut_out() {
    let flow = Dataflow::new("fair");
    let left = flow.source("left", source::from_iter(["left"; 20]));
    let right = flow.source("right", source::from_iter(["right"; 20]));
    let merged = left.merge(right).collect();
    // On a clock that stands still: on a slow machine a source may yield in mid-work, and then the
    // other has nothing to take turns with.
    let options = JobOptions::default().with_batch_records(1).with_edge_capacity(20);
    let options = options.with_clock(VirtualClock::new().clock());
    let merged = flow.run_with(options).await.unwrap().take(merged).unwrap();
    assert_eq!(merged.len(), 40);
    let in_a_row = merged.chunk_by(|a, b| a == b).map(<[_]>::len).max();
    assert!(in_a_row <= Some(2), "they take turns: {merged:?}");
}

#[tokio::test(start_paused = true)]
async fn f1_merge_ends_with_the_last_of_its_inputs() {
    let flow = Dataflow::new("the last");
    let (left, left_factory) = probe_source::<u32>();
    let (right, right_factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let other = flow.source("right", right_factory);
    flow.source("left", left_factory).merge(other).sink("out", end);
    let job = flow.start().unwrap();
    left.send(1).await;
    left.end().await;
    sink.expect([1]).await;
    sink.expect_no_record(LONG).await;
    assert!(!sink.is_prepared());
    right.send(2).await;
    sink.expect([2]).await;
    right.end().await;
    sink.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn f1_merge_keeps_instances_that_agree_and_gathers_the_others() {
    for (left, right, merged) in [(2, 2, 2), (2, 3, 1), (1, 1, 1)] {
        let flow = Dataflow::new("parallel");
        let numbers = |name| flow.source(name, source::from_iter(0..50_u32));
        let other = numbers("right").parallel(right);
        let both = numbers("left").parallel(left).merge(other);
        assert_eq!(both.parallelism(), merged);
        let count = both.count();
        assert_eq!(flow.run_with(narrow()).await.unwrap().take(count), Some(100));
    }
}

#[tokio::test]
async fn f1_merge_all_keeps_the_order_of_each_input() {
    let flow = Dataflow::new("many");
    let numbers = |tens: u32| {
        let source = source::from_iter(tens * 10..tens * 10 + 10);
        flow.source(&format!("{tens}"), source).boxed()
    };
    let merged = numbers(0).merge_all((1..5).map(numbers)).collect();
    let merged = flow.run().await.unwrap().take(merged).unwrap();
    assert_eq!(merged.len(), 50);
    for tens in 0..5 {
        let of_one = merged.iter().filter(|n| **n / 10 == tens);
        assert!(of_one.is_sorted());
    }
}

#[tokio::test(start_paused = true)]
async fn f2_concat_opens_the_second_source_when_the_first_has_ended() {
    let flow = Dataflow::new("lazy");
    let (first, factory) = probe_source::<u32>();
    let opened = Arc::new(AtomicBool::new(false));
    let (sink, end) = probe_sink();
    let second = flow.source("second", Tells(Arc::clone(&opened)));
    let first_stream = flow.source("first", factory);
    first_stream.concat(second).sink("out", end);
    let job = flow.start().unwrap();
    first.send(1).await;
    sink.expect([1]).await;
    sink.expect_no_record(LONG).await;
    assert!(!opened.load(Relaxed));
    first.end().await;
    sink.expect([2]).await;
    assert!(opened.load(Relaxed));
    sink.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn f2_concat_of_two_branches_of_one_stream_is_a_building_mistake() {
    let flow = Dataflow::new("would hang");
    let [left, right] = flow.source("numbers", source::from_iter(0..9_u32)).broadcast();
    left.map(|n| n + 1).concat(right.boundary()).ignore();
    let error = flow.validate().unwrap_err().to_string();
    let expected = "`concat` may wait for one branch of `broadcast` while another fills up";
    assert!(error.contains(expected), "{error}");
}

#[tokio::test]
async fn c6_boundary_makes_another_stage_and_keeps_the_order() {
    let flow = Dataflow::new("two stages");
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    let all = numbers.boundary().collect();
    assert_eq!(flow.graph().unwrap().stages.len(), 2);
    let all = flow.run_with(narrow()).await.unwrap().take(all);
    assert_eq!(all, Some((0..100).collect()));
}

#[tokio::test(start_paused = true)]
async fn c6_the_capacity_of_an_edge_is_what_was_said() {
    for (bytes, most) in [(usize::MAX, 7), (100, 7), (50, 5), (1, 1)] {
        let flow = Dataflow::new("full");
        let numbers = flow.source("numbers", source::from_iter(0..100_u32));
        let edge = numbers.boundary().with_capacity(7);
        let (sink, end) = probe_sink();
        edge.with_byte_capacity(bytes, |_| 10).sink("stuck", end);
        let options = JobOptions::default().with_batch_records(1);
        let job = flow.start_with(&options).unwrap();
        sink.expect([0]).await;
        Clock::system().sleep(LONG).await;
        // Who waits is woken when half of the room is free, so it is at least that full.
        let depth = job.metrics().edges[0].depth;
        assert!((most / 2 + 1..=most).contains(&depth), "{bytes}: {depth}");
    }
}

#[tokio::test]
async fn c6_parallel_gives_each_instance_its_records_in_turn_and_in_order() {
    let flow = Dataflow::new("in turn");
    let numbers = flow.source("numbers", source::from_iter(0..9_u32));
    let all = numbers.parallel(3).via(ByInstance(0)).collect();
    let all = flow.run().await.unwrap().take(all).unwrap();
    let expected = [(0, vec![0, 3, 6]), (1, vec![1, 4, 7]), (2, vec![2, 5, 8])];
    assert_eq!(by_instance(all), expected.into());
}

#[test]
fn c6_parallel_in_no_instance_is_a_building_mistake() {
    let flow = Dataflow::new("none");
    let numbers = flow.source("numbers", source::from_iter(0..9_u32));
    numbers.parallel(0).ignore();
    let error = flow.validate().unwrap_err().to_string();
    assert!(error.contains("the parallelism of `parallel` is zero"), "{error}");
}

#[tokio::test]
async fn c6_rebalance_spreads_evenly_what_one_instance_had() {
    let flow = Dataflow::new("even again");
    let numbers = flow.source("numbers", source::from_iter(0..40_u32));
    // Every other record: all of them are in the first of the two instances.
    let one_sided = numbers.parallel(2).filter(|n| n % 2 == 0);
    let all = one_sided.rebalance().via(ByInstance(0)).collect();
    let all = by_instance(flow.run().await.unwrap().take(all).unwrap());
    assert_eq!(all.values().map(Vec::len).collect::<Vec<_>>(), [10, 10]);
}

#[tokio::test]
async fn c6_gather_brings_all_instances_together() {
    let flow = Dataflow::new("together");
    let numbers = flow.source("numbers", source::from_iter(0..90_u32));
    let spread = numbers.parallel(3).via(ByInstance(0));
    let all = spread.gather().via(ByInstance(0)).collect();
    let all = flow.run_with(narrow()).await.unwrap().take(all).unwrap();
    let gathered = by_instance(all);
    assert_eq!(gathered.keys().collect::<Vec<_>>(), [&0], "one instance");
    let before = by_instance(gathered.into_values().flatten().collect());
    assert_eq!(before.len(), 3);
    assert!(before.values().all(|of_one| of_one.is_sorted()));
    let numbers: BTreeSet<_> = before.into_values().flatten().collect();
    assert_eq!(numbers, (0..90).collect());
}
