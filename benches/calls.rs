//! What does a call cost, next to a stream of futures polled by hand?
//!
//! `cargo bench -p millstream-benches --bench calls`

#![allow(missing_docs, reason = "a bench has no interface")]

mod support;

use std::future::Future;
use std::time::Duration;

use futures::StreamExt as _;
use millstream::prelude::*;
use support::{compare, must, runtime, shown};

const CALLS: u64 = 200_000;
const IN_FLIGHT: usize = 1024;

/// Waits four times for the runtime's next round: a call whose answers come quickly.
async fn yields(n: u64) -> u64 {
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    n
}

/// Waits for the timer: a call whose answer takes a millisecond.
#[allow(clippy::disallowed_methods, reason = "the peers know no other clock")]
async fn sleeps(n: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    n
}

fn unordered<R: Future<Output = u64> + Send + 'static>(
    runtime: &tokio::runtime::Runtime,
    call: fn(u64) -> R,
) -> u64 {
    let flow = Dataflow::new("calls");
    let numbers = flow.source("numbers", source::from_iter(0..CALLS));
    let sum = numbers.map_async_unordered(IN_FLIGHT, call).fold(0, |sum, n| *sum += n);
    runtime.block_on(flow.run()).expect("nothing fails").take(sum).expect("it came to its end")
}

fn ordered<R: Future<Output = u64> + Send + 'static>(
    runtime: &tokio::runtime::Runtime,
    call: fn(u64) -> R,
) -> u64 {
    let flow = Dataflow::new("calls");
    let numbers = flow.source("numbers", source::from_iter(0..CALLS));
    let sum = numbers.map_async(IN_FLIGHT, call).fold(0, |sum, n| *sum += n);
    runtime.block_on(flow.run()).expect("nothing fails").take(sum).expect("it came to its end")
}

/// The peers run as a task, as a stage does.
#[allow(clippy::disallowed_methods, reason = "the peer spawns its own task")]
fn peer(runtime: &tokio::runtime::Runtime, sum: impl Future<Output = u64> + Send + 'static) -> u64 {
    runtime.block_on(async { tokio::spawn(sum).await.expect("nothing panics") })
}

fn buffer_unordered<R: Future<Output = u64> + Send + 'static>(
    runtime: &tokio::runtime::Runtime,
    call: fn(u64) -> R,
) -> u64 {
    let calls = futures::stream::iter(0..CALLS).map(call).buffer_unordered(IN_FLIGHT);
    peer(runtime, calls.fold(0, |sum, n| std::future::ready(sum + n)))
}

fn buffered<R: Future<Output = u64> + Send + 'static>(
    runtime: &tokio::runtime::Runtime,
    call: fn(u64) -> R,
) -> u64 {
    let calls = futures::stream::iter(0..CALLS).map(call).buffered(IN_FLIGHT);
    peer(runtime, calls.fold(0, |sum, n| std::future::ready(sum + n)))
}

fn main() {
    let two = runtime(2);
    compare(
        "What does a call cost that yields four times, 1,024 in flight, two workers?",
        CALLS,
        vec![
            shown("futures buffer_unordered", || buffer_unordered(&two, yields)),
            must(1.0, "map_async_unordered", || unordered(&two, yields)),
            shown("futures buffered", || buffered(&two, yields)),
            must(1.0, "map_async", || ordered(&two, yields)),
        ],
    );
    compare(
        "And one that sleeps a millisecond? Its wall time is the timer's.",
        CALLS,
        vec![
            shown("futures buffer_unordered", || buffer_unordered(&two, sleeps)),
            must(1.2, "map_async_unordered", || unordered(&two, sleeps)),
            shown("futures buffered", || buffered(&two, sleeps)),
            must(1.2, "map_async", || ordered(&two, sleeps)),
        ],
    );
}
