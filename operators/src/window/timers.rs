//! When the triggers of keys want to be asked again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use millstream_engine::time::Timestamp;

use super::TimeWindow;
use super::trigger::Trigger;
use crate::waste::{FEW, is_wasteful};

/// When somebody wants to be asked: who, is told by the window and the hash of the key. Whoever has
/// changed its mind is there still, and is found out when the time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due<W> {
    pub(super) time: Timestamp,
    pub(super) window: W,
    pub(super) hash: u64,
}

/// When a trigger wants to be asked again, by event time and by the clock: `span` is the window to
/// it, and `window` what it is found by.
#[inline]
pub(super) fn next<R: Trigger, W: Copy>(
    trigger: &R,
    state: &R::State,
    span: TimeWindow,
    window: W,
    hash: u64,
) -> [Option<Due<W>>; 2] {
    let next = trigger.next(state, span);
    [next.watermark, next.clock].map(|time| time.map(|time| Due { time, window, hash }))
}

/// All of them, the earliest first. None of it is state: triggers say it again.
#[derive(Debug)]
pub(super) struct Timers<W> {
    heap: BinaryHeap<Reverse<Due<W>>>,
    /// How many it may be before those that count for nothing are thrown out.
    limit: usize,
}

impl<W: Ord> Timers<W> {
    pub(super) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), limit: FEW }
    }

    #[inline]
    pub(super) fn push(&mut self, due: Due<W>) {
        self.heap.push(Reverse(due));
    }

    /// Whether they are so many that they had better be collected anew.
    #[inline]
    pub(super) fn is_crowded(&self) -> bool {
        self.heap.len() > self.limit
    }

    /// Takes these in the place of all others.
    pub(super) fn collect(&mut self, timers: Vec<Due<W>>) {
        self.limit = (2 * timers.len()).max(FEW);
        self.heap = timers.into_iter().map(Reverse).collect();
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The time of the first.
    #[inline]
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse(due)| due.time)
    }

    /// Takes out the first, if its time has come.
    pub(super) fn pop(&mut self, reached: Timestamp) -> Option<Due<W>> {
        let due = self.first()? <= reached;
        let popped = due.then(|| self.heap.pop().map(|Reverse(due)| due)).flatten();
        if is_wasteful(self.heap.capacity(), self.heap.len()) {
            self.limit = (2 * self.heap.len()).max(FEW);
            self.heap.shrink_to(2 * self.heap.len());
        }
        popped
    }
}
