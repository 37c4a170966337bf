//! A job's life: ended from outside, paused, drained, dropped; and told how it ended.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of a test may fail it"
)]

mod endings;
mod kill_switch;
mod stopping;

use std::time::Duration;

use millstream_engine::graph::Role;
use millstream_engine::metrics::OperatorMetrics;
use millstream_engine::testing::{SinkProbe, probe_sink};
use millstream_engine::time::Clock;
use millstream_operators::prelude::*;

pub(crate) const SOON: Duration = Duration::from_secs(5);

pub(crate) fn small() -> JobOptions {
    JobOptions::default().with_batch_records(1).with_edge_capacity(2)
}

pub(crate) fn written(job: &JobHandle) -> u64 {
    let of = |role| move |one: &OperatorMetrics| (one.role == role).then_some(one.records_out);
    job.metrics().operators.iter().filter_map(of(Role::Sink)).flatten().sum()
}

pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Numbers without an end, into a sink that takes nothing.
pub(crate) fn stuck(
    with: impl FnOnce(DataStream<u64>) -> DataStream<u64>,
) -> (Dataflow, SinkProbe<u64>) {
    let (sink, end) = probe_sink();
    let flow = Dataflow::new("stuck");
    let numbers = flow.source("in", source::from_iter(0_u64..)).boundary();
    with(numbers).boundary().sink("out", end);
    (flow, sink)
}

/// What comes of it, if it does not take too long.
pub(crate) async fn within<F: std::future::Future>(limit: Duration, future: F) -> F::Output {
    tokio::select! {
        biased;
        output = future => output,
        () = Clock::system().sleep(limit) => panic!("it took more than {limit:?}"),
    }
}
