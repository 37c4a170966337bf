//! The bounded queue of batches between one producing and one consuming instance.

use std::fmt;
use std::task::{Context, Poll, Waker};

use super::meter::{EdgeTimes, Meter};
use super::policy::{Rank, Sorting, WhenFull};
use super::queue::Queue;
use crate::batch::Batch;
use crate::metrics::Counter;
use crate::record::Record;
use crate::sync::{Arc, Mutex, MutexGuard, lock};
use crate::time::Clock;

/// What a channel may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Records in the queue, at least one.
    pub records: usize,
    /// Bytes in the queue, by the edge's weight; unlimited if nobody weighs.
    pub bytes: usize,
    /// Records in one batch, at least one and at most `records`.
    pub batch: usize,
}

impl Capacity {
    /// Room for `records` records, in batches of at most `batch`, whatever they weigh.
    #[must_use]
    pub fn records(records: usize, batch: usize) -> Self {
        let records = records.max(1);
        Self { records, bytes: usize::MAX, batch: batch.clamp(1, records) }
    }
}

/// What came of sending a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a batch that was not sent is still the sender's"]
pub enum Sent {
    /// It is in the queue.
    Sent,
    /// There is no room for it now.
    Full,
    /// The consumer has enough, and wants no more.
    Finished,
    /// The consumer went away without a word.
    Failed,
}

/// What a receiver gets.
#[derive(Debug)]
pub enum Received<T> {
    /// A batch. The last one has its `end` set.
    Batch(Batch<T>),
    /// The producer went away without an end.
    Failed,
}

/// What a channel has carried and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeStats {
    /// Records put in, those included that were dropped because there was no room.
    pub sent: u64,
    /// Records taken out.
    pub received: u64,
    /// Records in the queue.
    pub depth: u64,
    /// The most records the queue may hold.
    pub capacity: u64,
    /// Bytes in the queue, by the edge's weight.
    pub bytes: u64,
    /// Whether the producer is waiting for room.
    pub blocked: bool,
    /// Of the records put in: dropped, because there was no room.
    pub dropped: u64,
}

/// A look at a channel from outside, at any time.
pub trait EdgeProbe: Send + Sync {
    /// What it has carried and holds now.
    fn stats(&self) -> EdgeStats;

    /// What it has measured.
    fn times(&self) -> EdgeTimes;
}

/// Makes a channel.
#[must_use]
pub fn channel<T>(capacity: Capacity) -> (Sender<T>, Receiver<T>) {
    channel_with(capacity, Sorting::Fifo, Forgiving::default(), None)
}

/// Makes a channel that gives out what waits in the order of `sorting`, and measures by the clock,
/// if there is one, how long records and its sender wait.
pub(crate) fn channel_with<T>(
    capacity: Capacity,
    sorting: Sorting<T>,
    forgiving: Forgiving,
    clock: Option<Clock>,
) -> (Sender<T>, Receiver<T>) {
    let capacity =
        Capacity { bytes: capacity.bytes, ..Capacity::records(capacity.records, capacity.batch) };
    let (queue, rank) = match sorting {
        Sorting::Fifo => (Queue::in_order(), None),
        Sorting::Lifo => (Queue::sorted(true), None),
        Sorting::Priority(rank) => (Queue::sorted(false), Some(rank)),
    };
    let meter = clock.map_or_else(Meter::default, Meter::timed_by);
    let (state, lost) = (Mutex::new(State::new(queue, meter)), Counter::default());
    let shared = Arc::new(Shared { capacity, rank, forgiving, lost, state });
    let sender = Sender { shared: Arc::clone(&shared), ended: false, woke: false };
    (sender, Receiver { shared, spare: None })
}

/// Whose failure is not to become that of the other side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forgiving {
    /// A producer that fails has come to its end.
    pub(crate) producer: bool,
    /// A consumer that fails has had enough.
    pub(crate) consumer: bool,
}

struct Shared<T> {
    capacity: Capacity,
    rank: Option<Rank<T>>,
    forgiving: Forgiving,
    /// Records that the sender gave up before they came to the queue.
    lost: Counter,
    state: Mutex<State<T>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Open,
    /// Closed with a word: `End` from the sender, `Finished` from the receiver.
    Closed,
    /// Gone without one.
    Failed,
}

struct State<T> {
    queue: Queue<T>,
    sender: Side,
    receiver: Side,
    sender_waker: Option<Waker>,
    /// Whether the sender waits for room, and not just to hear of the receiver's end.
    blocked: bool,
    receiver_waker: Option<Waker>,
    /// Whether the receiver has ever asked.
    wanted: bool,
    meter: Meter,
}

impl<T> State<T> {
    const fn new(queue: Queue<T>, meter: Meter) -> Self {
        Self {
            queue,
            sender: Side::Open,
            receiver: Side::Open,
            sender_waker: None,
            blocked: false,
            receiver_waker: None,
            wanted: false,
            meter,
        }
    }

    fn block(&mut self, blocked: bool) {
        if self.blocked != blocked {
            self.blocked = blocked;
            self.meter.blocked(blocked);
        }
    }
}

