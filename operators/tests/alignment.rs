//! Streams that are aligned: none runs away, none waits for one that is idle, gone or not there.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::metrics::Why;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::random::Random;
use millstream_engine::testing::{
    SinkProbe, SourceProbe, TestDriver, explore, probe_sink, probe_source,
};
use millstream_operators::prelude::*;
use millstream_operators::time::BoundedDisorder;

const IDLE: Duration = Duration::from_secs(8);
/// Until an idle stream is found to be.
const FOUND: Duration = Duration::from_secs(9);

fn at(millis: &i64) -> Timestamp {
    Timestamp::from_millis(*millis)
}

fn in_group(alignment: &Alignment) -> Watermarks<BoundedDisorder> {
    Watermarks::monotonic().idle_after(IDLE).aligned(alignment)
}

fn drift(millis: u64) -> Alignment {
    Alignment::new(Duration::from_millis(millis))
}

/// Two streams of one group that may be 10 ms apart, merged.
struct Pair {
    driver: TestDriver,
    fast: SourceProbe<i64>,
    slow: SourceProbe<i64>,
    output: SinkProbe<i64>,
}

impl Pair {
    fn new() -> Self {
        Self::of(&drift(10))
    }

    fn of(alignment: &Alignment) -> Self {
        let [(fast, first), (slow, second)] = [probe_source::<i64>(), probe_source::<i64>()];
        let (output, sink) = probe_sink();
        let flow = Dataflow::new("pair");
        let first = flow.source("first", first).event_time(at, in_group(alignment));
        let first = first.named("timed");
        let second = flow.source("second", second).event_time(at, in_group(alignment));
        first.merge(second).sink("out", sink);
        let driver = TestDriver::start(flow.blueprint()).unwrap();
        Self { driver, fast, slow, output }
    }

    fn read(&mut self) -> Vec<i64> {
        self.driver.read(&self.output)
    }
}

#[test]
fn h17_a_fast_stream_waits_for_the_slowest_and_explain_names_it() {
    let mut pair = Pair::new();
    pair.driver.push(&pair.fast, 0);
    assert!(pair.read().is_empty(), "one that has had no record is before everything");
    pair.driver.push(&pair.slow, 1);
    let mut both = pair.read();
    both.sort_unstable();
    assert_eq!(both, [0, 1]);
    for millis in [5, 11, 12] {
        pair.driver.push(&pair.fast, millis);
    }
    assert_eq!(pair.read(), [5, 11], "12 is more than 10 behind");
    let culprit = pair.driver.explain().culprit.unwrap();
    assert_eq!(culprit.operator.as_deref(), Some("timed"));
    assert_eq!(culprit.why, Why::AwaitsItself);
    pair.driver.push(&pair.slow, 2);
    assert_eq!(pair.read(), [2, 12]);
    // A gap that is larger than the drift stops nobody for ever: the first of those that wait goes.
    pair.driver.push(&pair.fast, 5000);
    assert!(pair.read().is_empty());
    pair.driver.push(&pair.slow, 4000);
    assert_eq!(pair.read(), [4000]);
    pair.driver.push(&pair.slow, 9000);
    assert_eq!(pair.read(), [5000]);
    pair.driver.end(&pair.fast);
    assert_eq!(pair.read(), [9000]);
    pair.driver.end(&pair.slow);
    pair.driver.finish().unwrap();
}

#[test]
fn h17_who_is_idle_holds_nobody_up_and_counts_again_with_a_record() {
    let mut pair = Pair::new();
    pair.driver.push(&pair.slow, 0);
    pair.driver.push(&pair.fast, 100);
    assert_eq!(pair.read(), [0]);
    pair.driver.advance(IDLE - Duration::from_millis(1));
    assert!(pair.read().is_empty());
    pair.driver.advance(FOUND - IDLE + Duration::from_millis(1));
    assert_eq!(pair.read(), [100]);
    // Back, and far behind: what has gone is gone, and from here on it is waited for.
    pair.driver.push(&pair.slow, 50);
    assert_eq!(pair.read(), [50]);
    pair.driver.push(&pair.fast, 101);
    assert!(pair.read().is_empty());
    pair.driver.push(&pair.slow, 95);
    let mut both = pair.read();
    both.sort_unstable();
    assert_eq!(both, [95, 101]);
    pair.driver.end(&pair.fast);
    pair.driver.end(&pair.slow);
    pair.driver.finish().unwrap();
}

