//! The runtime that a bench runs on, and a run of Millstream there.

use millstream::prelude::Dataflow;
use millstream::runtime::Output;
use tokio::runtime::{Builder, Runtime};

/// A runtime with so many workers; one means the current thread.
pub(crate) fn runtime(workers: usize) -> Runtime {
    let mut builder = if workers == 1 {
        Builder::new_current_thread()
    } else {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(workers);
        builder
    };
    builder.enable_all().build().expect("a runtime can be made")
}

/// Runs the flow to its end, and gives what came of it.
pub(crate) fn run<T: 'static>(runtime: &Runtime, flow: &Dataflow, output: Output<T>) -> T {
    let report = runtime.block_on(flow.run()).expect("nothing fails");
    report.take(output).expect("it came to its end")
}
