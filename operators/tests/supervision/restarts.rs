//! Streams that begin anew, or go over to others, when they fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use millstream_engine::Error;
use millstream_engine::runtime::Outcome;
use millstream_engine::testing::probe_source;
use millstream_operators::prelude::*;

use super::*;

#[tokio::test(start_paused = true)]
async fn j3_retry_stream_begins_a_new_source_for_each_attempt() {
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    let numbers = source::retry_stream(quick(5), move |flow| {
        let attempt = counter.fetch_add(1, SeqCst);
        let numbers = flow.source("feed", source::from_iter(0..3_u32));
        let tears = move |n: &u32| if attempt < 2 && *n == 2 { None } else { Some(*n) };
        numbers.boundary().try_map(OnError::fail(), move |n| tears(n).ok_or(std::fmt::Error))
    });
    let flow = Dataflow::new("stubborn");
    let all = flow.source("numbers", numbers).collect();
    let report = flow.run_with(small()).await.unwrap();
    let all = report.take(all).unwrap();
    assert!(all.ends_with(&[0, 1, 2]), "{all:?}");
    assert_eq!(all.iter().filter(|n| **n == 2).count(), 1);
    assert_eq!(attempts.load(SeqCst), 3);
    let counts = operator(&report, "numbers");
    assert_eq!((counts.errors, counts.retries), (2, 2));
    assert!(report.elapsed() >= Duration::from_millis(20));
}

