//! Results and watermarks.

use std::sync::{Arc, Mutex};

use millstream_engine::random::Random;
use millstream_engine::testing::probe_source;
use millstream_engine::time::Clock;
use millstream_operators::prelude::*;

use super::{at, sleep};

#[tokio::test(start_paused = true)]
async fn c2_results_leave_as_they_are_there() {
    let clock = Clock::system();
    let flow = Dataflow::new("unordered");
    let numbers = flow.source("numbers", source::from_iter([30, 10, 20_u64]));
    let call = move |n: u64| {
        let pause = sleep(&clock, n);
        async move {
            pause.await;
            n
        }
    };
    let all = numbers.map_async_unordered(3, call).collect();
    assert_eq!(flow.run().await.unwrap().take(all), Some(vec![10, 20, 30]));
}

/// Values with times and watermarks among them come out so that no value is late that was not.
#[tokio::test(start_paused = true)]
async fn c2_no_result_crosses_a_watermark_and_no_watermark_a_result() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let clock = Clock::system();
        let flow = Dataflow::new("fences");
        let (probe, factory) = probe_source::<i64>();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let call = move |millis: i64| {
            let pause = sleep(&clock, (millis as u64 * 7919) % 23);
            async move {
                pause.await;
                millis
            }
        };
        let log = Arc::clone(&seen);
        let numbers = flow.source("numbers", factory).map_async_unordered(5, call);
        numbers.via(Watch(log)).ignore();
        let options = JobOptions::default()
            .with_batch_records(1 + usize::try_from(random.below(4)).unwrap())
            .with_edge_capacity(1 + usize::try_from(random.below(4)).unwrap());
        let job = flow.start_with(&options).unwrap();
        let mut expected = Vec::new();
        let mut watermark = 0;
        for number in 0..60 {
            if random.below(4) == 0 {
                watermark = number;
                probe.watermark(at(number)).await;
            }
            expected.push((number, watermark));
            probe.send(Record::at(number, at(number))).await;
        }
        probe.end().await;
        job.await.unwrap();
        let mut seen = seen.lock().unwrap().clone();
        seen.sort_unstable();
        assert_eq!(seen, expected, "SEED={seed}");
    }
}

/// Notes each value with the watermark before it.
#[derive(Clone)]
struct Watch(Arc<Mutex<Vec<(i64, i64)>>>);

impl millstream_engine::operator::Operator<i64> for Watch {
    type Out = i64;
    const NAME: &'static str = "watch";

    fn process(
        &mut self,
        record: Record<i64>,
        out: &mut impl millstream_engine::operator::Collector<i64>,
    ) -> Result<(), OperatorError> {
        let mut seen = self.0.lock().unwrap();
        // A watermark is remembered as an entry of its own until the next value.
        let watermark = seen.iter().filter(|(value, _)| *value < 0).map(|(_, w)| *w).max();
        seen.push((record.value, watermark.unwrap_or(0)));
        drop(seen);
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl millstream_engine::operator::Collector<i64>,
    ) -> Result<(), OperatorError> {
        let mut seen = self.0.lock().unwrap();
        seen.retain(|(value, _)| *value >= 0);
        seen.push((-1, watermark.as_millis()));
        Ok(())
    }

    fn on_end(
        &mut self,
        _out: &mut impl millstream_engine::operator::Collector<i64>,
    ) -> Result<(), OperatorError> {
        self.0.lock().unwrap().retain(|(value, _)| *value >= 0);
        Ok(())
    }
}
