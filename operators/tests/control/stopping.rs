//! Drains, aborts, pauses, and what the handle tells.

use std::process::{ExitCode, Termination as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use millstream_engine::ErrorKind;
use millstream_engine::runtime::{JobState, Outcome};
use millstream_engine::testing::{Ending as SinkEnding, probe_sink, probe_source};
use millstream_engine::time::VirtualClock;
use millstream_operators::control::KillSwitch;
use millstream_operators::prelude::*;
use millstream_operators::source::Offer;

use super::*;

/// The records that the first stage has taken.
fn read(job: &JobHandle) -> u64 {
    job.metrics().stages[0].records_in
}

#[tokio::test]
async fn k8_a_paused_job_takes_nothing_more_and_drops_nothing() {
    let pulled = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&pulled);
    let numbers = (0..50_000_u32).inspect(move |_| {
        counter.fetch_add(1, SeqCst);
    });
    let flow = Dataflow::new("paused");
    let sum = flow.source("in", source::from_iter(numbers)).boundary().count();
    let job = flow.start_with(&small()).unwrap();
    job.pause();
    job.pause();
    assert_eq!(job.state(), JobState::Paused);
    settle().await;
    let held = (pulled.load(SeqCst), read(&job));
    settle().await;
    assert_eq!((pulled.load(SeqCst), read(&job)), held);
    assert!(held.0 <= 2, "one batch ahead: {held:?}");
    job.resume();
    assert_eq!(job.state(), JobState::Running);
    while pulled.load(SeqCst) < 1000 {
        tokio::task::yield_now().await;
    }
    job.pause();
    settle().await;
    let read = read(&job);
    assert!(read < 50_000);
    assert_eq!(job.metrics().stages[1].records_in, read, "what was taken is through");
    job.resume();
    job.resume();
    assert_eq!(job.await.unwrap().take(sum), Some(50_000));
}

#[tokio::test(start_paused = true)]
async fn k8_timers_go_off_while_a_job_is_paused() {
    let flow = Dataflow::new("timers");
    let (probe, numbers) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let fails_once = {
        let mut failed = false;
        move |n: &u32| {
            if std::mem::replace(&mut failed, true) { Ok(*n) } else { Err(std::fmt::Error) }
        }
    };
    let retry = OnError::retry(Backoff::default().with_initial(SOON));
    flow.source("in", numbers).boundary().try_map(retry, fails_once).sink("out", end);
    let job = flow.start_with(&small()).unwrap();
    sink.request(9);
    probe.send(1).await;
    probe.asked().await;
    job.pause();
    sink.expect([1]).await;
    job.resume();
    probe.send(2).await;
    sink.expect([2]).await;
    probe.end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn k8_a_paused_job_drains_with_all_that_was_read() {
    let (handle, queue) = source::queue(16);
    let flow = Dataflow::new("drained");
    let all = flow.source("queue", queue).collect();
    let job = flow.start_with(&small()).unwrap();
    settle().await;
    job.pause();
    for n in 0..5 {
        assert!(handle.offer(n).is_accepted());
        settle().await;
    }
    job.request_drain(SOON);
    assert_eq!(job.state(), JobState::Draining);
    job.pause();
    let report = job.await.unwrap();
    assert_eq!(report.take(all), Some(vec![0, 1, 2, 3, 4]));
    assert_eq!(report.outcome(), Outcome::Drained);
}

#[tokio::test]
async fn k8_a_paused_job_can_be_aborted_and_can_fail() {
    let switch = KillSwitch::new("switch");
    let flow = Dataflow::new("paused");
    flow.source("in", source::from_iter(0_u64..)).kill_switch(&switch).ignore();
    let job = flow.start().unwrap();
    job.pause();
    settle().await;
    job.abort();
    assert_eq!(job.await.unwrap_err().kind(), &ErrorKind::Aborted);
    let job = flow.start().unwrap();
    job.pause();
    settle().await;
    switch.abort("now");
    assert_eq!(job.await.unwrap_err().operator_name(), Some("kill_switch"));
}

#[tokio::test]
async fn k2_a_drain_refuses_new_input_and_delivers_what_was_accepted() {
    let (handle, queue) = source::queue(64);
    let flow = Dataflow::new("refused");
    let all = flow.source("queue", queue).chunks(4).boundary().collect();
    let job = flow.start_with(&small()).unwrap();
    let accepted: Vec<u32> = (0..30).filter(|n| handle.offer(*n).is_accepted()).collect();
    settle().await;
    job.request_drain(SOON);
    settle().await;
    assert_eq!(handle.offer(99), Offer::Closed(99));
    let report = job.await.unwrap();
    assert_eq!(report.take(all).unwrap().concat(), accepted);
    assert!(report.edges().all(|(_, edge)| edge.abandoned == 0 && edge.sent == edge.handled));
}

#[tokio::test]
async fn k2_a_drain_with_every_edge_full_ends_at_its_deadline_and_tells_what_was_left() {
    let clock = VirtualClock::new();
    let (flow, sink) = stuck(|numbers| numbers.boundary().map(|n| n).boxed());
    let job = flow.start_with(&small().with_clock(clock.clock())).unwrap();
    settle().await;
    job.request_drain(SOON);
    clock.advance(SOON);
    let error = job.await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::DrainDeadline);
    let report = error.report().unwrap();
    assert_eq!(report.outcome(), Outcome::Aborted);
    assert_eq!(report.elapsed(), SOON);
    let mut left = 0;
    for (name, edge) in report.edges() {
        assert_eq!(edge.sent, edge.handled + edge.abandoned, "{name}");
        left += edge.abandoned;
    }
    assert!(left > 0, "and it shows: {report}");
    assert!(report.to_string().contains("records abandoned on"), "{report}");
    assert_eq!(error.exit_code(), ExitCode::from(2));
    assert_eq!(sink.ended().await, SinkEnding::Dropped);
}

