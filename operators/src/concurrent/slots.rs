//! Places for futures, used again and again: what is polled is only what has been woken.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use tokio::task::yield_now;

use super::budget::is_out_of_budget;

const BITS: usize = u64::BITS as usize;

/// How many may be ready before others begin in their place, while there is some budget left.
const AT_ONCE: usize = 32;

/// More than so many woken at the same time are a burst.
const BURST: u32 = u64::BITS;

/// Futures in flight, each with what its starter wants to know when it is ready.
pub(super) struct Slots<F, M> {
    slots: Vec<Slot<F, M>>,
    blocks: Vec<Block>,
    /// In no block before this one is a slot free.
    first_free: usize,
    in_flight: usize,
    /// Whether the last look has not come to its end.
    interrupted: bool,
    /// Whether that look has only just begun, and the driver has its turn before it goes on.
    burst: bool,
    /// Whether the task has spent its budget, which is looked at when something was not ready.
    spent: bool,
    woken: Arc<Woken>,
}

/// Slots that are looked at together, a bit for each.
#[derive(Default)]
struct Block {
    /// Who has been woken since the last look.
    woken: Arc<AtomicU64>,
    /// Who has been seen by it and has not been polled yet.
    seen: u64,
    free: u64,
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
    woken: Arc<AtomicU64>,
    all: Arc<Woken>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.fetch_or(self.bit, SeqCst);
        // Seldom the first one, so it looks before it writes. Whoever finds it set is seen by the
        // stage, which takes it away before it takes the bits: one order of all four (`SeqCst`).
        if !self.all.notified.load(SeqCst) && !self.all.notified.swap(true, SeqCst) {
            self.all.stage.wake();
        }
    }
}

