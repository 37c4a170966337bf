//! Who wakes a stage that has many futures in flight: each of them, and the driver.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use tokio::task::yield_now;

/// The stage that all of them wake.
#[derive(Default)]
pub(super) struct Woken {
    /// Whether the stage has been woken and has not looked since.
    notified: AtomicBool,
    waker: AtomicWaker,
}

impl Woken {
    /// From here on it is this one that is woken.
    pub(super) fn register(&self, stage: &Waker) {
        self.waker.register(stage);
    }

    /// Whether anybody has been woken since this was last asked. Their bits are to be taken after.
    pub(super) fn take(&self) -> bool {
        self.notified.swap(false, SeqCst)
    }

    /// Notes that somebody is to be looked at, without a wake.
    pub(super) fn note(&self) {
        self.notified.store(true, SeqCst);
    }
}

/// Wakes the stage for the future in one place, or for all of a block.
pub(super) struct SlotWaker {
    pub(super) bits: u64,
    pub(super) woken: Arc<AtomicU64>,
    pub(super) stage: Arc<Woken>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.fetch_or(self.bits, SeqCst);
        // Seldom the first one, so it looks before it writes. Whoever finds it set is seen by the
        // stage, which takes it away before it takes the bits: one order of all four (`SeqCst`).
        if !self.stage.notified.load(SeqCst) && !self.stage.notified.swap(true, SeqCst) {
            self.stage.waker.wake();
        }
    }
}

/// A turn of the driver of timers and sockets, behind which the stage is woken.
pub(super) struct Turn {
    over: AtomicBool,
    stage: Arc<Woken>,
}

impl Turn {
    /// Asks for one. It comes when the worker has nothing else to do.
    pub(super) fn begin(stage: &Arc<Woken>) -> Arc<Self> {
        let turn = Arc::new(Self { over: AtomicBool::new(false), stage: Arc::clone(stage) });
        let waker = Waker::from(Arc::clone(&turn));
        let mut yields = pin!(yield_now());
        // Whether it yields or has no runtime to yield to, the waker is woken.
        let (Poll::Pending | Poll::Ready(())) =
            yields.as_mut().poll(&mut Context::from_waker(&waker));
        turn
    }

    /// Whether the driver has had it. However often the stage is polled for another reason, this
    /// does not become true before.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.over.store(true, SeqCst);
        self.stage.waker.wake();
    }
}
