//! How a job fails, and what keeps it from failing: breakers, and a limit to poison.

use std::num::ParseIntError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use millstream_engine::runtime::start;
use millstream_engine::time::Clock;
use millstream_engine::{Error, ErrorKind};
use millstream_operators::prelude::*;
use millstream_operators::recovery::{CircuitBreaker, WhenOpen};

use super::*;

#[tokio::test(start_paused = true)]
async fn j7_an_open_breaker_holds_the_stream_back_until_it_lets_a_probe_through() {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let breaker = CircuitBreaker::after_failures(2).with_open_for(Duration::from_secs(10));
    let flow = Dataflow::new("guarded");
    let numbers = flow.source("in", source::from_iter(0..6_u32));
    let call = move |n: &u32| {
        counter.fetch_add(1, SeqCst);
        if (1..4).contains(n) { Err(std::fmt::Error) } else { Ok(*n) }
    };
    let policy = OnError::skip().guarded_by(&breaker, WhenOpen::Wait);
    let all = numbers.try_map(policy, call).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(all), Some(vec![0, 4, 5]));
    assert_eq!(calls.load(SeqCst), 6, "none was made in vain, and none was left out");
    // It opened after 2, and its probe, 3, opened it again.
    assert!(report.elapsed() >= Duration::from_secs(20), "{:?}", report.elapsed());
    assert_eq!(operator(&report, "try_map").retries, 0, "to wait is not to try");
}

#[tokio::test(start_paused = true)]
async fn j7_an_open_breaker_diverts_where_that_is_chosen() {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let breaker = CircuitBreaker::after_failures(2);
    let flow = Dataflow::new("diverted");
    let (dead, letters) = flow.dead_letters("given up");
    let numbers = flow.source("in", source::from_iter(0..6_u32));
    let call = move |_: &u32| {
        counter.fetch_add(1, SeqCst);
        Err::<u32, _>(std::fmt::Error)
    };
    let policy = OnError::dead_letter(&dead).guarded_by(&breaker, WhenOpen::Divert);
    numbers.try_map(policy, call).ignore();
    let letters = letters.map(|letter| (letter.original, letter.error.to_string())).collect();
    let report = flow.run().await.unwrap();
    let letters = report.take(letters).unwrap();
    assert_eq!(letters.len(), 6);
    assert!(letters[2..].iter().all(|letter| letter.1 == "the circuit breaker is open"));
    assert_eq!(calls.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn j8_a_value_is_tried_so_often_and_no_more_and_goes_to_the_dead_letters() {
    let tried = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&tried);
    let flow = Dataflow::new("poison");
    let (dead, letters) = flow.dead_letters("poison");
    let numbers = flow.source("in", source::from_iter(0..3_u32));
    let poison = move |n: &u32| {
        counter.fetch_add(u32::from(*n == 1), SeqCst);
        if *n == 1 { Err(std::fmt::Error) } else { Ok(*n) }
    };
    let policy = OnError::retry(Backoff::default().with_attempts(4)).or_dead_letter(&dead);
    let all = numbers.try_map(policy, poison).collect();
    let letters = letters.map(|letter| (letter.original, letter.attempts)).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(all), Some(vec![0, 2]));
    assert_eq!((tried.load(SeqCst), report.take(letters)), (4, Some(vec![(1, 4)])));
}

#[tokio::test]
async fn j8_too_many_poisonous_values_in_a_row_stop_the_job() {
    let run = |words: &'static [&'static str]| async move {
        let flow = Dataflow::new("in a row");
        let words = flow.source("words", source::from_iter(words.iter().copied()));
        words.try_map(OnError::skip().stop_after(3), parse).ignore();
        flow.run().await
    };
    let report = run(&["a", "b", "1", "c", "d", "2"]).await.unwrap();
    assert_eq!(operator(&report, "try_map").skipped, 4);
    let error = run(&["a", "1", "b", "c", "d"]).await.unwrap_err();
    assert!(error.cause().unwrap().is::<ParseIntError>());
    assert_eq!(operator(error.report().unwrap(), "try_map").skipped, 3, "a, b and c");
}

#[tokio::test]
async fn j1_the_first_error_wins_and_the_others_are_attached() {
    let flow = Dataflow::new("two");
    for name in ["first", "second", "third"] {
        flow.source(name, torn(name)).named(name).ignore();
    }
    let panics = |_: &u32| panic!("at the same time");
    flow.source("fourth", source::once(1)).inspect(panics).named("panic").ignore();
    let error = start(flow.blueprint(), &JobOptions::default()).unwrap().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("first"));
    let others: Vec<_> = error.others().iter().map(Error::operator_name).collect();
    assert_eq!(others, [Some("second"), Some("third"), Some("panic")]);
    assert!(matches!(error.others()[2].kind(), ErrorKind::Panic(why) if why == "at the same time"));
    let shown = format!("{error:?}");
    assert!(shown.contains("; then operator `second` failed: second; then"), "{shown}");
    assert!(!error.to_string().contains("second"), "its message is its own");
}

