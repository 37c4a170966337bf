//! A busy stage starves nobody: neither the tasks beside it nor the timers of the program.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use millstream_engine::testing::VirtualClock;
use millstream_operators::prelude::*;

use super::Numbers;

/// Work of a hundred microseconds that nothing can interrupt.
#[allow(
    clippy::disallowed_methods,
    reason = "the promise is about real time, so it is measured in real time"
)]
fn work() {
    let began = Instant::now();
    while began.elapsed() < Duration::from_micros(100) {
        std::hint::spin_loop();
    }
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the promise is about real time, so it is measured in real time"
)]
fn a_timer_beside_saturated_stages_fires_within_fifty_milliseconds() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        // Four stages that never rest: two of cheap records, two of slow ones.
        let cheap = Dataflow::new("cheap");
        cheap.source("in", Numbers::default()).boundary().map(|n| n + 1).ignore();
        let slow = Dataflow::new("slow");
        let busy = |n: u64| {
            work();
            n
        };
        slow.source("in", Numbers::default()).map(busy).boundary().map(busy).ignore();
        let jobs = [cheap.start().unwrap(), slow.start().unwrap()];
        let ticks = tokio::task::JoinSet::from_iter([async {
            let mut late = Vec::new();
            for _ in 0..21 {
                let began = Instant::now();
                tokio::time::sleep(Duration::from_millis(10)).await;
                late.push(began.elapsed());
            }
            late.sort_unstable();
            late
        }]);
        let late = ticks.join_all().await.remove(0);
        let read = jobs.each_ref().map(|job| job.metrics().stages[0].records_in);
        assert!(read.iter().all(|read| *read > 0), "both are at work: {read:?}");
        assert!(late[10] < Duration::from_millis(50), "half of the ticks took longer: {late:?}");
        drop(jobs);
    });
}

#[test]
fn an_endless_source_lets_other_tasks_run_whatever_the_clock_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for clock in [None, Some(VirtualClock::new())] {
        let reached = AtomicBool::new(false);
        runtime.block_on(async {
            let flow = Dataflow::new("endless");
            flow.source("in", Numbers::default()).map(|n| n + 1).ignore();
            let mut options = JobOptions::default();
            if let Some(clock) = &clock {
                options = options.with_clock(clock.clock());
            }
            let job = flow.start_with(&options).unwrap();
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            assert!(job.metrics().stages[0].records_in > 0);
            reached.store(true, SeqCst);
            drop(job);
        });
        assert!(reached.load(SeqCst));
    }
}