/// Remembers who waits, without a new waker where the old one still serves.
fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        _ => *slot = Some(cx.waker().clone()),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The producing end of a channel.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    ended: bool,
    /// A batch has found the consumer waiting, and nobody has asked about it.
    woke: bool,
}

impl<T> Sender<T> {
    /// The most records that one batch may hold.
    #[must_use]
    pub fn batch_limit(&self) -> usize {
        self.shared.capacity.batch
    }

    /// The most bytes that the channel may hold.
    #[must_use]
    pub fn bytes_limit(&self) -> usize {
        self.shared.capacity.bytes
    }

    /// Sends `batch`, which weighs `bytes`, if there is room. Only then is it taken.
    pub fn try_send(&mut self, batch: &mut Batch<T>, bytes: usize) -> Sent {
        self.send(batch, bytes, None)
    }

    /// Sends `batch` as soon as there is room. Cancel safe: until it is ready, nothing is taken.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch<T>,
        bytes: usize,
    ) -> Poll<Sent> {
        match self.send(batch, bytes, Some(cx)) {
            Sent::Full => Poll::Pending,
            sent => Poll::Ready(sent),
        }
    }

    /// Ready when the consumer wants no more or is gone; otherwise the task is woken when it does.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Sent> {
        let mut state = lock(&self.shared.state);
        match state.receiver {
            Side::Open => {
                register(&mut state.sender_waker, cx);
                Poll::Pending
            }
            Side::Closed => Poll::Ready(Sent::Finished),
            Side::Failed => Poll::Ready(Sent::Failed),
        }
    }

    /// Ready once the consumer has asked for records, or gone.
    pub fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.shared.state);
        if state.wanted || state.receiver != Side::Open {
            return Poll::Ready(());
        }
        register(&mut state.sender_waker, cx);
        Poll::Pending
    }

    /// Whether a batch has found the consumer waiting since this was last asked.
    pub(super) const fn take_woke(&mut self) -> bool {
        std::mem::replace(&mut self.woke, false)
    }

    /// The most records that the channel may hold.
    pub(super) fn capacity(&self) -> usize {
        self.shared.capacity.records
    }

    /// As [`try_send`](Sender::try_send), but makes room by dropping records as `policy` says, and
    /// takes control in any case. Never answers [`Sent::Full`].
    pub(super) fn squeeze(&mut self, batch: &mut Batch<T>, bytes: usize, policy: WhenFull) -> Sent {
        let ranks = self.ranks(batch);
        let mut removed = Vec::new();
        let mut state = lock(&self.shared.state);
        match state.receiver {
            Side::Open => {}
            Side::Closed => return Sent::Finished,
            Side::Failed => return Sent::Failed,
        }
        self.ended = batch.end;
        if batch.end {
            state.sender = Side::Closed;
        }
        state.block(false);
        let before = state.queue.entered;
        if state.queue.has_room(batch, bytes, self.shared.capacity) {
            // There was none a moment ago.
            state.queue.put(batch, bytes, &ranks, self.shared.capacity.batch);
        } else {
            let capacity = self.shared.capacity;
            state.queue.squeeze(batch, bytes, &ranks, capacity, policy, &mut removed);
        }
        let (after, gone) = (state.queue.entered, state.queue.gone);
        if after > before {
            state.meter.put(before);
        }
        state.meter.dropped(gone);
        let waker = state.receiver_waker.take();
        drop(state);
        wake(waker);
        // Outside the lock: a record's own drop may do anything.
        drop(removed);
        Sent::Sent
    }

    /// Ends the channel although there is no room: behind what waits comes the end.
    pub(super) fn cut(&mut self) {
        let mut state = lock(&self.shared.state);
        state.sender = Side::Closed;
        state.block(false);
        state.queue.put_end();
        self.ended = true;
        let waker = state.receiver_waker.take();
        drop(state);
        wake(waker);
    }

    /// Counts records that are dropped, or become part of another, before they come to the queue.
    pub(super) fn lose(&self, records: u64) {
        self.shared.lost.add(records);
    }

    /// How long a record that is sent now would wait, as far as can be told: nothing if the
    /// consumer stands ready, one more than there are before it otherwise.
    pub(super) fn wait_ahead(&self) -> usize {
        let state = lock(&self.shared.state);
        let depth = state.queue.depth();
        if depth == 0 && state.receiver_waker.is_some() { 0 } else { depth + 1 }
    }

    /// Ready when there is room for one more record, or the consumer is gone.
    pub(super) fn poll_room(&mut self, cx: Option<&Context<'_>>) -> Poll<()> {
        let mut state = lock(&self.shared.state);
        let open = state.receiver == Side::Open;
        if !open || state.queue.has_room_for_one(self.shared.capacity) {
            return Poll::Ready(());
        }
        if let Some(cx) = cx {
            register(&mut state.sender_waker, cx);
            state.block(true);
        }
        Poll::Pending
    }

    /// The priorities of the records, worked out before the lock is taken: it is users' code.
    fn ranks(&self, batch: &Batch<T>) -> Vec<i64> {
        let rank = self.shared.rank.as_ref();
        rank.map_or_else(Vec::new, |rank| {
            batch.records.iter().map(|record| rank(&record.value)).collect()
        })
    }

    fn send(&mut self, batch: &mut Batch<T>, bytes: usize, cx: Option<&Context<'_>>) -> Sent {
        debug_assert!(!self.ended, "nothing follows the end");
        debug_assert!(batch.records.len() <= self.shared.capacity.batch, "a batch has a limit");
        let ranks = self.ranks(batch);
        let mut state = lock(&self.shared.state);
        match state.receiver {
            Side::Open => {}
            Side::Closed => return Sent::Finished,
            Side::Failed => return Sent::Failed,
        }
        if !state.queue.has_room(batch, bytes, self.shared.capacity) {
            if let Some(cx) = cx {
                register(&mut state.sender_waker, cx);
                state.block(true);
            }
            return Sent::Full;
        }
        self.ended = batch.end;
        if batch.end {
            state.sender = Side::Closed;
        }
        state.block(false);
        if !batch.records.is_empty() {
            let before = state.queue.entered;
            state.meter.put(before);
        }
        state.queue.put(batch, bytes, &ranks, self.shared.capacity.batch);
        let waker = state.receiver_waker.take();
        drop(state);
        self.woke |= waker.is_some();
        wake(waker);
        Sent::Sent
    }
}

