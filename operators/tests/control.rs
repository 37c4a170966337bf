//! A job's life: ended from outside, paused, drained, dropped; and told how it ended.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::process::{ExitCode, Termination as _};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use millstream_engine::ErrorKind;
use millstream_engine::graph::Role;
use millstream_engine::metrics::OperatorMetrics;
use millstream_engine::runtime::{JobState, Outcome, Output};
use millstream_engine::sink::SinkWith;
use millstream_engine::testing::{
    Ending as SinkEnding, ProbedSink, SinkProbe, probe_sink, probe_source,
};
use millstream_engine::time::VirtualClock;
use millstream_operators::control::{Ending, KillSwitch, KillSwitchAborted, SwitchState};
use millstream_operators::prelude::*;
use millstream_operators::source::{Offer, QueueHandle};

const SOON: Duration = Duration::from_secs(5);

fn small() -> JobOptions {
    JobOptions::default().with_batch_records(1).with_edge_capacity(2)
}

/// The records that the first stage has taken.
fn read(job: &JobHandle) -> u64 {
    job.metrics().stages[0].records_in
}

fn written(job: &JobHandle) -> u64 {
    let of = |role| move |one: &OperatorMetrics| (one.role == role).then_some(one.records_out);
    job.metrics().operators.iter().filter_map(of(Role::Sink)).flatten().sum()
}

async fn settle() {
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
}

/// Numbers without an end, into a sink that takes nothing.
fn stuck(with: impl FnOnce(DataStream<u64>) -> DataStream<u64>) -> (Dataflow, SinkProbe<u64>) {
    let (sink, end) = probe_sink();
    let flow = Dataflow::new("stuck");
    let numbers = flow.source("in", source::from_iter(0_u64..)).boundary();
    with(numbers).boundary().sink("out", end);
    (flow, sink)
}

#[tokio::test]
async fn k1_shutdown_cancels_up_and_completes_down_while_the_stream_waits() {
    for behind_boundary in [false, true] {
        let switch = KillSwitch::new("enough");
        let (probe, numbers) = probe_source::<u64>();
        let flow = Dataflow::new("waiting");
        let numbers = flow.source("in", numbers);
        let all = if behind_boundary {
            numbers.boundary().map(|n| n).kill_switch(&switch).chunks(2).boundary().collect()
        } else {
            numbers.map(|n| n).kill_switch(&switch).chunks(2).collect()
        };
        let job = flow.start_with(&small()).unwrap();
        for n in 0..3 {
            probe.send(n).await;
        }
        probe.asked().await;
        settle().await;
        switch.shutdown();
        let report = job.await.unwrap();
        // What was held behind the switch comes out as at any end.
        assert_eq!(report.take(all), Some(vec![vec![0, 1], vec![2]]));
        assert_eq!(report.outcome(), Outcome::Completed);
        assert!(probe.is_cancelled());
    }
}

#[tokio::test]
async fn k1_shutdown_acts_while_the_stream_waits_for_room() {
    let switch = KillSwitch::new("enough");
    let killed = switch.clone();
    let (flow, sink) = stuck(move |numbers| numbers.kill_switch(&killed).boxed());
    let job = flow.start_with(&small()).unwrap();
    settle().await;
    switch.shutdown();
    settle().await;
    let source = job.metrics().stages[0].clone();
    assert_eq!(source.finished, 1, "what is before it has ended");
    assert_eq!(job.state(), JobState::Running, "what had passed waits for room");
    sink.request(1000);
    let report = job.await.unwrap();
    let written = report.records_written();
    assert!((1..30).contains(&written), "{written}");
}