#[tokio::test]
async fn k2_the_exit_code_tells_loss() {
    let flow = Dataflow::new("whole");
    flow.source("in", source::from_iter(0..9)).ignore();
    assert_eq!(flow.run().await.unwrap().report(), ExitCode::SUCCESS);
    let job = flow.start().unwrap();
    assert_eq!(job.drain(SOON).await.unwrap().report(), ExitCode::SUCCESS);
    let job = flow.start().unwrap();
    job.abort();
    assert_eq!(job.await.unwrap_err().exit_code(), ExitCode::from(2));
    let flow = Dataflow::new("failed");
    flow.source("in", source::from_iter(0..9)).inspect(|_| panic!("failed")).ignore();
    assert_eq!(flow.run().await.unwrap_err().exit_code(), ExitCode::FAILURE);
    let empty = Dataflow::new("never ran").run().await.unwrap_err();
    assert_eq!(empty.exit_code(), ExitCode::FAILURE);
}

#[tokio::test]
async fn k3_the_handle_is_awaited_for_the_report_the_error_or_the_abort() {
    let flow = Dataflow::new("awaited");
    let count = flow.source("in", source::from_iter(0..9)).count();
    let mut job = flow.start().unwrap();
    // By reference, and given up once: nothing is lost.
    assert!(futures_util::poll!(&mut job).is_pending());
    assert_eq!((&mut job).await.unwrap().take(count), Some(9));
    assert_eq!(job.state(), JobState::Ended);

    let flow = Dataflow::new("endless");
    flow.source("in", source::from_iter(0_u64..)).ignore();
    let job = flow.start().unwrap();
    assert_eq!(job.state(), JobState::Running);
    let observer = job.observer();
    job.abort();
    job.abort();
    let error = job.await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Aborted);
    assert!(error.report().unwrap().records_read() < u64::MAX);
    assert_eq!(observer.outcome(), Some(Outcome::Aborted));
}

#[tokio::test]
async fn k3_dropping_the_handle_aborts_the_job_and_an_observer_hears_of_it() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let flow = Dataflow::new("dropped");
    let numbers = flow.source("in", source::from_iter(0_u64..)).boundary();
    numbers.inspect(move |_| drop(Arc::clone(&held))).ignore();
    let job = flow.start().unwrap();
    settle().await;
    let mut observer = job.observer();
    assert_eq!(Arc::strong_count(&alive), 3);
    drop(job);
    observer.ended().await;
    assert_eq!(observer.outcome(), Some(Outcome::Aborted));
    settle().await;
    assert_eq!(Arc::strong_count(&alive), 2, "only the blueprint has it");
}

/// Times that no machine can count to are no reason to panic.
#[tokio::test(start_paused = true)]
async fn k2_a_deadline_may_be_as_far_away_as_one_likes() {
    let flow = Dataflow::new("far");
    let numbers = flow.source("in", source::from_iter(0_u64..)).idle_timeout(Duration::MAX);
    numbers.buffer(1, WhenFull::Disconnect(Duration::MAX)).ignore();
    let job = flow.start().unwrap();
    tokio::task::yield_now().await;
    let report = job.drain(Duration::MAX).await.unwrap();
    assert_eq!(report.outcome(), Outcome::Drained);

    let flow = Dataflow::new("far, too");
    let retry = Backoff::default().with_initial(Duration::MAX).with_max_delay(Duration::MAX);
    let retry = retry.with_attempts(2);
    let numbers = flow.source("in", source::from_iter([1]));
    numbers.try_map(OnError::retry(retry), |_| Err::<u32, _>(std::fmt::Error)).ignore();
    let job = flow.start().unwrap();
    Clock::system().sleep(Duration::from_secs(86_400)).await;
    assert_eq!(job.state(), JobState::Running, "it waits for its second attempt");
}
