//! Streams within a stream: those that are open, what they have ready, and the watermarks that wait
//! for them.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use millstream_engine::batch::Batch;
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

use super::budget::is_out_of_budget;

/// Watermarks that wait until every stream that was opened before them has ended. Those that wait
/// for the same streams are one, so there are never more than streams.
struct Fences {
    /// The streams that were opened between two watermarks, by age: how many are open, and the
    /// watermark behind them.
    ages: BTreeMap<u64, (usize, Option<Timestamp>)>,
    next: u64,
}

impl Fences {
    /// A stream has been opened; gives its age.
    fn enter(&mut self) -> u64 {
        if let Some((age, (open, None))) = self.ages.iter_mut().next_back() {
            *open += 1;
            return *age;
        }
        let age = self.next;
        self.next += 1;
        self.ages.insert(age, (1, None));
        age
    }

    fn leave(&mut self, age: u64) {
        let Some((open, watermark)) = self.ages.get_mut(&age) else {
            return;
        };
        *open -= 1;
        if *open > 0 {
            return;
        }
        let watermark = *watermark;
        // Its watermark goes with that of the streams before, if there are any.
        if let Some((_, (_, earlier))) = self.ages.range_mut(..age).next_back() {
            *earlier = watermark.or(*earlier);
            self.ages.remove(&age);
        }
    }

    fn add(&mut self, watermark: Timestamp) {
        match self.ages.last_entry() {
            Some(mut last) => last.get_mut().1 = Some(watermark),
            None => {
                self.ages.insert(self.next, (0, Some(watermark)));
                self.next += 1;
            }
        }
    }

    /// The latest watermark that nothing waits for any more.
    fn pass(&mut self) -> Option<Timestamp> {
        let mut passed = None;
        while let Some(first) = self.ages.first_entry().filter(|first| first.get().0 == 0) {
            passed = first.remove().1.or(passed);
        }
        passed
    }
}

/// Which streams have been woken, and whom to wake for it.
#[derive(Default)]
struct Woken {
    slots: Vec<usize>,
    waker: Option<Waker>,
}

/// The waker of one slot, which says whose it is.
struct Call {
    slot: usize,
    called: AtomicBool,
    woken: Arc<Mutex<Woken>>,
}

fn lock(woken: &Mutex<Woken>) -> MutexGuard<'_, Woken> {
    woken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.called.swap(true, SeqCst) {
            return;
        }
        let mut woken = lock(&self.woken);
        woken.slots.push(self.slot);
        let waker = woken.waker.take();
        drop(woken);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A place for a stream, used again when that has ended.
struct Slot<S, O> {
    stream: Pin<Box<Option<S>>>,
    /// The one item that a stream may be ahead.
    item: Option<O>,
    time: Timestamp,
    age: u64,
    emitted: bool,
    call: Arc<Call>,
    waker: Waker,
}

/// The streams that are open. Each is at most one item ahead of what has been asked for.
pub(super) struct InnerStreams<S, O> {
    slots: Vec<Slot<S, O>>,
    free: Vec<usize>,
    /// Those with an item, in the order in which these came; in order of opening, those that are
    /// open.
    queue: VecDeque<usize>,
    in_order: bool,
    open: usize,
    fences: Fences,
    woken: Arc<Mutex<Woken>>,
    called: Vec<usize>,
    counters: Arc<OperatorCounters>,
}