#[test]
fn h17_a_stream_that_never_has_a_record_holds_nobody_up_for_longer_than_its_limit() {
    let mut pair = Pair::new();
    pair.driver.push(&pair.fast, 0);
    pair.driver.advance(FOUND);
    assert_eq!(pair.read(), [0]);
    pair.driver.push(&pair.fast, 1_000_000);
    assert_eq!(pair.read(), [1_000_000]);
    pair.driver.end(&pair.fast);
    pair.driver.end(&pair.slow);
    pair.driver.finish().unwrap();
}

#[test]
fn h17_when_all_are_idle_whoever_comes_first_goes_on() {
    let mut pair = Pair::new();
    for (fast, slow) in [(0, 0), (1_000, 2_000), (4_000, 3_000)] {
        pair.driver.push(&pair.fast, fast);
        pair.driver.push(&pair.slow, slow);
        pair.driver.advance(2 * FOUND);
        let mut read = pair.read();
        read.sort_unstable();
        assert_eq!(read, [fast.min(slow), fast.max(slow)]);
        pair.driver.advance(10 * FOUND);
    }
    pair.driver.end(&pair.slow);
    pair.driver.end(&pair.fast);
    pair.driver.finish().unwrap();
}

#[test]
fn h17_who_waits_for_room_is_not_idle_and_is_waited_for() {
    let alignment = drift(10);
    let [(fast, first), (slow, second)] = [probe_source::<i64>(), probe_source::<i64>()];
    let [(free, free_sink), (stuck, stuck_sink)] = [probe_sink(), probe_sink()];
    let flow = Dataflow::new("stuck");
    let first = flow.source("first", first).event_time(at, in_group(&alignment));
    first.sink("free", free_sink);
    let second = flow.source("second", second).event_time(at, in_group(&alignment));
    second.sink("stuck", stuck_sink);
    let options = JobOptions::default().with_batch_records(1);
    let options = options.with_publish_every(None).with_stall_warning(None);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    while driver.try_push(&slow, 0).is_ok() {}
    driver.push(&fast, 100);
    driver.advance(100 * FOUND);
    assert!(driver.read(&free).is_empty(), "the other is blocked, and has more");
    assert!(!driver.read(&stuck).is_empty());
    driver.advance(FOUND);
    assert_eq!(driver.read(&free), [100], "now it is idle");
    driver.end(&fast);
    driver.end(&slow);
    driver.finish().unwrap();
}

#[test]
fn h17_who_ends_leaves_at_once() {
    let mut pair = Pair::new();
    pair.driver.push(&pair.slow, 0);
    pair.driver.push(&pair.fast, 100);
    pair.driver.end(&pair.slow);
    assert_eq!(pair.read(), [0, 100]);
    pair.driver.end(&pair.fast);
    pair.driver.finish().unwrap();
}

