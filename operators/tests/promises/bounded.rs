//! Memory is bounded: a fast source in front of a stuck sink stops at the number that the graph
//! names.

use millstream_engine::testing::probe_sink;
use millstream_engine::time::VirtualClock;
use millstream_operators::prelude::*;

use super::{Expand, Numbers, settle};

/// Runs a graph into a sink that takes nothing, and tells how much was pulled and the bound.
async fn stalled(
    options: JobOptions,
    build: impl Fn(DataStream<u64>) -> DataStream<u64>,
) -> (usize, usize) {
    let (sink, end) = probe_sink();
    let numbers = Numbers::default();
    let flow = Dataflow::new("stuck");
    build(flow.source("fast", numbers.clone()).map(|n| n).boundary()).sink("stuck", end);
    let bound = flow.blueprint().view(&options).unwrap().records_in_flight_max;
    let job = flow.start_with(&options).unwrap();
    settle().await;
    let pulled = numbers.pulled();
    settle().await;
    assert_eq!(numbers.pulled(), pulled, "it stands still");
    assert_eq!(sink.waiting(), 0);
    drop(job);
    (usize::try_from(pulled).unwrap(), bound)
}

/// On a clock that stands still, so that no stage stops in mid-work because the machine is slow:
/// where a sender sleeps until there is more room, that decides how full an edge ends up.
fn options(capacity: usize, batch: usize) -> JobOptions {
    let options = JobOptions::default().with_edge_capacity(capacity).with_batch_records(batch);
    options.with_clock(VirtualClock::new().clock())
}

#[tokio::test]
async fn the_bound_is_exact_with_batches_of_one() {
    for (capacity, edges) in [(1, 0), (1, 1), (4, 1), (1, 5)] {
        let build = |mut stream: DataStream<u64>| {
            for _ in 0..edges {
                stream = stream.boundary();
            }
            stream
        };
        let (pulled, bound) = stalled(options(capacity, 1), build).await;
        // Each edge and its outbox, and one that the sink collects and one that it writes.
        assert_eq!(pulled, (edges + 1) * (capacity + 1) + 2, "{capacity} {edges}");
        assert_eq!(pulled, bound);
    }
}

#[tokio::test]
async fn the_bound_holds_with_every_batch_and_capacity() {
    for capacity in [1, 2, 3, 7, 16, 50] {
        for batch in [1, 2, 5, 16, 33] {
            let chain = |stream: DataStream<u64>| stream.boundary().map(|n| n).boundary();
            let (pulled, bound) = stalled(options(capacity, batch), chain).await;
            assert!(pulled <= bound, "{pulled} of {bound}: {capacity} {batch}");
            // A sender sleeps until half of the edge is free, so it need not be full to the brim.
            assert!(pulled >= bound / 2, "{pulled} of {bound}: {capacity} {batch}");
        }
    }
}

#[tokio::test]
async fn the_bound_counts_every_channel_between_instances() {
    let spread = |stream: DataStream<u64>| stream.parallel(3).rebalance().gather();
    let (pulled, bound) = stalled(options(2, 1), spread).await;
    // 1 + 3 + 9 + 3 channels of 2 + 1, and the sink.
    assert_eq!(bound, 16 * 3 + 2);
    assert!(pulled <= bound && pulled > bound / 2, "{pulled} of {bound}");
}

#[tokio::test]
async fn an_expander_that_obeys_adds_nothing_to_what_waits() {
    let expand = |stream: DataStream<u64>| stream.via(Expand::new(1000, false)).boundary();
    let (pulled, _) = stalled(options(4, 1), expand).await;
    // An edge of four and its outbox in front of it, and the one at work.
    assert!(pulled <= 4 + 1 + 1, "{pulled} records were pulled to become a thousand each");
}

#[tokio::test]
async fn an_edge_weighed_in_bytes_holds_no_more_bytes() {
    for (bytes, weight, edge) in [
        // Three of ten bytes in the queue, three in the outbox, and the one that was too heavy.
        (35, 10, 7),
        (30, 10, 6),
        // A giant goes alone: one in the queue, one in the outbox, and the next is carried.
        (5, 10, 3),
    ] {
        let weighed = |stream: DataStream<u64>| stream.with_byte_capacity(bytes, move |_| weight);
        let (pulled, bound) = stalled(options(100, 16), weighed).await;
        assert!(pulled <= bound);
        // The sink collects 16 and writes up to 16, and the source read 16 at once.
        assert!(pulled <= 32 + edge + 15, "{bytes} {weight}: {pulled}");
    }
    // Batches of one leave nothing to guess: the edge, the outbox and two in the sink.
    for (bytes, weight, queue) in [(35, 10, 3), (10, 10, 1), (5, 10, 1)] {
        let weighed = |stream: DataStream<u64>| stream.with_byte_capacity(bytes, move |_| weight);
        let (pulled, _) = stalled(options(100, 1), weighed).await;
        assert_eq!(pulled, queue + 1 + 2, "{bytes} {weight}");
    }
}