#[tokio::test]
async fn j1_a_bounded_number_of_others_is_kept() {
    let flow = Dataflow::new("many");
    for n in 0..20 {
        flow.source(&format!("source {n}"), torn("torn")).ignore();
    }
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.others().len(), 8);
}

#[tokio::test]
async fn j1_after_a_failure_nothing_of_the_job_is_left_running() {
    let alive = Arc::new(());
    let flow = Dataflow::new("half");
    for n in 0..3 {
        let held = Arc::clone(&alive);
        let numbers = flow.source(&format!("endless {n}"), source::from_iter(0_u32..)).boundary();
        numbers.inspect(move |_| drop(Arc::clone(&held))).ignore();
    }
    flow.source("torn", torn("torn")).ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("torn"));
    // The blueprint has its three, and no run has any.
    assert_eq!(Arc::strong_count(&alive), 4);
}

#[tokio::test(start_paused = true)]
async fn j7_a_breaker_guards_calls_in_flight_too() {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let call = move |n: u32| {
        let earlier = counter.fetch_add(1, SeqCst);
        async move { if earlier < 3 { Err(std::fmt::Error) } else { Ok(n) } }
    };
    let breaker = CircuitBreaker::after_failures(2).with_open_for(Duration::from_secs(10));
    let flow = Dataflow::new("waits");
    let numbers = flow.source("in", source::from_iter(0..6_u32));
    let policy = OnError::skip().guarded_by(&breaker, WhenOpen::Wait);
    let all = numbers.try_map_async(1, policy, call.clone()).collect();
    let report = flow.run().await.unwrap();
    // The third is the probe that fails, and opens it once more.
    assert_eq!(report.take(all), Some(vec![3, 4, 5]));
    assert_eq!(calls.load(SeqCst), 6);
    assert!(report.elapsed() >= Duration::from_secs(20), "{:?}", report.elapsed());

    calls.store(0, SeqCst);
    let breaker = CircuitBreaker::after_failures(2);
    let flow = Dataflow::new("diverts");
    let numbers = flow.source("in", source::from_iter(0..6_u32));
    let policy = OnError::skip().guarded_by(&breaker, WhenOpen::Divert);
    let none = numbers.try_map_async(1, policy, call).collect();
    assert_eq!(flow.run().await.unwrap().take(none), Some(vec![]));
    assert_eq!(calls.load(SeqCst), 2);
}

#[tokio::test]
async fn j8_the_limit_to_poison_holds_for_calls_in_flight_too() {
    let flow = Dataflow::new("in a row");
    let words = flow.source("words", source::from_iter(["a", "1", "b", "c", "d"]));
    let call = |word: &'static str| async move { parse(&word) };
    words.try_map_async(2, OnError::skip().stop_after(3), call).ignore();
    let error = flow.run().await.unwrap_err();
    assert!(error.cause().unwrap().is::<ParseIntError>(), "{error}");
}

#[tokio::test]
async fn j1_a_panic_in_one_job_leaves_the_others_alone() {
    let build = |panics: bool| {
        let flow = Dataflow::new("one of many");
        let numbers = flow.source("in", source::from_iter(0..5000_u32)).boundary();
        let count = numbers.inspect(move |n| assert!(!panics || *n < 100, "bad")).count();
        (flow, count)
    };
    let (good, count) = build(false);
    let (bad, _) = build(true);
    let jobs: Vec<_> = (0..4).map(|_| good.start_with(&small()).unwrap()).collect();
    let error = bad.run_with(small()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Panic(why) if why == "bad"), "{error}");
    for job in jobs {
        assert_eq!(job.await.unwrap().take(count), Some(5000));
    }
}

#[test]
#[should_panic(expected = "a group heeds no breaker")]
fn j7_a_breaker_that_nobody_would_ask_is_refused() {
    let policy = OnError::<u32>::skip();
    let policy = policy.guarded_by(&CircuitBreaker::after_failures(1), WhenOpen::Wait);
    let _batching = sink::Batching::new(8).on_error(policy);
}

/// Half of its probes are the other job's, and neither waits for ever.
#[tokio::test(start_paused = true)]
async fn j7_two_jobs_share_a_breaker_and_both_come_through() {
    let breaker = CircuitBreaker::after_failures(2).with_open_for(Duration::from_secs(5));
    let breaker = breaker.with_probes(2);
    let clock = Clock::system();
    let run = || {
        let flow = Dataflow::new("shared");
        let mut asked = 0;
        let flaky = move |_: &u32| {
            asked += 1;
            if asked < 4 { Err(std::fmt::Error) } else { Ok(asked) }
        };
        let policy = OnError::skip().guarded_by(&breaker, WhenOpen::Wait);
        let numbers = flow.source("in", source::from_iter(0..20_u32));
        let count = numbers.try_map(policy, flaky).count();
        let options = small().with_clock(clock.clone());
        async move { flow.run_with(options).await.unwrap().take(count) }
    };
    let both = async { tokio::join!(run(), run()) };
    let counts = within(Duration::from_secs(600), both).await;
    assert_eq!(counts, (Some(17), Some(17)));
}