#[test]
fn h17_who_is_cancelled_leaves_at_once() {
    let alignment = drift(10);
    let [(fast, first), (slow, second)] = [probe_source::<i64>(), probe_source::<i64>()];
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("cancelled");
    let first = flow.source("first", first).event_time(at, in_group(&alignment));
    let second = flow.source("second", second).event_time(at, in_group(&alignment));
    first.merge(second.take(2)).sink("out", sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.push(&slow, 0);
    driver.push(&fast, 100);
    assert_eq!(driver.read(&output), [0]);
    driver.push(&slow, 1);
    assert_eq!(driver.read(&output), [1, 100]);
    driver.end(&fast);
    driver.finish().unwrap();
}

#[test]
fn h17_who_fails_fails_the_job_and_not_the_next_run_of_the_value() {
    let alignment = drift(10);
    for fails in [true, false] {
        let [(fast, first), (slow, second)] = [probe_source::<i64>(), probe_source::<i64>()];
        let flow = Dataflow::new("failing");
        let first = flow.source("first", first).event_time(at, in_group(&alignment));
        let second = flow.source("second", second).event_time(at, in_group(&alignment));
        let count = first.merge(second).count();
        let mut driver = TestDriver::start(flow.blueprint()).unwrap();
        driver.push(&slow, 0);
        driver.push(&fast, 100);
        if fails {
            driver.fail(&slow, std::io::Error::other("broken"));
            assert_eq!(driver.finish().unwrap_err().operator_name(), Some("second"));
            continue;
        }
        driver.end(&slow);
        driver.end(&fast);
        assert_eq!(driver.finish().unwrap().take(count), Some(2));
    }
}

#[test]
fn h17_a_tap_that_fails_leaves_its_group() {
    let alignment = drift(10);
    let [(fast, first), (slow, second)] = [probe_source::<i64>(), probe_source::<i64>()];
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("tapped");
    let first = flow.source("first", first).event_time(at, in_group(&alignment));
    first.sink("out", sink);
    let (second, tapped) = flow.source("second", second).wire_tap();
    second.ignore();
    let timed = tapped.event_time(at, in_group(&alignment));
    timed.map(|n| if n < 2 { n } else { panic!("planted") }).ignore();
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.push(&slow, 0);
    driver.push(&fast, 100);
    assert!(driver.read(&output).is_empty());
    driver.push(&slow, 2);
    assert_eq!(driver.read(&output), [100]);
    driver.end(&fast);
    driver.end(&slow);
    driver.finish().unwrap();
}

#[tokio::test(start_paused = true)]
async fn h17_runs_of_one_blueprint_do_not_know_each_other() {
    let alignment = drift(10);
    let flow = Dataflow::new("twice");
    let first = flow.source("first", source::from_iter(0..1000_i64));
    let first = first.event_time(at, in_group(&alignment));
    let second = flow.source("second", source::from_iter((0..1000_i64).step_by(100)));
    let both = first.merge(second.event_time(at, in_group(&alignment))).count();
    for _ in 0..3 {
        assert_eq!(flow.run().await.unwrap().take(both), Some(1010));
    }
}

#[test]
fn h17_a_run_that_stands_still_holds_up_no_other() {
    let alignment = drift(10);
    let mut standing = Pair::of(&alignment);
    standing.driver.push(&standing.slow, 0);
    let mut going = Pair::of(&alignment);
    going.driver.push(&going.slow, 1000);
    going.driver.push(&going.fast, 1010);
    let mut both = going.read();
    both.sort_unstable();
    assert_eq!(both, [1000, 1010]);
    assert!(standing.read().is_empty());
}

#[tokio::test(start_paused = true)]
async fn h17_a_stream_that_has_not_begun_is_waited_for_no_longer_than_its_limit() {
    let alignment = drift(10);
    let flow = Dataflow::new("in turn");
    let timed = |name| {
        let numbers = flow.source(name, source::from_iter(0..100_i64));
        numbers.event_time(at, in_group(&alignment))
    };
    let all = timed("first").concat(timed("second")).collect();
    let expected: Vec<_> = (0..100).chain(0..100).collect();
    assert_eq!(flow.run().await.unwrap().take(all), Some(expected));
}

#[tokio::test(start_paused = true)]
async fn h17_one_stream_made_from_another_of_its_group_crawls_and_does_not_hang() {
    for fused in [true, false] {
        let alignment = drift(10);
        let flow = Dataflow::new("fed");
        let far = Watermarks::bounded_disorder(Duration::from_secs(1)).idle_after(IDLE);
        let numbers = flow.source("numbers", source::from_iter((0..20_i64).map(|n| n * 100)));
        let timed = numbers.event_time(at, in_group(&alignment));
        let far = far.aligned(&alignment);
        let count = if fused {
            timed.event_time(at, far).count()
        } else {
            timed.boundary().event_time(at, far).count()
        };
        assert_eq!(flow.run().await.unwrap().take(count), Some(20));
    }
}

#[tokio::test(start_paused = true)]
async fn h17_hostile_times_neither_hang_nor_overflow() {
    let times = [i64::MIN, i64::MAX, -1, 0, i64::MIN + 1, i64::MAX];
    for max_drift in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
        let alignment = Alignment::new(max_drift);
        let flow = Dataflow::new("hostile");
        let timed = |name, times: Vec<i64>| {
            flow.source(name, source::from_iter(times)).event_time(at, in_group(&alignment))
        };
        let backwards = times.iter().rev().copied().collect();
        let all = timed("forth", times.to_vec()).merge(timed("back", backwards));
        let count = all.merge(timed("none", vec![])).count();
        assert_eq!(flow.run().await.unwrap().take(count), Some(18 - 6));
    }
}

