//! Attempts, limits on time, blocking work, and limits that adapt.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use millstream_engine::ErrorKind;
use millstream_engine::time::Clock;
use millstream_operators::concurrent::TimedOut;
use millstream_operators::prelude::*;

use super::{Gauge, Inside, sleep};

#[tokio::test(start_paused = true)]
async fn c7_a_retry_that_times_out_ends_with_the_original_in_the_dead_letters() {
    let clock = Clock::system();
    let started = clock.now();
    let tries = Arc::new(AtomicUsize::new(0));
    let flow = Dataflow::new("times out");
    let (dead, letters) = flow.dead_letters("given up");
    let backoff = Backoff::default().with_initial(Duration::from_millis(30)).with_jitter(0.0);
    let backoff = backoff.with_factor(1.0).with_attempts(100);
    let policy = CallPolicy::new(OnError::retry(backoff).or_dead_letter(&dead))
        .with_timeout(Duration::from_millis(100));
    let call = {
        let tries = Arc::clone(&tries);
        move |_: &'static str| {
            tries.fetch_add(1, SeqCst);
            std::future::ready(Err::<u32, _>(std::io::Error::other("refused")))
        }
    };
    let words = flow.source("words", source::from_iter(["original"]));
    words.try_map_async(4, policy, call).ignore();
    let letters = letters.collect();
    let report = flow.run().await.unwrap();
    let letters = report.take(letters).unwrap();
    assert_eq!((letters.len(), letters[0].original, letters[0].attempts), (1, "original", 4));
    assert!(letters[0].error.is::<TimedOut>(), "{}", letters[0].error);
    assert_eq!(tries.load(SeqCst), 4, "at 0, 30, 60 and 90 ms, and none behind the limit");
    assert_eq!(clock.now().saturating_since(started), Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn c7_an_attempt_that_takes_too_long_is_dropped_and_made_again() {
    let clock = Clock::system();
    let (gauge, flow) = (Gauge::default(), Dataflow::new("slow attempt"));
    let backoff = Backoff::default().with_initial(Duration::from_millis(1)).with_attempts(3);
    let policy =
        CallPolicy::new(OnError::retry(backoff)).with_attempt_timeout(Duration::from_millis(20));
    let call = {
        let (gauge, clock) = (gauge.clone(), clock.clone());
        move |n: u64| {
            let (inside, pause) = (gauge.enter(), sleep(&clock, 5));
            let first = gauge.entered() == 1;
            async move {
                if first {
                    pending::<()>().await;
                }
                pause.await;
                drop(inside);
                Ok::<_, std::io::Error>(n)
            }
        }
    };
    let numbers = flow.source("numbers", source::from_iter([7]));
    let all = numbers.try_map_async(1, policy, call).collect();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(all), Some(vec![7]));
    assert_eq!((gauge.entered(), gauge.most()), (2, 1), "the first is gone before the second");
    let calls = report.metrics().operators.iter().find(|one| one.name == "calls").unwrap();
    assert_eq!((calls.retries, calls.errors), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn c7_the_predicate_says_which_errors_are_worth_another_attempt() {
    let flow = Dataflow::new("predicate");
    let tries = Arc::new(AtomicUsize::new(0));
    let call = {
        let tries = Arc::clone(&tries);
        move |n: u32| {
            tries.fetch_add(1, SeqCst);
            let kind = if n == 0 {
                std::io::ErrorKind::InvalidInput
            } else {
                std::io::ErrorKind::TimedOut
            };
            std::future::ready(Err::<u32, _>(std::io::Error::from(kind)))
        }
    };
    let transient = |error: &OperatorError| error.to_string() != "invalid input parameter";
    let policy = OnError::retry(Backoff::default().with_attempts(3)).only_if(transient).or_skip();
    let numbers = flow.source("numbers", source::from_iter([0, 1]));
    numbers.try_map_async(2, policy, call).ignore();
    let report = flow.run().await.unwrap();
    assert_eq!(tries.load(SeqCst), 1 + 3);
    let settled = report.metrics().operators.iter().find(|one| one.name == "try_map_async");
    assert_eq!(settled.unwrap().skipped, 2);
}

#[tokio::test(start_paused = true)]
async fn c7_a_call_that_never_answers_fails_the_job_in_time() {
    let flow = Dataflow::new("never");
    let policy = CallPolicy::new(OnError::fail()).with_timeout(Duration::from_secs(3));
    let numbers = flow.source("numbers", source::from_iter(0..9_u32));
    numbers.try_map_async(2, policy, |_| pending::<Result<u32, std::io::Error>>()).ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("try_map_async"));
    assert_eq!(error.cause().unwrap().downcast_ref(), Some(&TimedOut(Duration::from_secs(3))));
}

#[tokio::test]
async fn c8_blocking_work_leaves_the_async_workers_alone() {
    let flow = Dataflow::new("blocking");
    let here = std::thread::current().id();
    let numbers = flow.source("numbers", source::from_iter(0..20_u64));
    let on = numbers.map_blocking(3, move |n| (n, std::thread::current().id() != here)).collect();
    let on = flow.run().await.unwrap().take(on).unwrap();
    assert_eq!(on, (0..20).map(|n| (n, true)).collect::<Vec<_>>());
}

#[tokio::test]
async fn c8_a_panic_on_another_thread_names_the_operator() {
    let flow = Dataflow::new("blown");
    let numbers = flow.source("numbers", source::from_iter(0..20_u64));
    numbers.map_blocking(3, |n| assert!(n < 5, "too many")).named("count").ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Panic("too many".to_owned()));
    assert_eq!(error.operator_name(), Some("count"));
}

#[tokio::test(start_paused = true)]
async fn c11_concurrency_follows_what_the_service_bears() {
    let (clock, gauge) = (Clock::system(), Gauge::default());
    let flow = Dataflow::new("adaptive");
    let call = {
        let gauge = gauge.clone();
        move |n: u64| {
            let (inside, clock) = (gauge.enter(), clock.clone());
            async move {
                // Ten are served at once, in 10 ms; more of them wait for one another.
                let crowd = (gauge_now(&inside) as u64).div_ceil(10);
                sleep(&clock, 10 * crowd).await;
                drop(inside);
                n
            }
        }
    };
    let numbers = flow.source("numbers", source::from_iter(0..3000_u64));
    numbers.map_async_unordered(Concurrency::adaptive(1, 200), call).ignore();
    flow.run().await.unwrap();
    assert!((8..=40).contains(&gauge.most()), "{}", gauge.most());
}

fn gauge_now(inside: &Inside) -> usize {
    inside.0.now()
}

#[tokio::test(start_paused = true)]
async fn c15_each_step_begins_with_what_the_one_before_left() {
    for run in 0..2 {
        let (clock, flow) = (Clock::system(), Dataflow::new("scan"));
        let numbers = flow.source("numbers", source::from_iter(1..=20_u64));
        let step = move |sum: u64, n: u64| {
            let pause = sleep(&clock, n % 3);
            async move {
                pause.await;
                (sum + n, sum + n)
            }
        };
        let sums = numbers.scan_async(0, step).collect();
        let expected = (1..=20).scan(0, |sum, n| {
            *sum += n;
            Some(*sum)
        });
        let sums = flow.run().await.unwrap().take(sums);
        assert_eq!(sums, Some(expected.collect()), "run {run}");
    }
}
