//! Sources that wait for something outside: readers, files that grow, splits, resources, futures.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of a test may fail it"
)]

mod into_edges;
mod iterators;
mod parallel;
#[cfg(feature = "files")]
mod read_lines;
mod small;
mod splits;
#[cfg(feature = "files")]
mod tail;
#[cfg(all(unix, feature = "woken-by-io"))]
mod woken_by_io;

use std::time::Duration;

use futures_util::FutureExt as _;
use millstream_engine::source::{Source, SourceBatch, SourceStatus};
use millstream_operators::prelude::*;

/// Lets every other task run until nothing moves any more.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// What a source has at once, and whether it has ended; `None` if it waits.
pub(crate) fn now<S: Source>(source: &mut S, room: usize) -> Option<(Vec<S::Item>, SourceStatus)> {
    let mut batch = SourceBatch::new(room);
    let status = source.next(&mut batch).now_or_never()?.unwrap();
    let records = batch.into_parts().0.records;
    Some((records.into_iter().map(|record| record.value).collect(), status))
}

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn small_batches() -> JobOptions {
    JobOptions::default().with_batch_records(2).with_edge_capacity(2)
}
