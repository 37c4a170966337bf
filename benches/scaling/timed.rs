//! A runtime and a stopwatch for the points.

use std::time::{Duration, Instant};

use millstream::prelude::*;

/// Runs `work` on a runtime of one thread, and says how long it took.
#[allow(clippy::disallowed_methods, reason = "a bench measures")]
pub(crate) fn timed(work: impl Future<Output = ()>) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let start = Instant::now();
    runtime.block_on(work);
    start.elapsed()
}

/// How long a dataflow takes, in nanoseconds.
pub(crate) fn nanoseconds(flow: &Dataflow, options: JobOptions) -> f64 {
    let run = async {
        flow.run_with(options).await.expect("nothing fails");
    };
    timed(run).as_secs_f64() * 1e9
}
