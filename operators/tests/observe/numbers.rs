//! The numbers of a job: counts and drops, depths, times, watermarks and latencies.

use std::time::Duration;

use millstream_engine::metrics::{DropReason, JobMetrics, OperatorCounters};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::testing::{TestDriver, probe_sink, probe_source};
use millstream_engine::{Error, Record};
use millstream_operators::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// Small batches and edges, and counts for each operator.
fn options() -> JobOptions {
    let options = JobOptions::default().with_batch_records(1).with_edge_capacity(4);
    options.with_operator_counts(true).with_publish_every(None).with_stall_warning(None)
}

/// Drops what is behind the watermark, and says so.
#[derive(Clone, Default)]
struct Punctual {
    counters: Option<std::sync::Arc<OperatorCounters>>,
    watermark: Option<Timestamp>,
}

impl Operator<u64> for Punctual {
    type Out = u64;
    const NAME: &'static str = "punctual";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.counters = Some(context.counters());
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        if self.watermark.is_some_and(|watermark| record.time < watermark) {
            self.counters.as_ref().unwrap().dropped(DropReason::Late, 1);
        } else {
            out.push(record);
        }
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        self.watermark = Some(watermark);
        Ok(())
    }
}

#[test]
fn m1_every_operator_counts_in_out_errors_and_drops_by_reason() {
    let (input, source) = probe_source::<u64>();
    let flow = Dataflow::new("counted");
    let stream = flow.source("in", source).via(Punctual::default());
    let parse =
        |n: &u64| if n.is_multiple_of(2) { Ok(*n) } else { Err(std::io::Error::other("odd")) };
    stream.try_map(OnError::skip(), parse).filter(|n| *n < 8).boundary().ignore();
    let mut driver = TestDriver::start_with(flow.blueprint(), &options()).unwrap();
    driver.watermark(&input, at(10));
    for n in 0..10 {
        driver.push(&input, Record::at(n, at(9 + n as i64)));
    }
    driver.end(&input);
    let report = driver.finish().unwrap();
    let named = |name: &str| {
        let operators = &report.metrics().operators;
        operators.iter().find(|operator| operator.name == name).unwrap().clone()
    };
    let counts = |name| {
        let one = named(name);
        (one.records_in.unwrap(), one.records_out.unwrap(), one.errors, one.dropped.total())
    };
    assert_eq!(counts("in"), (10, 10, 0, 0));
    assert_eq!(counts("punctual"), (10, 9, 0, 1));
    assert_eq!(counts("try_map"), (9, 4, 5, 5));
    assert_eq!(counts("filter"), (4, 3, 0, 0));
    assert_eq!(counts("ignore"), (3, 3, 0, 0));
    assert_eq!(named("punctual").dropped.of(DropReason::Late), 1);
    assert_eq!(named("try_map").dropped.of(DropReason::Skipped), 5);
    // What is in is out, dropped for a reason, or filtered.
    for one in &report.metrics().operators {
        let (taken, out) = (one.records_in.unwrap(), one.records_out.unwrap());
        assert_eq!(taken + one.added, out + one.filtered, "{}", one.name);
        assert!(one.dropped.total() <= one.filtered, "{}", one.name);
    }
}

#[test]
fn m2_an_edge_shows_its_depth_its_mean_depth_and_its_fill() {
    let (input, source) = probe_source::<u64>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("deep");
    flow.source("in", source).boundary().sink("out", sink);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options()).unwrap();
    let edge = |driver: &TestDriver| driver.metrics().edges[0].clone();
    assert_eq!((edge(&driver).depth, edge(&driver).utilisation()), (0, 0.0));
    // Two go to the sink and its stage, and what the edge holds is behind them.
    for n in 0..5 {
        driver.push(&input, n);
    }
    let filled = edge(&driver);
    assert_eq!(filled.capacity, 4);
    assert!(filled.depth > 0 && filled.utilisation() == filled.depth as f64 / 4.0, "{filled:?}");
    while driver.try_push(&input, 9).is_ok() {}
    let full = edge(&driver);
    assert_eq!((full.depth, full.utilisation(), full.blocked), (4, 1.0, 1));
    driver.read(&output);
    let emptied = edge(&driver);
    assert_eq!((emptied.depth, emptied.utilisation()), (0, 0.0));
    // It was found empty, and full, and all that is between.
    assert!(0.0 < emptied.mean_depth && emptied.mean_depth < 4.0, "{}", emptied.mean_depth);
}

#[test]
fn m2_each_channel_says_how_long_its_writer_waited() {
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("skewed");
    let stream = flow.source("in", source::from_iter(0_u64..)).broadcast::<2>();
    let [slow, fast] = stream;
    slow.sink("slow", sink);
    fast.ignore();
    let mut driver = TestDriver::start_with(flow.blueprint(), &options()).unwrap();
    driver.advance(MINUTE);
    let metrics = driver.metrics();
    let waited = |reader: &str| {
        let edge = metrics.edges.iter().find(|edge| edge.name.ends_with(reader)).unwrap();
        assert_eq!(
            edge.channels.iter().map(|one| one.blocked_for).sum::<Duration>(),
            edge.blocked_for
        );
        (edge.channels[0].blocked, edge.channels[0].blocked_for)
    };
    let names: Vec<_> = metrics.edges.iter().map(|edge| edge.name.clone()).collect();
    let full = metrics.edges.iter().position(|edge| edge.blocked > 0).unwrap();
    assert_eq!(waited(&names[full]), (true, MINUTE));
    assert_eq!(waited(&names[1 - full]), (false, Duration::ZERO));
    assert!(metrics.edges[full].channels[0].waits >= 1);
    drop(output);
}

