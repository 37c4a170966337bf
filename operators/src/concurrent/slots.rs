//! Places for futures, used again and again: what is polled is what has been woken.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};

use super::block::{BITS, Block};
use super::budget::{is_out_of_budget, pay_a_share};
use super::wakers::{SlotWaker, Turn, Woken};

/// How many may be ready before others begin in their place, while there is some budget left.
const AT_ONCE: usize = 32;

/// More than so many woken at the same time are a burst.
const BURST: u32 = u64::BITS;

/// How many bursts have no pause, when one was in vain.
const WITHOUT_PAUSE: u32 = 64;

/// Futures in flight, each with what its starter wants to know when it is ready.
pub(super) struct Slots<F, M> {
    slots: Vec<Slot<F, M>>,
    blocks: Vec<Block>,
    /// In no block before this one is a slot free.
    first_free: usize,
    in_flight: usize,
    /// Whether the last look has not come to its end.
    interrupted: bool,
    /// Whether the last look has only just begun, and waits.
    pause: Option<Pause>,
    /// How many bursts more have no pause.
    without_pause: u32,
    /// Whether the task has spent its budget, which is looked at when something was not ready.
    spent: bool,
    woken: Arc<Woken>,
}

/// Behind the first of a burst, for the driver of timers and sockets to have its turn.
#[derive(Default)]
struct Pause {
    turn: Option<Arc<Turn>>,
    /// Where the future is that was begun in place of the first, before the turn was over.
    instead: Option<usize>,
}

