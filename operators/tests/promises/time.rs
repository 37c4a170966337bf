//! Watermarks keep their place: batch sizes, seams and edges change neither what is late nor what
//! comes out, and neither idleness nor a fan-in turns time back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::Error;
use millstream_engine::batch::Barrier;
use millstream_engine::graph::EdgeOptions;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::random::Random;
use millstream_engine::runtime::OperatorContext;
use millstream_engine::source::{Source, SourceBatch, SourceStatus};
use millstream_engine::testing::{SourceProbe, VirtualClock, probe_sink, probe_source};
use millstream_engine::time::{Clock, Instant};
use millstream_operators::prelude::*;

use super::{Expand, settle};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Ten thousand records out of order, and a watermark after every seven of them.
#[derive(Clone)]
struct Disordered {
    random: Random,
    next: i64,
}

impl Source for Disordered {
    type Item = u64;

    async fn next(&mut self, batch: &mut SourceBatch<u64>) -> Result<SourceStatus, OperatorError> {
        while !batch.is_full() && self.next < 10_000 {
            let behind = i64::try_from(self.random.below(40)).unwrap();
            batch.push(Record::at(self.next.unsigned_abs(), at(self.next - behind)));
            self.next += 1;
            if self.next % 7 == 0 {
                batch.watermark(at(self.next - 20));
            }
        }
        Ok(if self.next < 10_000 { SourceStatus::More } else { SourceStatus::End })
    }
}

/// What an operator saw, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Value(u64),
    Watermark(Timestamp),
}

/// Writes down what it sees, and counts what comes later than its watermark.
#[derive(Clone)]
struct Clockwatch {
    seen: Arc<Mutex<Vec<Seen>>>,
    late: Arc<Mutex<usize>>,
    watermark: Timestamp,
}

impl Clockwatch {
    fn new() -> Self {
        Self { seen: Arc::default(), late: Arc::default(), watermark: Timestamp::MIN }
    }

    fn take(&self) -> (Vec<Seen>, usize) {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        (seen, std::mem::take(&mut *self.late.lock().unwrap()))
    }
}

impl Operator<u64> for Clockwatch {
    type Out = u64;
    const NAME: &'static str = "clockwatch";

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        *self.late.lock().unwrap() += usize::from(record.time < self.watermark);
        self.seen.lock().unwrap().push(Seen::Value(record.value));
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        assert!(watermark > self.watermark, "time went back");
        self.watermark = watermark;
        self.seen.lock().unwrap().push(Seen::Watermark(watermark));
        Ok(())
    }
}

fn disordered(flow: &Dataflow) -> DataStream<u64> {
    let source = Disordered { random: Random::new(1), next: 0 };
    flow.source("in", source).boxed()
}

#[tokio::test]
async fn equally_many_are_late_whatever_the_batches_and_stages() {
    let mut expected = None;
    for batch in [1, 4, 32, 256, 4096] {
        for capacity in [1, 300] {
            for stages in 0..3 {
                let watch = Clockwatch::new();
                let flow = Dataflow::new("late");
                let mut stream = disordered(&flow);
                for _ in 0..stages {
                    stream = stream.map(|n| n).boundary();
                }
                stream.via(watch.clone()).ignore();
                let options =
                    JobOptions::default().with_batch_records(batch).with_edge_capacity(capacity);
                flow.run_with(options).await.unwrap();
                let found = watch.take();
                assert!(found.1 > 1000, "{} are late", found.1);
                let first = expected.get_or_insert_with(|| found.clone());
                assert!(*first == found, "{batch} {capacity} {stages}: {}", found.1);
            }
        }
    }
}

#[tokio::test]
async fn fused_and_boxed_chains_agree_to_the_last_watermark() {
    let mut expected = None;
    for form in 0..6 {
        for batch in [1, 3, 256] {
            let (watch, flow) = (Clockwatch::new(), Dataflow::new("forms"));
            let (twice, thrice) = (Expand::new(2, form % 2 == 0), Expand::new(3, false));
            let stream = disordered(&flow).filter(|n| n % 3 != 1).boxed();
            match form / 2 {
                0 => stream.via(twice).via(thrice).via(watch.clone()).ignore(),
                1 => stream.via(twice).boxed().via(thrice).boxed().via(watch.clone()).ignore(),
                _ => {
                    let stream = stream.boxed().boxed().via(twice).boundary();
                    stream.boxed().via(thrice).via(watch.clone()).boxed().boundary().ignore();
                }
            }
            let options = JobOptions::default().with_batch_records(batch).with_edge_capacity(5);
            flow.run_with(options).await.unwrap();
            let found = watch.take();
            let first = expected.get_or_insert_with(|| found.clone());
            assert!(*first == found, "{form} {batch}: {} late", found.1);
        }
    }
}

/// Two probed sources that meet in one stage.
fn met() -> (Dataflow, [SourceProbe<u64>; 2], DataStream<u64>) {
    let flow = Dataflow::new("met");
    let edge = flow.blueprint().add_edge::<u64>("meet", EdgeOptions::default());
    let probes = ["left", "right"].map(|name| {
        let (probe, factory) = probe_source();
        flow.source(name, factory).forward(edge);
        probe
    });
    let stream = DataStream::behind(flow.clone(), edge, 1, "meet");
    (flow, probes, stream)
}

