//! Resources, repetitions, futures, pages, and sinks that do as little.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use millstream_engine::ErrorKind;
use millstream_engine::source::{AlreadyRead, SourceFactory as _, SourceStatus};
use millstream_engine::testing::probe_sink;
use millstream_operators::prelude::*;
use source::{Page, UnfoldResource};

use crate::{MINUTE, now, settle, small_batches};

/// Counts what is opened and closed.
#[derive(Clone, Default)]
struct Doors {
    opened: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Doors {
    fn seen(&self) -> (usize, usize) {
        (self.opened.load(SeqCst), self.closed.load(SeqCst))
    }

    #[expect(clippy::type_complexity, reason = "closures have no names")]
    fn source(
        &self,
        read: impl FnMut(&mut u32) -> Result<Option<u32>, OperatorError> + Clone + Send + 'static,
    ) -> UnfoldResource<
        impl Fn() -> Result<u32, OperatorError> + Clone + Send + 'static,
        impl FnMut(&mut u32) -> Result<Option<u32>, OperatorError> + Clone + Send + 'static,
        impl Fn(u32) -> Result<(), OperatorError> + Clone + Send + 'static,
    > {
        let (opened, closed) = (Arc::clone(&self.opened), Arc::clone(&self.closed));
        let open = move || {
            opened.fetch_add(1, SeqCst);
            Ok(0)
        };
        let close = move |_| {
            closed.fetch_add(1, SeqCst);
            Ok(())
        };
        source::unfold_resource(open, read, close)
    }
}

fn count_to(end: u32) -> impl FnMut(&mut u32) -> Result<Option<u32>, OperatorError> + Clone {
    move |state| {
        *state += 1;
        Ok((*state <= end).then_some(*state))
    }
}

#[tokio::test]
async fn a9_a_resource_is_closed_once_however_the_run_ends() {
    let doors = Doors::default();
    let flow = Dataflow::new("to the end");
    let all = flow.source("resource", doors.source(count_to(5))).collect();
    for run in 1..3 {
        assert_eq!(flow.run().await.unwrap().take(all), Some(vec![1, 2, 3, 4, 5]));
        assert_eq!(doors.seen(), (run, run), "each run opens it anew");
    }

    let doors = Doors::default();
    let flow = Dataflow::new("enough");
    flow.source("resource", doors.source(count_to(u32::MAX))).take(3).ignore();
    flow.run_with(small_batches()).await.unwrap();
    assert_eq!(doors.seen(), (1, 1));

    let doors = Doors::default();
    let flow = Dataflow::new("failure elsewhere");
    let numbers = flow.source("resource", doors.source(count_to(u32::MAX)));
    numbers.try_for_each(|n| if n < 9 { Ok(()) } else { Err(std::fmt::Error) });
    flow.run().await.unwrap_err();
    assert_eq!(doors.seen(), (1, 1));

    for panics in [false, true] {
        let doors = Doors::default();
        let flow = Dataflow::new("failure here");
        let read = move |state: &mut u32| {
            *state += 1;
            assert!(!panics || *state < 3, "the resource is broken");
            if *state < 3 { Ok(Some(*state)) } else { Err(OperatorError::new("broken")) }
        };
        flow.source("resource", doors.source(read)).ignore();
        let error = flow.run().await.unwrap_err();
        assert_eq!(error.operator_name(), Some("resource"));
        assert_eq!(matches!(error.kind(), ErrorKind::Panic(_)), panics);
        assert_eq!(doors.seen(), (1, 1));
    }

    for drains in [false, true] {
        let doors = Doors::default();
        let flow = Dataflow::new("stopped");
        let (_probe, sink) = probe_sink();
        flow.source("resource", doors.source(count_to(u32::MAX))).take(1000).sink("probe", sink);
        let job = flow.start_with(&small_batches()).unwrap();
        settle().await;
        assert_eq!(doors.seen(), (1, 0));
        if drains {
            let draining = job.drain(MINUTE);
            _probe.request(usize::MAX);
            draining.await.unwrap();
        } else {
            job.abort();
            job.await.unwrap_err();
        }
        assert_eq!(doors.seen(), (1, 1));
    }
}

#[tokio::test]
async fn a9_an_error_of_closing_fails_the_job_at_the_end_only() {
    let close = |_| Err(OperatorError::new("the door is stuck"));
    let flow = Dataflow::new("stuck");
    flow.source("resource", source::unfold_resource(|| Ok(0), count_to(3), close)).ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.cause().unwrap().to_string(), "the door is stuck");
    let flow = Dataflow::new("not the end");
    let endless = source::unfold_resource(|| Ok(0), count_to(u32::MAX), close);
    flow.source("resource", endless).take(1).ignore();
    flow.run().await.unwrap();