/// A place, allocated once and filled in place.
struct Slot<F, M> {
    future: Pin<Box<Option<F>>>,
    about: Option<M>,
    waker: Waker,
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
            pause: None,
            without_pause: 0,
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
            self.woken.note();
        } else {
            // One that a pause is about has to tell that it is the one.
            let shared = if self.pause.is_none() { block.shared() } else { None };
            if let Some(output) = slot.poll(shared) {
                return Some((about, output));
            }
            self.spent = is_out_of_budget(cx);
        }
        if let Some(pause) = &mut self.pause {
            pause.instead.get_or_insert(index);
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
            self.blocks.push(Block::new(&self.woken));
        }
        let (bits, stage) = (1 << (slot % BITS), Arc::clone(&self.woken));
        let block = self.blocks.last_mut();
        let woken = block.map(|block| {
            block.free |= bits;
            Arc::clone(&block.woken)
        });
        let woken = woken.unwrap_or_default();
        let waker = Waker::from(Arc::new(SlotWaker { bits, woken, stage }));
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
        self.woken.register(cx.waker());
        self.spent = self.spent && is_out_of_budget(cx);
        if self.spent || self.pauses() {
            return false;
        }
        loop {
            let mut at_once = AT_ONCE;
            if !self.interrupted {
                if !self.woken.take() {
                    return false;
                }
                if self.see() > BURST && self.is_worth_a_pause() {
                    (self.pause, at_once) = (Some(Pause::default()), 1);
                }
            }
            let any = pay_a_share(cx, |cx| self.poll_seen(cx, at_once, &mut ready));
            if !self.interrupted {
                self.pause = None;
            }
            if any || self.interrupted {
                return any;
            }
        }
    }

    /// Begins another look, and tells how many have been woken.
    fn see(&mut self) -> u32 {
        let full = self.slots.len() / BITS;
        let blocks = self.blocks.iter_mut().enumerate();
        blocks.map(|(number, block)| block.look(number < full)).sum()
    }

    /// Whether the others of a burst wait for the driver. Whoever polls the stage for another
    /// reason does not shorten it.
    fn pauses(&mut self) -> bool {
        let Some(pause) = &mut self.pause else {
            return false;
        };
        if !pause.turn.get_or_insert_with(|| Turn::begin(&self.woken)).is_over() {
            return true;
        }
        // Who has been woken by then did not wait for a timer.
        let in_vain = pause.instead.is_some_and(|index| {
            let block = self.blocks.get(index / BITS);
            block.is_some_and(|block| block.has_woken(index % BITS))
        });
        self.without_pause = if in_vain { WITHOUT_PAUSE } else { 0 };
        self.pause = None;
        false
    }

    /// Whether a burst is to have a pause. Where the last one was in vain few have.
    fn is_worth_a_pause(&mut self) -> bool {
        let left = self.without_pause.checked_sub(1);
        self.without_pause = left.unwrap_or_default();
        left.is_none()
    }

    /// Polls on until `at_once` are ready, the look is over or the budget is. Tells how many were.
    fn poll_seen(
        &mut self,
        cx: &mut Context<'_>,
        at_once: usize,
        ready: &mut impl FnMut(M, F::Output),
    ) -> usize {
        let mut left = at_once;
        for (number, block) in self.blocks.iter_mut().enumerate() {
            while block.seen != 0 {
                self.interrupted = left == 0 || self.spent;
                if self.interrupted {
                    return at_once - left;
                }
                let bit = block.seen.trailing_zeros() as usize;
                block.seen &= block.seen - 1;
                // One that was ready may be woken once more, when its place is empty or another's.
                let slot = self.slots.get_mut(number * BITS + bit);
                let Some(slot) = slot.filter(|slot| slot.about.is_some()) else {
                    continue;
                };
                let Some(output) = slot.poll(block.shared()) else {
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
        at_once - left
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

impl<F: Future, M> Slot<F, M> {
    /// Polls it; who wakes it wakes all who `shared` the waker, if there is one.
    #[inline]
    fn poll(&mut self, shared: Option<&Waker>) -> Option<F::Output> {
        let future = self.future.as_mut().as_pin_mut()?;
        match future.poll(&mut Context::from_waker(shared.unwrap_or(&self.waker))) {
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
    use std::pin::pin;
    use std::rc::Rc;
    use std::task::Waker;

    use futures::channel::oneshot;
    use tokio::sync::Semaphore;
    use tokio::task::coop::consume_budget;
    use tokio::task::yield_now;

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

    /// How many each poll of the task has ended, if any, until nothing is in flight. In place of
    /// the first, one of the others is begun.
    async fn polls<F: Future>(slots: &mut Slots<F, usize>, mut others: Vec<F>) -> Vec<usize> {
        let mut polls = Vec::new();
        poll_fn(|cx| {
            let mut ended = 0;
            for _ in 0..1_000 {
                let mut now = 0;
                slots.poll_woken(cx, |_, _| now += 1);
                ended += now;
                if now > 0
                    && let Some(other) = others.pop()
                {
                    assert!(slots.start(cx, other, 0).is_none());
                }
            }
            if ended > 0 {
                polls.push(ended);
            }
            if slots.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        polls
    }

    #[tokio::test]
    async fn c1_behind_the_first_of_a_burst_the_driver_has_its_turn() {
        // Those behind the first get through in one poll, as they pay a share of its budget.
        for (size, expected) in [(1_000, vec![1, 1_000]), (64, vec![65])] {
            let [early, late] = [(); 2].map(|()| Arc::new(Semaphore::new(0)));
            let call = |number| {
                let (early, late) = (Arc::clone(&early), Arc::clone(&late));
                async move {
                    let waits = if number < size { &early } else { &late };
                    waits.acquire().await.unwrap().forget();
                    late.add_permits(usize::from(number == size - 1));
                }
            };
            let mut slots = Slots::new();
            poll_fn(|cx| {
                for number in 0..size {
                    assert!(slots.start(cx, call(number), number).is_none());
                }
                Poll::Ready(())
            })
            .await;
            yield_now().await;
            early.add_permits(size);
            assert_eq!(polls(&mut slots, vec![call(size)]).await, expected);
        }
    }

    #[tokio::test]
    async fn c1_where_a_pause_was_in_vain_the_next_bursts_have_none() {
        let mut slots = Slots::new();
        let mut firsts = Vec::new();
        for _ in 0..3 {
            poll_fn(|cx| {
                for number in 0..1_000 {
                    assert!(slots.start(cx, yield_now(), number).is_none());
                }
                Poll::Ready(())
            })
            .await;
            firsts.push(polls(&mut slots, vec![yield_now()]).await[0]);
        }
        assert_eq!(firsts, [1, 1_000, 1_000]);
    }

    #[tokio::test]
    async fn c1_those_that_are_woken_together_share_a_waker_and_few_are_polled_in_vain() {
        const CALLS: usize = 128;
        const TOGETHER: usize = 40;
        const ALONE: usize = 300;
        let semaphores: Vec<_> = (0..CALLS).map(|_| Arc::new(Semaphore::new(0))).collect();
        let polls = Rc::new(Cell::new(0));
        let mut slots = Slots::new();
        poll_fn(|cx| {
            for (number, semaphore) in semaphores.iter().enumerate() {
                let (semaphore, polls) = (Arc::clone(semaphore), Rc::clone(&polls));
                let times = TOGETHER + (number..ALONE).step_by(CALLS).count();
                let call = async move {
                    for _ in 0..times {
                        let mut permit = pin!(semaphore.acquire());
                        let counted = poll_fn(|cx| {
                            polls.set(polls.get() + 1);
                            permit.as_mut().poll(cx)
                        });
                        counted.await.unwrap().forget();
                    }
                };
                assert!(slots.start(cx, call, number).is_none());
            }
            Poll::Ready(())
        })
        .await;
        let mut ended = 0;
        let mut step = async |woken: &mut dyn Iterator<Item = &Arc<Semaphore>>| {
            woken.for_each(|semaphore| semaphore.add_permits(1));
            // Once more for the pause behind a burst.
            for _ in 0..3 {
                poll_fn(|cx| {
                    while slots.poll_woken(cx, |_, ()| ended += 1) {}
                    Poll::Ready(())
                })
                .await;
                yield_now().await;
            }
            polls.replace(0)
        };
        for round in 0..TOGETHER {
            let polls = step(&mut semaphores.iter()).await;
            // As each goes on to wait it is polled twice.
            assert!(polls >= 2 * CALLS, "{polls} in round {round}");
        }
        let mut in_all = 0;
        for number in 0..ALONE {
            in_all += step(&mut semaphores.iter().skip(number % CALLS).take(1)).await;
        }
        assert_eq!(ended, CALLS, "nobody waits for ever");
        let in_vain = in_all - (2 * ALONE - CALLS);
        assert!(in_vain <= 7 * CALLS, "{in_vain} polls in vain");
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
