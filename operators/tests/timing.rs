//! What the timed words promise, on whole jobs and virtual time: timers without traffic, behind a
//! stuck sink and at the end, shared limits, switches.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::Error;
use millstream_engine::metrics::DropReason;
use millstream_engine::runtime::JobHandle;
use millstream_engine::sink::{Sink, SinkStatus};
use millstream_engine::testing::{SourceProbe, probe_sink, probe_source};
use millstream_engine::time::{Clock, VirtualClock};
use millstream_operators::prelude::*;
use millstream_operators::timing::{
    CompletionTimedOut, IdleTimedOut, InitialTimedOut, Rate, RateExceeded, RateLimiter, Switch,
};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
const NANO: Duration = Duration::from_nanos(1);

/// A job on a clock that only this moves.
struct Hand {
    clock: VirtualClock,
}

impl Hand {
    fn new() -> Self {
        Self { clock: VirtualClock::new() }
    }

    /// Every record on its own, as far as the engine lets them.
    fn options(&self) -> JobOptions {
        let options = JobOptions::default().with_clock(self.clock.clock()).with_batch_records(1);
        options.with_edge_capacity(1).with_publish_every(None)
    }

    /// Lets everybody do what can be done without time.
    async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    async fn advance(&self, by: Duration) {
        self.settle().await;
        self.clock.advance(by);
        self.settle().await;
    }
}

fn cause<E: std::error::Error + Copy + 'static>(error: &Error) -> E {
    *error.cause().unwrap().downcast_ref().unwrap_or_else(|| panic!("{error:?}"))
}

/// Keeps each value with the time at which it came.
#[derive(Clone)]
struct Arrivals<T> {
    clock: Clock,
    seen: Arc<Mutex<Vec<(Duration, T)>>>,
}

impl<T> Arrivals<T> {
    fn new(clock: Clock) -> Self {
        Self { clock, seen: Arc::default() }
    }

    fn take(&self) -> Vec<(Duration, T)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl<T: Clone + Send + 'static> Sink for Arrivals<T> {
    type Item = T;

    async fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<SinkStatus, OperatorError> {
        let now = self.clock.now().since_start();
        self.seen.lock().unwrap().extend(records.drain(..).map(|record| (now, record.value)));
        Ok(SinkStatus::More)
    }
}

/// A job with one word between a source and a sink that are probes.
macro_rules! probed {
    ($hand:expr, |$stream:ident| $said:expr) => {{
        let flow = Dataflow::new("probed");
        let (input, source) = probe_source::<u32>();
        let (output, sink) = probe_sink();
        let $stream = flow.source("input", source);
        $said.sink("output", sink);
        let job = flow.start_with(&$hand.options()).unwrap();
        (input, output, job)
    }};
}

fn is_running(job: &JobHandle) -> bool {
    job.observer().outcome().is_none()
}

async fn drained(input: &SourceProbe<u32>, job: JobHandle) -> JobReport {
    input.end().await;
    job.await.unwrap()
}

// D1

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

// D2

#[tokio::test]
async fn d2_a_chunk_goes_out_in_time_without_traffic_and_never_empty() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.chunks_timeout(3, SECOND));
    output.request(100);
    hand.advance(SECOND * 5).await;
    assert_eq!(output.waiting(), 0);
    input.send(1).await;
    hand.advance(SECOND - NANO).await;
    assert_eq!(output.waiting(), 0);
    hand.advance(NANO).await;
    output.expect([vec![1]]).await;
    for n in 2..=5 {
        input.send(n).await;
    }
    output.expect([vec![2, 3, 4]]).await;
    drained(&input, job).await;
    output.expect([vec![5]]).await;
    output.expect_end().await;
}

#[tokio::test]
async fn d2_the_last_group_is_flushed_at_end() {
    let hand = Hand::new();
    for batch in [1, 2, 100] {
        let flow = Dataflow::new("flushed");
        let numbers = flow.source("numbers", source::from_iter(0..7_u32));
        let chunks = numbers.chunks_timeout(4, SECOND).collect();
        let report = flow.run_with(hand.options().with_batch_records(batch)).await.unwrap();
        assert_eq!(report.take(chunks), Some(vec![vec![0, 1, 2, 3], vec![4, 5, 6]]));
    }
}