    let doors = Doors::default();
    let never =
        source::unfold_resource(|| Err::<u32, _>(OperatorError::new("locked")), count_to(1), {
            let closed = doors.closed.clone();
            move |_| {
                closed.fetch_add(1, SeqCst);
                Ok(())
            }
        });
    let flow = Dataflow::new("locked");
    flow.source("resource", never).ignore();
    assert_eq!(flow.run().await.unwrap_err().cause().unwrap().to_string(), "locked");
    assert_eq!(doors.seen(), (0, 0), "what was not opened is not closed");
}

#[tokio::test]
async fn a11_repeat_and_cycle_have_no_end_and_let_others_run() {
    // On one thread, so that the others only get on if the endless ones let them.
    let flow = Dataflow::new("endless");
    flow.source("repeat", source::repeat(())).ignore();
    flow.source("cycle", source::cycle([1, 2])).ignore();
    let endless = flow.start().unwrap();
    settle().await;
    let flow = Dataflow::new("finite");
    let cycle = flow.source("cycle", source::cycle([1, 2, 3])).take(7).collect();
    let repeat = flow.source("repeat", source::repeat(9)).take(3).collect();
    let none = flow.source("none", source::cycle(Vec::<u32>::new())).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(cycle), Some(vec![1, 2, 3, 1, 2, 3, 1]));
    assert_eq!(report.take(repeat), Some(vec![9, 9, 9]));
    assert_eq!(report.take(none), Some(vec![]), "an empty one ends at once");
    endless.drain(MINUTE).await.unwrap();
}

#[tokio::test]
async fn a12_a_future_is_polled_on_demand_and_its_value_is_all() {
    let polled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&polled);
    let answer = source::from_future(async move {
        counter.fetch_add(1, SeqCst);
        tokio::task::yield_now().await;
        "42".parse::<u32>()
    });
    let flow = Dataflow::new("answer");
    let first = flow.source("first", source::from_iter([1]));
    let all = first.concat(flow.source("answer", answer)).collect();
    assert_eq!(polled.load(SeqCst), 0);
    assert_eq!(flow.run().await.unwrap().take(all), Some(vec![1, 42]));
    let error = flow.run().await.unwrap_err();
    assert!(error.cause().unwrap().is::<AlreadyRead>());

    let flow = Dataflow::new("wrong answer");
    flow.source("answer", source::from_future(async { "x".parse::<u32>() })).ignore();
    assert_eq!(flow.run().await.unwrap_err().operator_name(), Some("answer"));
}

#[tokio::test]
async fn a12_a_lazy_source_is_made_on_the_first_demand() {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    let late = source::lazy(move || {
        counter.fetch_add(1, SeqCst);
        Ok(source::from_iter([2, 3]))
    });
    let (handle, first) = source::queue(1);
    let flow = Dataflow::new("late");
    let both = flow.source("first", first).concat(flow.source("late", late)).collect();
    let job = flow.start().unwrap();
    settle().await;
    assert_eq!(made.load(SeqCst), 0, "its turn has not come");
    assert!(handle.offer(1).is_accepted());
    handle.close();
    assert_eq!(job.await.unwrap().take(both), Some(vec![1, 2, 3]));
    assert_eq!(made.load(SeqCst), 1);

    let flow = Dataflow::new("broken");
    let broken = source::lazy(|| Err::<source::Never<u32>, _>(OperatorError::new("no route")));
    flow.source("late", broken).ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("late"));
}

#[tokio::test]
async fn a12_maybe_stays_open_until_it_is_completed() {
    for value in [None, Some(7)] {
        let (handle, source) = source::maybe();
        let flow = Dataflow::new("maybe");
        let all = flow.source("maybe", source).collect();
        let mut job = flow.start().unwrap();
        settle().await;
        assert!(futures_util::poll!(&mut job).is_pending());
        assert_eq!(handle.complete(value), Ok(()));
        assert_eq!(job.await.unwrap().take(all), Some(value.into_iter().collect()));
    }
    let (handle, source) = source::maybe::<u32>();
    let flow = Dataflow::new("dropped");
    let all = flow.source("maybe", source).collect();
    drop(handle);
    assert_eq!(flow.run().await.unwrap().take(all), Some(vec![]));

    let (handle, source) = source::maybe();
    let flow = Dataflow::new("drained");
    flow.source("maybe", source).ignore();
    let job = flow.start().unwrap();
    settle().await;
    job.drain(MINUTE).await.unwrap();
    assert_eq!(handle.complete(Some(1)), Err(Some(1)));
}

