//! Hubs: who comes and goes, who waits for whom, and what everybody hears at the end.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of a test may fail it"
)]

mod broadcast;
mod merge;

use std::time::Duration;

use millstream_engine::time::Clock;
use millstream_operators::prelude::*;

/// Lets every other task run until nothing moves any more.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn small() -> JobOptions {
    JobOptions::default().with_batch_records(4).with_edge_capacity(4)
}

/// What comes of it, if it does not take too long.
pub(crate) async fn within<F: std::future::Future>(limit: Duration, future: F) -> F::Output {
    tokio::select! {
        biased;
        output = future => output,
        () = Clock::system().sleep(limit) => panic!("it took more than {limit:?}"),
    }
}
