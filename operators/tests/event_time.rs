//! Event time on whole jobs: what is late is a matter of the records alone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::operator::{Collector, Operator};
use millstream_engine::random::Random;
use millstream_engine::testing::{SourceProbe, TestDriver, probe_sink, probe_source};
use millstream_engine::time::Clock;
use millstream_operators::prelude::*;
use millstream_operators::time::WatermarkGenerator;

fn at(millis: &i64) -> Timestamp {
    Timestamp::from_millis(*millis)
}

/// What passes some point of a stream.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Passed>>);

/// Values with the watermark before each, and the last watermark.
type Passed = (Vec<(i64, Timestamp)>, Option<Timestamp>);

impl Operator<i64> for Seen {
    type Out = i64;
    const NAME: &'static str = "seen";

    fn process(
        &mut self,
        record: Record<i64>,
        out: &mut impl Collector<i64>,
    ) -> Result<(), OperatorError> {
        let mut seen = self.0.lock().unwrap();
        let watermark = seen.1.unwrap_or(Timestamp::MIN);
        seen.0.push((record.value, watermark));
        drop(seen);
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<i64>,
    ) -> Result<(), OperatorError> {
        let mut seen = self.0.lock().unwrap();
        assert!(seen.1 < Some(watermark), "a watermark never goes back");
        seen.1 = Some(watermark);
        Ok(())
    }
}

impl Seen {
    fn late(&self) -> Vec<i64> {
        let seen = self.0.lock().unwrap();
        let late = seen.0.iter().filter(|(value, watermark)| at(value) < *watermark);
        late.map(|(value, _)| *value).collect()
    }

    fn watermark(&self) -> Option<Timestamp> {
        self.0.lock().unwrap().1
    }
}