#[tokio::test]
async fn d2_a_chunk_in_the_making_survives_a_drain() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.chunks_timeout(3, SECOND));
    input.send(1).await;
    hand.settle().await;
    output.request(9);
    job.drain(SECOND * 60).await.unwrap();
    output.expect([vec![1]]).await;
}

#[tokio::test]
async fn d2_a_chunk_whose_time_came_while_all_was_full_goes_out_at_once() {
    let hand = Hand::new();
    let beat = MILLI * 300;
    let (input, output, job) =
        probed!(hand, |numbers| { numbers.chunks_timeout(9, SECOND).keep_alive(beat, Vec::new) });
    input.send(1).await;
    // One beat is in the sink's hands, one waits before it, and the stage is stopped.
    hand.advance(beat).await;
    hand.advance(beat).await;
    hand.advance(SECOND * 60).await;
    output.request(9);
    hand.settle().await;
    output.expect([vec![], vec![], vec![1]]).await;
    drained(&input, job).await;
}

// D4

#[tokio::test]
async fn d4_idle_timeout_fails_with_the_name_of_the_operator() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.idle_timeout(SECOND).named("idle"));
    output.request(9);
    input.send(1).await;
    hand.advance(SECOND - NANO).await;
    assert!(is_running(&job));
    hand.advance(NANO).await;
    let error = job.await.unwrap_err();
    assert_eq!(error.operator_name(), Some("idle"));
    assert_eq!(cause::<IdleTimedOut>(&error), IdleTimedOut { limit: SECOND });
}

#[tokio::test]
async fn d4_time_behind_a_stuck_sink_is_not_idle_time() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.idle_timeout(SECOND));
    for n in 0..4 {
        input.send(n).await;
    }
    for _ in 0..10 {
        hand.advance(SECOND * 6).await;
        assert!(is_running(&job), "stuck, not idle");
    }
    output.expect(0..4).await;
    hand.settle().await;
    assert!(is_running(&job));
    hand.advance(SECOND - NANO).await;
    assert!(is_running(&job), "the time begins when there is room");
    hand.advance(NANO).await;
    assert_eq!(cause::<IdleTimedOut>(&job.await.unwrap_err()).limit, SECOND);
}

#[tokio::test]
async fn d4_time_blocked_by_a_timers_output_is_not_idle_time() {
    let hand = Hand::new();
    let (input, output, job) =
        probed!(hand, |numbers| numbers.idle_timeout(SECOND * 2).chunks_timeout(9, SECOND));
    // Three chunks by time: one in the sink's hands, one before it, and the stage is full.
    for n in 0..2 {
        input.send(n).await;
        hand.advance(SECOND).await;
    }
    hand.advance(SECOND * 60).await;
    assert!(is_running(&job), "blocked by a chunk, not by a record");
    output.request(9);
    // A second had passed before it was blocked, and one is left.
    hand.advance(SECOND - NANO).await;
    assert!(is_running(&job));
    hand.advance(NANO).await;
    assert_eq!(cause::<IdleTimedOut>(&job.await.unwrap_err()).limit, SECOND * 2);
}

#[tokio::test]
async fn d4_time_behind_a_waiting_throttle_is_not_idle_time() {
    let hand = Hand::new();
    let rate = Rate::new(1, SECOND * 10);
    let (input, output, job) = probed!(hand, |numbers| numbers.idle_timeout(SECOND).throttle(rate));
    output.request(9);
    for n in 0..3 {
        input.send(n).await;
    }
    for _ in 0..19 {
        hand.advance(SECOND).await;
        assert!(is_running(&job), "the throttle waits, and the input could give no more");
    }
    hand.advance(SECOND).await;
    output.expect(0..3).await;
    hand.advance(SECOND).await;
    assert_eq!(cause::<IdleTimedOut>(&job.await.unwrap_err()).limit, SECOND);
}

