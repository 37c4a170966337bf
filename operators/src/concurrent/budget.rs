//! How much a task may do for many futures within one poll.

use std::task::{Context, Poll};

use tokio::task::coop::{has_budget_remaining, poll_proceed};

/// How many futures may end for one unit of the task's budget, which has 128.
///
/// Each would have a budget of its own if it were a task. With nothing but that of their stage,
/// 1,024 that are ready at the same time take eight polls of it, behind each of which tokio wakes
/// another worker in vain. With a share to pay they take one, of some 200 µs.
const ENDED_PER_UNIT: usize = 16;

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

/// Has `poll` poll futures and tell how many have ended, which pay a share of what they took. Tells
/// whether any has.
///
/// Together they cannot take more than the task has left, and if they take it all they pay it all:
/// one of them that never stops by itself stops there.
#[inline]
pub(super) fn pay_a_share(
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> usize,
) -> bool {
    let before = poll_proceed(cx);
    let ended = poll(cx);
    if let Poll::Ready(before) = before {
        if has_budget_remaining() {
            drop(before);
            for _ in 0..ended.div_ceil(ENDED_PER_UNIT) {
                pay(cx);
            }
        } else {
            before.made_progress();
        }
    }
    ended > 0
}

/// Takes a unit, if there is one.
fn pay(cx: &mut Context<'_>) {
    if let Poll::Ready(unit) = poll_proceed(cx) {
        unit.made_progress();
    }
}