#[tokio::test]
async fn h1_which_records_are_late_depends_on_the_records_alone() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut times = Vec::new();
        for number in 0..300_i64 {
            let disorder = i64::try_from(random.below(40)).unwrap();
            times.push(number * 3 - disorder);
        }
        let mut latest = i64::MIN;
        let mut expected = Vec::new();
        for time in &times {
            if *time < latest.saturating_sub(20) {
                expected.push(*time);
            }
            latest = latest.max(*time);
        }
        for (batch, capacity) in [(1, 1), (2, 3), (5, 2), (7, 64), (1024, 4096)] {
            let flow = Dataflow::new("late");
            let seen = Seen::default();
            let watermarks = Watermarks::bounded_disorder(Duration::from_millis(20));
            let records = flow.source("times", source::from_iter(times.clone()));
            let timed = records.event_time(at, watermarks).map(|time| time).boundary();
            timed.filter(|_| true).via(seen.clone()).ignore();
            let options = JobOptions::default();
            let options = options.with_batch_records(batch).with_edge_capacity(capacity);
            flow.run_with(options).await.unwrap();
            assert_eq!(seen.late(), expected, "SEED={seed}, {batch}, {capacity}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn h1_a_merge_makes_no_record_late_that_was_on_time_in_its_own_partition() {
    let flow = Dataflow::new("partitions");
    let (seen, clock) = (Seen::default(), Clock::system());
    let [(first, ahead), (second, behind)] = [probe_source::<i64>(), probe_source::<i64>()];
    let ahead = flow.source("ahead", ahead).event_time(at, Watermarks::monotonic());
    let behind = flow.source("behind", behind).event_time(at, Watermarks::monotonic());
    ahead.merge(behind).via(seen.clone()).ignore();
    let job = flow.start().unwrap();
    for time in [1000, 2000, 3000] {
        first.send(time).await;
    }
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(seen.watermark(), None, "one that has sent nothing holds the others");
    for time in [10, 20] {
        second.send(time).await;
    }
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(seen.watermark(), Some(at(&20)));
    first.end().await;
    second.end().await;
    job.await.unwrap();
    assert!(seen.late().is_empty());
}

#[tokio::test(start_paused = true)]
async fn h2_an_idle_partition_holds_nobody_and_counts_again_with_its_next_record() {
    let flow = Dataflow::new("idle");
    let (seen, clock) = (Seen::default(), Clock::system());
    let [(first, busy), (second, quiet)] = [probe_source::<i64>(), probe_source::<i64>()];
    let watermarks = Watermarks::monotonic().idle_after(Duration::from_secs(8));
    let busy = flow.source("busy", busy).event_time(at, watermarks.clone());
    let quiet = flow.source("quiet", quiet).event_time(at, watermarks);
    busy.merge(quiet).via(seen.clone()).ignore();
    let job = flow.start().unwrap();
    second.send(100).await;
    for time in [200, 300] {
        first.send(time).await;
        clock.sleep(Duration::from_secs(6)).await;
    }
    assert_eq!(seen.watermark(), Some(at(&300)), "idle after 10 s, and the other goes on");
    // Back, and behind: the watermark stands until it has caught up.
    second.send(150).await;
    clock.sleep(Duration::from_secs(1)).await;
    first.send(400).await;
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(seen.watermark(), Some(at(&300)));
    second.send(350).await;
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(seen.watermark(), Some(at(&350)));
    first.end().await;
    second.end().await;
    job.await.unwrap();
    assert_eq!(seen.late(), [150]);
}

#[tokio::test(start_paused = true)]
async fn h2_a_stream_behind_a_stuck_sink_is_not_idle() {
    let flow = Dataflow::new("blocked");
    let clock = Clock::system();
    let (seen, (output, sink)) = (Seen::default(), probe_sink());
    let watermarks = Watermarks::monotonic().idle_after(Duration::from_secs(1));
    let watermarks = watermarks.advance_when_idle();
    let numbers = flow.source("numbers", source::from_iter(0..1000_i64));
    numbers.event_time(at, watermarks).via(seen.clone()).sink("stuck", sink);
    let job = flow.start_with(&JobOptions::default().with_batch_records(1)).unwrap();
    output.expect([0, 1]).await;
    clock.sleep(Duration::from_secs(3600)).await;
    assert!(seen.watermark() < Some(at(&1000)), "{:?}", seen.watermark());
    job.abort();
    job.await.unwrap_err();
}

/// The watermark of half of what was seen, to show that anything may be one.
#[derive(Clone)]
struct Half;

impl WatermarkGenerator<i64> for Half {
    fn on_record(&mut self, value: &i64, _time: Timestamp) -> Option<Timestamp> {
        Some(at(&(value / 2)))
    }
}

#[tokio::test]
async fn h1_a_generator_of_ones_own_and_steps() {
    let flow = Dataflow::new("own");
    let seen = Seen::default();
    let watermarks = Watermarks::custom(Half).with_step(Duration::from_millis(100));
    let numbers = flow.source("numbers", source::from_iter([100, 300, 250, 499, 700_i64]));
    numbers.event_time(at, watermarks).via(seen.clone()).ignore();
    flow.run().await.unwrap();
    let before: Vec<_> = seen.0.lock().unwrap().0.iter().map(|(_, before)| *before).collect();
    let expected = [None, Some(0), Some(100), Some(100), Some(200)];
    let expected = expected.map(|millis| millis.map_or(Timestamp::MIN, |millis| at(&millis)));
    assert_eq!(before, expected);
    assert_eq!(seen.watermark(), Some(at(&300)));
}

/// Seconds.
fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn h2_a_heartbeat_moves_a_quiet_stream_on_and_never_back() {
    let heartbeat = Heartbeat::new();
    let (input, numbers) = probe_source::<i64>();
    let flow = Dataflow::new("heartbeat");
    let seen = Seen::default();
    let watermarks = Watermarks::monotonic().with_heartbeat(&heartbeat);
    flow.source("numbers", numbers).event_time(at, watermarks).via(seen.clone()).ignore();
    heartbeat.nothing_before(at(&i64::MAX));
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    assert_eq!(seen.watermark(), None, "a run hears what is said while it is there");
    for (said, reached) in [(500, 500), (300, 500), (501, 501), (i64::MIN, 501)] {
        heartbeat.nothing_before(at(&said));
        driver.settle();
        assert_eq!(seen.watermark(), Some(at(&reached)));
    }
    driver.push(&input, 700);
    assert_eq!(seen.watermark(), Some(at(&700)));
    driver.end(&input);
    driver.finish().unwrap();
    // From another thread, and when nobody listens any more.
    let clone = heartbeat.clone();
    std::thread::scope(|scope| scope.spawn(move || clone.nothing_before(at(&9))).join()).unwrap();
}

#[test]
fn h2_a_heartbeat_overtakes_no_record_that_was_handed_in_before() {
    for batch in [1, 2, 64] {
        let heartbeat = Heartbeat::new();
        let flow = Dataflow::new("behind");
        let (queue, numbers) = source::queue::<i64>(64);
        let (seen, (output, sink)) = (Seen::default(), probe_sink());
        let watermarks = Watermarks::monotonic().with_heartbeat(&heartbeat);
        let timed = flow.source("numbers", numbers).event_time(at, watermarks);
        timed.via(seen.clone()).sink("out", sink);
        let options = JobOptions::default().with_batch_records(batch);
        let options = options.with_publish_every(None).with_stall_warning(None);
        let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
        for round in 0..10_i64 {
            for number in 0..6 {
                assert_eq!(queue.offer(round * 100 + number), source::Offer::Accepted);
            }
            heartbeat.nothing_before(at(&(round * 100 + 90)));
            assert_eq!(queue.offer(round * 100 + 95), source::Offer::Accepted);
            driver.settle();
            driver.read(&output);
        }
        assert!(seen.late().is_empty(), "{:?}", seen.late());
        assert_eq!(seen.watermark(), Some(at(&995)));
        heartbeat.nothing_before(at(&2000));
        driver.settle();
        assert_eq!(seen.watermark(), Some(at(&2000)));
        drop(queue);
        driver.finish().unwrap();
    }
}

#[test]
fn h2_a_heartbeat_ends_idleness_and_keeps_it_away() {
    let heartbeat = Heartbeat::new();
    let [(first, busy), (_second, quiet)] = [probe_source::<i64>(), probe_source::<i64>()];
    let (flow, seen) = (Dataflow::new("alive"), Seen::default());
    let watermarks = Watermarks::monotonic().idle_after(secs(8));
    let busy = flow.source("busy", busy).event_time(at, watermarks.clone());
    let watermarks = watermarks.with_heartbeat(&heartbeat);
    let quiet = flow.source("quiet", quiet).event_time(at, watermarks);
    busy.merge(quiet).via(seen.clone()).ignore();
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.push(&first, 100);
    assert_eq!(seen.watermark(), None);
    driver.advance(secs(5));
    driver.push(&first, 100);
    driver.advance(secs(5));
    assert_eq!(seen.watermark(), Some(at(&100)), "one that never had a record is idle");
    heartbeat.nothing_before(at(&150));
    driver.settle();
    driver.push(&first, 200);
    assert_eq!(seen.watermark(), Some(at(&150)), "and counts again with a heartbeat");
    for beat in 0..10 {
        driver.advance(secs(6));
        heartbeat.nothing_before(at(&(151 + beat)));
        driver.settle();
        driver.push(&first, 200);
        assert_eq!(seen.watermark(), Some(at(&(151 + beat))));
    }
    driver.advance(secs(5));
    driver.push(&first, 200);
    driver.advance(secs(5));
    assert_eq!(seen.watermark(), Some(at(&200)), "until those stop");
}

#[test]
fn h2_the_last_window_does_not_wait_for_who_is_quiet_from_the_beginning() {
    let [(first, busy), (_second, silent)] = [probe_source::<i64>(), probe_source::<i64>()];
    let (flow, seen) = (Dataflow::new("silent"), Seen::default());
    let watermarks = Watermarks::monotonic().idle_after(secs(8)).advance_when_idle();
    let busy = flow.source("busy", busy).event_time(at, watermarks.clone());
    let silent = flow.source("silent", silent).event_time(at, watermarks);
    busy.merge(silent).via(seen.clone()).ignore();
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.push(&first, 1_000);
    driver.advance(secs(100));
    let reached = seen.watermark().unwrap();
    assert!(reached >= at(&90_000) && reached <= at(&101_000), "{reached}");
}

#[test]
fn h2_a_source_that_is_idle_is_so_behind_event_time_and_its_watermarks_change_nothing() {
    let [(first, busy), (second, quiet)] = [probe_source::<i64>(), probe_source::<i64>()];
    let (flow, seen) = (Dataflow::new("says so"), Seen::default());
    let busy = flow.source("busy", busy).event_time(at, Watermarks::monotonic());
    let watermarks = Watermarks::monotonic().idle_after(secs(8));
    let quiet = flow.source("quiet", quiet).event_time(at, watermarks);
    busy.merge(quiet).via(seen.clone()).ignore();
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.push(&second, 5);
    driver.push(&first, 100);
    assert_eq!(seen.watermark(), Some(at(&5)));
    driver.idle(&second);
    assert_eq!(seen.watermark(), Some(at(&100)), "it says so itself");
    driver.push(&second, 90);
    driver.push(&first, 200);
    assert_eq!(seen.watermark(), Some(at(&100)));
    driver.advance(secs(10));
    assert_eq!(seen.watermark(), Some(at(&200)), "found by the clock");
    // What the source says of the time ends at `event_time`, and so it is no sign of life there.
    driver.watermark(&second, at(&1));
    driver.push(&first, 300);
    assert_eq!(seen.watermark(), Some(at(&300)));
}

#[test]
fn h1_the_end_is_no_watermark_and_a_failure_is_no_end() {
    for fails in [false, true] {
        let (input, numbers) = probe_source::<i64>();
        let (flow, seen) = (Dataflow::new("end"), Seen::default());
        let timed = flow.source("numbers", numbers).event_time(at, Watermarks::monotonic());
        timed.boundary().via(seen.clone()).ignore();
        let mut driver = TestDriver::start(flow.blueprint()).unwrap();
        driver.push(&input, 7);
        if fails {
            driver.fail(&input, std::io::Error::other("broken"));
        } else {
            driver.end(&input);
        }
        assert_eq!(driver.finish().is_err(), fails);
        assert_eq!(seen.watermark(), Some(at(&7)));
    }
}

/// What a merge of watermarks has to be.
struct Merged {
    /// The watermark of each input, whether it is idle, and whether it is over.
    inputs: [(i64, bool, bool); 3],
    watermark: i64,
}

impl Merged {
    fn counting(&self) -> Option<i64> {
        let counting = self.inputs.iter().filter(|(_, idle, over)| !idle && !over);
        counting.map(|(watermark, _, _)| *watermark).min()
    }

    fn settle(&mut self) {
        let open = self.inputs.iter().any(|(_, _, over)| !over);
        let latest = self.inputs.iter().map(|(watermark, _, _)| *watermark).max();
        let now = self.counting().or(latest.filter(|_| open));
        self.watermark = self.watermark.max(now.unwrap_or(i64::MIN));
    }
}

/// Three streams that meet, and nothing else.
fn merge_of_three(flow: &Dataflow, seen: &Seen) -> [SourceProbe<i64>; 3] {
    let [a, b, c] = ["a", "b", "c"].map(|name| {
        let (probe, numbers) = probe_source::<i64>();
        (probe, flow.source(name, numbers).boxed())
    });
    a.1.merge_all([b.1, c.1]).via(seen.clone()).ignore();
    [a.0, b.0, c.0]
}

#[test]
fn x9_merged_watermarks_are_those_of_the_specification() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut below = |limit: u64| i64::try_from(random.below(limit)).unwrap();
        let (flow, seen) = (Dataflow::new("merged"), Seen::default());
        let probes = merge_of_three(&flow, &seen);
        let batch = usize::try_from(1 + below(8)).unwrap();
        let capacity = batch + usize::try_from(below(20)).unwrap();
        let options = JobOptions::default().with_batch_records(batch);
        let options = options.with_edge_capacity(capacity);
        let options = options.with_publish_every(None).with_stall_warning(None);
        let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
        let mut spec = Merged { inputs: [(i64::MIN, false, false); 3], watermark: i64::MIN };
        for step in 0..60 {
            let chosen = usize::try_from(below(3)).unwrap();
            let (probe, input) = (&probes[chosen], &mut spec.inputs[chosen]);
            if input.2 {
                continue;
            }
            match below(20) {
                0 => {
                    driver.end(probe);
                    input.2 = true;
                }
                1..=4 => {
                    driver.idle(probe);
                    input.1 = true;
                }
                5..=10 => {
                    for number in 0..below(6) {
                        driver.push(probe, number);
                        input.1 = false;
                    }
                }
                11 => {
                    driver.watermark(probe, at(&i64::MIN));
                    input.1 = false;
                }
                _ => {
                    let watermark = below(1000) - 200;
                    driver.watermark(probe, at(&watermark));
                    input.0 = input.0.max(watermark);
                    input.1 = false;
                }
            }
            spec.settle();
            let reached = seen.watermark().unwrap_or(Timestamp::MIN);
            assert_eq!(reached, at(&spec.watermark), "SEED={seed}, step {step}");
            // And the one that holds it is named.
            let held_by = driver.metrics().edges[0].held_by.clone();
            assert_eq!(
                held_by.as_ref().map(|held| held.1),
                spec.counting().as_ref().map(at),
                "SEED={seed}"
            );
            if let Some((name, watermark)) = held_by {
                let holder = ["a", "b", "c"].iter().position(|known| *known == name).unwrap();
                assert_eq!(at(&spec.inputs[holder].0), watermark, "SEED={seed}, {name}");
            }
            if spec.inputs.iter().all(|(_, _, over)| *over) {
                break;
            }
        }
    }
}