/// Which streams have brought out how many records, checked at each.
#[derive(Clone)]
struct Watched {
    stream: usize,
    max_drift: i64,
    streams: Arc<Mutex<Vec<Progress>>>,
}

/// The watermarks that the records of a stream bring, and how many are out.
type Progress = (Vec<i64>, usize);

impl Operator<i64> for Watched {
    type Out = i64;
    const NAME: &'static str = "watched";

    fn process(
        &mut self,
        record: Record<i64>,
        out: &mut impl Collector<i64>,
    ) -> Result<(), OperatorError> {
        let mut streams = self.streams.lock().unwrap();
        let (times, gone) = &mut streams[self.stream];
        let own = times[*gone];
        *gone += 1;
        for (times, gone) in streams.iter() {
            // The record that it may hold; a stream without one is over.
            if let Some(next) = times.get(*gone) {
                assert!(own <= next + self.max_drift, "{own} is out, and {next} is not");
            }
        }
        drop(streams);
        out.push(record);
        Ok(())
    }
}

#[test]
fn h17_no_stream_is_ever_further_ahead_than_by_the_drift_and_all_end() {
    for seed in 0..300 {
        explore([seed], |options| drift_is_kept(seed, options));
    }
}

fn drift_is_kept(seed: u64, options: &JobOptions) {
    let mut random = Random::new(seed);
    let count = 2 + usize::try_from(random.below(3)).unwrap();
    let max_drift = [0, 1, 7, 50, 1000][usize::try_from(random.below(5)).unwrap()];
    let alignment = drift(max_drift);
    let flow = Dataflow::new("drift");
    let mut values = Vec::new();
    for _ in 0..count {
        let (length, gap) = (random.below(200), 1 + random.below(60));
        let mut time = i64::try_from(random.below(100)).unwrap() - 50;
        let mut times = Vec::new();
        for _ in 0..length {
            time += i64::try_from(random.below(gap)).unwrap();
            times.push(time);
        }
        values.push(times);
    }
    let watched = values.iter().map(|times| (times.clone(), 0)).collect();
    let streams = Arc::new(Mutex::new(watched));
    let total = values.iter().map(Vec::len).sum::<usize>() as u64;
    let mut counts = Vec::new();
    for (stream, times) in values.into_iter().enumerate() {
        let max_drift = i64::try_from(max_drift).unwrap();
        let watched = Watched { stream, max_drift, streams: Arc::clone(&streams) };
        let numbers = flow.source(&format!("source {stream}"), source::from_iter(times));
        let timed = numbers.event_time(at, in_group(&alignment)).via(watched);
        counts.push(timed.boundary().count());
    }
    let capacity = 1 + usize::try_from(random.below(20)).unwrap();
    let options = options.clone().with_batch_records(1 + capacity / 3);
    let options = options.with_edge_capacity(capacity);
    let driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    let report = driver.finish().unwrap();
    let counted: u64 = counts.into_iter().map(|count| report.take(count).unwrap()).sum();
    assert_eq!(counted, total);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h17_streams_on_several_threads_wait_for_each_other_and_end() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let alignment = drift(random.below(20));
        let flow = Dataflow::new("threads");
        let mut counts = Vec::new();
        for stream in 0..3 {
            let gap = 1 + i64::try_from(random.below(5)).unwrap();
            let numbers = source::from_iter((0..2000_i64).map(move |number| number * gap));
            let numbers = flow.source(&format!("source {stream}"), numbers);
            counts.push(numbers.event_time(at, in_group(&alignment)).boundary().count());
        }
        let report = flow.run().await.unwrap();
        let all = counts.into_iter().all(|count| report.take(count) == Some(2000));
        assert!(all, "SEED={seed}");
    }
}
