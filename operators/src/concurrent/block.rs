//! Sixty-four places for futures, a bit for each, and when they share a waker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::Waker;

use super::wakers::{SlotWaker, Woken};

pub(super) const BITS: usize = u64::BITS as usize;

/// At least so many of a block have to be woken together for it to share a waker.
const TOGETHER_MIN: u32 = 16;

/// Over how many looks a block shares a waker at most, before it is seen again who wakes whom.
const SHARED_MAX: u32 = 7;

/// Slots that are looked at together.
///
/// Where most of them are woken at the same time, again and again, they share a waker: it is cloned
/// and woken once for all of them (tokio keeps one of those that yield with the same), and all of
/// them are polled. After a while each has its own for one look, which tells whether they still
/// are. So polls in vain are a few for each time that most of them were woken together.
pub(super) struct Block {
    /// Who has been woken since the last look.
    pub(super) woken: Arc<AtomicU64>,
    /// Who has been seen by it and has not been polled yet.
    pub(super) seen: u64,
    pub(super) free: u64,
    shared: Waker,
    /// Over how many looks they share the waker from here on.
    sharing: u32,
    /// Over how many they did the last time.
    shared_for: u32,
}

impl Block {
    /// Without any slots.
    pub(super) fn new(stage: &Arc<Woken>) -> Self {
        let woken = Arc::default();
        let (bits, stage) = (u64::MAX, Arc::clone(stage));
        let shared = Waker::from(Arc::new(SlotWaker { bits, woken: Arc::clone(&woken), stage }));
        Self { woken, seen: 0, free: 0, shared, sharing: 0, shared_for: 0 }
    }

    /// The waker that is to be used in place of a slot's own.
    #[inline]
    pub(super) fn shared(&self) -> Option<&Waker> {
        (self.sharing > 0).then_some(&self.shared)
    }

    /// Begins a look, and tells how many have been woken. Only a block that is `full` of slots may
    /// share a waker.
    pub(super) fn look(&mut self, full: bool) -> u32 {
        self.seen = self.woken.swap(0, SeqCst);
        if self.seen == 0 {
            return 0;
        }
        if full {
            self.seen &= !self.free;
            self.sharing = match self.sharing {
                0 => self.share(),
                looks => looks - 1,
            };
        }
        self.seen.count_ones()
    }

    /// Over how many looks they are to share a waker, now that each had its own.
    fn share(&mut self) -> u32 {
        let (woken, in_flight) = (self.seen.count_ones(), (!self.free).count_ones());
        let together = woken >= TOGETHER_MIN && woken * 4 >= in_flight * 3;
        self.shared_for = if together { SHARED_MAX.min(2 * self.shared_for + 1) } else { 0 };
        self.shared_for
    }

    /// Whether this one in particular has been woken since the last look.
    pub(super) fn has_woken(&self, bit: usize) -> bool {
        let woken = self.woken.load(SeqCst);
        woken != u64::MAX && woken & 1 << bit != 0
    }
}
