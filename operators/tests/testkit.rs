//! The test kit, tested: probes, the driver, virtual time, schedules, crashes and leaks.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::edge::Outbox;
use millstream_engine::graph::Port;
use millstream_engine::metrics::{DropReason, JobMetrics};
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::{JobState, OperatorContext, Outcome};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::tail::{Flow, Tail};
use millstream_engine::testing::{
    Ending, OperatorHarness, Step, TestDriver, VirtualClock, assert_nothing_left,
    assert_survives_crashes, explore, probe_sink, probe_source,
};
use millstream_engine::time::Instant;
use millstream_engine::{Error, ErrorKind};
use millstream_operators::prelude::*;
use millstream_operators::source::MissedTicks;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// The message of a panic.
fn panic_of(act: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(act)).expect_err("it should panic");
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}

// L1

#[tokio::test(start_paused = true)]
async fn l1_probes_send_request_and_expect() {
    let (input, source) = probe_source::<u32>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("probed");
    flow.source("in", source).sink("out", sink);
    let job = flow.start().unwrap();
    input.expect_asked(SECOND).await;
    input.send(Record::at(1, at(5))).await;
    output.expect_record(Record::at(1, at(5))).await;
    input.end().await;
    output.expect_end().await;
    assert_eq!(job.await.unwrap().records_written(), 1);
}

