//! What waits for calls in flight: barriers, idleness, those who ask what a job waits for, and
//! threads that are at work when it is aborted.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream;
use millstream_engine::ErrorKind;
use millstream_engine::batch::Barrier;
use millstream_engine::metrics::Why;
use millstream_engine::sink::{Sink, SinkStatus};
use millstream_engine::testing::{TestDriver, probe_source};
use millstream_operators::prelude::*;
use tokio::sync::Semaphore;

use super::{Gauge, at};

const HOUR: Duration = Duration::from_secs(3600);

/// Writes down what it is given, and which barriers come behind that.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Sink for Journal {
    type Item = u64;

    async fn write(&mut self, records: &mut Vec<Record<u64>>) -> Result<SinkStatus, OperatorError> {
        let values = records.drain(..).map(|record| record.value.to_string());
        self.0.lock().unwrap().extend(values);
        Ok(SinkStatus::More)
    }

    async fn barrier(&mut self, barrier: Barrier) -> Result<(), OperatorError> {
        self.0.lock().unwrap().push(format!("barrier {}", barrier.0));
        Ok(())
    }
}

/// Answers 1 when the gate is opened, and everything else at once.
async fn gated(gate: Arc<Semaphore>, value: u64) -> u64 {
    if value == 1 {
        gate.acquire().await.unwrap().forget();
    }
    value
}

type Gated = Box<dyn Fn(DataStream<u64>, Arc<Semaphore>) -> DataStream<u64>>;

/// Every word that has calls in flight, and the name of whom it is waited for.
fn words() -> Vec<(&'static str, Gated)> {
    let ok = |gate, value| async move { Ok::<_, std::io::Error>(gated(gate, value).await) };
    let keys = |gate: Arc<Semaphore>, keys: Vec<u64>| async move {
        let mut found = Vec::new();
        for key in keys {
            found.push((key, gated(Arc::clone(&gate), key).await));
        }
        Ok::<_, std::io::Error>(found)
    };
    let inner = |gate, value| stream::once(Box::pin(gated(gate, value)));
    vec![
        ("map_async", Box::new(|all, gate| all.map_async(4, move |n| gated(gate.clone(), n)))),
        (
            "map_async_unordered",
            Box::new(|all, gate| all.map_async_unordered(4, move |n| gated(gate.clone(), n))),
        ),
        (
            "map_async_keyed",
            Box::new(|all, gate| all.map_async_keyed(4, |n| *n, move |n| gated(gate.clone(), n))),
        ),
        (
            "calls",
            Box::new(move |all, gate| {
                all.try_map_async(4, OnError::fail(), move |n| ok(gate.clone(), n)).boxed()
            }),
        ),
        (
            "scan_async",
            Box::new(|all, gate| {
                all.scan_async((), move |(), n| {
                    let gate = gate.clone();
                    async move { ((), gated(gate, n).await) }
                })
            }),
        ),
        (
            "lookup_async",
            Box::new(move |all, gate| {
                let lookup = Lookup::default().with_keys_per_call(1);
                let found = all.lookup_async(lookup, |n| *n, move |some| keys(gate.clone(), some));
                found.map(|(key, _)| key).boxed()
            }),
        ),
        (
            "flat_map_concat",
            Box::new(move |all, gate| all.flat_map_concat(move |n| inner(gate.clone(), n))),
        ),
        (
            "flat_map_merge",
            Box::new(move |all, gate| all.flat_map_merge(4, move |n| inner(gate.clone(), n))),
        ),
        (
            "flat_map_sequential",
            Box::new(move |all, gate| all.flat_map_sequential(4, move |n| inner(gate.clone(), n))),
        ),
        ("switch_map", Box::new(move |all, gate| all.switch_map(move |n| inner(gate.clone(), n)))),
    ]
}

fn options() -> JobOptions {
    JobOptions::default().with_publish_every(None).with_stall_warning(None)
}

#[test]
fn c1_a_barrier_and_what_is_behind_it_wait_for_what_is_in_flight() {
    for (name, word) in words() {
        let (journal, gate) = (Journal::default(), Arc::new(Semaphore::new(0)));
        let (input, factory) = probe_source();
        let flow = Dataflow::new("barrier");
        let stream = flow.source("numbers", factory).boxed();
        word(stream, Arc::clone(&gate)).sink("journal", journal.clone());
        let mut driver = TestDriver::start_with(flow.blueprint(), &options()).unwrap();
        driver.push(&input, 1);
        driver.barrier(&input, Barrier(7));
        driver.push(&input, 2);
        assert_eq!(journal.take(), Vec::<String>::new(), "{name}");
        gate.add_permits(1);
        driver.settle();
        assert_eq!(journal.take(), ["1", "barrier 7", "2"], "{name}");
        driver.end(&input);
        driver.finish().unwrap();
    }
}

