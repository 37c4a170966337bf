//! The spawn seam: the only place where tasks are made, and where one lets others run.

use std::future::Future;
use std::task::Context;

use tokio::task::{AbortHandle, JoinSet};

/// Starts a task that `owner` owns: dropping the set stops it.
#[allow(clippy::disallowed_methods, reason = "the one place that spawns")]
pub(super) fn spawn<F>(owner: &mut JoinSet<F::Output>, task: F) -> AbortHandle
where
    F: Future<Output: Send> + Send + 'static,
{
    owner.spawn(task)
}

/// Wakes the task again once the runtime has looked at its timers and sockets. Until then no other
/// worker can go on with it.
pub(super) fn yield_now(cx: &mut Context<'_>) {
    let yielding = std::pin::pin!(tokio::task::yield_now());
    if yielding.poll(cx).is_ready() {
        cx.waker().wake_by_ref();
    }
}

/// Wakes the task again at once, for whichever worker has nothing to do.
pub(super) fn requeue(cx: &Context<'_>) {
    cx.waker().wake_by_ref();
}
