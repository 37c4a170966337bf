//! Event time on whole jobs: what is late is a matter of the records alone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::operator::{Collector, Operator};
use millstream_engine::random::Random;
use millstream_engine::testing::{probe_sink, probe_source};
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
