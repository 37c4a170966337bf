//! Order, bounds, progress, and every way to end.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::ErrorKind;
use millstream_engine::runtime::JobState;
use millstream_engine::sink::{Sink, SinkStatus};
use millstream_engine::time::Clock;
use millstream_operators::prelude::*;
use tokio::sync::Semaphore;

use super::{Gauge, sleep};

#[tokio::test(start_paused = true)]
async fn c1_results_keep_the_order_and_no_more_than_n_are_in_flight() {
    for n in [1, 2, 3, 8, 100] {
        let (clock, gauge) = (Clock::system(), Gauge::default());
        let flow = Dataflow::new("ordered");
        let call = {
            let gauge = gauge.clone();
            move |n: u64| {
                let (inside, sleep) = (gauge.enter(), sleep(&clock, (n * 37) % 50));
                async move {
                    sleep.await;
                    drop(inside);
                    n
                }
            }
        };
        let all = flow.source("numbers", source::from_iter(0..60)).map_async(n, call).collect();
        let report = flow.run().await.unwrap();
        assert_eq!(report.take(all), Some((0..60).collect()));
        assert_eq!((gauge.now(), gauge.entered()), (0, 60));
        // One that is ready at once makes room for the next.
        assert!(gauge.most() == n || (n == 100 && gauge.most() > 50), "{n}: {}", gauge.most());
    }
}

#[tokio::test(start_paused = true)]
async fn c1_what_a_slow_one_holds_back_counts_as_in_flight() {
    let gauge = Gauge::default();
    let gate = Arc::new(Semaphore::new(0));
    let flow = Dataflow::new("head of line");
    let call = {
        let (gauge, gate) = (gauge.clone(), Arc::clone(&gate));
        move |n: u64| {
            let (inside, gate) = (gauge.enter(), Arc::clone(&gate));
            async move {
                if n == 0 {
                    gate.acquire().await.unwrap().forget();
                }
                drop(inside);
                n
            }
        }
    };
    let all = flow.source("numbers", source::from_iter(0..10)).map_async(4, call).collect();
    let job = flow.start().unwrap();
    Clock::system().sleep(Duration::from_secs(1)).await;
    assert_eq!(job.state(), JobState::Running, "the first one holds everything up");
    assert_eq!(gauge.entered(), 4, "and the three behind it are done, but count");
    gate.add_permits(1);
    assert_eq!(job.await.unwrap().take(all), Some((0..10).collect()));
}

#[test]
#[should_panic(expected = "no call in flight")]
fn c1_no_call_in_flight_is_a_mistake_in_the_construction() {
    let flow = Dataflow::new("none");
    flow.source("numbers", source::from_iter(0..3)).map_async(0, std::future::ready).ignore();
}

/// The program of futures-rs#2387: a stream of concurrent calls, each of which needs something that
/// is given back elsewhere only if the calls move on while the loop body waits.
#[tokio::test(start_paused = true)]
async fn c1_calls_move_on_while_nobody_takes_their_results() {
    #[derive(Clone)]
    struct Slow(Clock, Gauge);
    impl Sink for Slow {
        type Item = u64;
        async fn write(
            &mut self,
            records: &mut Vec<Record<u64>>,
        ) -> Result<SinkStatus, OperatorError> {
            for _ in records.drain(..) {
                // Long enough for every call that had begun to be over, if it moves on.
                self.0.sleep(Duration::from_secs(1)).await;
                assert_eq!(self.1.now(), 0, "a call stands still while the sink waits");
            }
            Ok(SinkStatus::More)
        }
    }
    for unordered in [false, true] {
        let (clock, gauge) = (Clock::system(), Gauge::default());
        let flow = Dataflow::new("2387");
        let numbers = flow.source("numbers", source::from_iter(0..40_u64));
        let call = {
            let (clock, gauge) = (clock.clone(), gauge.clone());
            move |n: u64| {
                let (clock, gauge) = (clock.clone(), gauge.clone());
                async move {
                    let inside = gauge.enter();
                    sleep(&clock, 10).await;
                    sleep(&clock, 10).await;
                    drop(inside);
                    n
                }
            }
        };
        let called = if unordered {
            numbers.map_async_unordered(5, call)
        } else {
            numbers.map_async(5, call)
        };
        called.sink("slow", Slow(clock, gauge.clone()));
        let options = JobOptions::default().with_batch_records(1).with_edge_capacity(1);
        let report = flow.run_with(options).await.unwrap();
        assert_eq!((report.records_written(), gauge.entered()), (40, 40));
    }
}

/// The variant with a semaphore: what is held by calls in flight is what the next step needs.
#[tokio::test(start_paused = true)]
async fn c1_a_semaphore_shared_with_the_sink_is_no_deadlock() {
    let (clock, permits) = (Clock::system(), Arc::new(Semaphore::new(3)));
    let flow = Dataflow::new("semaphore");
    let call = {
        let permits = Arc::clone(&permits);
        move |n: u64| {
            let (permits, pause) = (Arc::clone(&permits), sleep(&clock, 10));
            async move {
                let permit = permits.acquire_owned().await.unwrap();
                pause.await;
                drop(permit);
                n
            }
        }
    };
    let called = flow.source("numbers", source::from_iter(0..30_u64)).map_async(6, call);
    called.for_each_concurrent(1, move |_| {
        let permits = Arc::clone(&permits);
        async move {
            // All of them: so no call may keep one while it waits to be polled.
            drop(permits.acquire_many(3).await.unwrap());
        }
    });
    assert_eq!(flow.run().await.unwrap().records_written(), 30);
}

