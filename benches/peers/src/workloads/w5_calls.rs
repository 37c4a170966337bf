//! W5: an asynchronous call a record, 1,024 of them in flight.

use std::convert::identity;
use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::calls::{
    IN_FLIGHT, as_task, buffer_unordered, buffered, map_async, map_async_unordered, sleeps, yields,
};
use crate::contender::{By, Contender, Work, Workload};
use crate::results::Measure::Cpu;

const UNORDERED: &str = "futures buffer_unordered";
const ORDERED: &str = "futures buffered";
const CALLS: u64 = 200_000;

pub(super) fn workloads() -> [Workload; 2] {
    [
        Workload {
            name: "w5-yield",
            question: "What does a call cost that yields four times, 1,024 in flight?",
            records: CALLS,
            real_time: false,
            contenders: contenders(yields),
        },
        Workload {
            name: "w5-sleep",
            question: "What does a call cost that sleeps a millisecond, 1,024 in flight? \
                       Its wall time is the timer's.",
            records: CALLS,
            real_time: false,
            contenders: contenders(sleeps),
        },
    ]
}

fn contenders<R: Future<Output = u64> + Send + 'static>(call: fn(u64) -> R) -> Vec<Contender> {
    let work = Work { input: identity, expected: |records| (0..records).sum() };
    let contender = |name, by, run: fn(&Runtime, u64, fn(u64) -> R) -> u64| {
        work.on(2, name, by, move |runtime, records| run(runtime, records, call))
    };
    let peer = By::Peer("futures");
    vec![
        contender(UNORDERED, peer, buffer_unordered),
        contender("Millstream, map_async_unordered", By::Millstream, map_async_unordered)
            .reach(Cpu, 0.6, 0.4, UNORDERED),
        contender(ORDERED, peer, buffered),
        contender("Millstream, map_async", By::Millstream, map_async).reach(Cpu, 0.6, 0.4, ORDERED),
        contender("tokio JoinSet and Semaphore", By::Peer("tokio"), join_set),
    ]
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
