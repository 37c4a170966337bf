//! W5: an asynchronous call a record, 1,024 of them in flight.

use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use millstream::prelude::*;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};

use super::runtime;
use crate::contender::{By, Contender, Workload};
use crate::results::Measure::Cpu;

const UNORDERED: &str = "futures buffer_unordered";
const ORDERED: &str = "futures buffered";
const IN_FLIGHT: usize = 1024;
const CALLS: u64 = 200_000;

/// Waits four times for the runtime's next round: a call whose answer comes quickly.
async fn yields(n: u64) -> u64 {
    for _ in 0..4 {
        yield_now().await;
    }
    n
}

/// Waits for the timer: a call whose answer takes a millisecond.
async fn sleeps(n: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    n
}

pub(super) fn workloads() -> [Workload; 2] {
    [
        Workload {
            name: "w5-yield",
            question: "What does a call cost that yields four times, 1,024 in flight?",
            records: CALLS,
            contenders: contenders(yields),
        },
        Workload {
            name: "w5-sleep",
            question: "What does a call cost that sleeps a millisecond, 1,024 in flight? \
                       Its wall time is the timer's.",
            records: CALLS,
            contenders: contenders(sleeps),
        },
    ]
}

/// A contender with two workers, whose answers add up as the numbers do.
fn contender<R: Future<Output = u64> + Send + 'static>(
    name: &'static str,
    by: By,
    run: fn(&Runtime, u64, fn(u64) -> R) -> u64,
    call: fn(u64) -> R,
) -> Contender {
    Contender::new(name, by, move |records| {
        let runtime = runtime(2);
        (move || run(&runtime, records, call), (0..records).sum())
    })
}

fn contenders<R: Future<Output = u64> + Send + 'static>(call: fn(u64) -> R) -> Vec<Contender> {
    let peer = By::Peer("futures");
    vec![
        contender(UNORDERED, peer, buffer_unordered, call),
        contender("Millstream, map_async_unordered", By::Millstream, map_async_unordered, call)
            .reach(Cpu, 0.6, 0.4, UNORDERED),
        contender(ORDERED, peer, buffered, call),
        contender("Millstream, map_async", By::Millstream, map_async, call)
            .reach(Cpu, 0.6, 0.4, ORDERED),
        contender("tokio JoinSet and Semaphore", By::Peer("tokio"), join_set, call),
    ]
}

fn map_async_unordered<R: Future<Output = u64> + Send + 'static>(
    runtime: &Runtime,
    records: u64,
    call: fn(u64) -> R,
) -> u64 {
    let flow = Dataflow::new("calls");
    let numbers = flow.source("numbers", source::from_iter(0..records));
    let sum = numbers.map_async_unordered(IN_FLIGHT, call).fold(0, |sum, n| *sum += n);
    runtime.block_on(flow.run()).expect("nothing fails").take(sum).expect("it came to its end")
}

fn map_async<R: Future<Output = u64> + Send + 'static>(
    runtime: &Runtime,
    records: u64,
    call: fn(u64) -> R,
) -> u64 {
    let flow = Dataflow::new("calls");
    let numbers = flow.source("numbers", source::from_iter(0..records));
    let sum = numbers.map_async(IN_FLIGHT, call).fold(0, |sum, n| *sum += n);
    runtime.block_on(flow.run()).expect("nothing fails").take(sum).expect("it came to its end")
}

/// A stream of futures runs as a task, as a stage does.
fn as_task(runtime: &Runtime, sum: impl Future<Output = u64> + Send + 'static) -> u64 {
    runtime.block_on(async { tokio::spawn(sum).await.expect("nothing panics") })
}

fn buffer_unordered<R: Future<Output = u64> + Send + 'static>(
    runtime: &Runtime,
    records: u64,
    call: fn(u64) -> R,
) -> u64 {
    let calls = futures::stream::iter(0..records).map(call).buffer_unordered(IN_FLIGHT);
    as_task(runtime, calls.fold(0, |sum, n| ready(sum + n)))
}

fn buffered<R: Future<Output = u64> + Send + 'static>(
    runtime: &Runtime,
    records: u64,
    call: fn(u64) -> R,
) -> u64 {
    let calls = futures::stream::iter(0..records).map(call).buffered(IN_FLIGHT);
    as_task(runtime, calls.fold(0, |sum, n| ready(sum + n)))
}

/// A task a call, and as many permits as calls may be in flight.
fn join_set<R: Future<Output = u64> + Send + 'static>(
    runtime: &Runtime,
    records: u64,
    call: fn(u64) -> R,
) -> u64 {
    as_task(runtime, async move {
        let permits = Arc::new(Semaphore::new(IN_FLIGHT));
        let (mut calls, mut sum) = (JoinSet::new(), 0);
        for n in 0..records {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("it is open");
            calls.spawn(async move {
                let answer = call(n).await;
                drop(permit);
                answer
            });
            while let Some(answer) = calls.try_join_next() {
                sum += answer.expect("nothing panics");
            }
        }
        while let Some(answer) = calls.join_next().await {
            sum += answer.expect("nothing panics");
        }
        sum
    })
}