#[tokio::test]
async fn k1_abort_fails_the_job_in_the_operators_name_wherever_it_waits() {
    for blocked in [false, true] {
        let switch = KillSwitch::new("broken pipe");
        let killed = switch.clone();
        let (_probe, waiting) = probe_source::<u64>();
        let (flow, sink) = if blocked {
            stuck(move |numbers| numbers.kill_switch(&killed).named("switch").boxed())
        } else {
            let (sink, end) = probe_sink();
            let flow = Dataflow::new("waiting");
            let numbers = flow.source("in", waiting).kill_switch(&killed).named("switch");
            numbers.boundary().sink("out", end);
            (flow, sink)
        };
        let job = flow.start_with(&small()).unwrap();
        settle().await;
        switch.abort(std::io::Error::other("torn"));
        let error = job.await.unwrap_err();
        assert_eq!(error.operator_name(), Some("switch"), "{error}");
        assert_eq!(
            error.to_string(),
            "operator `switch` failed: kill switch `broken pipe` was thrown: torn"
        );
        let cause = error.cause().unwrap().downcast_ref::<KillSwitchAborted>().unwrap();
        assert!(cause.cause.is::<std::io::Error>());
        assert_eq!(error.report().unwrap().outcome(), Outcome::Failed);
        assert_eq!(sink.ended().await, SinkEnding::Dropped);
    }
}

#[tokio::test]
async fn k1_the_first_call_wins_and_later_ones_do_nothing() {
    let switch = KillSwitch::new("once");
    assert_eq!(switch.state(), SwitchState::On);
    let (probe, numbers) = probe_source::<u64>();
    let flow = Dataflow::new("first");
    let count = flow.source("in", numbers).kill_switch(&switch).count();
    let job = flow.start().unwrap();
    probe.asked().await;
    switch.shutdown();
    switch.abort("too late");
    switch.clone().shutdown();
    assert_eq!(switch.state(), SwitchState::Shutdown);
    assert_eq!(job.await.unwrap().take(count), Some(0));

    let switch = KillSwitch::new("other way round");
    let flow = Dataflow::new("aborted");
    flow.source("in", source::never::<u32>()).kill_switch(&switch).ignore();
    let job = flow.start().unwrap();
    switch.abort("first");
    switch.shutdown();
    assert!(job.await.unwrap_err().to_string().ends_with("first"));
}

#[tokio::test]
async fn k1_one_switch_ends_many_streams_of_many_jobs_and_those_that_come_later() {
    let switch = KillSwitch::new("shared");
    let build = || {
        let flow = Dataflow::new("shared");
        for name in ["a", "b"] {
            let numbers = flow.source(name, source::from_iter(0_u64..)).parallel(2);
            numbers.kill_switch(&switch).ignore();
        }
        flow
    };
    let (one, two) = (build(), build());
    let jobs = [one.start().unwrap(), one.start().unwrap(), two.start().unwrap()];
    settle().await;
    switch.shutdown();
    for job in jobs {
        assert_eq!(job.await.unwrap().outcome(), Outcome::Completed);
    }
    // Nobody had ended it, and yet it does not begin.
    assert_eq!(two.run().await.unwrap().records_written(), 0);
    let aborted = KillSwitch::new("aborted");
    aborted.abort("before");
    let flow = Dataflow::new("late");
    flow.source("in", source::once(1)).kill_switch(&aborted).named("switch").ignore();
    assert_eq!(flow.start().unwrap_err().operator_name(), Some("switch"));
    assert!(format!("{aborted:?}").contains("Aborted"));
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

/// What a `finally` has been told, and how often.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn hook(&self) -> impl FnOnce(Ending) + Clone + Send + 'static {
        let told = Arc::clone(&self.0);
        move |ending| {
            let text = match ending {
                Ending::Failed(error) => format!("Failed: {}", error.operator_name().unwrap()),
                other => format!("{other:?}"),
            };
            told.lock().unwrap().push(text);
        }
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn k4_finally_is_called_once_at_a_complete_end_behind_the_last_record() {
    let told = Told::default();
    let flow = Dataflow::new("complete");
    let seen = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&seen);
    let hook = told.hook();
    let numbers = flow.source("in", source::from_iter(0..9)).boundary();
    let counted = numbers.inspect(move |_| {
        counter.fetch_add(1, SeqCst);
    });
    let at_end = Arc::clone(&seen);
    counted
        .finally(move |ending| {
            assert_eq!(at_end.load(SeqCst) % 9, 0, "behind the last");
            hook(ending);
        })
        .ignore();
    flow.run().await.unwrap();
    assert_eq!(told.all(), ["Completed"]);
    // And in each run of a blueprint, drained ones too.
    flow.start().unwrap().drain(SOON).await.unwrap();
    assert_eq!(told.all().len(), 2);
}

