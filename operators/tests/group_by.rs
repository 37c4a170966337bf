//! What `group_by` promises: substreams within limits.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::testing::{probe_sink, probe_source};
use millstream_engine::time::{Clock, Instant};
use millstream_engine::{Error, ErrorKind};
use millstream_operators::group::{AtLimit, Groups, TooManyGroups};
use millstream_operators::prelude::*;
use millstream_operators::timing::{Rate, RateLimiter, Switch};
use proptest::prelude::*;

const IDLE: Duration = Duration::from_secs(80);
/// Longer than a group may be idle.
const LONG: Duration = Duration::from_secs(91);

fn narrow() -> JobOptions {
    JobOptions::default().with_batch_records(1).with_edge_capacity(1)
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn groups<T>(max_open: usize, at_limit: AtLimit<T>) -> Groups<T> {
    Groups::new(max_open, IDLE, at_limit)
}

fn options() -> impl Strategy<Value = JobOptions> {
    let sizes = (1..=5_usize, 1..=4_usize);
    sizes.prop_map(|(batch, capacity)| {
        JobOptions::default().with_batch_records(batch).with_edge_capacity(capacity)
    })
}

/// The values of each key, cut where the key was evicted.
fn evicting(values: &[u32], keys: u32, max_open: usize) -> Vec<(u32, Vec<u32>)> {
    let mut open: Vec<(u32, Vec<u32>)> = Vec::new();
    let mut out = Vec::new();
    for value in values {
        let key = value % keys;
        if let Some(index) = open.iter().position(|(other, _)| *other == key) {
            let group = open.remove(index);
            open.push(group);
        } else {
            if open.len() == max_open {
                let (key, rest) = open.remove(0);
                out.extend((!rest.is_empty()).then_some((key, rest)));
            }
            open.push((key, Vec::new()));
        }
        let chunk = &mut open.last_mut().unwrap().1;
        chunk.push(*value);
        if chunk.len() == 2 {
            out.push((key, std::mem::take(chunk)));
        }
    }
    out.extend(open.into_iter().filter(|(_, rest)| !rest.is_empty()));
    out
}

proptest! {
    #[test]
    fn e5_at_the_limit_the_longest_unused_is_evicted_with_its_rest(
        options in options(),
        values in proptest::collection::vec(0..60_u32, 0..60),
        keys in 1..9_u32,
        max_open in 1..5_usize,
    ) {
        let flow = Dataflow::new("evicted");
        let numbers = flow.source("numbers", source::from_iter(values.clone()));
        let limits = groups(max_open, AtLimit::Evict);
        let out = numbers.group_by(move |n| n % keys, limits).each(|group| group.chunks(2));
        let out = out.collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let out = runtime.block_on(flow.run_with(options)).unwrap().take(out).unwrap();
        prop_assert_eq!(out, evicting(&values, keys, max_open));
    }

    #[test]
    fn e5_a_chain_of_words_in_a_group_is_that_of_each_key_alone(
        options in options(),
        values in proptest::collection::vec(0..60_u32, 0..60),
    ) {
        let flow = Dataflow::new("chains");
        let numbers = flow.source("numbers", source::from_iter(values.clone()));
        let out = numbers.group_by(|n| n % 3, groups(3, AtLimit::Fail)).each(|group| {
            group.skip(1).flat_map_iter(|n| 0..n % 4).chunks(3).flat_map_iter(|c| c).take(9)
        });
        let out = out.collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let out = runtime.block_on(flow.run_with(options)).unwrap().take(out).unwrap();
        for key in 0..3 {
            let of_key = values.iter().filter(|n| **n % 3 == key);
            let expected: Vec<_> = of_key.skip(1).flat_map(|n| 0..n % 4).take(9).collect();
            let got = out.iter().filter(|(of, _)| *of == key).map(|(_, n)| *n);
            prop_assert_eq!(got.collect::<Vec<_>>(), expected);
        }
    }
}

/// Counts how many of it live, what they see, and answers with a timer if it is asked to.
#[derive(Debug)]
struct Seen {
    living: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    log: Arc<Mutex<Vec<String>>>,
    clock: Option<Clock>,
    due: Option<Instant>,
    open: bool,
}

impl Seen {
    fn new() -> Self {
        let (living, most, log) = (Arc::default(), Arc::default(), Arc::default());
        Self { living, most, log, clock: None, due: None, open: false }
    }

    fn log(&self, line: String) {
        self.log.lock().unwrap().push(line);
    }
}

impl Clone for Seen {
    fn clone(&self) -> Self {
        let (living, most) = (Arc::clone(&self.living), Arc::clone(&self.most));
        Self { living, most, log: Arc::clone(&self.log), clock: None, due: None, open: false }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        if self.open {
            self.living.fetch_sub(1, SeqCst);
        }
    }
}

impl Operator<u32> for Seen {
    type Out = u32;
    const NAME: &'static str = "seen";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock = Some(context.clock());
        self.open = true;
        let living = self.living.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(living, SeqCst);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        if record.value >= 100 {
            let clock = self.clock.as_ref().unwrap();
            self.due = Some(clock.now() + Duration::from_secs(u64::from(record.value - 100)));
        }
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        self.log(format!("watermark {}", watermark.as_millis()));
        Ok(())
    }

    fn next_timer(&self) -> Option<Instant> {
        self.due
    }

    fn on_timer(&mut self, _: Instant, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        self.due = None;
        out.push(Record::new(1000));
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        out.push(Record::new(2000));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn e5_an_idle_group_is_closed_with_its_last_word_and_opens_again() {
    let flow = Dataflow::new("idle");
    let (numbers, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let seen = Seen::new();
    let operator = seen.clone();
    let stream = flow.source("numbers", factory);
    let each = stream.group_by(|n| n % 2, groups(9, AtLimit::Fail)).each(|g| g.via(operator));
    each.sink("out", end);
    let job = flow.start().unwrap();
    numbers.send(1).await;
    numbers.send(2).await;
    sink.expect([(1, 1), (0, 2)]).await;
    Clock::system().sleep(IDLE / 2).await;
    numbers.send(3).await;
    sink.expect([(1, 3)]).await;
    let clock = Clock::system();
    let before = clock.now();
    sink.expect([(0, 2000)]).await;
    let waited = clock.now().saturating_since(before);
    assert!((IDLE / 2..=IDLE / 2 + IDLE / 8).contains(&waited), "{waited:?}");
    sink.expect([(1, 2000)]).await;
    assert_eq!(seen.living.load(SeqCst), 0, "nothing is left of either");
    numbers.send(5).await;
    sink.expect([(1, 5)]).await;
    assert_eq!(seen.living.load(SeqCst), 1);
    numbers.end().await;
    sink.expect([(1, 2000)]).await;
    sink.expect_end().await;
    job.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn e5_time_in_which_nothing_moves_makes_no_group_idle() {
    let flow = Dataflow::new("stuck");
    let (numbers, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let stream = flow.source("numbers", factory);
    let groups = groups(9, AtLimit::Fail);
    stream.group_by(|n| n % 2, groups).each(|group| group.chunks(100)).sink("out", end);
    let job = flow.start().unwrap();
    numbers.send(1).await;
    numbers.asked().await;
    // A clock that leaps, as where a machine sleeps.
    tokio::time::advance(IDLE * 100).await;
    numbers.send(3).await;
    numbers.end().await;
    sink.expect([(1, vec![1, 3])]).await;
    sink.expect_end().await;
    job.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn e5_timers_and_watermarks_reach_every_group() {
    let flow = Dataflow::new("time");
    let (numbers, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let seen = Seen::new();
    let operator = seen.clone();
    let stream = flow.source("numbers", factory);
    let each = stream.group_by(|n| *n, groups(9, AtLimit::Fail)).each(|g| g.via(operator));
    each.sink("out", end);
    let job = flow.start().unwrap();
    numbers.send(107).await;
    numbers.send(105).await;
    numbers.send(1).await;
    sink.expect([(107, 107), (105, 105), (1, 1)]).await;
    sink.expect([(105, 1000), (107, 1000)]).await;
    numbers.watermark(at(30)).await;
    numbers.send(2).await;
    sink.expect([(2, 2)]).await;
    assert_eq!(*seen.log.lock().unwrap(), ["watermark 30"; 4], "the newcomer hears of it too");
    numbers.end().await;
    sink.expect([(107, 2000), (105, 2000), (1, 2000), (2, 2000)]).await;
    sink.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn e5_what_a_group_emits_late_is_not_behind_the_watermark() {
    let flow = Dataflow::new("late");
    let (numbers, factory) = probe_source::<u32>();
    let (sink, end) = probe_sink();
    let stream = flow.source("numbers", factory);
    let groups = groups(1, AtLimit::Evict);
    stream.group_by(|n| *n, groups).each(|group| group.chunks(2)).sink("out", end);
    let job = flow.start().unwrap();
    numbers.send(Record::at(1, at(5))).await;
    numbers.watermark(at(20)).await;
    numbers.send(Record::at(2, at(21))).await;
    assert_eq!(sink.next().await, Some(Record::at((1, vec![1]), at(20))));
    numbers.end().await;
    assert_eq!(sink.next().await, Some(Record::at((2, vec![2]), at(21))));
    sink.expect_end().await;
    job.await.unwrap();
}

#[tokio::test]
async fn e5_one_too_many_fails_the_job() {
    let flow = Dataflow::new("too many");
    let numbers = flow.source("numbers", source::from_iter(0..9_u32));
    let groups = groups(3, AtLimit::Fail);
    numbers.group_by(|n| *n, groups).each(|group| group.map(|n| n)).named("parts").ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!((error.operator_name(), error.kind()), (Some("parts"), &ErrorKind::Operator));
    let cause = error.cause().unwrap().downcast_ref::<TooManyGroups>();
    assert_eq!(cause, Some(&TooManyGroups { max_open: 3 }));
}

#[tokio::test(start_paused = true)]
async fn e5_one_too_many_waits_until_a_group_is_idle() {
    for options in [JobOptions::default(), narrow()] {
        let flow = Dataflow::new("waits");
        let numbers = flow.source("numbers", source::from_iter([1_u32, 2, 3, 1, 4]));
        let limits = groups(2, AtLimit::Wait);
        let all = numbers.group_by(|n| *n, limits).each(|group| group.chunks(9)).collect();
        let clock = Clock::system();
        let started = clock.now();
        let all = flow.run_with(options).await.unwrap().take(all).unwrap();
        // Nothing is cut short but what is idle: 1 and 2, and then 3 and the other 1.
        let expected = [(1, vec![1]), (2, vec![2]), (3, vec![3]), (1, vec![1]), (4, vec![4])];
        assert_eq!(all, expected);
        assert!(
            clock.now().saturating_since(started) >= IDLE * 2
                && clock.now().saturating_since(started) <= LONG * 2 + LONG / 2
        );
    }
}

#[tokio::test]
async fn e5_one_too_many_goes_to_a_stream_of_its_own() {
    for options in [JobOptions::default(), narrow()] {
        let flow = Dataflow::new("diverted");
        let (diverted, rest) = flow.diverted("rest");
        let limits = groups(2, AtLimit::Divert(diverted));
        let numbers = flow.source("numbers", source::from_iter(0..90_u32));
        let all = numbers.group_by(|n| n % 3, limits).each(|group| group.map(|n| n)).collect();
        let rest = rest.collect();
        let options = options.with_operator_counts(true);
        let report = flow.run_with(options).await.unwrap();
        assert_eq!(
            report.metrics().operators.iter().find(|o| o.kind == "group_by").unwrap().filtered,
            30
        );
        assert_eq!(report.take(rest).unwrap(), (0..90).filter(|n| n % 3 == 2).collect::<Vec<_>>());
        assert_eq!(report.take(all).unwrap().len(), 60);
    }
}

#[tokio::test]
async fn e5_a_group_that_has_enough_leaves_the_rest_out_until_it_is_closed() {
    let flow = Dataflow::new("enough");
    let numbers = flow.source("numbers", source::from_iter([1_u32, 1, 1, 1, 2, 1, 1]));
    let some = numbers.group_by(|n| *n, groups(1, AtLimit::Evict)).each(|group| {
        group.take(2).stateful_map(
            || 0,
            |seen, n| {
                *seen += 1;
                n * 10
            },
            Some,
        )
    });
    let some = some.collect();
    let some = flow.run_with(narrow()).await.unwrap().take(some).unwrap();
    let first = [(1, 10), (1, 10), (1, 2)];
    assert_eq!(some, [&first[..], &[(2, 20), (2, 1)], &first[..]].concat());
}

#[tokio::test]
async fn e5_a_million_keys_live_in_a_hundred_places() {
    let flow = Dataflow::new("many keys");
    let seen = Seen::new();
    let operator = seen.clone();
    let numbers = flow.source("numbers", source::from_iter(0..1_000_000_u64));
    let limits = groups(100, AtLimit::Evict);
    let narrowed = numbers.group_by(|n| *n, limits).each(|group| group.map(|_| 1).via(operator));
    let count = narrowed.count();
    assert_eq!(flow.run().await.unwrap().take(count), Some(2_000_000), "each, and its last word");
    assert_eq!(seen.most.load(SeqCst), 100);
    assert_eq!(seen.living.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn e5_a_retry_within_a_group_waits_and_keeps_the_order() {
    use millstream_operators::attempt::Backoff;
    let flow = Dataflow::new("retries");
    let tries = Arc::new(Mutex::new(BTreeMap::<u32, u32>::new()));
    let counted = Arc::clone(&tries);
    let numbers = flow.source("numbers", source::from_iter(0..20_u32));
    let out = numbers.group_by(|n| n % 3, groups(3, AtLimit::Fail)).each(move |group| {
        let policy = OnError::retry(Backoff::default());
        group.map(|n| n).try_map(policy, move |n| {
            let mut tries = counted.lock().unwrap();
            let tries = tries.entry(*n).or_default();
            *tries += 1;
            if *n % 5 == 0 && *tries < 3 { Err(std::io::Error::other("again")) } else { Ok(*n) }
        })
    });
    let out = out.map(|(_, n)| n).collect();
    assert_eq!(
        flow.run_with(narrow()).await.unwrap().take(out).unwrap(),
        (0..20).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn e5_a_panic_in_a_group_fails_the_job_with_the_name() {
    let flow = Dataflow::new("panics");
    let numbers = flow.source("numbers", source::from_iter(0..9_u32));
    let parts = numbers.group_by(|n| n % 2, groups(2, AtLimit::Fail));
    parts.each(|group| group.map(|n| assert!(n < 5, "five"))).named("parts").ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("parts"));
    assert_eq!(error.kind(), &ErrorKind::Panic("five".to_owned()));
}

#[test]
#[should_panic(expected = "at most zero groups")]
fn e5_no_groups_at_all_is_a_building_mistake() {
    drop(Groups::<u32>::new(0, IDLE, AtLimit::Evict));
}

/// Operators that look outside are polled in a group, too: or nobody would wake them.
#[tokio::test(start_paused = true)]
async fn e5_operators_of_a_group_that_wait_for_somebody_outside_are_woken() {
    let limiter = RateLimiter::with_clock("two", Rate::per_second(1), Clock::system());
    let switch = Switch::new();
    switch.turn_on();
    let flow = Dataflow::new("outside");
    let numbers = flow.source("numbers", source::from_iter([1, 2, 3]));
    let (shared, paused) = (limiter.clone(), switch.clone());
    let each = numbers.group_by(|n| *n, groups(10, AtLimit::Evict)).each(move |group| {
        group.map(|n| n).limited_by(&shared).map(|n| n).pause_when(&paused).map(|n| n)
    });
    let values = each.collect();
    let job = flow.start_with(&narrow()).unwrap();
    Clock::system().sleep(Duration::from_secs(5)).await;
    switch.turn_off();
    let report = within(LONG, job).await.unwrap();
    assert_eq!(report.take(values), Some(vec![(1, 1), (2, 2), (3, 3)]));
}

/// What comes of it, if it does not take too long.
async fn within<F: std::future::Future>(limit: Duration, future: F) -> F::Output {
    tokio::select! {
        biased;
        output = future => output,
        () = Clock::system().sleep(limit) => panic!("it took more than {limit:?}"),
    }
}