impl<F: Future, M> Slots<F, M> {
    /// Places are made when they are first needed: how many there may be is for the caller to say.
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            blocks: Vec::new(),
            first_free: 0,
            in_flight: 0,
            interrupted: false,
            burst: false,
            spent: false,
            woken: Arc::default(),
        }
    }

    /// Whether nothing is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.in_flight == 0
    }

    /// Begins a future, and polls it once: then it knows whom to wake. What is ready at once comes
    /// back with what was given.
    #[inline]
    pub(super) fn start(
        &mut self,
        cx: &mut Context<'_>,
        future: F,
        about: M,
    ) -> Option<(M, F::Output)> {
        let index = self.first_free().unwrap_or_else(|| self.add());
        let (slot, block) = (self.slots.get_mut(index)?, self.blocks.get_mut(index / BITS)?);
        slot.future.set(Some(future));
        if self.spent {
            // The next poll of the task is its first, too.
            block.woken.fetch_or(1 << (index % BITS), SeqCst);
            self.woken.notified.store(true, SeqCst);
        } else {
            if let Some(output) = slot.poll() {
                return Some((about, output));
            }
            self.spent = is_out_of_budget(cx);
        }
        slot.about = Some(about);
        block.free &= !(1 << (index % BITS));
        self.in_flight += 1;
        None
    }

    /// The first place that is free: those behind it stay cold.
    #[inline]
    fn first_free(&mut self) -> Option<usize> {
        while let Some(block) = self.blocks.get(self.first_free) {
            if block.free != 0 {
                return Some(self.first_free * BITS + block.free.trailing_zeros() as usize);
            }
            self.first_free += 1;
        }
        None
    }

    /// Makes another place.
    fn add(&mut self) -> usize {
        let slot = self.slots.len();
        if slot.is_multiple_of(BITS) {
            self.blocks.push(Block::default());
        }
        let (bit, all) = (1 << (slot % BITS), Arc::clone(&self.woken));
        let block = self.blocks.last_mut();
        let woken = block.map(|block| {
            block.free |= bit;
            Arc::clone(&block.woken)
        });
        let woken = woken.unwrap_or_default();
        let waker = Waker::from(Arc::new(SlotWaker { bit, woken, all }));
        self.slots.push(Slot { future: Box::pin(None), about: None, waker });
        slot
    }

    /// Polls those that have been woken, and gives those that are ready to `ready`. From here on
    /// the task of `cx` is woken when another one is. Tells whether any was ready; then it is to be
    /// asked once more.
    ///
    /// What the task's budget does not reach waits for its next poll, which goes on where this one
    /// stopped.
    ///
    /// Of a burst, the first one that is ready is replaced before the others, and the driver of
    /// timers and sockets has its turn. It has learnt by then when the new one's timer is due:
    /// those of the others need not wake, by a system call each, the worker that waits for timers.
    pub(super) fn poll_woken(
        &mut self,
        cx: &mut Context<'_>,
        mut ready: impl FnMut(M, F::Output),
    ) -> bool {
        self.woken.stage.register(cx.waker());
        self.spent = self.spent && is_out_of_budget(cx);
        if self.spent || (std::mem::take(&mut self.burst) && yields(cx)) {
            return false;
        }
        loop {
            let mut at_once = AT_ONCE;
            if !self.interrupted {
                if !self.woken.notified.swap(false, SeqCst) {
                    return false;
                }
                if self.see() > BURST {
                    (self.burst, at_once) = (true, 1);
                }
            }
            let any = self.poll_seen(cx, at_once, &mut ready);
            self.burst &= self.interrupted;
            if any || self.interrupted {
                return any;
            }
        }
    }

    /// Begins another look, and tells how many have been woken.
    fn see(&mut self) -> u32 {
        let mut seen = 0;
        for block in &mut self.blocks {
            block.seen = block.woken.swap(0, SeqCst);
            seen += block.seen.count_ones();
        }
        seen
    }

    /// Polls on until `at_once` are ready, the look is over or the budget is.
    fn poll_seen(
        &mut self,
        cx: &mut Context<'_>,
        at_once: usize,
        ready: &mut impl FnMut(M, F::Output),
    ) -> bool {
        let mut left = at_once;
        for (number, block) in self.blocks.iter_mut().enumerate() {
            while block.seen != 0 {
                self.interrupted = left == 0 || self.spent;
                if self.interrupted {
                    return left < at_once;
                }
                let bit = block.seen.trailing_zeros() as usize;
                block.seen &= block.seen - 1;
                // One that was ready may be woken once more, when its place is empty or another's.
                let slot = self.slots.get_mut(number * BITS + bit);
                let Some(slot) = slot.filter(|slot| slot.about.is_some()) else {
                    continue;
                };
                let Some(output) = slot.poll() else {
                    self.spent = is_out_of_budget(cx);
                    continue;
                };
                if let Some(about) = slot.about.take() {
                    block.free |= 1 << bit;
                    self.first_free = self.first_free.min(number);
                    self.in_flight -= 1;
                    ready(about, output);
                    left -= 1;
                }
            }
        }
        self.interrupted = false;
        left < at_once
    }

    /// Drops whatever is in flight.
    pub(super) fn clear(&mut self) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            slot.future.set(None);
            slot.about = None;
            if let Some(block) = self.blocks.get_mut(index / BITS) {
                block.free |= 1 << (index % BITS);
            }
        }
        (self.first_free, self.in_flight) = (0, 0);
    }
}

/// Has the task polled again when the driver has had its turn.
fn yields(cx: &mut Context<'_>) -> bool {
    pin!(yield_now()).poll(cx).is_pending()
}