#[tokio::test(start_paused = true)]
async fn c3_serial_for_each_key_and_concurrent_over_keys() {
    for unordered in [false, true] {
        let clock = Clock::system();
        let gauges: Vec<Gauge> = (0..4).map(|_| Gauge::default()).collect();
        let (all, log) = (Gauge::default(), Arc::new(Mutex::new(Vec::new())));
        let flow = Dataflow::new("keyed");
        let call = {
            let (gauges, all, log) = (gauges.clone(), all.clone(), Arc::clone(&log));
            move |n: usize| {
                let (gauge, all, log) = (gauges[n % 4].clone(), all.clone(), Arc::clone(&log));
                let clock = clock.clone();
                async move {
                    let inside = (gauge.enter(), all.enter());
                    sleep(&clock, (n as u64 * 31) % 17).await;
                    log.lock().unwrap().push(n);
                    drop(inside);
                    n
                }
            }
        };
        let numbers = flow.source("numbers", source::from_iter(0..80_usize));
        let results = if unordered {
            numbers.map_async_keyed_unordered(8, |n| n % 4, call).collect()
        } else {
            numbers.map_async_keyed(8, |n| n % 4, call).collect()
        };
        let results = flow.run().await.unwrap().take(results).unwrap();
        for (key, gauge) in gauges.iter().enumerate() {
            assert_eq!((gauge.most(), gauge.entered()), (1, 20), "key {key}");
            let of_key = |all: &[usize]| -> Vec<usize> {
                all.iter().copied().filter(|n| n % 4 == key).collect()
            };
            let expected: Vec<_> = (0..80).filter(|n| n % 4 == key).collect();
            assert_eq!(of_key(&results), expected);
            assert_eq!(of_key(&log.lock().unwrap()), expected);
        }
        assert!(all.most() > 1, "keys go on beside one another");
        assert_eq!(results.is_sorted(), !unordered);
    }
}

#[tokio::test(start_paused = true)]
async fn c1_a_panic_in_the_closure_or_its_future_names_the_operator() {
    for in_future in [false, true] {
        let flow = Dataflow::new("blown");
        let call = move |n: u32| {
            assert!(in_future || n < 5, "blown");
            async move {
                tokio::task::yield_now().await;
                assert!(n < 5, "blown");
                n
            }
        };
        let numbers = flow.source("numbers", source::from_iter(0..20_u32));
        numbers.map_async(3, call).named("fetch").ignore();
        let error = flow.run().await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Panic("blown".to_owned()));
        assert_eq!(error.operator_name(), Some("fetch"));
    }
}

#[tokio::test(start_paused = true)]
async fn c1_calls_in_flight_are_dropped_when_nobody_wants_their_results() {
    let (gauge, flow) = (Gauge::default(), Dataflow::new("enough"));
    let call = {
        let gauge = gauge.clone();
        move |n: u32| {
            let inside = gauge.enter();
            async move {
                if n > 0 {
                    pending::<()>().await;
                }
                drop(inside);
                n
            }
        }
    };
    let numbers = flow.source("numbers", source::from_iter(0..20_u32));
    let first = numbers.map_async(5, call).take(1).collect();
    assert_eq!(flow.run().await.unwrap().take(first), Some(vec![0]));
    assert!(gauge.entered() > 1, "others had begun");
    assert_eq!(gauge.now(), 0);
}

#[tokio::test(start_paused = true)]
async fn c1_dropping_the_job_drops_its_calls() {
    let (gauge, flow) = (Gauge::default(), Dataflow::new("dropped"));
    let call = {
        let gauge = gauge.clone();
        move |n: u32| {
            let inside = gauge.enter();
            async move {
                pending::<()>().await;
                drop(inside);
                n
            }
        }
    };
    flow.source("numbers", source::from_iter(0..20_u32)).map_async(5, call).ignore();
    let job = flow.start().unwrap();
    Clock::system().sleep(Duration::from_secs(1)).await;
    assert_eq!(gauge.now(), 5);
    job.abort();
    assert_eq!(job.await.unwrap_err().kind(), &ErrorKind::Aborted);
    assert_eq!(gauge.now(), 0);
}

#[tokio::test(start_paused = true)]
async fn c1_draining_waits_for_the_calls_in_flight() {
    let (clock, flow) = (Clock::system(), Dataflow::new("drained"));
    let numbers = flow.source("numbers", source::from_iter(0_u64..));
    let call = move |n: u64| {
        let pause = sleep(&clock, 10);
        async move {
            pause.await;
            n
        }
    };
    let all = numbers.map_async(5, call).collect();
    let job = flow.start().unwrap();
    Clock::system().sleep(Duration::from_millis(35)).await;
    let report = job.drain(Duration::from_secs(60)).await.unwrap();
    let read = report.metrics().operators[0].records_out.unwrap();
    assert_eq!(report.take(all).unwrap(), (0..read).collect::<Vec<_>>());
}