#[tokio::test]
async fn d4_the_time_of_a_second_input_begins_when_it_is_read() {
    let hand = Hand::new();
    let flow = Dataflow::new("second");
    let (first, source) = probe_source::<u32>();
    let one = flow.source("first", source);
    let two = flow.source("second", source::from_iter([7])).idle_timeout(SECOND);
    let all = one.concat(two).collect();
    let job = flow.start_with(&hand.options()).unwrap();
    hand.advance(SECOND * 60).await;
    first.end().await;
    assert_eq!(job.await.unwrap().take(all), Some(vec![7]));
}

// D5

#[tokio::test]
async fn d5_the_result_does_not_depend_on_batches() {
    for batch in [1, 2, 3, 100] {
        let hand = Hand::new();
        let flow = Dataflow::new("debounced");
        let (input, source) = probe_source::<u32>();
        let arrivals = Arrivals::new(hand.clock.clock());
        let numbers = flow.source("input", source).boundary();
        numbers.debounce(SECOND).sink("arrivals", arrivals.clone());
        let options = hand.options().with_batch_records(batch).with_edge_capacity(batch);
        let job = flow.start_with(&options).unwrap();
        for group in [0..4, 4..5, 5..9] {
            for n in group {
                input.send(n).await;
            }
            hand.advance(SECOND).await;
        }
        input.send(9).await;
        drained(&input, job).await;
        let seen: Vec<_> = arrivals.take().iter().map(|(at, n)| (at.as_secs(), *n)).collect();
        assert_eq!(seen, [(1, 3), (2, 4), (3, 8), (3, 9)], "batches of {batch}");
    }
}

// D7

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

// D9 to D20, K9

#[tokio::test]
async fn d9_a_delay_holds_what_it_has_room_for_and_drains() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.delay(SECOND, 3));
    output.request(9);
    for n in 0..4 {
        input.send(n).await;
    }
    hand.advance(SECOND - NANO).await;
    assert_eq!(output.waiting(), 0);
    hand.advance(NANO).await;
    assert_eq!(output.waiting(), 3, "the fourth had to wait outside");
    input.end().await;
    hand.advance(SECOND - NANO).await;
    assert!(is_running(&job));
    hand.advance(NANO).await;
    job.await.unwrap();
    output.expect(0..4).await;
    output.expect_end().await;
}

#[tokio::test]
async fn d14_two_words_due_at_one_instant_both_fire() {
    let hand = Hand::new();
    let (input, output, job) =
        probed!(hand, |numbers| numbers.sample(SECOND).chunks_timeout(9, SECOND));
    output.request(9);
    input.send(1).await;
    hand.advance(SECOND).await;
    input.send(2).await;
    // At two seconds 2 is due, and the chunk that 1 has begun.
    hand.advance(SECOND).await;
    output.expect([vec![1]]).await;
    hand.advance(SECOND).await;
    output.expect([vec![2]]).await;
    drained(&input, job).await;
}

#[tokio::test]
async fn d14_time_that_stands_still_fires_nothing() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.sample(NANO).audit(NANO));
    output.request(9);
    for n in 0..50 {
        input.send(n).await;
    }
    hand.settle().await;
    assert_eq!(output.waiting(), 0);
    drained(&input, job).await;
    output.expect([49]).await;
    output.expect_end().await;
}

#[tokio::test]
async fn d15_keep_alive_is_silent_while_nothing_can_be_sent() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.keep_alive(SECOND, || 0));
    output.request(1);
    hand.advance(SECOND).await;
    output.expect([0]).await;
    // Two beats fill the sink up; then it is stuck for a minute.
    for _ in 0..60 {
        hand.advance(SECOND).await;
    }
    output.request(9);
    hand.settle().await;
    let waiting = output.waiting();
    assert!(waiting <= 2, "{waiting} beats were made for nobody");
    hand.advance(SECOND).await;
    assert_eq!(output.waiting(), waiting + 1);
    drained(&input, job).await;
}

