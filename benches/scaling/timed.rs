//! A runtime of one thread, and how long that thread is at work.

use std::time::Duration;

use cpu_time::ThreadTime;
use millstream::prelude::*;

/// Runs `work` on a runtime of one thread, and says how long the thread ran. What others do on the
/// machine, and who had to wait for it, is no part of that.
pub(crate) fn timed(work: impl Future<Output = ()>) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let start = ThreadTime::now();
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