impl<T: Send + 'static> Sender<T> {
    /// A look at the channel that outlives both ends.
    #[must_use]
    pub fn probe(&self) -> Box<dyn EdgeProbe> {
        Box::new(Probe(Arc::clone(&self.shared)))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        if state.sender == Side::Open && self.shared.forgiving.producer {
            state.queue.put_end();
            state.sender = Side::Closed;
        } else if state.sender == Side::Open {
            state.sender = Side::Failed;
        }
        state.block(false);
        let waker = state.receiver_waker.take();
        drop(state);
        wake(waker);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// The consuming end of a channel.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    spare: Option<Vec<Record<T>>>,
}

impl<T> Receiver<T> {
    /// The most records that one batch may hold.
    #[must_use]
    pub fn batch_limit(&self) -> usize {
        self.shared.capacity.batch
    }

    /// The next batch. Cancel safe: until it is ready, nothing is taken.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Received<T>> {
        let mut state = lock(&self.shared.state);
        if let Some(spare) = self.spare.take() {
            state.queue.keep_buffer(spare);
        }
        let found = state.queue.entered - state.queue.gone;
        state.meter.look(found);
        let Some(batch) = state.queue.take() else {
            if state.sender == Side::Failed {
                return Poll::Ready(Received::Failed);
            }
            register(&mut state.receiver_waker, cx);
            let first = !std::mem::replace(&mut state.wanted, true);
            let waker = if first { state.sender_waker.take() } else { None };
            drop(state);
            wake(waker);
            return Poll::Pending;
        };
        let gone = state.queue.gone;
        state.meter.took(gone);
        // Enough room for the sender to do more than one batch at a time.
        let roomy = state.queue.load() <= self.shared.capacity.records / 2
            && state.queue.bytes() <= self.shared.capacity.bytes / 2;
        let waker = if roomy && state.blocked { state.sender_waker.take() } else { None };
        drop(state);
        wake(waker);
        Poll::Ready(Received::Batch(batch))
    }

    /// Hands back an emptied buffer, for the sender to use again.
    pub fn recycle(&mut self, records: Vec<Record<T>>) {
        debug_assert!(records.is_empty(), "a recycled buffer is empty");
        self.spare = Some(records);
    }

    /// Says that the consumer has enough. What is in the queue is dropped.
    pub fn finish(&mut self) {
        self.close(Side::Closed);
    }

    fn close(&mut self, how: Side) {
        let mut state: MutexGuard<'_, State<T>> = lock(&self.shared.state);
        if state.receiver != Side::Open {
            return;
        }
        // Behind an end that was taken out, leaving is no failure.
        let forgiven = how == Side::Failed && self.shared.forgiving.consumer;
        let complete = state.sender == Side::Closed && state.queue.is_empty();
        state.receiver = if complete || forgiven { Side::Closed } else { how };
        state.block(false);
        let left = state.queue.clear();
        let waker = state.sender_waker.take();
        drop(state);
        wake(waker);
        // Outside the lock: a record's own drop may do anything.
        drop(left);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close(Side::Failed);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

struct Probe<T>(Arc<Shared<T>>);

impl<T: Send> EdgeProbe for Probe<T> {
    fn stats(&self) -> EdgeStats {
        let Shared { capacity, lost, state, .. } = &*self.0;
        let (state, lost) = (lock(state), lost.get());
        EdgeStats {
            sent: state.queue.sent + lost,
            received: state.queue.received,
            depth: state.queue.depth() as u64,
            capacity: capacity.records as u64,
            bytes: state.queue.bytes() as u64,
            blocked: state.blocked,
            dropped: state.queue.dropped + lost,
        }
    }

    fn times(&self) -> EdgeTimes {
        lock(&self.0.state).meter.read()
    }
}
