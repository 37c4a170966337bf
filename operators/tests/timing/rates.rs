//! Rates: one word's own, and one that is shared.

use std::collections::BTreeMap;

use millstream_engine::metrics::DropReason;
use millstream_operators::timing::{Rate, RateExceeded, RateLimiter, Switch};

use super::*;

#[tokio::test]
async fn d1_throttle_waits_and_drops_nothing() {
    let hand = Hand::new();
    let flow = Dataflow::new("throttled");
    let numbers = flow.source("numbers", source::from_iter(0..6_u32));
    let arrivals = Arrivals::new(hand.clock.clock());
    numbers.throttle(Rate::per_second(10).with_burst(2)).sink("arrivals", arrivals.clone());
    let job = flow.start_with(&hand.options()).unwrap();
    let mut steps = 0;
    while is_running(&job) {
        hand.advance(MILLI * 50).await;
        steps += 1;
        assert!(steps < 20, "the last one is due after 400 ms");
    }
    job.await.unwrap();
    let millis: Vec<_> = arrivals.take().iter().map(|(at, n)| (at.as_millis(), *n)).collect();
    assert_eq!(millis, [(0, 0), (0, 1), (100, 2), (200, 3), (300, 4), (400, 5)]);
}

#[tokio::test]
async fn d1_throttle_is_not_slowed_down_by_late_timers() {
    let hand = Hand::new();
    let flow = Dataflow::new("late timers");
    let numbers = flow.source("numbers", source::from_iter(0..10_000_u32));
    let arrivals = Arrivals::new(hand.clock.clock());
    numbers.throttle(Rate::new(7, MILLI)).sink("arrivals", arrivals.clone());
    let job = flow.start_with(&hand.options().with_batch_records(64)).unwrap();
    // Each timer is late by up to three milliseconds, which is twenty records.
    while is_running(&job) {
        hand.advance(MILLI * 3).await;
    }
    job.await.unwrap();
    let seen = arrivals.take();
    let last = seen.last().unwrap().0;
    let ideal = MILLI * 9_999 / 7;
    assert!(last >= ideal && last < ideal + MILLI * 6, "{last:?} instead of {ideal:?}");
    for (at, n) in seen {
        assert!(u128::from(n) <= at.as_millis() * 7, "{n} at {at:?} is faster than the rate");
    }
}

#[tokio::test]
async fn d1_a_long_stop_is_not_made_up_for() {
    let hand = Hand::new();
    let rate = Rate::new(1, MILLI * 100).with_burst(3);
    let (input, output, job) = probed!(hand, |numbers| numbers.throttle(rate));
    for n in 0..12 {
        input.try_send(n).unwrap();
    }
    output.request(3);
    hand.settle().await;
    assert_eq!(output.waiting(), 3);
    // Nobody takes anything for a minute; one that was due then waits at the sink, and one at the
    // throttle.
    hand.advance(SECOND * 60).await;
    output.request(100);
    hand.settle().await;
    let burst = output.waiting() - 3;
    assert!((3..=5).contains(&burst), "{burst}: a burst and what had passed, not a minute's worth");
    hand.advance(SECOND).await;
    drop((input, job));
}

#[tokio::test]
async fn d1_a_waiting_throttle_lets_go_when_the_job_is_aborted_or_nobody_wants_more() {
    let hand = Hand::new();
    let rate = Rate::new(1, SECOND * 3600);
    let enough = Switch::new();
    let (input, output, job) =
        probed!(hand, |numbers| numbers.throttle(rate).take_until_signal(&enough));
    input.send(1).await;
    input.send(2).await;
    output.expect([1]).await;
    enough.turn_on();
    input.cancelled().await;
    let report = job.await.unwrap();
    assert_eq!(report.records_written(), 1);

    let (input, output, job) = probed!(hand, |numbers| numbers.throttle(rate));
    input.send(1).await;
    input.send(2).await;
    output.expect([1]).await;
    job.abort();
    job.await.unwrap_err();
    input.cancelled().await;
}

#[tokio::test]
async fn d1_throttle_or_fail_names_the_operator() {
    let hand = Hand::new();
    let flow = Dataflow::new("strict");
    let numbers = flow.source("numbers", source::from_iter(0..6_u32));
    let rate = Rate::per_second(1).with_burst(5);
    numbers.throttle_or_fail(rate).named("strict").ignore();
    let error = flow.run_with(hand.options()).await.unwrap_err();
    assert_eq!(error.operator_name(), Some("strict"));
    assert_eq!(cause::<RateExceeded>(&error), RateExceeded { rate });
}

#[tokio::test]
async fn d1_throttle_by_key_counts_what_it_drops() {
    let hand = Hand::new();
    let flow = Dataflow::new("keys");
    let numbers = flow.source("numbers", source::from_iter(0..100_u32));
    let rate = Rate::per_second(1).with_burst(2);
    let some = numbers.throttle_by_key_or_drop(rate, 10, |n| n % 5).named("keys").collect();
    let report = flow.run_with(hand.options()).await.unwrap();
    assert_eq!(report.take(some), Some((0..10).collect()));
    let metrics = report.metrics();
    let keys = metrics.operators.iter().find(|one| one.name == "keys").unwrap();
    assert_eq!(keys.dropped.of(DropReason::Throttled), 90);
}