#[tokio::test]
async fn a14_the_next_page_is_fetched_when_the_one_before_was_taken() {
    let fetched = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&fetched);
    let pages = source::paginate(0, move |page: u32| {
        seen.lock().unwrap().push(page);
        async move {
            tokio::task::yield_now().await;
            let items = (page * 10..page * 10 + page).collect();
            Ok(Page { items, next: (page < 4).then_some(page + 1) })
        }
    });
    let mut source = pages.create(0).unwrap();
    let mut read = Vec::new();
    loop {
        // A wait is given up each time, and its page is not lost.
        let Some((items, status)) = now(&mut source, 2) else {
            continue;
        };
        let last = items.last().map(|item| item / 10);
        read.extend(items);
        if let Some(page) = last {
            assert_eq!(fetched.lock().unwrap().last(), Some(&page), "none is fetched ahead");
        }
        if status == SourceStatus::End {
            break;
        }
    }
    assert_eq!(read, [10, 20, 21, 30, 31, 32, 40, 41, 42, 43]);
    assert_eq!(*fetched.lock().unwrap(), [0, 1, 2, 3, 4]);

    let flow = Dataflow::new("broken");
    let pages = source::paginate(0, |page: u32| async move {
        if page == 2 {
            return Err(OperatorError::new("gone"));
        }
        Ok(Page { items: vec![page], next: Some(page + 1) })
    });
    flow.source("pages", pages).ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.cause().unwrap().to_string(), "gone");
    assert_eq!(error.report().unwrap().records_read(), 2);
}

#[tokio::test]
async fn n12_never_takes_nothing_and_everything_before_it_waits() {
    let pulled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&pulled);
    let flow = Dataflow::new("stuck");
    let numbers = flow.source("numbers", source::from_iter(0..));
    let numbers = numbers.inspect(move |_: &u32| {
        counter.fetch_add(1, SeqCst);
    });
    numbers.sink("stuck", sink::never());
    let job = flow.start_with(&small_batches()).unwrap();
    settle().await;
    assert!((1..8).contains(&pulled.load(SeqCst)), "{}", pulled.load(SeqCst));
    job.abort();
    let error = job.await.unwrap_err();
    assert_eq!(error.report().unwrap().records_written(), 0);
}

#[tokio::test]
async fn n12_cancelled_takes_nothing_and_ends_its_input() {
    let flow = Dataflow::new("nothing");
    flow.source("numbers", source::from_iter(0..)).cancelled();
    let report = flow.run().await.unwrap();
    assert_eq!((report.records_read(), report.records_written()), (0, 0));
    let (probe, source) = millstream_engine::testing::probe_source::<u32>();
    let flow = Dataflow::new("behind an edge");
    flow.source("numbers", source).boundary().cancelled();
    flow.run().await.unwrap();
    assert!(probe.is_cancelled());
}

#[tokio::test]
async fn n12_a_lazy_sink_is_made_when_a_record_comes() {
    let made = Arc::new(AtomicUsize::new(0));
    let (probe, sink) = probe_sink();
    let sink = Arc::new(Mutex::new(Some(sink)));
    let counter = Arc::clone(&made);
    let lazy = sink::lazy(move || {
        counter.fetch_add(1, SeqCst);
        Ok(sink.lock().unwrap().take().unwrap())
    });
    let flow = Dataflow::new("late");
    let (handle, numbers) = source::queue(4);
    flow.source("numbers", numbers).sink("late", lazy.clone());
    let job = flow.start().unwrap();
    settle().await;
    assert_eq!(made.load(SeqCst), 0);
    assert!(handle.offer(1).is_accepted() && handle.offer(2).is_accepted());
    handle.close();
    probe.expect([1, 2]).await;
    probe.expect_end().await;
    job.await.unwrap();
    assert_eq!(made.load(SeqCst), 1);
    let flow = Dataflow::new("empty");
    flow.source("numbers", source::empty()).sink("late", lazy);
    flow.run().await.unwrap();
    assert_eq!(made.load(SeqCst), 1, "nothing came, and nothing was made");
}