#[tokio::test]
async fn a_fan_in_goes_by_its_slowest_input_that_is_not_idle() {
    let (flow, [left, right], stream) = met();
    let watch = Clockwatch::new();
    stream.via(watch.clone()).boundary().ignore();
    let job = flow.start().unwrap();
    left.watermark(at(50)).await;
    left.send(Record::at(1, at(60))).await;
    settle().await;
    assert_eq!(watch.take(), (vec![Seen::Value(1)], 0));
    right.idle().await;
    settle().await;
    assert_eq!(watch.take(), (vec![Seen::Watermark(at(50))], 0));
    // It wakes up behind: late, but time does not go back, and it holds the other up again.
    right.send(Record::at(2, at(10))).await;
    settle().await;
    right.watermark(at(20)).await;
    left.watermark(at(70)).await;
    settle().await;
    assert_eq!(watch.take(), (vec![Seen::Value(2)], 1));
    let holders = job.explain().watermark_holders;
    assert_eq!(holders, [("right".to_owned(), "left, right → meet".to_owned())]);
    right.end().await;
    settle().await;
    assert_eq!(watch.take(), (vec![Seen::Watermark(at(70))], 0));
    left.end().await;
    job.await.unwrap();
}

/// Lets one record through every ten milliseconds of the job's clock.
#[derive(Clone, Default)]
struct Paced {
    clock: Option<Clock>,
    held: Option<(Record<u64>, Instant)>,
}

impl Operator<u64> for Paced {
    type Out = u64;
    const NAME: &'static str = "paced";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock = Some(context.clock());
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<u64>,
        _out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        let clock = self.clock.as_ref().unwrap();
        self.held = Some((record, clock.now() + Duration::from_millis(10)));
        Ok(())
    }

    fn on_timer(
        &mut self,
        _now: Instant,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        self.held.take().into_iter().for_each(|(record, _)| out.push(record));
        Ok(())
    }

    fn pending(&self) -> bool {
        self.held.is_some()
    }

    fn waiting(&self) -> bool {
        self.held.is_some()
    }

    fn next_timer(&self) -> Option<Instant> {
        self.held.map(|(_, due)| due)
    }
}

#[tokio::test]
async fn records_of_an_input_that_was_idle_are_not_overtaken_by_time() {
    for boxed in [false, true] {
        let (flow, [left, right], stream) = met();
        let (clock, watch) = (VirtualClock::new(), Clockwatch::new());
        let edge = flow.blueprint().add_edge::<u64>("again", EdgeOptions::default());
        let (third, factory) = probe_source::<u64>();
        flow.source("third", factory).forward(edge);
        if boxed {
            stream.boxed().map(|n| n).forward(edge);
        } else {
            stream.forward(edge);
        }
        let again = DataStream::<u64>::behind(flow.clone(), edge, 1, "again");
        again.via(Paced::default()).boxed().via(watch.clone()).ignore();
        // One batch from the source, and edges of one record: the burst is cut into many.
        let options = JobOptions::default().with_edge_capacity(1).with_batch_records(16);
        let job = flow.start_with(&options.with_clock(clock.clock())).unwrap();
        left.idle().await;
        right.idle().await;
        settle().await;
        third.watermark(at(5)).await;
        settle().await;
        for n in 0..8 {
            left.send(Record::at(n, at(10))).await;
        }
        left.watermark(at(11)).await;
        settle().await;
        // The burst is halfway when the other input goes far ahead.
        third.watermark(at(100)).await;
        for _ in 0..10 {
            settle().await;
            clock.advance(Duration::from_millis(10));
        }
        settle().await;
        let burst = (0..8).map(Seen::Value);
        let mut expected = vec![Seen::Watermark(at(5))];
        expected.extend(burst.chain([Seen::Watermark(at(11))]));
        assert_eq!(watch.take(), (expected, 0), "boxed: {boxed}");
        left.idle().await;
        settle().await;
        assert_eq!(watch.take(), (vec![Seen::Watermark(at(100))], 0));
        drop(job);
    }
}

#[tokio::test]
async fn barriers_are_aligned_where_inputs_meet() {
    let (flow, [left, right], stream) = met();
    let (sink, end) = probe_sink();
    stream.boundary().sink("out", end);
    let job = flow.start().unwrap();
    sink.request(100);
    left.send(1).await;
    left.barrier(Barrier(1)).await;
    left.send(2).await;
    sink.expect([1]).await;
    settle().await;
    assert_eq!(sink.waiting(), 0, "what is behind the barrier waits");
    right.send(3).await;
    sink.expect([3]).await;
    assert_eq!(sink.waiting(), 0);
    right.barrier(Barrier(1)).await;
    sink.expect([2]).await;
    // The end of an input is as good as its barrier.
    left.barrier(Barrier(2)).await;
    left.send(4).await;
    settle().await;
    assert_eq!(sink.waiting(), 0);
    right.end().await;
    sink.expect([4]).await;
    left.end().await;
    sink.expect_end().await;
    job.await.unwrap();
}