impl<S, O> InnerStreams<S, O>
where
    S: Stream<Item = Result<O, OperatorError>>,
{
    pub(super) fn new(in_order: bool, counters: Arc<OperatorCounters>) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            queue: VecDeque::new(),
            in_order,
            open: 0,
            fences: Fences { ages: BTreeMap::new(), next: 0 },
            woken: Arc::default(),
            called: Vec::new(),
            counters,
        }
    }

    /// How many have not ended.
    pub(super) const fn open(&self) -> usize {
        self.open
    }

    /// Opens a stream, the items of which have this time, and polls it.
    pub(super) fn push(&mut self, stream: S, time: Timestamp) -> Result<(), OperatorError> {
        let index = self.free.pop().unwrap_or_else(|| {
            let slot = self.slots.len();
            let woken = Arc::clone(&self.woken);
            let call = Arc::new(Call { slot, called: AtomicBool::new(false), woken });
            let waker = Waker::from(Arc::clone(&call));
            let (stream, item, age, emitted) = (Box::pin(None), None, 0, false);
            self.slots.push(Slot { stream, item, time, age, emitted, call, waker });
            slot
        });
        let age = self.fences.enter();
        self.open += 1;
        if self.in_order {
            self.queue.push_back(index);
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.stream.set(Some(stream));
            (slot.time, slot.age, slot.emitted) = (time, age, false);
        }
        self.poll_slot(index)
    }

    /// Polls those that have been woken. Whoever is woken meanwhile wakes the task. What the task's
    /// budget does not reach comes first at its next poll.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        let mut woken = lock(&self.woken);
        match &mut woken.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            waker => *waker = Some(cx.waker().clone()),
        }
        std::mem::swap(&mut woken.slots, &mut self.called);
        drop(woken);
        let mut called = std::mem::take(&mut self.called);
        let mut polled = Ok(());
        let mut reached = 0;
        while let Some(index) = called.get(reached).copied()
            && polled.is_ok()
            && !is_out_of_budget(cx)
        {
            reached += 1;
            if let Some(slot) = self.slots.get(index) {
                slot.call.called.store(false, SeqCst);
            }
            polled = self.poll_slot(index);
        }
        if reached < called.len() {
            lock(&self.woken).slots.splice(0..0, called.drain(reached..));
        }
        called.clear();
        self.called = called;
        polled
    }

    fn poll_slot(&mut self, index: usize) -> Result<(), OperatorError> {
        let Some(slot) = self.slots.get_mut(index) else {
            return Ok(());
        };
        // One that is ahead is polled when its item has been taken.
        let Some(stream) = slot.stream.as_mut().as_pin_mut().filter(|_| slot.item.is_none()) else {
            return Ok(());
        };
        match stream.poll_next(&mut Context::from_waker(&slot.waker)) {
            Poll::Ready(Some(item)) => {
                slot.item = Some(item?);
                if !self.in_order {
                    self.queue.push_back(index);
                }
            }
            Poll::Ready(None) => self.close(index),
            Poll::Pending => {}
        }
        Ok(())
    }

    /// Lets go of a stream.
    fn close(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.stream.set(None);
        let queued = slot.item.take().is_some() || self.in_order;
        if !slot.emitted {
            self.counters.filtered.add(1);
        }
        self.open -= 1;
        self.fences.leave(slot.age);
        if queued {
            self.queue.retain(|other| *other != index);
        }
        self.free.push(index);
    }

    /// Lets go of all of them, for what is newer.
    pub(super) fn close_all(&mut self) {
        for index in 0..self.slots.len() {
            if let Some(slot) = self.slots.get(index).filter(|slot| slot.stream.is_some()) {
                if !slot.emitted {
                    self.counters.dropped(DropReason::Superseded, 1);
                }
                self.close(index);
            }
        }
    }

    /// Drops all of them, with what they came of: nobody wants it.
    pub(super) fn drop_all(&mut self) {
        self.slots.clear();
        self.free.clear();
        self.queue.clear();
        self.open = 0;
    }

    /// Moves what is ready into `batch`, as long as that has fewer than `limit` records, and the
    /// watermarks that nothing is before any more.
    pub(super) fn fill(&mut self, batch: &mut Batch<O>, limit: usize) -> Result<(), OperatorError> {
        self.pass_watermarks(batch);
        while batch.records.len() < limit
            && let Some(&index) = self.queue.front()
            && let Some(slot) = self.slots.get_mut(index)
            && let Some(item) = slot.item.take()
        {
            batch.records.push(Record::at(item, slot.time));
            if std::mem::replace(&mut slot.emitted, true) {
                self.counters.added.add(1);
            }
            if !self.in_order {
                self.queue.pop_front();
            }
            let open = self.open;
            self.poll_slot(index)?;
            if self.open < open {
                self.pass_watermarks(batch);
            }
        }
        self.pass_watermarks(batch);
        Ok(())
    }

    fn pass_watermarks(&mut self, batch: &mut Batch<O>) {
        if let Some(watermark) = self.fences.pass() {
            batch.mark(watermark);
        }
    }

    /// A watermark that waits for those that are open.
    pub(super) fn fence(&mut self, watermark: Timestamp) {
        self.fences.add(watermark);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{Future as _, poll_fn};
    use std::rc::Rc;

    use futures::stream;
    use tokio::sync::Semaphore;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_watermark_waits_for_what_was_opened_before_it_and_for_nothing_else() {
        let mut fences = Fences { ages: BTreeMap::new(), next: 0 };
        fences.add(at(1));
        assert_eq!(fences.pass(), Some(at(1)));
        let first = fences.enter();
        fences.add(at(2));
        let second = fences.enter();
        assert_eq!(fences.pass(), None);
        fences.leave(first);
        assert_eq!(fences.pass(), Some(at(2)), "the second was opened behind it");
        fences.add(at(3));
        fences.add(at(4));
        fences.leave(second);
        assert_eq!(fences.pass(), Some(at(4)));
        assert_eq!(fences.pass(), None);
    }

    #[test]
    fn watermarks_do_not_pile_up_behind_a_stream_that_never_ends() {
        let mut fences = Fences { ages: BTreeMap::new(), next: 0 };
        let endless = fences.enter();
        for n in 0..1000 {
            fences.add(at(n));
            let short = fences.enter();
            if n % 2 == 0 {
                fences.add(at(n));
            }
            fences.leave(short);
            assert!(fences.ages.len() <= 2, "{}", fences.ages.len());
        }
        assert_eq!(fences.pass(), None);
        fences.leave(endless);
        assert_eq!(fences.pass(), Some(at(999)));
        assert!(fences.ages.is_empty());
    }

    #[tokio::test]
    async fn what_the_budget_does_not_reach_is_not_polled_in_vain() {
        let (semaphore, polls) = (Arc::new(Semaphore::new(0)), Rc::new(Cell::new(0)));
        let mut streams = InnerStreams::<_, ()>::new(false, Arc::default());
        for _ in 0..1_000 {
            let mut permit = Box::pin(Arc::clone(&semaphore).acquire_owned());
            let polls = Rc::clone(&polls);
            let wait = stream::poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                permit.as_mut().poll(cx).map(|_| None)
            });
            streams.push(wait, at(0)).unwrap();
            tokio::task::yield_now().await;
        }
        semaphore.add_permits(1_000);
        poll_fn(|cx| {
            streams.poll(cx).unwrap();
            if streams.open() == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert!(polls.get() <= 2_000, "{}", polls.get());
    }
}
