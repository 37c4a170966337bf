//! Merge hubs.

use std::time::Duration;

use futures_util::FutureExt as _;
use millstream_engine::ErrorKind;
use millstream_engine::testing::{Ending, probe_sink, probe_source};
use millstream_operators::hub::{HubError, MergeHub};
use millstream_operators::prelude::*;

use crate::{settle, small};

#[tokio::test]
async fn f6_producers_come_and_go() {
    let hub = MergeHub::new(4);
    let (probe, sink) = probe_sink();
    let flow = Dataflow::new("merged");
    flow.source("hub", hub.source()).sink("probe", sink);
    let job = flow.start_with(&small()).unwrap();
    let mut by_hand = hub.producer().unwrap();
    by_hand.send(Record::at(1, Timestamp::from_millis(5))).await.unwrap();
    assert_eq!(probe.next().await, Some(Record::at(1, Timestamp::from_millis(5))));
    by_hand.send(2).await.unwrap();
    drop(by_hand);
    probe.expect([2]).await;
    let other = Dataflow::new("producer");
    other.source("numbers", source::from_iter(3..6)).parallel(2).sink("hub", hub.sink());
    for _ in 0..2 {
        other.run().await.unwrap();
        let mut seen = Vec::new();
        for _ in 3..6 {
            seen.push(probe.next().await.unwrap().value);
        }
        seen.sort_unstable();
        assert_eq!(seen, [3, 4, 5]);
    }
    settle().await;
    assert_eq!(hub.producers(), 0);
    hub.close();
    probe.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn f6_a_failing_producer_does_not_fail_the_hub() {
    let hub = MergeHub::new(8);
    let flow = Dataflow::new("merged");
    let all = flow.source("hub", hub.source()).collect();
    let job = flow.start().unwrap();
    let (probe, numbers) = probe_source();
    let failing = Dataflow::new("failing");
    failing.source("numbers", numbers).sink("hub", hub.sink());
    let failing = failing.start().unwrap();
    probe.send(1).await;
    probe.asked().await;
    settle().await;
    probe.fail(OperatorError::new("torn")).await;
    failing.await.unwrap_err();
    let aborted = Dataflow::new("aborted");
    aborted.source("none", source::never()).sink("hub", hub.sink());
    let aborted = aborted.start().unwrap();
    settle().await;
    aborted.abort();
    assert_eq!(aborted.await.unwrap_err().kind(), &ErrorKind::Aborted);
    let mut last = hub.producer().unwrap();
    last.send(2).await.unwrap();
    hub.close();
    assert_eq!(job.await.unwrap().take(all), Some(vec![1, 2]));
}

#[tokio::test]
async fn f6_each_producer_has_a_buffer_of_its_own_and_its_turn() {
    let hub = MergeHub::new(4);
    let mut greedy = hub.producer().unwrap();
    for n in 0..4 {
        greedy.send(n).await.unwrap();
    }
    assert!(greedy.send(4).now_or_never().is_none(), "its buffer is full");
    let mut modest = hub.producer().unwrap();
    modest.send(100).now_or_never().unwrap().unwrap();
    let (probe, sink) = probe_sink();
    let flow = Dataflow::new("merged");
    flow.source("hub", hub.source()).sink("probe", sink);
    let job = flow.start_with(&small().with_batch_records(2)).unwrap();
    // Two at a time, and then it is the other one's turn.
    probe.expect([0, 1, 100, 2, 3]).await;
    greedy.send(4).await.unwrap();
    hub.close();
    assert_eq!(greedy.send(5).await, Err(HubError::Closed));
    probe.expect([4]).await;
    probe.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn f6_one_producer_too_many_is_refused() {
    let hub = MergeHub::<u32>::new(1).with_max_producers(1);
    let first = hub.producer().unwrap();
    let refused = hub.producer().unwrap_err();
    assert_eq!(refused, HubError::TooManyProducers { limit: 1 });
    let flow = Dataflow::new("too many");
    flow.source("numbers", source::from_iter(0..1)).named("numbers").sink("out", hub.sink());
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("out"));
    assert_eq!(error.cause().unwrap().downcast_ref(), Some(&refused));
    drop(first);
    hub.producer().unwrap();
    hub.close();
    assert_eq!(hub.producer().unwrap_err(), HubError::Closed);
}

#[tokio::test]
async fn f6_a_drain_closes_the_hub_and_delivers_what_it_has() {
    let hub = MergeHub::new(64);
    let (probe, sink) = probe_sink();
    let flow = Dataflow::new("merged");
    flow.source("hub", hub.source()).sink("probe", sink);
    let job = flow.start_with(&small()).unwrap();
    let mut producer = hub.producer().unwrap();
    for n in 0..50 {
        producer.send(n).await.unwrap();
    }
    let endless = Dataflow::new("endless");
    endless.source("numbers", source::from_iter(50..)).sink("hub", hub.sink());
    let endless = endless.start_with(&small()).unwrap();
    settle().await;
    let draining = job.drain(Duration::from_secs(60));
    let taking = async {
        let mut seen = Vec::new();
        while let Some(record) = probe.next().await {
            seen.push(record.value);
        }
        seen
    };
    let (report, seen) = tokio::join!(draining, taking);
    report.unwrap();
    assert!(seen.iter().filter(|n| **n < 50).copied().eq(0..50));
    let other: Vec<_> = seen.iter().filter(|n| **n >= 50).copied().collect();
    assert_eq!(producer.send(1).await, Err(HubError::Closed));
    // Its job has enough, and says how much was taken.
    let report = endless.await.unwrap();
    assert_eq!(report.records_written(), other.len() as u64);
    assert!(other.iter().copied().eq(50..50 + other.len() as i32));
}

#[tokio::test]
async fn f6_a_reader_that_is_gone_is_no_failure_of_the_producers() {
    let hub = MergeHub::new(2);
    let flow = Dataflow::new("merged");
    flow.source("hub", hub.source()).take(3).ignore();
    let job = flow.start().unwrap();
    let endless = Dataflow::new("endless");
    endless.source("numbers", source::from_iter(0_u32..)).sink("hub", hub.sink());
    let endless = endless.start_with(&small()).unwrap();
    job.await.unwrap();
    endless.await.unwrap();
    assert_eq!(hub.producer().unwrap_err(), HubError::Closed);
    // And it can be read once.
    assert!(flow.run().await.is_err());
}

#[tokio::test]
async fn f6_a_hub_that_nobody_can_reach_any_more_ends() {
    let hub = MergeHub::new(2);
    let (probe, sink) = probe_sink();
    let flow = Dataflow::new("merged");
    flow.source("hub", hub.source()).sink("probe", sink);
    let job = flow.start().unwrap();
    let mut producer = hub.producer().unwrap();
    drop(hub);
    producer.send(1).await.unwrap();
    probe.expect([1]).await;
    drop(producer);
    assert_eq!(probe.ended().await, Ending::Committed);
    job.await.unwrap();
}
