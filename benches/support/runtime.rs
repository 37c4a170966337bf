//! The runtime that a bench runs on.

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