#[tokio::test(start_paused = true)]
async fn j3_when_the_attempts_run_out_the_last_error_fails_the_job() {
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    let numbers = source::retry_stream(quick(3), move |flow| {
        counter.fetch_add(1, SeqCst);
        flow.source("feed", torn("torn"))
    });
    let flow = Dataflow::new("hopeless");
    flow.source("numbers", numbers).ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("numbers"));
    assert_eq!(error.cause().unwrap().to_string(), "operator `feed` failed: torn");
    assert_eq!(attempts.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn j3_a_panic_is_retried_and_a_mistake_in_the_graph_is_not() {
    let first = Arc::new(AtomicBool::new(true));
    let numbers = source::retry_stream(quick(3), move |flow| {
        let slips = first.swap(false, SeqCst);
        flow.source("feed", source::once(1)).inspect(move |_| assert!(!slips, "slipped"))
    });
    let flow = Dataflow::new("panic");
    let all = flow.source("numbers", numbers).collect();
    assert_eq!(flow.run().await.unwrap().take(all), Some(vec![1]));

    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    let wrong = source::retry_stream(quick(3), move |flow| {
        counter.fetch_add(1, SeqCst);
        let twice = |n| flow.source("same name", source::once(n));
        twice(1).merge(twice(2))
    });
    let flow = Dataflow::new("wrong");
    flow.source("numbers", wrong).ignore();
    assert!(flow.run().await.unwrap_err().to_string().contains("same name"));
    assert_eq!(attempts.load(SeqCst), 1);
}

#[tokio::test]
async fn j3_a_drain_brings_out_what_the_stream_had_read() {
    let (probe, feed) = probe_source::<u32>();
    let feed = Arc::new(std::sync::Mutex::new(Some(feed)));
    let numbers = source::retry_stream(quick(3), move |flow| {
        flow.source("feed", feed.lock().unwrap().take().unwrap()).boundary()
    });
    let flow = Dataflow::new("drained");
    let all = flow.source("numbers", numbers).collect();
    let job = flow.start().unwrap();
    probe.send(7).await;
    probe.asked().await;
    let report = job.drain(Duration::from_secs(60)).await.unwrap();
    assert_eq!(report.outcome(), Outcome::Drained);
    assert_eq!(report.take(all), Some(vec![7]));
    assert!(probe.is_cancelled());
}

#[tokio::test]
async fn j3_recover_with_goes_over_to_another_stream() {
    let numbers = source::recover_with(
        |flow| {
            let numbers = flow.source("main", source::from_iter(0..9_u32));
            numbers.try_map(OnError::fail(), |n| (*n < 3).then_some(*n).ok_or(std::fmt::Error))
        },
        |flow, error| {
            assert_eq!(error.operator_name(), Some("try_map"));
            Some(flow.source("spare", source::from_iter(100..103)))
        },
    );
    let flow = Dataflow::new("spare");
    let all = flow.source("numbers", numbers).collect();
    let report = flow.run_with(JobOptions::default().with_batch_records(1)).await.unwrap();
    let all = report.take(all).unwrap();
    assert!(all.ends_with(&[100, 101, 102]), "{all:?}");
    let before = &all[..all.len() - 3];
    // The failure may overtake what the first stream still had on its way.
    assert!([0, 1, 2].starts_with(before), "{all:?}");
}

#[tokio::test]
async fn j3_recover_with_may_decline_and_may_fail_itself() {
    let first = |flow: &Dataflow| flow.source("torn", torn("torn"));
    let declined = source::recover_with(first, |_, _| None::<DataStream<u32>>);
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let failing = source::recover_with(first, move |flow, _| {
        counter.fetch_add(1, SeqCst);
        Some(flow.source("worse", torn("worse")))
    });
    let flow = Dataflow::new("declined");
    flow.source("numbers", declined).ignore();
    assert!(flow.run().await.unwrap_err().to_string().ends_with("operator `torn` failed: torn"));
    let flow = Dataflow::new("failing");
    flow.source("numbers", failing.with_attempts(3)).ignore();
    assert!(flow.run().await.unwrap_err().to_string().ends_with("`worse` failed: worse"));
    assert_eq!(asked.load(SeqCst), 3);
}

#[tokio::test]
async fn j10_recover_ends_in_one_last_value() {
    let part = |flow: &Dataflow| {
        let numbers = flow.source("in", source::from_iter(0..9_u32));
        numbers.try_map(OnError::fail(), |n| (*n < 3).then_some(*n).ok_or(std::fmt::Error))
    };
    let flow = Dataflow::new("recovered");
    let last = |error: &Error| error.cause().map(|_| 77);
    let all = flow.source("numbers", source::recover(part, last)).collect();
    let declined = source::recover(part, |_| None);
    let ended = source::on_error_complete(part, |_| true);
    let kept = source::on_error_complete(part, |_| false);
    let ended = flow.source("ended", ended).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(all).unwrap().last(), Some(&77));
    assert!([0, 1, 2].starts_with(&report.take(ended).unwrap()));
    let (declining, keeping) = (Dataflow::new("declined"), Dataflow::new("kept"));
    declining.source("numbers", declined).ignore();
    keeping.source("numbers", kept).ignore();
    for failing in [declining, keeping] {
        let error = failing.run().await.unwrap_err();
        assert_eq!(error.operator_name(), Some("numbers"), "{error}");
    }
}

#[tokio::test]
async fn j10_map_err_changes_the_error_of_one_operator() {
    let run = |word: &'static str| async move {
        let flow = Dataflow::new("mapped");
        let words = flow.source("words", source::from_iter(["1", word]));
        let said = |text: &'static str| move |error| OperatorError::new(format!("{text}: {error}"));
        let numbers = words.try_map(OnError::fail(), parse).named("parse").map_err(said("bad"));
        let small = |n: &u32| if *n < 9 { Ok(*n) } else { Err(std::fmt::Error) };
        numbers.try_map(OnError::fail(), small).named("small").ignore();
        flow.run().await.unwrap_err()
    };
    let error = run("x").await;
    assert_eq!(error.operator_name(), Some("parse"));
    assert_eq!(error.cause().unwrap().to_string(), "bad: invalid digit found in string");
    let error = run("10").await;
    assert_eq!(error.operator_name(), Some("small"));
    assert!(error.cause().unwrap().is::<std::fmt::Error>(), "its scope is one operator");
}