#[test]
fn c1_an_input_is_idle_when_nothing_of_it_is_in_flight() {
    for (name, word) in words() {
        let gate = Arc::new(Semaphore::new(0));
        let (left, left_factory) = probe_source::<u64>();
        let (right, right_factory) = probe_source::<u64>();
        let (flow, log) = (Dataflow::new("idle"), Arc::new(Mutex::new(Vec::new())));
        let calls = word(flow.source("left", left_factory).boxed(), Arc::clone(&gate));
        let seen = Arc::clone(&log);
        let all = calls.merge(flow.source("right", right_factory).boxed());
        all.via(Seen { log: seen }).ignore();
        let mut driver = TestDriver::start_with(flow.blueprint(), &options()).unwrap();
        driver.push(&left, Record::at(1, at(5)));
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(left.idle());
        driver.settle();
        driver.watermark(&right, at(100));
        driver.settle();
        assert_eq!(log.lock().unwrap().as_slice(), [] as [i64; 0], "{name}");
        gate.add_permits(1);
        driver.settle();
        assert_eq!(log.lock().unwrap().as_slice(), [1, -100], "{name}: the record goes first");
        driver.push(&left, Record::at(3, at(200)));
        driver.watermark(&right, at(150));
        driver.watermark(&left, at(130));
        let told = log.lock().unwrap().clone();
        assert_eq!(told, [1, -100, 3, -130], "{name}: it is idle no more");
        driver.end(&left);
        driver.end(&right);
        driver.finish().unwrap();
    }
}

/// Writes down values, and watermarks as negative numbers.
#[derive(Clone)]
struct Seen {
    log: Arc<Mutex<Vec<i64>>>,
}

impl millstream_engine::operator::Operator<u64> for Seen {
    type Out = u64;
    const NAME: &'static str = "seen";

    fn process(
        &mut self,
        record: Record<u64>,
        out: &mut impl millstream_engine::operator::Collector<u64>,
    ) -> Result<(), OperatorError> {
        self.log.lock().unwrap().push(i64::try_from(record.value)?);
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl millstream_engine::operator::Collector<u64>,
    ) -> Result<(), OperatorError> {
        self.log.lock().unwrap().push(-watermark.as_millis());
        Ok(())
    }
}

#[test]
fn c1_a_job_that_waits_for_an_answer_says_so() {
    for (name, word) in words() {
        let gate = Arc::new(Semaphore::new(0));
        let (input, factory) = probe_source();
        let flow = Dataflow::new("unanswered");
        word(flow.source("numbers", factory).boxed(), gate).ignore();
        let mut driver = TestDriver::start_with(flow.blueprint(), &options()).unwrap();
        driver.push(&input, 1);
        driver.clock().advance(HOUR);
        let culprit = driver.explain().culprit.unwrap_or_else(|| panic!("{name}: nobody"));
        assert_eq!(culprit.operator.as_deref(), Some(name));
        assert_eq!((culprit.why, culprit.age), (Why::AwaitsItself, HOUR), "{name}");
    }
}

#[test]
fn c8_an_aborted_job_waits_for_no_thread_and_begins_no_more_work() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().max_blocking_threads(1).build().unwrap();
    let (begun, started) = sync_channel::<()>(9);
    let (let_go, gate) = sync_channel::<()>(0);
    let (gate, calls) = (Arc::new(Mutex::new(gate)), Arc::new(AtomicUsize::new(0)));
    let flow = Dataflow::new("blocked");
    let counted = Arc::clone(&calls);
    let numbers = flow.source("numbers", source::from_iter(0..9_u64));
    let work = numbers.map_blocking(4, move |n| {
        counted.fetch_add(1, SeqCst);
        begun.send(()).unwrap();
        gate.lock().unwrap().recv().unwrap();
        n
    });
    work.ignore();
    runtime.block_on(async {
        let job = flow.start().unwrap();
        while started.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        job.abort();
        assert_eq!(job.await.unwrap_err().kind(), &ErrorKind::Aborted);
    });
    assert_eq!(calls.load(SeqCst), 1, "one thread, and it is at work");
    let_go.send(()).unwrap();
    drop(runtime);
    assert_eq!(calls.load(SeqCst), 1, "those that had not begun never do");
}

#[tokio::test(start_paused = true)]
async fn c11_no_more_are_in_flight_than_the_most() {
    for (least, most) in [(1, 3), (3, 4), (5, 5)] {
        let (gauge, flow) = (Gauge::default(), Dataflow::new("bounds"));
        let clock = millstream_engine::time::Clock::system();
        let call = {
            let gauge = gauge.clone();
            move |n: u64| {
                let (inside, pause) = (gauge.enter(), super::sleep(&clock, 1 + n % 3));
                async move {
                    pause.await;
                    drop(inside);
                    if n.is_multiple_of(7) { Err(std::io::Error::other("429")) } else { Ok(n) }
                }
            }
        };
        let numbers = flow.source("numbers", source::from_iter(0..500_u64));
        let concurrency = Concurrency::adaptive(least, most);
        let all =
            numbers.try_map_async_keyed(concurrency, OnError::skip(), |n| n % 5, call).count();
        let report = flow.run().await.unwrap();
        assert_eq!(report.take(all), Some(500 - 72));
        assert!(gauge.most() <= most, "{} > {most}", gauge.most());
        assert_eq!((gauge.now(), gauge.entered()), (0, 500));
    }
}
