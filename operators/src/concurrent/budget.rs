//! How much a task may do for many futures within one poll.

use std::task::Context;

use tokio::task::coop::{has_budget_remaining, poll_proceed};

/// Whether the task has spent its budget, which [tokio](tokio::task::coop) gives it for each poll.
/// If so, it is polled again when the driver of timers and sockets has had its turn.
///
/// Whoever polls many futures has to ask: without budget, a timer, channel or socket has nothing
/// ready, and each of them asks for another poll. A thousand of them would be polled once for
/// every hundred that get through.
#[inline]
pub(super) fn is_out_of_budget(cx: &mut Context<'_>) -> bool {
    !has_budget_remaining() && poll_proceed(cx).is_pending()
}
