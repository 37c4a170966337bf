//! Asynchronous calls, many in flight, and the streams of futures that do the same.

#![allow(
    clippy::disallowed_methods,
    reason = "the peers spawn a task, and know no clock but tokio's"
)]

use std::future::{Future, ready};
use std::time::Duration;

use futures::StreamExt as _;
use millstream::prelude::*;
use tokio::runtime::Runtime;

use crate::runtime::run;

pub(crate) const IN_FLIGHT: usize = 1024;

/// Waits four times for the runtime's next round: a call whose answer comes quickly.
pub(crate) async fn yields(n: u64) -> u64 {
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    n
}

/// Waits for the timer: a call whose answer takes a millisecond.
pub(crate) async fn sleeps(n: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    n
}

pub(crate) fn map_async_unordered<R: Future<Output = u64> + Send + 'static>(
    runtime: &Runtime,
    records: u64,
    call: fn(u64) -> R,
) -> u64 {
    let flow = Dataflow::new("calls");
    let numbers = flow.source("numbers", source::from_iter(0..records));
    let sum = numbers.map_async_unordered(IN_FLIGHT, call).fold(0, |sum, n| *sum += n);
    run(runtime, &flow, sum)
}

pub(crate) fn map_async<R: Future<Output = u64> + Send + 'static>(
    runtime: &Runtime,
    records: u64,
    call: fn(u64) -> R,
) -> u64 {
    let flow = Dataflow::new("calls");
    let numbers = flow.source("numbers", source::from_iter(0..records));
    let sum = numbers.map_async(IN_FLIGHT, call).fold(0, |sum, n| *sum += n);
    run(runtime, &flow, sum)
}

/// A stream of futures runs as a task, as a stage does.
pub(crate) fn as_task(runtime: &Runtime, sum: impl Future<Output = u64> + Send + 'static) -> u64 {
    runtime.block_on(async { tokio::spawn(sum).await.expect("nothing panics") })
}

pub(crate) fn buffer_unordered<R: Future<Output = u64> + Send + 'static>(
    runtime: &Runtime,
    records: u64,
    call: fn(u64) -> R,
) -> u64 {
    let calls = futures::stream::iter(0..records).map(call).buffer_unordered(IN_FLIGHT);
    as_task(runtime, calls.fold(0, |sum, n| ready(sum + n)))
}

pub(crate) fn buffered<R: Future<Output = u64> + Send + 'static>(
    runtime: &Runtime,
    records: u64,
    call: fn(u64) -> R,
) -> u64 {
    let calls = futures::stream::iter(0..records).map(call).buffered(IN_FLIGHT);
    as_task(runtime, calls.fold(0, |sum, n| ready(sum + n)))
}
