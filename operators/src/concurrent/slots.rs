//! Places for futures, used again and again: what is polled is only what has been woken.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::AcqRel};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

const BITS: usize = u64::BITS as usize;

/// Futures in flight, each with what its starter wants to know when it is ready.
pub(super) struct Slots<F, M> {
    slots: Vec<Slot<F, M>>,
    free: Vec<usize>,
    /// Who has been woken since the last look: a bit for each slot, in blocks.
    blocks: Vec<Arc<AtomicU64>>,
    woken: Arc<Woken>,
}

/// A place, allocated once and filled in place.
struct Slot<F, M> {
    future: Pin<Box<Option<F>>>,
    about: Option<M>,
    waker: Waker,
}

/// The stage that all of them wake.
#[derive(Default)]
struct Woken {
    /// Whether the stage has been woken and has not looked since.
    notified: AtomicBool,
    stage: AtomicWaker,
}

struct SlotWaker {
    bit: u64,
    block: Arc<AtomicU64>,
    woken: Arc<Woken>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.block.fetch_or(self.bit, AcqRel);
        if !self.woken.notified.swap(true, AcqRel) {
            self.woken.stage.wake();
        }
    }
}

impl<F: Future, M> Slots<F, M> {
    /// Places are made when they are first needed: how many there may be is for the caller to say.
    pub(super) fn new() -> Self {
        let (slots, free, blocks) = (Vec::new(), Vec::new(), Vec::new());
        Self { slots, free, blocks, woken: Arc::default() }
    }

    /// Whether nothing is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// Begins a future, and polls it once: then it knows whom to wake. What is ready at once comes
    /// back with what was given.
    #[inline]
    pub(super) fn start(&mut self, future: F, about: M) -> Option<(M, F::Output)> {
        let index = self.free.pop().unwrap_or_else(|| self.add());
        let slot = self.slots.get_mut(index)?;
        slot.future.set(Some(future));
        slot.about = Some(about);
        let ready = slot.poll();
        if ready.is_some() {
            self.free.push(index);
        }
        ready
    }

    /// Makes another place.
    fn add(&mut self) -> usize {
        let slot = self.slots.len();
        if slot.is_multiple_of(BITS) {
            self.blocks.push(Arc::default());
        }
        let block = self.blocks.last().cloned().unwrap_or_default();
        let (bit, woken) = (1 << (slot % BITS), Arc::clone(&self.woken));
        let waker = Waker::from(Arc::new(SlotWaker { bit, block, woken }));
        self.slots.push(Slot { future: Box::pin(None), about: None, waker });
        slot
    }

    /// Polls those that have been woken, and gives those that are ready to `ready`. From here on
    /// the task of `cx` is woken when another one is.
    pub(super) fn poll_woken(
        &mut self,
        cx: &mut Context<'_>,
        mut ready: impl FnMut(M, F::Output),
    ) -> bool {
        self.woken.stage.register(cx.waker());
        if !self.woken.notified.swap(false, AcqRel) {
            return false;
        }
        let mut any = false;
        for (number, block) in self.blocks.iter().enumerate() {
            let mut bits = block.swap(0, AcqRel);
            while bits != 0 {
                let index = number * BITS + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                // One that was ready may be woken once more, when its place is empty or another's.
                let Some(slot) = self.slots.get_mut(index) else {
                    continue;
                };
                if let Some((about, output)) = slot.poll() {
                    self.free.push(index);
                    ready(about, output);
                    any = true;
                }
            }
        }
        any
    }

    /// Drops whatever is in flight.
    pub(super) fn clear(&mut self) {
        self.free.clear();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            slot.future.set(None);
            slot.about = None;
            self.free.push(index);
        }
    }
}

impl<F: Future, M> Slot<F, M> {
    fn poll(&mut self) -> Option<(M, F::Output)> {
        let future = self.future.as_mut().as_pin_mut()?;
        match future.poll(&mut Context::from_waker(&self.waker)) {
            Poll::Pending => None,
            Poll::Ready(output) => {
                self.future.set(None);
                Some((self.about.take()?, output))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use futures::channel::oneshot;

    use super::*;

    #[test]
    fn c1_only_what_was_woken_is_polled_and_places_are_used_again() {
        let mut slots = Slots::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut found = Vec::new();
        for round in 0..3 {
            let mut senders = Vec::new();
            for number in 0..70 {
                let (sender, receiver) = oneshot::channel::<usize>();
                senders.push(sender);
                assert!(slots.start(receiver, number).is_none());
            }
            assert_eq!(slots.slots.len(), 70, "round {round}");
            assert!(!slots.poll_woken(&mut cx, |_, _| panic!("nobody was woken")));
            for (number, sender) in senders.into_iter().enumerate().rev() {
                sender.send(number).unwrap();
            }
            slots.poll_woken(&mut cx, |about, output| found.push((about, output)));
            assert!(slots.is_empty());
        }
        assert_eq!(found.len(), 210);
        assert!(found.iter().all(|(about, output)| output == &Ok(*about)));
    }

    #[test]
    fn c1_a_future_that_is_ready_at_once_takes_no_place() {
        let mut slots = Slots::new();
        for number in 0..5 {
            let started = slots.start(std::future::ready(number), "about");
            assert_eq!(started, Some(("about", number)));
        }
        assert!(slots.is_empty());
    }
}