#[tokio::test]
async fn k4_finally_hears_of_a_cancel() {
    for boundary in [false, true] {
        let told = Told::default();
        let flow = Dataflow::new("cancelled");
        let numbers = flow.source("in", source::from_iter(0_u64..)).finally(told.hook());
        if boundary {
            numbers.boundary().take(3).ignore();
        } else {
            numbers.take(3).ignore();
        }
        flow.run().await.unwrap();
        assert_eq!(told.all(), ["Cancelled"], "boundary: {boundary}");
    }
}

#[tokio::test]
async fn k4_finally_hears_of_failures_and_panics_wherever_they_are() {
    for place in ["before", "same stage", "behind", "elsewhere"] {
        for panics in [false, true] {
            let told = Told::default();
            let flow = Dataflow::new("failing");
            let fails = |here: &'static str| {
                move |n: &u64| -> Result<u64, OperatorError> {
                    if here == place && *n == 5 {
                        assert!(!panics, "panicked");
                        return Err(OperatorError::new("failed"));
                    }
                    Ok(*n)
                }
            };
            let fail = OnError::fail;
            let numbers = flow.source("in", source::from_iter(0_u64..));
            let numbers = numbers.try_map(fail(), fails("before")).named("before").boundary();
            let numbers = numbers.try_map(fail(), fails("same stage")).named("same stage");
            let numbers = numbers.finally(told.hook()).boundary();
            numbers.try_map(fail(), fails("behind")).named("behind").ignore();
            let others = flow.source("others", source::from_iter(0_u64..));
            others.try_map(fail(), fails("elsewhere")).named("elsewhere").ignore();
            let error = flow.run_with(small()).await.unwrap_err();
            assert_eq!(error.operator_name(), Some(place));
            assert_eq!(told.all(), [format!("Failed: {place}")], "panics: {panics}");
        }
    }
}

#[tokio::test]
async fn k4_finally_hears_of_an_abort_a_dropped_handle_and_a_deadline() {
    for way in ["abort", "drop", "deadline"] {
        let told = Told::default();
        let hook = told.hook();
        let clock = VirtualClock::new();
        let (flow, _sink) = stuck(move |numbers| numbers.finally(hook).boxed());
        let job = flow.start_with(&small().with_clock(clock.clock())).unwrap();
        settle().await;
        assert!(told.all().is_empty());
        match way {
            "abort" => {
                job.abort();
                job.await.unwrap_err();
            }
            "deadline" => {
                job.request_drain(SOON);
                clock.advance(SOON);
                job.await.unwrap_err();
            }
            _ => {
                drop(job);
                settle().await;
            }
        }
        assert_eq!(told.all(), ["Aborted"], "{way}");
    }
}

#[test]
fn k4_finally_is_called_when_the_whole_runtime_goes() {
    let told = Told::default();
    let hook = told.hook();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let job = runtime.block_on(async move {
        let (flow, _sink) = stuck(move |numbers| numbers.finally(hook).boxed());
        let job = flow.start_with(&small().with_publish_every(None)).unwrap();
        settle().await;
        job
    });
    runtime.shutdown_timeout(SOON);
    assert_eq!(told.all(), ["Aborted"]);
    drop(job);
    assert_eq!(told.all().len(), 1);
}