impl<F: Future, M> Slot<F, M> {
    #[inline]
    fn poll(&mut self) -> Option<F::Output> {
        let future = self.future.as_mut().as_pin_mut()?;
        match future.poll(&mut Context::from_waker(&self.waker)) {
            Poll::Pending => None,
            Poll::Ready(output) => {
                self.future.set(None);
                Some(output)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::task::Waker;

    use futures::channel::oneshot;
    use tokio::sync::Semaphore;
    use tokio::task::coop::consume_budget;

    use super::*;

    /// Polls until nothing is in flight, as a stage does.
    async fn finish<F: Future, M>(slots: &mut Slots<F, M>) -> Vec<(M, F::Output)> {
        let mut answers = Vec::new();
        poll_fn(|cx| {
            while slots.poll_woken(cx, |about, output| answers.push((about, output))) {}
            if slots.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        answers
    }

    #[tokio::test]
    async fn c1_only_what_was_woken_is_polled_and_places_are_used_again() {
        let mut slots = Slots::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut found = Vec::new();
        for round in 0..3 {
            let mut senders = Vec::new();
            for number in 0..70 {
                let (sender, receiver) = oneshot::channel::<usize>();
                senders.push(sender);
                assert!(slots.start(&mut cx, receiver, number).is_none());
            }
            assert_eq!(slots.slots.len(), 70, "round {round}");
            assert!(!slots.poll_woken(&mut cx, |_, _| panic!("nobody was woken")));
            for (number, sender) in senders.into_iter().enumerate().rev() {
                sender.send(number).unwrap();
            }
            found.extend(finish(&mut slots).await);
            assert!(slots.is_empty());
        }
        assert_eq!(found.len(), 210);
        assert!(found.iter().all(|(about, output)| output == &Ok(*about)));
    }

    #[test]
    fn c1_a_future_that_is_ready_at_once_takes_no_place() {
        let mut slots = Slots::new();
        for number in 0..5 {
            let mut cx = Context::from_waker(Waker::noop());
            let started = slots.start(&mut cx, std::future::ready(number), "about");
            assert_eq!(started, Some(("about", number)));
        }
        assert!(slots.is_empty());
    }

    #[tokio::test]
    async fn c1_what_the_budget_does_not_reach_is_not_polled_in_vain() {
        let (semaphore, polls) = (Arc::new(Semaphore::new(0)), Rc::new(Cell::new(0)));
        let mut slots = Slots::new();
        poll_fn(|cx| {
            for number in 0..1_000 {
                let (semaphore, polls) = (Arc::clone(&semaphore), Rc::clone(&polls));
                let call = async move {
                    let mut permit = pin!(semaphore.acquire_owned());
                    poll_fn(|cx| {
                        polls.set(polls.get() + 1);
                        permit.as_mut().poll(cx)
                    })
                    .await
                };
                assert!(slots.start(cx, call, number).is_none());
            }
            Poll::Ready(())
        })
        .await;
        yield_now().await;
        semaphore.add_permits(1_000);
        assert_eq!(finish(&mut slots).await.len(), 1_000);
        // Each once when it began and once when it was woken, and one a budget that tells it is
        // spent: a look that ignores it polls all the others again for every 128 that get through.
        assert!(polls.get() <= 2_020, "{}", polls.get());
    }

    #[tokio::test]
    async fn c1_one_that_takes_the_whole_budget_shuts_nobody_out() {
        const ENOUGH: usize = 100_000;
        let (semaphore, through) = (Arc::new(Semaphore::new(0)), Rc::new(Cell::new(0)));
        let rounds = Rc::new(Cell::new(0));
        let mut slots = Slots::new();
        poll_fn(|cx| {
            for number in 0..=200 {
                let semaphore = Arc::clone(&semaphore);
                let (through, rounds) = (Rc::clone(&through), Rc::clone(&rounds));
                let call = async move {
                    if number > 0 {
                        drop(semaphore.acquire().await);
                        through.set(through.get() + 1);
                    }
                    while number == 0 && through.get() < 200 && rounds.get() < ENOUGH {
                        rounds.set(rounds.get() + 1);
                        consume_budget().await;
                    }
                };
                assert!(slots.start(cx, call, number).is_none());
            }
            Poll::Ready(())
        })
        .await;
        semaphore.add_permits(1);
        assert_eq!(finish(&mut slots).await.len(), 201);
        assert!(rounds.get() < ENOUGH, "the others had their turns");
    }
}