#[tokio::test]
async fn d7_one_allowance_is_shared_by_operators_instances_and_dataflows() {
    let hand = Hand::new();
    let clock = hand.clock.clock();
    let limiter = RateLimiter::with_clock("api", Rate::per_second(10), clock.clone());
    let arrivals = Arrivals::new(clock);
    let mut jobs = Vec::new();
    for (user, instances) in [(0, 1), (1, 2), (2, 1)] {
        let flow = Dataflow::new("user");
        let numbers = flow.source("numbers", source::from_iter(0..)).parallel(instances);
        let calls = numbers.map(move |_: u32| user).limited_by(&limiter);
        calls.sink("arrivals", arrivals.clone());
        jobs.push(flow.start_with(&hand.options()).unwrap());
    }
    for _ in 0..401 {
        hand.advance(MILLI * 100).await;
    }
    let seen = arrivals.take();
    assert!((400..=402).contains(&seen.len()), "{} in forty seconds", seen.len());
    let mut each = BTreeMap::new();
    for (_, user) in &seen {
        *each.entry(*user).or_insert(0) += 1;
    }
    // Four instances take turns.
    assert!(each.values().all(|count| *count >= 99), "{each:?}");
    assert!((199..=203).contains(&each[&1]), "{each:?}");
    for job in &jobs {
        job.abort();
    }
    for job in jobs {
        job.await.unwrap_err();
    }
    assert_eq!(limiter.waiting(), 0, "who is gone does not queue");
}

#[tokio::test]
async fn d7_requests_are_served_in_the_order_of_asking_whatever_they_cost() {
    let hand = Hand::new();
    let rate = Rate::per_second(10);
    let limiter = RateLimiter::with_clock("api", rate, hand.clock.clock());
    assert!(limiter.try_acquire(1));
    let served: Arc<Mutex<Vec<u32>>> = Arc::default();
    let mut tasks = tokio::task::JoinSet::new();
    for (who, cost) in [(0, 30), (1, 1), (2, 5), (3, 1)] {
        let (limiter, served) = (limiter.clone(), Arc::clone(&served));
        tasks.spawn(async move {
            limiter.acquire(cost).await;
            served.lock().unwrap().push(who);
        });
        hand.settle().await;
    }
    assert_eq!(limiter.waiting(), 4);
    assert!(!limiter.try_acquire(0), "nobody passes those who wait");
    hand.advance(SECOND * 3 - NANO).await;
    assert_eq!(*served.lock().unwrap(), [0; 0]);
    hand.advance(NANO).await;
    assert_eq!(*served.lock().unwrap(), [0]);
    hand.advance(MILLI * 700).await;
    assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3]);
}

#[tokio::test]
async fn d7_a_dropped_request_gives_its_place_up() {
    let hand = Hand::new();
    let rate = Rate::new(1, SECOND * 3600);
    let limiter = RateLimiter::with_clock("api", rate, hand.clock.clock());
    assert!(limiter.try_acquire(1));
    let mut tasks = tokio::task::JoinSet::new();
    let heavy = limiter.acquire(1_000_000);
    let first = tasks.spawn(heavy);
    hand.settle().await;
    tasks.spawn(limiter.acquire(1));
    hand.settle().await;
    first.abort();
    hand.settle().await;
    assert!(tasks.join_next().await.unwrap().is_err());
    assert_eq!(limiter.waiting(), 1);
    hand.advance(SECOND * 3600).await;
    tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn d7_another_rate_reaches_those_who_wait() {
    let hand = Hand::new();
    let slow = Rate::new(1, SECOND * 3600);
    let limiter = RateLimiter::with_clock("api", slow, hand.clock.clock());
    let flow = Dataflow::new("adapts");
    let numbers = flow.source("numbers", source::from_iter(0..));
    let arrivals = Arrivals::new(hand.clock.clock());
    numbers.limited_by(&limiter).sink("arrivals", arrivals.clone());
    let job = flow.start_with(&hand.options()).unwrap();
    hand.advance(SECOND).await;
    assert_eq!(arrivals.take().len(), 1);
    limiter.set_rate(Rate::new(1, MILLI * 10));
    assert_eq!(limiter.rate(), Rate::new(1, MILLI * 10));
    for _ in 0..100 {
        hand.advance(MILLI * 10).await;
    }
    let faster = arrivals.take().len();
    assert!((99..=100).contains(&faster), "{faster} in a second");
    limiter.set_rate(Rate::new(1, MILLI * 100));
    for _ in 0..100 {
        hand.advance(MILLI * 10).await;
    }
    let slower = arrivals.take().len();
    assert!((9..=11).contains(&slower), "{slower} in a second");
    job.abort();
    job.await.unwrap_err();
}

#[tokio::test]
async fn d7_what_comes_behind_goes_on_while_the_limiter_waits() {
    let hand = Hand::new();
    let rate = Rate::new(1, SECOND * 3600);
    let limiter = RateLimiter::with_clock("api", rate, hand.clock.clock());
    let enough = Switch::new();
    let (input, output, job) = probed!(hand, |numbers| {
        numbers.limited_by(&limiter).chunks_timeout(9, SECOND).take_until_signal(&enough)
    });
    output.request(9);
    input.send(1).await;
    input.send(2).await;
    hand.advance(SECOND).await;
    output.expect([vec![1]]).await;
    enough.turn_on();
    job.await.unwrap();
    assert_eq!(limiter.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn d7_on_the_machines_clock_it_is_that_of_the_runtime() {
    let limiter = RateLimiter::new("api", Rate::per_second(10));
    let flow = Dataflow::new("machine");
    let numbers = flow.source("numbers", source::from_iter(0..21));
    let all = numbers.limited_by(&limiter).count();
    let report = flow.run().await.unwrap();
    assert_eq!(report.take(all), Some(21));
    assert!(report.elapsed() >= SECOND * 2, "{:?}", report.elapsed());
    assert!(report.elapsed() < SECOND * 2 + MILLI * 20, "{:?}", report.elapsed());
}
