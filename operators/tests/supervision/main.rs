//! Going on after failures: who decides, what is dropped, what begins anew, and what is given
//! again.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of a test may fail it"
)]

mod failing;
mod restarts;
mod sections;
mod sinks;
mod supervise;
mod try_catch;

use std::num::ParseIntError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use millstream_engine::metrics::OperatorMetrics;
use millstream_engine::time::Clock;
use millstream_operators::prelude::*;
use millstream_operators::recovery::RestartPolicy;

pub(crate) fn operator(report: &JobReport, name: &str) -> OperatorMetrics {
    let mut operators = report.metrics().operators.iter();
    operators.find(|one| one.name == name).unwrap().clone()
}

pub(crate) fn parse(word: &&'static str) -> Result<u32, ParseIntError> {
    word.parse()
}

/// A source that fails at once.
pub(crate) fn torn(
    why: &'static str,
) -> source::Failed<u32, impl Fn() -> OperatorError + Clone + Send> {
    source::failed(move || OperatorError::new(why))
}

pub(crate) fn quick(attempts: u32) -> RestartPolicy {
    let backoff = Backoff::default().with_initial(Duration::from_millis(10)).with_jitter(0.0);
    RestartPolicy::new(backoff.with_factor(1.0).with_attempts(attempts))
}

pub(crate) fn small() -> JobOptions {
    JobOptions::default().with_batch_records(2).with_edge_capacity(2).with_operator_counts(true)
}

/// What comes of it, if it does not take too long.
pub(crate) async fn within<F: std::future::Future>(limit: Duration, future: F) -> F::Output {
    tokio::select! {
        biased;
        output = future => output,
        () = Clock::system().sleep(limit) => panic!("it took more than {limit:?}"),
    }
}
