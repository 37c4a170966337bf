//! Stages in a row, and branches that part and meet again: which of them share a task, and who
//! leaves it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use millstream_engine::edge::WhenFull;
use millstream_engine::testing::probe_sink;
use millstream_engine::time::{Clock, VirtualClock};
use millstream_operators::prelude::*;
use tokio::sync::mpsc;
use tokio::task::{Id, try_id};

/// By which tasks a closure was called.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<BTreeSet<Id>>>);

impl Tasks {
    fn note(&self) {
        self.0.lock().unwrap().extend(try_id());
    }

    fn take(&self) -> BTreeSet<Id> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// How many stages each shared task has.
fn shared(flow: &Dataflow) -> Vec<usize> {
    let mut tasks = Vec::new();
    for task in flow.graph().unwrap().stages.iter().filter_map(|stage| stage.shared_task) {
        tasks.resize(tasks.len().max(task + 1), 0);
        tasks[task] += 1;
    }
    tasks
}

fn numbers(flow: &Dataflow) -> DataStream<u32> {
    flow.source("numbers", source::from_iter(0..10_000_u32)).boxed()
}

#[test]
fn f1_branches_that_meet_again_share_a_task_with_both_ends() {
    let flow = Dataflow::new("diamond");
    let [a, b, c, d] = numbers(&flow).broadcast();
    let (a, b, c, d) = (a.map(|n| n + 1), b.map(|n| n + 2), c.map(|n| n + 3), d.map(|n| n + 4));
    a.merge(b).merge(c.merge(d)).ignore();
    assert_eq!(shared(&flow), [flow.graph().unwrap().stages.len()]);

    let flow = Dataflow::new("by index");
    let [even, odd] = numbers(&flow).partition(|n| *n as usize % 2);
    even.merge(odd).ignore();
    assert_eq!(shared(&flow), [4]);
}

#[test]
fn f1_within_a_shared_task_a_batch_is_twice_as_long_unless_somebody_chose() {
    let flow = Dataflow::new("diamond");
    let [a, b] = numbers(&flow).broadcast();
    a.map(|n| n + 1).merge(b.map(|n| n + 2)).boundary().map(|n| n + 3).ignore();
    let batches = |options: &JobOptions| -> Vec<usize> {
        let view = flow.blueprint().view(options).unwrap();
        view.edges.iter().map(|edge| edge.batch_records).collect()
    };
    // To the branches and from them, and behind.
    assert_eq!(batches(&JobOptions::default()), [2_048, 2_048, 2_048, 1_024]);
    assert_eq!(
        batches(&JobOptions::default().with_edge_capacity(1_500)),
        [1_500, 1_500, 1_500, 1_024]
    );
    assert_eq!(batches(&JobOptions::default().with_batch_records(7)), [7; 4]);
}

#[test]
fn f1_what_was_asked_for_has_a_task_of_its_own() {
    let two = |flow: &Dataflow| -> [DataStream<u32>; 2] { numbers(flow).broadcast() };
    let flow = Dataflow::new("they never meet");
    two(&flow).into_iter().for_each(DataStream::ignore);
    assert!(shared(&flow).is_empty());

    let flow = Dataflow::new("one behind a buffer");
    let [a, b] = two(&flow);
    a.buffer(16, WhenFull::Block).merge(b).ignore();
    assert!(shared(&flow).is_empty());

    let flow = Dataflow::new("one that drops");
    let [a, b] = two(&flow);
    a.when_full(WhenFull::DropOldest).merge(b).ignore();
    assert!(shared(&flow).is_empty());

    let flow = Dataflow::new("one of several instances");
    let [a, b] = two(&flow);
    a.parallel(2).merge(b).ignore();
    assert!(shared(&flow).is_empty());

    let flow = Dataflow::new("one that waits");
    let [a, b] = two(&flow);
    a.map_async(2, |n| async move { n }).merge(b).ignore();
    assert!(shared(&flow).is_empty());

    let flow = Dataflow::new("whoever is ready");
    let [a, b] = numbers(&flow).balance();
    a.merge(b).ignore();
    assert!(shared(&flow).is_empty());
}

/// So many stages, each behind the other.
fn row(flow: &Dataflow, stages: usize) -> DataStream<u32> {
    let next = |stream: DataStream<u32>, _| stream.boundary().map(|n| n + 1).boxed();
    (1..stages).fold(numbers(flow), next)
}

#[test]
fn c6_of_stages_in_a_row_two_and_two_share_a_task() {
    let share = |stages| {
        let flow = Dataflow::new("row");
        row(&flow, stages).ignore();
        shared(&flow)
    };
    assert_eq!(share(1), [0; 0]);
    assert_eq!(share(2), [2]);
    assert_eq!(share(3), [2], "the third is alone");
    assert_eq!(share(8), [2; 4]);
}

#[test]
fn c6_a_row_ends_where_streams_part_and_meet() {
    let flow = Dataflow::new("before and behind a diamond");
    let [a, b] = row(&flow, 3).broadcast();
    let behind = a.map(|n| n + 1).merge(b.map(|n| n + 2)).boundary().map(|n| n + 3);
    behind.boundary().ignore();
    assert_eq!(shared(&flow), [4, 2, 2], "the branches first");

    let flow = Dataflow::new("two branches");
    let [a, b] = row(&flow, 2).broadcast();
    a.boundary().ignore();
    b.boundary().boundary().ignore();
    assert_eq!(shared(&flow), [2; 3]);

    let flow = Dataflow::new("two sources");
    row(&flow, 1).merge(flow.source("others", source::empty())).boundary().ignore();
    assert_eq!(shared(&flow), [2]);
}

#[test]
fn c6_an_edge_with_a_size_of_its_own_has_a_task_on_either_side() {
    type Edge = fn(DataStream<u32>) -> DataStream<u32>;
    let edges: [Edge; 6] = [
        |stream| stream.boundary().with_capacity(16),
        |stream| stream.boundary().with_byte_capacity(1 << 20, |_| 4),
        |stream| stream.rebatch(64),
        |stream| stream.buffer(16, WhenFull::Block),
        DataStream::detach,
        |stream| stream.parallel(2),
    ];
    for edge in edges {
        let flow = Dataflow::new("apart");
        edge(numbers(&flow)).ignore();
        assert!(shared(&flow).is_empty());
    }
}

/// In which tasks the second of two stages runs, if it takes `cost` for each record.
async fn tasks_of_second(cost: Duration) -> BTreeSet<Id> {
    let hand = VirtualClock::new();
    let options = JobOptions::default().with_clock(hand.clock());
    let (tasks, flow) = (Tasks::default(), Dataflow::new("the second is slow"));
    let notes = tasks.clone();
    let second = row(&flow, 2).inspect(move |_| {
        notes.note();
        hand.advance(cost);
    });
    let numbers = second.collect();
    let expected: Vec<_> = (1..=10_000).collect();
    assert_eq!(flow.run_with(options).await.unwrap().take(numbers), Some(expected));
    tasks.take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c6_a_stage_that_is_slow_moves_into_a_task_of_its_own() {
    assert_eq!(tasks_of_second(Duration::from_micros(1)).await.len(), 2);
}

#[tokio::test]
async fn c6_a_stage_that_is_cheap_stays() {
    assert_eq!(tasks_of_second(Duration::from_nanos(4)).await.len(), 1);
}

/// tokio gives a task a budget for each poll: after 128 values of its channels, none is ready.
#[tokio::test]
async fn c6_a_busy_source_leaves_something_of_the_budget_to_the_sink_in_its_task() {
    const VALUES: usize = 20_000;
    let (full, mut values) = mpsc::channel(VALUES);
    (0..VALUES).for_each(|n| full.try_send(n).unwrap());
    drop(full);
    let (sender, mut sent) = mpsc::channel(VALUES);
    let room = sender.clone();
    let (mut read, behind_max) = (0, Arc::new(AtomicUsize::new(0)));
    let behind = Arc::clone(&behind_max);
    let values = stream::poll_fn(move |cx| {
        let value = values.poll_recv(cx);
        read += usize::from(matches!(value, Poll::Ready(Some(_))));
        behind.fetch_max(read - (VALUES - room.capacity()), Relaxed);
        value
    });
    let flow = Dataflow::new("through");
    let values = flow.source("values", source::from_stream(values)).boundary();
    values.sink("sent", sink::channel(sender));
    assert_eq!(shared(&flow), [2]);
    flow.run_with(JobOptions::default().with_clock(VirtualClock::new().clock())).await.unwrap();
    assert!((0..VALUES).all(|n| sent.try_recv() == Ok(n)));
    assert!(behind_max.load(Relaxed) < 1_000, "{behind_max:?}");
}

/// A fan-out of which one branch takes `cost` for each record, by a clock that it moves itself.
/// Tells in which tasks that branch, and the other one, have run.
async fn tasks_of_branches(cost: Duration) -> [BTreeSet<Id>; 2] {
    let hand = VirtualClock::new();
    let options = JobOptions::default().with_clock(hand.clock());
    let (costly, cheap) = (Tasks::default(), Tasks::default());
    let (notes, others) = (costly.clone(), cheap.clone());
    let flow = Dataflow::new("one is slow");
    let [a, b] = numbers(&flow).broadcast();
    let a = a.inspect(move |_| {
        notes.note();
        hand.advance(cost);
    });
    let count = a.merge(b.inspect(move |_| others.note())).count();
    assert_eq!(flow.run_with(options).await.unwrap().take(count), Some(20_000));
    [costly.take(), cheap.take()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_a_branch_that_is_slow_moves_into_a_task_of_its_own() {
    let [slow, other] = tasks_of_branches(Duration::from_micros(1)).await;
    assert_eq!(slow.len(), 2, "it began with the others");
    assert_eq!(other.len(), 1);
    assert!(other.is_subset(&slow));
}

#[tokio::test]
async fn f1_branches_that_are_cheap_stay() {
    let [one, other] = tasks_of_branches(Duration::from_nanos(10)).await;
    assert_eq!(one.len(), 1);
    assert_eq!(one, other);
}

#[tokio::test(start_paused = true)]
async fn f1_a_branch_that_waits_holds_nobody_up_who_shares_its_task() {
    let flow = Dataflow::new("one is throttled");
    let (probe, end) = probe_sink();
    let [a, b] = flow.source("numbers", source::from_iter(0..100_u32)).broadcast();
    let a = a.delay(Duration::from_secs(3600), 100).map(|n| n + 1000);
    a.merge(b.map(|n| n)).sink("probe", end);
    let job = flow.start().unwrap();
    probe.request(200);
    probe.expect(0..100).await;
    Clock::system().sleep(Duration::from_secs(7200)).await;
    probe.expect(1000..1100).await;
    probe.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn f1_the_failure_of_one_is_heard_while_those_beside_it_wait() {
    let flow = Dataflow::new("one fails");
    let endless = source::from_stream(stream::iter([1_u32]).chain(stream::pending()));
    let [a, b] = flow.source("numbers", endless).broadcast();
    let a = a.try_map(OnError::fail(), |n: &u32| n.to_string().parse::<bool>().map(u32::from));
    let a = a.named("refuses");
    a.merge(b.map(|n| n)).ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("refuses"));
}
