//! What the words that end a stream promise, on whole jobs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::ParseIntError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use millstream_engine::ErrorKind;
use millstream_operators::prelude::*;
use tokio::sync::Semaphore;

#[tokio::test]
async fn n1_results_of_an_empty_stream() {
    let flow = Dataflow::new("empty");
    let empty = || Vec::<u32>::new();
    let first = flow.source("a", source::from_iter(empty())).first();
    let last = flow.source("b", source::from_iter(empty())).last();
    let count = flow.source("c", source::from_iter(empty())).count();
    let reduce =
        flow.source("d", source::from_iter(empty())).reduce(|most, n| *most = n.max(*most));
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(first), Some(None));
    assert_eq!(report.take(last), Some(None));
    assert_eq!(report.take(count), Some(0));
    assert_eq!(report.take(reduce), Some(None));
}

#[tokio::test]
async fn n1_first_cancels_right_after_the_first_record() {
    let flow = Dataflow::new("first");
    let first = flow.source("numbers", source::from_iter(7_u32..)).first();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(first), Some(Some(7)));
    assert_eq!(report.records_written(), 1);
}

#[tokio::test]
async fn n1_results_bring_the_instances_of_a_parallel_stream_together() {
    let flow = Dataflow::new("parallel");
    let numbers = |name| flow.source(name, source::from_iter(0..100_u32)).parallel(3);
    let count = numbers("a").count();
    let largest = numbers("b").reduce(|most, n| *most = n.max(*most));
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(count), Some(100));
    assert_eq!(report.take(largest), Some(Some(99)));
}

#[tokio::test]
async fn n1_ignore_pulls_everything() {
    let flow = Dataflow::new("ignored");
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    numbers.parallel(2).ignore();
    let report = flow.run().await.unwrap();
    assert_eq!(report.records_written(), 100);
}

#[tokio::test]
async fn n1_try_for_each_stops_at_the_first_error() {
    let flow = Dataflow::new("failing");
    let (sender, seen) = std::sync::mpsc::sync_channel(10);
    let words = flow.source("words", source::from_iter(["1", "2", "x", "3"]));
    words.try_for_each(move |word| {
        sender.send(word.parse::<u32>()?).unwrap();
        Ok::<(), ParseIntError>(())
    });
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("try_for_each"));
    assert!(error.cause().unwrap().is::<ParseIntError>());
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [1, 2]);
}

/// How many futures run now, and how many did at most.
#[derive(Default)]
struct Running {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Running {
    async fn pass(&self, gate: &Semaphore) {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        self.most.fetch_max(now, Relaxed);
        gate.acquire().await.unwrap().forget();
        self.now.fetch_sub(1, Relaxed);
    }
}

#[tokio::test]
async fn n1_for_each_concurrent_has_as_many_in_flight_as_allowed() {
    let (running, gate) = (Arc::new(Running::default()), Arc::new(Semaphore::new(0)));
    let flow = Dataflow::new("bounded");
    let numbers = flow.source("numbers", source::from_iter(0..10));
    let (seen, closed) = (Arc::clone(&running), Arc::clone(&gate));
    numbers.for_each_concurrent(3, move |_| {
        let (running, gate) = (Arc::clone(&seen), Arc::clone(&closed));
        async move { running.pass(&gate).await }
    });
    let mut job = flow.start().unwrap();
    while running.now.load(Relaxed) < 3 {
        tokio::task::yield_now().await;
    }
    // It has all its futures in flight, and not one of them has ended.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(futures_util::poll!(&mut job).is_pending());
    gate.add_permits(10);
    let report = job.await.unwrap();
    assert_eq!(running.most.load(Relaxed), 3);
    assert_eq!(running.now.load(Relaxed), 0, "the job ends after the last future");
    assert_eq!(report.records_written(), 10);
}

#[tokio::test]
async fn n1_for_each_concurrent_names_itself_when_a_future_panics() {
    let flow = Dataflow::new("panicking");
    let numbers = flow.source("numbers", source::from_iter(0..10));
    numbers.for_each_concurrent(3, |n| async move { assert_ne!(n, 5, "no five") });
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("for_each_concurrent"));
    assert!(matches!(error.kind(), ErrorKind::Panic(why) if why.contains("no five")));
}

#[test]
#[should_panic(expected = "a concurrency of zero futures")]
fn n1_for_each_concurrent_with_none_is_a_building_mistake() {
    let flow = Dataflow::new("wrong");
    let numbers = flow.source("numbers", source::from_iter(0..10));
    numbers.for_each_concurrent(0, |_| async {});
}
