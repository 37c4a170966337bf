//! The ways to stop, and what can be seen of a job while it is stuck.

use std::time::Duration;

use millstream_engine::ErrorKind;
use millstream_engine::edge::Discipline;
use millstream_engine::graph::EdgeOptions;
use millstream_engine::metrics::Why;
use millstream_engine::runtime::{JobState, Outcome};
use millstream_engine::testing::{Ending, VirtualClock, probe_sink, probe_source};
use millstream_operators::prelude::*;

use super::{First, Ledger, Numbers, settle};

const SOON: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(50);

fn options() -> JobOptions {
    JobOptions::default().with_edge_capacity(2).with_batch_records(1)
}

#[tokio::test]
async fn a_drain_brings_out_everything_that_was_read() {
    let (numbers, ledger) = (Numbers::default(), Ledger::default());
    let flow = Dataflow::new("drained");
    flow.source("in", numbers.clone()).boundary().sink("out", ledger.clone());
    let job = flow.start_with(&options()).unwrap();
    let observer = job.observer();
    settle().await;
    let report = job.drain(SOON).await.unwrap();
    assert_eq!(report.outcome(), Outcome::Drained);
    assert_eq!(observer.state(), JobState::Ended);
    let entries = ledger.entries();
    assert_eq!(entries.written, (0..numbers.pulled()).collect::<Vec<_>>());
    assert_eq!((entries.prepared, entries.committed), (1, 1));
}

#[tokio::test]
async fn a_drain_ends_a_source_that_waits() {
    let (source, factory) = probe_source::<u64>();
    let (sink, end) = probe_sink();
    let flow = Dataflow::new("waiting");
    flow.source("in", factory).boundary().sink("out", end);
    let job = flow.start_with(&options()).unwrap();
    source.send(1).await;
    source.asked().await;
    sink.expect([1]).await;
    job.request_drain(SOON);
    assert_eq!(job.state(), JobState::Draining);
    sink.expect_end().await;
    assert_eq!(job.await.unwrap().outcome(), Outcome::Drained);
    assert!(source.is_cancelled());
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_an_error_with_a_report() {
    let clock = VirtualClock::new();
    let (sink, end) = probe_sink();
    let flow = Dataflow::new("late");
    flow.source("in", Numbers::default()).boundary().sink("out", end);
    let job = flow.start_with(&options().with_clock(clock.clock())).unwrap();
    settle().await;
    job.request_drain(LATER);
    settle().await;
    // The earlier deadline counts, though it was asked for later.
    job.request_drain(SOON);
    clock.advance(SOON.checked_sub(Duration::from_millis(1)).unwrap());
    settle().await;
    assert_eq!(job.state(), JobState::Draining);
    clock.advance(Duration::from_millis(1));
    let error = job.await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::DrainDeadline);
    let report = error.report().unwrap();
    assert_eq!(report.outcome(), Outcome::Aborted);
    let (_, edge) = report.edges().next().unwrap();
    assert!(edge.abandoned > 0);
    assert_eq!(sink.ended().await, Ending::Dropped);
    assert!(!sink.is_prepared());
}

#[tokio::test]
async fn an_observer_hears_of_the_end_though_nobody_awaits_the_job() {
    let flow = Dataflow::new("held");
    flow.source("in", source::from_iter(0..9)).ignore();
    let job = flow.start().unwrap();
    job.observer().ended().await;
    assert_eq!(job.state(), JobState::Ended);
    assert_eq!(job.await.unwrap().records_written(), 9);
}

#[tokio::test]
async fn a_stuck_job_names_the_stage_and_the_full_edge() {
    let clock = VirtualClock::new();
    let (sink, end) = probe_sink();
    let flow = Dataflow::new("stuck");
    let stream = flow.source("in", Numbers::default()).boundary().named("step");
    stream.map(|n| n).boundary().named("last").sink("slow", end);
    let job = flow.start_with(&options().with_clock(clock.clock())).unwrap();
    settle().await;
    clock.advance(LATER);
    let explained = job.explain();
    let culprit = explained.culprit.clone().unwrap();
    assert_eq!((&*culprit.stage, culprit.why), ("last → slow", Why::SinkIsSlow));
    assert_eq!((culprit.operator.as_deref(), culprit.age), (Some("slow"), LATER));
    let full: Vec<_> = explained.full_edges.iter().map(|(name, _)| &**name).collect();
    assert_eq!(full, ["in → step", "map → last"]);
    let text = explained.to_string();
    let expected = "held up by `last → slow`: `slow` waits for the outside to take, for 50.000s";
    assert!(text.starts_with(expected), "{text}");
    let metrics = job.metrics();
    for stage in &metrics.stages {
        assert_eq!((stage.blocked_now, stage.blocked), (1, LATER), "{}", stage.name);
    }
    assert!(metrics.edges.iter().all(|edge| edge.blocked == 1));
    // Read again, and nothing has moved but time.
    clock.advance(SOON);
    assert_eq!(job.metrics().stages[0].blocked, LATER + SOON);
    job.abort();
    let error = job.await.unwrap_err();
    let metrics = error.report().unwrap().metrics();
    assert!(metrics.edges.iter().all(|edge| edge.blocked == 0));
    assert_eq!(metrics.explain().culprit, None);
    drop(sink);
}

/// Two probed sources behind a concat, and what comes out.
fn concat() -> (Dataflow, Vec<millstream_engine::testing::SourceProbe<u64>>, DataStream<u64>) {
    let flow = Dataflow::new("concat");
    let options = EdgeOptions { discipline: Discipline::Concat, ..EdgeOptions::default() };
    let edge = flow.blueprint().add_edge::<u64>("turns", options);
    let mut probes = Vec::new();
    for name in ["first", "second"] {
        let (probe, factory) = probe_source();
        flow.source(name, factory).map(|n| n).boundary().forward(edge);
        probes.push(probe);
    }
    let stream = DataStream::behind(flow.clone(), edge, 1, "turns");
    (flow, probes, stream)
}

#[tokio::test]
async fn a_concat_does_not_start_the_second_before_the_first_has_ended() {
    let (flow, probes, stream) = concat();
    let (sink, end) = probe_sink();
    stream.sink("out", end);
    let job = flow.start().unwrap();
    probes[0].asked().await;
    probes[0].send(1).await;
    probes[1].send(2).await;
    sink.expect([1]).await;
    settle().await;
    assert!(!probes[1].is_asked());
    assert_eq!(sink.waiting(), 0);
    probes[0].end().await;
    sink.expect([2]).await;
    probes[1].end().await;
    sink.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn a_concat_that_has_enough_never_starts_the_second() {
    let (flow, probes, stream) = concat();
    stream.via(First(1)).ignore();
    let job = flow.start().unwrap();
    probes[1].send(2).await;
    probes[0].send(1).await;
    job.await.unwrap();
    assert!(probes[0].is_cancelled() && probes[1].is_cancelled());
    // What the second was given is still there: nobody has taken it.
    let ahead = format!("{:?}", probes[1]);
    assert!(ahead.contains("ahead: 1"), "{ahead}");
}