#[tokio::test]
async fn k4_finally_is_called_when_the_job_can_not_be_started() {
    let told = Told::default();
    let flow = Dataflow::new("unmade");
    flow.source("in", source::from_iter(0..9_u64)).finally(told.hook()).ignore();
    let make = |_| -> Result<ProbedSink<u64>, OperatorError> { Err(OperatorError::new("unmade")) };
    flow.source("other", source::from_iter(0..9_u64)).sink("out", SinkWith(make));
    flow.start().unwrap_err();
    assert_eq!(told.all(), ["Aborted"]);
}

#[tokio::test]
async fn k4_a_run_that_is_dropped_at_any_await_leaves_nothing_behind() {
    let mut polls = 0;
    loop {
        let told = Told::default();
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let mut finished = false;
        {
            let flow = Dataflow::new("bombed");
            let numbers = flow.source("in", source::from_iter(0..200_u64)).boundary();
            let numbers = numbers.inspect(move |_| drop(Arc::clone(&held))).finally(told.hook());
            let sum = numbers.parallel(2).map(|n| n + 1).gather().fold(0, |sum, n| *sum += n);
            let mut run = Box::pin(flow.run_with(small()));
            for _ in 0..polls {
                if let Poll::Ready(report) = futures_util::poll!(&mut run) {
                    assert_eq!(report.unwrap().take(sum), Some(20_100));
                    finished = true;
                    break;
                }
                // Lets the tasks of the job go a step further.
                tokio::task::yield_now().await;
            }
        }
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(Arc::strong_count(&alive), 1, "after {polls} polls");
        assert_eq!(told.all().len(), usize::from(polls > 0), "after {polls} polls");
        if finished {
            assert_eq!(told.all(), ["Completed"]);
            break;
        }
        polls += 1;
        assert!(polls < 5000, "it never came to its end");
    }
    assert!(polls > 3, "it was dropped in between: {polls}");
}

#[tokio::test]
async fn k5_a_blueprint_is_a_value_that_is_run_as_often_as_one_likes_even_at_once() {
    let made = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&made);
    let state = move || {
        counter.fetch_add(1, SeqCst);
        0_u64
    };
    let flow = Dataflow::new("reused");
    let sum = |sum: &mut u64, n: u64| {
        *sum += n;
        *sum
    };
    let numbers = flow.source("in", source::from_iter(0..100_u64));
    let sums = numbers.stateful_map(state, sum, |_| None::<u64>).last();
    assert_eq!(made.load(SeqCst), 0, "lazily, when it is run");
    let jobs: Vec<_> = (0..4).map(|_| flow.clone().start().unwrap()).collect();
    for job in jobs {
        assert_eq!(job.await.unwrap().take(sums), Some(Some(4950)));
    }
    assert_eq!(made.load(SeqCst), 4, "once for each run");
    assert_eq!(flow.run().await.unwrap().take(sums), Some(Some(4950)));
}

/// The handles of a graph: what it is fed, ended and read by, each with its type.
struct Handles {
    clicks: QueueHandle<&'static str>,
    stop: KillSwitch,
    total: Output<u64>,
    last: Output<Option<String>>,
}

fn graph() -> (Dataflow, Handles) {
    let flow = Dataflow::new("clicks");
    let (clicks, queue) = source::queue(8);
    let stop = KillSwitch::new("stop");
    let stream = flow.source("clicks", queue).kill_switch(&stop);
    let [count, text] = stream.broadcast();
    let total = count.count();
    let last = text.map(str::to_owned).last();
    (flow, Handles { clicks, stop, total, last })
}

#[tokio::test]
async fn k6_a_graph_gives_a_typed_struct_of_handles() {
    let (flow, handles) = graph();
    let job = flow.start().unwrap();
    for click in ["a", "b"] {
        assert!(handles.clicks.offer(click).is_accepted());
    }
    while written(&job) < 4 {
        tokio::task::yield_now().await;
    }
    handles.stop.shutdown();
    let report = job.await.unwrap();
    assert_eq!(report.take(handles.total), Some(2));
    assert_eq!(report.take(handles.last), Some(Some("b".to_owned())));
    assert_eq!(handles.clicks.offer("late"), Offer::Closed("late"));
}
