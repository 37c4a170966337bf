//! The gate between the sources and the rest of a job.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// While it is closed, what sources read is not taken from them.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: AtomicBool,
    /// One for each source that waits.
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(super) fn open(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.closed.store(false, Ordering::Release);
        let waiting = std::mem::take(&mut *waiting);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ready while the gate is open; otherwise the task is woken when it is.
    #[inline]
    pub(super) fn poll_open(&self, cx: &Context<'_>) -> Poll<()> {
        if self.closed.load(Ordering::Acquire) { self.wait(cx) } else { Poll::Ready(()) }
    }

    fn wait(&self, cx: &Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.closed.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