#[tokio::test]
async fn d16_completion_timeout_fires_while_the_sink_is_stuck() {
    let hand = Hand::new();
    let (input, output, job) =
        probed!(hand, |numbers| numbers.completion_timeout(SECOND).named("deadline"));
    for n in 0..4 {
        input.send(n).await;
    }
    hand.advance(SECOND - NANO).await;
    assert!(is_running(&job));
    hand.advance(NANO).await;
    let error = job.await.unwrap_err();
    assert_eq!(error.operator_name(), Some("deadline"));
    assert_eq!(cause::<CompletionTimedOut>(&error).limit, SECOND);
    drop(output);
}

#[tokio::test]
async fn d16_initial_timeout_waits_for_the_first_record_only() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.initial_timeout(SECOND));
    output.request(9);
    input.send(1).await;
    hand.advance(SECOND * 60).await;
    drained(&input, job).await;
    let (_input, _output, job) = probed!(hand, |numbers| numbers.initial_timeout(SECOND));
    hand.advance(SECOND).await;
    assert_eq!(cause::<InitialTimedOut>(&job.await.unwrap_err()).limit, SECOND);
}

#[tokio::test]
async fn d18_take_within_cancels_its_input_without_another_record() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.take_within(SECOND));
    output.request(9);
    input.send(1).await;
    hand.advance(SECOND - NANO).await;
    assert!(!input.is_cancelled());
    hand.advance(NANO).await;
    assert!(input.is_cancelled());
    job.await.unwrap();
    output.expect([1]).await;
    output.expect_end().await;
}

#[tokio::test]
async fn d20_a_pause_holds_and_lets_the_end_pass() {
    let hand = Hand::new();
    let pause = Switch::new();
    let (input, output, job) =
        probed!(hand, |numbers| numbers.pause_when(&pause).chunks_timeout(9, SECOND));
    output.request(9);
    input.send(1).await;
    hand.settle().await;
    pause.turn_on();
    input.send(2).await;
    input.send(3).await;
    hand.advance(SECOND * 9).await;
    output.expect([vec![1]]).await;
    assert_eq!(output.waiting(), 0, "timers behind go on, and nothing else");
    pause.turn_off();
    hand.advance(SECOND).await;
    output.expect([vec![2, 3]]).await;
    pause.turn_on();
    drained(&input, job).await;
    output.expect_end().await;
}

#[tokio::test]
async fn d20_who_has_enough_is_not_held_up_by_a_pause() {
    let hand = Hand::new();
    let pause = Switch::new();
    pause.turn_on();
    let enough = Switch::new();
    let (input, output, job) =
        probed!(hand, |numbers| numbers.pause_when(&pause).take_until_signal(&enough));
    input.send(1).await;
    hand.settle().await;
    enough.turn_on();
    job.await.unwrap();
    assert!(input.is_cancelled());
    output.expect_end().await;
}

#[tokio::test]
async fn k9_a_signal_ends_a_stream_that_rests_one_that_is_stuck_and_one_that_is_busy() {
    let hand = Hand::new();
    let signal = Switch::new();
    let (rests, resting, first) = probed!(hand, |numbers| numbers.take_until_signal(&signal));
    let (stuck, _nobody, second) = probed!(hand, |numbers| numbers.take_until_signal(&signal));
    for n in 0..4 {
        stuck.send(n).await;
    }
    let flow = Dataflow::new("busy");
    let endless = flow.source("endless", source::from_iter(0_u64..));
    let count = endless.take_until_signal(&signal).count();
    let third = flow.start_with(&JobOptions::default()).unwrap();
    hand.settle().await;
    signal.turn_on();
    rests.cancelled().await;
    stuck.cancelled().await;
    first.await.unwrap();
    resting.expect_end().await;
    assert!(third.await.unwrap().take(count) > Some(0));
    second.abort();
    second.await.unwrap_err();
}

#[tokio::test]
async fn b12_batch_min_lets_out_what_has_waited() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.batch_min(3, SECOND));
    output.request(9);
    input.send(1).await;
    input.send(2).await;
    hand.advance(SECOND - NANO).await;
    assert_eq!(output.waiting(), 0);
    hand.advance(NANO).await;
    assert_eq!(output.waiting(), 2);
    drained(&input, job).await;
}