/// Works for a second of the job's clock on every record.
#[derive(Clone)]
struct Laborious(millstream_engine::testing::VirtualClock, Duration);

impl Operator<u64> for Laborious {
    type Out = u64;
    const NAME: &'static str = "laborious";

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        self.0.advance(self.1);
        out.push(record);
        Ok(())
    }
}

/// A job on one thread, whose operator takes its time.
async fn laborious(records: u64) -> JobMetrics {
    let clock = millstream_engine::testing::VirtualClock::new();
    let flow = Dataflow::new("work");
    let stream = flow.source("in", source::from_iter(0..records)).boundary();
    stream.via(Laborious(clock.clone(), SECOND)).boundary().ignore();
    let job = flow.start_with(&options().with_clock(clock.clock())).unwrap();
    job.await.unwrap().metrics().clone()
}

#[tokio::test]
async fn m3_the_three_ratios_add_up_to_one() {
    let metrics = laborious(20).await;
    for stage in &metrics.stages {
        let [busy, idle, blocked] = stage.ratios();
        assert!((busy + idle + blocked - 1.0).abs() < 1e-9, "{}: {stage:?}", stage.name);
        assert!(busy >= 0.0 && idle >= 0.0 && blocked >= 0.0, "{}", stage.name);
    }
    let [_, working, reading] = &metrics.stages[..] else { panic!("three stages") };
    assert!(working.ratios()[0] > 0.9, "{:?}", working.ratios());
    assert!(reading.ratios()[1] > 0.9, "{:?}", reading.ratios());
    let explained = metrics.explain();
    assert!(explained.stages.iter().all(|(_, shares)| shares.iter().sum::<u64>() == 100));
}

#[test]
fn m4_watermark_and_lag_are_told_for_each_input_and_for_the_whole() {
    let (left, one) = probe_source::<u64>();
    let (right, other) = probe_source::<u64>();
    let flow = Dataflow::new("timed");
    let merged = flow.source("left", one).merge(flow.source("right", other));
    merged.named("meet").via(Punctual::default()).ignore();
    let mut driver = TestDriver::start_with(flow.blueprint(), &options()).unwrap();
    driver.advance(MINUTE);
    driver.watermark(&left, at(50));
    assert_eq!(driver.metrics().edges[0].inputs[1].watermark, None);
    driver.watermark(&right, at(20));
    driver.push(&right, Record::at(1, at(10)));
    let metrics = driver.metrics();
    let inputs = metrics.edges[0].inputs.iter();
    let inputs: Vec<_> =
        inputs.map(|input| (&*input.producer, input.watermark, input.lag)).collect();
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!(inputs, [("left", Some(at(50)), seconds(10)), ("right", Some(at(20)), seconds(40))]);
    assert_eq!(metrics.edges[0].held_by, Some(("right".to_owned(), at(20))));
    let behind = metrics.stages.iter().find(|stage| stage.name.contains("meet")).unwrap();
    assert_eq!((behind.watermark, behind.lag), (Some(at(20)), seconds(40)));
    let punctual = metrics.operators.iter().find(|one| one.name == "punctual").unwrap();
    assert_eq!(punctual.dropped.of(DropReason::Late), 1);
    // Whoever is idle or at an end holds nobody back.
    driver.end(&right);
    let metrics = driver.metrics();
    assert!(metrics.edges[0].inputs[1].idle);
    assert_eq!(metrics.edges[0].held_by, Some(("left".to_owned(), at(50))));
}

#[tokio::test]
async fn m7_the_time_that_a_stage_works_on_a_record_is_known() {
    let metrics = laborious(10).await;
    let running = &metrics.stages[1].running;
    assert_eq!((running.count(), running.mean()), (10, Some(SECOND)));
    let median = running.quantile(0.5).unwrap();
    assert!(SECOND <= median && median <= SECOND * 5 / 4, "{median:?}");
}

#[test]
fn m7_the_time_that_records_wait_is_known_by_a_sample_of_them() {
    let (input, source) = probe_source::<u64>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("waiting");
    flow.source("in", source).boundary().sink("out", sink);
    let options = options().with_edge_capacity(64);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    // The first is timed, and goes to the sink at once; of the others, the seventeenth.
    for n in 0..40 {
        driver.push(&input, n);
    }
    driver.advance(SECOND * 8);
    let queueing = |driver: &TestDriver| driver.metrics().edges[0].queueing.clone();
    assert_eq!(queueing(&driver).quantile(1.0).map(|time| time < SECOND), Some(true));
    driver.read(&output);
    let waited = queueing(&driver);
    let longest = waited.quantile(1.0).unwrap();
    assert!(SECOND * 8 <= longest && longest <= SECOND * 10, "{longest:?}");
    assert_eq!(waited.count(), 2, "one at a time, and not each");
    // A place in the queue is timed: what comes later does not overtake it.
    assert_eq!(waited.mean(), Some(SECOND * 4));
}

#[tokio::test]
async fn m7_nothing_is_measured_where_nothing_goes_through() {
    let flow = Dataflow::new("empty");
    flow.source("in", source::empty::<u64>()).boundary().ignore();
    let report = flow.run().await.unwrap();
    let metrics = report.metrics();
    assert!(metrics.stages.iter().all(|stage| stage.running.quantile(0.5).is_none()));
    assert_eq!(metrics.edges[0].queueing.mean(), None);
}