#[tokio::test(start_paused = true)]
async fn l1_without_demand_nothing_is_taken() {
    let (input, source) = probe_source::<u32>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("undemanded");
    flow.source("in", source).sink("out", sink);
    let job = flow.start_with(&JobOptions::default().with_batch_records(1)).unwrap();
    for n in 0..10 {
        input.send(n).await;
    }
    input.expect_not_asked(SECOND).await;
    output.request(4);
    output.expect([0, 1, 2, 3]).await;
    input.expect_not_asked(SECOND).await;
    output.expect(4..10).await;
    input.expect_asked(SECOND).await;
    drop(job);
    input.expect_cancelled(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn l1_cancellation_and_errors_are_expected_at_either_end() {
    let (input, source) = probe_source::<u32>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("failing");
    flow.source("in", source).boundary().sink("out", sink);
    let job = flow.start().unwrap();
    input.send(1).await;
    output.expect([1]).await;
    output.fail(std::io::Error::other("full"));
    input.send(2).await;
    let error = output.expect_error(job).await;
    assert_eq!(error.to_string(), "operator `out` failed: full");
    assert_eq!(output.ended().await, Ending::Dropped);
    input.expect_cancelled(SECOND).await;
}

// L2

/// A graph with a timer of each kind: ticks, a retry's backoff, a publisher, a drain's deadline.
fn timers() -> (Dataflow, Arc<Mutex<Vec<u64>>>) {
    let flow = Dataflow::new("timers");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let failures = Arc::new(Mutex::new(BTreeSet::new()));
    let (record, fail) = (Arc::clone(&seen), failures);
    let ticks = flow.source("ticks", source::interval(DAY, MissedTicks::Skip));
    let backoff = Backoff::default().with_initial(DAY / 4).with_factor(1.0).with_jitter(0.0);
    let backoff = backoff.with_max_delay(DAY).with_attempts(3);
    let retry = OnError::retry(backoff);
    ticks
        .try_map(retry, move |tick| {
            // Each fails the first time, and works the second.
            let first = fail.lock().unwrap().insert(*tick);
            if first { Err(std::io::Error::other("not yet")) } else { Ok(*tick) }
        })
        .for_each(move |tick| record.lock().unwrap().push(tick));
    (flow, seen)
}

/// Moves the clock only where every task has come to rest, on whichever runtime.
async fn on_virtual_time() {
    let clock = VirtualClock::new();
    let (flow, seen) = timers();
    let often = Some(DAY / 8);
    let options = JobOptions::default().with_publish_every(often).with_stall_warning(often);
    let job = flow.start_with(&options.with_clock(clock.clock())).unwrap();
    let mut elapsed = Duration::ZERO;
    while seen.lock().unwrap().len() < 3 {
        tokio::task::yield_now().await;
        // What is due next is a matter of data: nothing is lost by going there step by step.
        if let Some(next) = clock.next_timer().filter(|next| *next > Duration::ZERO) {
            clock.advance(next);
            elapsed += next;
        }
    }
    let waited = job.metrics().operators[1].retries;
    assert!(waited >= 3, "each tick was tried again: {waited}");
    assert!(elapsed >= DAY * 2, "days have passed by hand: {elapsed:?}");
    job.abort();
    assert!(job.await.is_err());
    assert_eq!(clock.timers(), 0);
}

#[tokio::test]
async fn l2_every_timer_follows_the_hand_on_one_thread() {
    on_virtual_time().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l2_every_timer_follows_the_hand_on_several_threads() {
    on_virtual_time().await;
}

#[test]
fn l2_nothing_happens_while_the_hand_stands_still() {
    let (flow, seen) = timers();
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    let before = seen.lock().unwrap().len();
    driver.settle();
    assert_eq!(seen.lock().unwrap().len(), before);
    driver.advance(DAY * 10);
    let ticks = seen.lock().unwrap().clone();
    assert!(ticks.len() >= 8, "{ticks:?}");
    // It waits for its next tick, a drain ends it, and its deadline is on the same clock.
    assert_eq!(driver.drain(DAY).unwrap().outcome(), Outcome::Drained);
}

// L3

#[test]
fn l3_a_whole_graph_runs_in_a_plain_test() {
    let (orders, order_source) = probe_source::<u64>();
    let (returns, return_source) = probe_source::<u64>();
    let (even, even_sink) = probe_sink::<u64>();
    let (odd, odd_sink) = probe_sink::<u64>();
    let flow = Dataflow::new("driven");
    let all = flow.source("orders", order_source);
    let all = all.merge(flow.source("returns", return_source));
    let (evens, odds) = all.map(|n| n + 1).split(|n| n % 2 == 0);
    evens.sink("even", even_sink);
    odds.chunks(2).map(|pair| pair.iter().sum()).sink("odd", odd_sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.push(&orders, 1);
    assert_eq!(driver.read(&even), [2]);
    driver.push(&orders, 2);
    assert!(driver.read(&odd).is_empty());
    driver.push(&returns, 4);
    assert_eq!(driver.read(&odd), [3 + 5]);
    driver.push(&returns, 6);
    driver.end(&orders);
    assert_eq!(driver.state(), JobState::Running);
    driver.end(&returns);
    assert_eq!((driver.read(&odd), driver.read(&even)), (vec![7], Vec::new()));
    let report = driver.finish().unwrap();
    assert_eq!((report.outcome(), report.records_written()), (Outcome::Completed, 3));
}

#[test]
fn l3_the_driver_shows_backpressure_state_and_who_holds_up() {
    let (input, source) = probe_source::<u64>();
    let (output, sink) = probe_sink::<u64>();
    let flow = Dataflow::new("full");
    let stream = flow.source("in", source).boundary().with_capacity(2);
    stream.map(|n| n).sink("out", sink);
    let options = JobOptions::default().with_batch_records(1);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    let mut pushed = 0;
    while driver.try_push(&input, pushed).is_ok() {
        pushed += 1;
    }
    assert!(pushed < 30, "{pushed}");
    assert_eq!(driver.metrics().edges[0].depth, 2);
    assert_eq!(driver.explain().culprit.unwrap().operator.as_deref(), Some("out"));
    let message = panic_of(|| driver.push(&input, 99));
    assert!(message.contains("no room") && message.contains("`out`"), "{message}");
    output.request(1);
    let records = driver.records(&output);
    assert_eq!(records.len(), 1);
    assert_eq!(driver.read(&output).len() as u64, pushed - 1);
    driver.end(&input);
    assert_eq!(driver.finish().unwrap().records_written(), pushed);
}

#[test]
fn l3_a_graph_that_stands_still_does_not_hang_the_test() {
    let flow = Dataflow::new("stuck");
    flow.source("quiet", source::never::<u64>()).ignore();
    let driver = TestDriver::start(flow.blueprint()).unwrap();
    let message = panic_of(|| drop(driver.finish()));
    assert!(message.contains("has not ended") && message.contains("`quiet`"), "{message}");
}

#[test]
fn l3_errors_and_deadlines_come_back() {
    let graph = || {
        let (input, source) = probe_source::<u64>();
        let (output, sink) = probe_sink::<u64>();
        let flow = Dataflow::new("failing");
        flow.source("in", source).sink("out", sink);
        (flow, input, output)
    };
    let (flow, input, _output) = graph();
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.fail(&input, std::io::Error::other("torn"));
    assert_eq!(driver.finish().unwrap_err().to_string(), "operator `in` failed: torn");

    let (flow, input, _output) = graph();
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    driver.push(&input, 1);
    assert_eq!(driver.drain(SECOND).unwrap_err().kind(), &ErrorKind::DrainDeadline);
}

// L4

/// Passes on what is small, and puts what is large into a side output; counts and pauses.
struct Sort {
    large: Port,
    side: Option<Outbox<u64>>,
    clock: Option<millstream_engine::time::Clock>,
    held: Option<(Record<u64>, Instant)>,
}

impl Sort {
    const fn new(large: Port) -> Self {
        Self { large, side: None, clock: None, held: None }
    }
}

impl Clone for Sort {
    fn clone(&self) -> Self {
        Self::new(self.large)
    }
}

impl Operator<u64> for Sort {
    type Out = u64;
    const NAME: &'static str = "sort";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.side = context.side_output(self.large);
        self.clock = Some(context.clock());
        context.counters().dropped(DropReason::Sampled, 0);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        match (record.value, &mut self.side) {
            (100.., Some(side)) => {
                let (Flow::More | Flow::Stop) = side.push(record);
            }
            (13, _) => self.held = Some((record, self.clock.as_ref().unwrap().now() + SECOND)),
            (0, _) => return Err(std::io::Error::other("nothing").into()),
            _ => out.push(record),
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        now: Instant,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        if let Some((record, _)) = self.held.take_if(|(_, due)| *due <= now) {
            out.push(record);
        }
        Ok(())
    }

    fn pending(&self) -> bool {
        self.held.is_some()
    }

    fn waiting(&self) -> bool {
        self.held.is_some()
    }

    fn next_timer(&self) -> Option<Instant> {
        self.held.as_ref().map(|(_, due)| *due)
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.side.as_mut().map(|side| side as &mut dyn SideOutput)
    }
}

#[test]
fn l4_the_harness_has_the_side_output_too() {
    let (mut harness, mut large) = OperatorHarness::<u64, _>::with_side::<u64>(2, Sort::new);
    for n in [1, 100, 2, 101, 102, 3] {
        harness.push(n);
    }
    // The side output has no room for 102, so 3 waits.
    assert_eq!(harness.values(), [1, 2]);
    assert_eq!(large.values(), [100, 101]);
    harness.watermark(at(9));
    harness.end();
    let events = harness.events();
    use millstream_engine::testing::Event::{End, Record as Taken, Watermark};
    assert_eq!(events, [Taken(Record::new(3)), Watermark(at(9)), End]);
    assert_eq!((large.values(), large.is_ended()), (vec![102_u64], true));
}

#[test]
fn l4_what_comes_while_the_operator_waits_is_held_back_as_in_a_job() {
    let (mut harness, _large) = OperatorHarness::<u64, _>::with_side::<u64>(2, Sort::new);
    harness.push(13);
    harness.push(14);
    harness.watermark(at(5));
    harness.end();
    assert!(harness.is_waiting() && harness.events().is_empty());
    assert_eq!(harness.next_timer(), Some(SECOND));
    harness.advance(SECOND);
    use millstream_engine::testing::Event::{End, Record as Taken, Watermark};
    let expected = [Taken(Record::new(13)), Taken(Record::new(14)), Watermark(at(5)), End];
    assert_eq!(harness.events(), expected);
}

#[test]
fn l4_errors_ends_and_panics_come_back() {
    let (mut harness, _large) = OperatorHarness::<u64, _>::with_side::<u64>(2, Sort::new);
    harness.push(0);
    let error = harness.take_error().unwrap();
    assert_eq!(error.to_string(), "operator `sort` failed: nothing");
    assert_eq!(harness.counters().drops().total(), 0);

    let mut harness = OperatorHarness::<u64, _>::new(Total::default());
    harness.push(3);
    harness.push(4);
    assert!(harness.is_done());
    let message = panic_of(|| harness.push(u64::MAX));
    assert_eq!(message, "too much");
}

// L5

/// A running sum of what is below four, which forgets now and then where it is told to be broken.
#[derive(Debug, Default)]
struct Total {
    sum: u64,
    /// Leaves this out of its snapshots.
    forgetful: bool,
}

impl Clone for Total {
    fn clone(&self) -> Self {
        Self { sum: 0, forgetful: self.forgetful }
    }
}

impl Operator<u64> for Total {
    type Out = u64;
    const NAME: &'static str = "total";

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        assert!(record.value < u64::MAX, "too much");
        self.sum += record.value;
        out.push(Record::new(self.sum));
        Ok(())
    }

    fn done(&self) -> bool {
        self.sum > 6
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let sum = if self.forgetful && self.sum == 3 { 0 } else { self.sum };
        state.write(sum.to_le_bytes().to_vec());
        Ok(())
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let bytes = state.read().and_then(|bytes| bytes.try_into().ok());
        self.sum = u64::from_le_bytes(bytes.ok_or_else(|| StateError::new("no sum"))?);
        Ok(())
    }
}

fn records(values: impl IntoIterator<Item = u64>) -> Vec<Step<u64>> {
    values.into_iter().map(|n| Step::Record(Record::new(n))).chain([Step::End]).collect()
}

#[test]
fn l5_a_state_that_is_written_whole_survives_every_crash() {
    let mut script = records([1, 2, 1, 2]);
    script.insert(2, Step::Watermark(at(3)));
    script.insert(3, Step::Advance(SECOND));
    assert_survives_crashes(&Total::default(), &script);
}

#[test]
fn l5_the_crash_that_loses_something_is_found() {
    let total = Total { forgetful: true, ..Total::default() };
    let message = panic_of(|| assert_survives_crashes(&total, &records([1, 1, 1, 1])));
    assert!(message.contains("a crash after 3 steps changes the output"), "{message}");
}

// L6

/// Two sources into one sink, which takes it for granted that `left` comes first.
fn hasty(options: &JobOptions) -> (Vec<u64>, JobMetrics) {
    let flow = Dataflow::new("hasty");
    let left = flow.source("left", source::from_iter([1, 2, 3])).boundary();
    let right = flow.source("right", source::from_iter([11, 12, 13])).map(|n| n).boundary();
    let all = left.merge(right.boundary()).collect();
    let mut driver =
        TestDriver::start_with(flow.blueprint(), &options.clone().with_batch_records(1)).unwrap();
    driver.settle();
    let metrics = driver.metrics();
    (driver.finish().unwrap().take(all).unwrap(), metrics)
}

#[test]
fn l6_a_planted_dependence_on_the_schedule_is_found() {
    let expected = [1, 2, 3, 11, 12, 13];
    // Without disorder it goes well every time.
    for _ in 0..20 {
        assert_eq!(hasty(&JobOptions::default()).0, expected);
    }
    let found = catch_unwind(|| {
        explore(0..200, |options| assert_eq!(hasty(options).0, expected));
    });
    assert!(found.is_err(), "no schedule in which `right` is first");
}

#[test]
fn l6_a_seed_replays_exactly_and_seeds_differ() {
    let mut orders = BTreeSet::new();
    explore(0..50, |options| {
        let (first, again) = (hasty(options), hasty(options));
        assert_eq!(first, again, "down to every count");
        assert_eq!(first.0.len(), 6);
    });
    for seed in 0..50 {
        orders.insert(hasty(&JobOptions::default().with_schedule_seed(seed)).0);
    }
    assert!(orders.len() > 3, "only {} orders", orders.len());
}

#[test]
fn l6_what_rests_on_no_schedule_holds_under_all() {
    explore(0..100, |options| {
        let flow = Dataflow::new("careful");
        let stream = flow.source("in", source::from_iter(0..200_u64)).parallel(3);
        let sum = stream.map(|n| n * 2).gather().fold(0, |sum, n| *sum += n);
        let (input, source) = probe_source::<u64>();
        let order = flow.source("ordered", source).boundary().map(|n| n).boundary().collect();
        let mut driver = TestDriver::start_with(flow.blueprint(), options).unwrap();
        (0..30).for_each(|n| driver.push(&input, n));
        driver.end(&input);
        let report = driver.finish().unwrap();
        assert_eq!(report.take(sum), Some(199 * 200));
        assert_eq!(report.take(order), Some((0..30).collect()));
    });
}

// L8

#[test]
fn l8_a_script_can_be_played_to_an_operator() {
    let script = [
        Step::Record(Record::at(1, at(1))),
        Step::Watermark(at(2)),
        Step::Advance(SECOND),
        Step::Record(Record::new(2)),
        Step::End,
    ];
    let mut harness = OperatorHarness::new(Total::default());
    script.iter().for_each(|step| harness.play(step));
    use millstream_engine::testing::Event::{End, Record as Taken, Watermark};
    let expected = [Taken(Record::new(1)), Watermark(at(2)), Taken(Record::new(3)), End];
    assert_eq!(harness.events(), expected);
}

// L9

#[test]
fn l9_a_timer_that_is_left_is_found() {
    let clock = VirtualClock::new();
    let flow = Dataflow::new("tidy");
    flow.source("in", source::empty::<u64>()).ignore();
    let observer = observer_of(&flow);
    assert_nothing_left(&observer, &clock);
    let mut forgotten = Box::pin(clock.clock().sleep(SECOND));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(forgotten.as_mut().poll(&mut cx).is_pending());
    let message = panic_of(|| assert_nothing_left(&observer, &clock));
    assert!(message.contains("timers are left"), "{message}");
}

/// The observer of a run that is over.
fn observer_of(flow: &Dataflow) -> millstream_engine::runtime::JobObserver {
    let driver = TestDriver::start(flow.blueprint()).unwrap();
    let observer = driver.observer().clone();
    driver.finish().unwrap();
    observer
}

#[test]
fn l9_a_job_that_runs_has_something_left() {
    let flow = Dataflow::new("running");
    flow.source("quiet", source::never::<u64>()).ignore();
    let driver = TestDriver::start(flow.blueprint()).unwrap();
    let message = panic_of(|| assert_nothing_left(driver.observer(), driver.clock()));
    assert!(message.contains("instances of `quiet → ignore` are left"), "{message}");
}

// L10

#[test]
fn l10_what_was_dropped_can_be_asserted_on() {
    let (input, source) = probe_source::<u64>();
    let flow = Dataflow::new("dropping");
    let kept =
        flow.source("in", source)
            .try_map(OnError::skip(), |n| {
                if *n > 1 { Ok(*n) } else { Err(std::io::Error::other("small")) }
            })
            .collect();
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    (0..4).for_each(|n| driver.push(&input, n));
    let dropped = driver.metrics().operators[1].dropped;
    assert_eq!((dropped.of(DropReason::Skipped), dropped.total()), (2, 2));
    driver.end(&input);
    assert_eq!(driver.finish().unwrap().take(kept), Some(vec![2, 3]));
}
