//! How a stream is told of its end, and what a blueprint keeps for the next run.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use millstream_engine::runtime::Output;
use millstream_engine::sink::SinkWith;
use millstream_engine::testing::ProbedSink;
use millstream_engine::time::VirtualClock;
use millstream_operators::control::{Ending, KillSwitch};
use millstream_operators::prelude::*;
use millstream_operators::source::{Offer, QueueHandle};

use super::*;

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
async fn k12_a_cancel_a_failure_and_an_abort_are_told_apart() {
    let told = Told::default();
    let flow = Dataflow::new("failed");
    flow.source("in", source::from_iter(0_u64..)).finally(told.hook()).ignore();
    let torn: source::Failed<u64, _> = source::failed(|| std::fmt::Error);
    flow.source("torn", torn).ignore();
    flow.run().await.unwrap_err();
    let job = flow.start().unwrap();
    job.abort();
    job.await.unwrap_err();
    assert_eq!(told.all(), ["Failed: torn", "Aborted"]);
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
    let [job] = runtime.block_on(async move {
        let (flow, _sink) = stuck(move |numbers| numbers.finally(hook).boxed());
        let job = flow.start_with(&small().with_publish_every(None)).unwrap();
        settle().await;
        [job]
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
