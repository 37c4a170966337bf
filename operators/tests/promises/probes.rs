//! Whole graphs between two probes: demand, control, endings, all on virtual time.

use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::testing::{Ending, probe_sink, probe_source};
use millstream_operators::prelude::*;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn records_come_when_they_are_asked_for() {
    let (source, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let flow = Dataflow::new("probed");
    flow.source("in", factory).map(|n| n * 10).sink("out", end);
    let job = flow.start().unwrap();
    source.asked().await;
    for n in 1..=3 {
        source.send(n).await;
    }
    sink.expect([10, 20]).await;
    assert!(!sink.is_prepared());
    sink.expect([30]).await;
    source.asked().await;
    sink.expect_no_record(LONG).await;
    source.end().await;
    sink.expect_end().await;
    assert!(sink.is_prepared() && sink.is_committed());
    assert_eq!(job.await.unwrap().records_written(), 3);
    assert!(!source.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_has_enough_cancels_the_source() {
    let (source, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let flow = Dataflow::new("enough");
    flow.source("in", factory).boundary().sink("out", end);
    let job = flow.start().unwrap();
    source.send(1).await;
    sink.expect([1]).await;
    assert!(!source.is_cancelled());
    sink.enough();
    source.send(2).await;
    source.cancelled().await;
    assert_eq!(sink.ended().await, Ending::Committed);
    let report = job.await.unwrap();
    assert_eq!(report.records_written(), 1);
    // It was taken, nobody wanted it, and the report says so.
    let cancelled: u64 = report.metrics().stages.iter().map(|s| s.cancelled).sum();
    assert_eq!(cancelled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_lets_no_sink_commit() {
    let (source, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let flow = Dataflow::new("failing");
    flow.source("in", factory).boundary().sink("out", end);
    let job = flow.start().unwrap();
    source.send(1).await;
    source.fail(std::io::Error::other("torn")).await;
    let error = job.await.unwrap_err();
    assert_eq!(error.to_string(), "operator `in` failed: torn");
    assert_eq!(sink.ended().await, Ending::Dropped);
    assert!(!sink.is_prepared());
}

#[tokio::test(start_paused = true)]
async fn demand_that_is_not_there_stops_the_source() {
    let (source, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let flow = Dataflow::new("stuck");
    flow.source("in", factory).sink("out", end);
    let options = JobOptions::default().with_batch_records(1);
    let job = flow.start_with(&options).unwrap();
    let mut sent = 0;
    while source.try_send(sent).is_ok() {
        sent += 1;
        tokio::task::yield_now().await;
    }
    // One is being written, one collected, and the probe is ahead by what it may.
    assert_eq!(sent, 2 + 16);
    assert!(!source.is_asked());
    sink.request(5);
    assert_eq!(sink.next().await.unwrap().value, 0);
    drop(job);
    source.cancelled().await;
    assert_eq!(sink.ended().await, Ending::Dropped);
}

#[tokio::test(start_paused = true)]
async fn control_passes_a_graph_with_nothing_to_carry() {
    let (source, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let flow = Dataflow::new("control");
    flow.source("in", factory).boundary().sink("out", end);
    let job = flow.start().unwrap();
    source.watermark(Timestamp::from_millis(5)).await;
    source.barrier(Barrier(1)).await;
    source.idle().await;
    source.asked().await;
    sink.expect_no_record(LONG).await;
    let metrics = job.metrics();
    let watermarks: Vec<_> = metrics.stages.iter().map(|s| s.watermark).collect();
    assert_eq!(watermarks, [Some(Timestamp::from_millis(5)); 2]);
    source.end().await;
    sink.expect_end().await;
    job.await.unwrap();
}
