//! Sources that threads feed, woken by the runtime's I/O driver.

use std::sync::mpsc;
use std::thread;

use millstream_engine::ErrorKind;
use millstream_operators::prelude::*;
use tokio::runtime::{Builder, Runtime};

use crate::MINUTE;

fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap()
}

/// Each value is offered when the one before has come out, so that the runtime falls asleep between
/// them, and is halfway there as often.
#[test]
fn a4_no_wake_is_lost_whoever_is_awake() {
    for (workers, producers) in [(1, 2), (2, 1), (2, 2), (3, 4)] {
        let runtime = runtime(workers);
        thread::scope(|scope| {
            for _ in 0..producers {
                scope.spawn(|| echo(&runtime, 2_000));
            }
        });
    }
}

fn echo(runtime: &Runtime, values: u64) {
    let (handle, offered) = source::queue(4);
    let (echo, echoed) = mpsc::sync_channel(4);
    let flow = Dataflow::new("echo");
    let numbers = flow.source("offered", source::woken_by_io(offered)).map(|n: u64| n + 1);
    numbers.boundary().for_each(move |n| echo.send(n).unwrap());
    let job = runtime.block_on(async { flow.start() }).unwrap();
    for n in 0..values {
        assert!(handle.offer(n).is_accepted());
        assert_eq!(echoed.recv_timeout(MINUTE), Ok(n + 1));
    }
    drop(handle);
    assert_eq!(runtime.block_on(job).unwrap().records_read(), values);
}

#[test]
fn a4_a_flood_from_threads_arrives_whole() {
    let runtime = runtime(2);
    let (handle, values) = source::queue(16);
    let flow = Dataflow::new("flood");
    let values = flow.source("values", source::woken_by_io(values));
    let sum = values.boundary().fold(0, |sum: &mut u64, n| *sum += n);
    let job = runtime.block_on(async { flow.start() }).unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| flood(&handle));
        }
    });
    drop(handle);
    let total = 3 * (0..20_000).sum::<u64>();
    assert_eq!(runtime.block_on(job).unwrap().take(sum), Some(total));
}

fn flood(handle: &source::QueueHandle<u64>) {
    for n in 0..20_000 {
        while !handle.offer(n).is_accepted() {
            thread::yield_now();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a4_a_source_that_is_woken_by_io_drains_as_it_would_without() {
    let (handle, values) = source::queue(8);
    let flow = Dataflow::new("drained");
    let all = flow.source("values", source::woken_by_io(values)).collect();
    let job = flow.start().unwrap();
    assert!((0..5).all(|n| handle.offer(n).is_accepted()));
    let report = job.drain(MINUTE).await.unwrap();
    assert_eq!(report.take(all), Some((0..5).collect()));
    assert!(!handle.offer(7).is_accepted());
}

#[test]
fn a4_a_runtime_without_io_is_an_error_that_names_the_source() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let flow = Dataflow::new("no I/O");
    let numbers = source::woken_by_io(source::from_iter(0..3));
    flow.source("numbers", numbers).ignore();
    let error = runtime.block_on(flow.run()).unwrap_err();
    assert_eq!(error.operator_name(), Some("numbers"));
    assert!(matches!(error.kind(), ErrorKind::Panic(_)), "{error}");
    assert!(error.to_string().contains("enable_io"), "{error}");
}
