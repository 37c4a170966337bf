//! The bounded queue of batches between one producing and one consuming instance.

use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll, Waker};

use super::meter::{EdgeTimes, Meter};
use crate::batch::Batch;
use crate::record::Record;
use crate::sync::{Arc, Mutex, MutexGuard, lock};
use crate::time::Clock;

/// How many emptied buffers wait for reuse.
const SPARE_BUFFERS_MAX: usize = 2;

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
    /// Records put in.
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
    metered(capacity, Meter::default())
}

/// Makes a channel that measures by `clock` how long records and its sender wait.
pub(crate) fn timed_channel<T>(capacity: Capacity, clock: Clock) -> (Sender<T>, Receiver<T>) {
    metered(capacity, Meter::timed_by(clock))
}

fn metered<T>(capacity: Capacity, meter: Meter) -> (Sender<T>, Receiver<T>) {
    let capacity =
        Capacity { bytes: capacity.bytes, ..Capacity::records(capacity.records, capacity.batch) };
    let shared = Arc::new(Shared { capacity, queue: Mutex::new(Queue::new(meter)) });
    (Sender { shared: Arc::clone(&shared), ended: false }, Receiver { shared, spare: None })
}

struct Shared<T> {
    capacity: Capacity,
    queue: Mutex<Queue<T>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Open,
    /// Closed with a word: `End` from the sender, `Finished` from the receiver.
    Closed,
    /// Gone without one.
    Failed,
}

struct Queue<T> {
    batches: VecDeque<(Batch<T>, usize)>,
    /// Records in the queue, a batch without any counting as one.
    load: usize,
    bytes: usize,
    spare: Vec<Vec<Record<T>>>,
    sender: Side,
    receiver: Side,
    sender_waker: Option<Waker>,
    /// Whether the sender waits for room, and not just to hear of the receiver's end.
    blocked: bool,
    receiver_waker: Option<Waker>,
    /// Whether the receiver has ever asked.
    wanted: bool,
    sent: u64,
    received: u64,
    meter: Meter,
}

fn load<T>(batch: &Batch<T>) -> usize {
    batch.records.len().max(1)
}

impl<T> Queue<T> {
    const fn new(meter: Meter) -> Self {
        Self {
            batches: VecDeque::new(),
            load: 0,
            bytes: 0,
            spare: Vec::new(),
            sender: Side::Open,
            receiver: Side::Open,
            sender_waker: None,
            blocked: false,
            receiver_waker: None,
            wanted: false,
            sent: 0,
            received: 0,
            meter,
        }
    }

    fn has_room(&self, batch: &Batch<T>, bytes: usize, capacity: Capacity) -> bool {
        self.batches.is_empty()
            || (self.load + load(batch) <= capacity.records
                && self.bytes.saturating_add(bytes) <= capacity.bytes)
    }

    /// Takes the content of `batch`, and leaves it an empty buffer.
    fn put(&mut self, batch: &mut Batch<T>, bytes: usize, limit: usize) {
        if !batch.records.is_empty() {
            self.meter.put(self.sent);
        }
        self.sent += batch.records.len() as u64;
        self.bytes += bytes;
        if let Some((last, weight)) = self.batches.back_mut()
            && last.can_absorb(batch, limit)
        {
            self.load -= load(last);
            last.absorb(batch);
            self.load += load(last);
            *weight += bytes;
            return;
        }
        self.load += load(batch);
        let empty = Batch {
            records: self.spare.pop().unwrap_or_default(),
            idle: batch.idle,
            ..Batch::new()
        };
        self.batches.push_back((std::mem::replace(batch, empty), bytes));
    }

    fn block(&mut self, blocked: bool) {
        if self.blocked != blocked {
            self.blocked = blocked;
            self.meter.blocked(blocked);
        }
    }

    fn take(&mut self) -> Option<Batch<T>> {
        self.meter.look(self.sent - self.received);
        let (batch, bytes) = self.batches.pop_front()?;
        self.load -= load(&batch);
        self.bytes -= bytes;
        self.received += batch.records.len() as u64;
        self.meter.took(self.received);
        Some(batch)
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
        let mut queue = lock(&self.shared.queue);
        match queue.receiver {
            Side::Open => {
                register(&mut queue.sender_waker, cx);
                Poll::Pending
            }
            Side::Closed => Poll::Ready(Sent::Finished),
            Side::Failed => Poll::Ready(Sent::Failed),
        }
    }

    /// Ready once the consumer has asked for records, or gone.
    pub fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = lock(&self.shared.queue);
        if queue.wanted || queue.receiver != Side::Open {
            return Poll::Ready(());
        }
        register(&mut queue.sender_waker, cx);
        Poll::Pending
    }

    fn send(&mut self, batch: &mut Batch<T>, bytes: usize, cx: Option<&Context<'_>>) -> Sent {
        debug_assert!(!self.ended, "nothing follows the end");
        debug_assert!(batch.records.len() <= self.shared.capacity.batch, "a batch has a limit");
        let mut queue = lock(&self.shared.queue);
        match queue.receiver {
            Side::Open => {}
            Side::Closed => return Sent::Finished,
            Side::Failed => return Sent::Failed,
        }
        if !queue.has_room(batch, bytes, self.shared.capacity) {
            if let Some(cx) = cx {
                register(&mut queue.sender_waker, cx);
                queue.block(true);
            }
            return Sent::Full;
        }
        self.ended = batch.end;
        if batch.end {
            queue.sender = Side::Closed;
        }
        queue.block(false);
        queue.put(batch, bytes, self.shared.capacity.batch);
        let waker = queue.receiver_waker.take();
        drop(queue);
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
        let mut queue = lock(&self.shared.queue);
        if queue.sender == Side::Open {
            queue.sender = Side::Failed;
        }
        queue.block(false);
        let waker = queue.receiver_waker.take();
        drop(queue);
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
        let mut queue = lock(&self.shared.queue);
        if let Some(spare) = self.spare.take()
            && queue.spare.len() < SPARE_BUFFERS_MAX
        {
            queue.spare.push(spare);
        }
        let Some(batch) = queue.take() else {
            if queue.sender == Side::Failed {
                return Poll::Ready(Received::Failed);
            }
            register(&mut queue.receiver_waker, cx);
            let first = !std::mem::replace(&mut queue.wanted, true);
            let waker = if first { queue.sender_waker.take() } else { None };
            drop(queue);
            wake(waker);
            return Poll::Pending;
        };
        // Enough room for the sender to do more than one batch at a time.
        let roomy = queue.load <= self.shared.capacity.records / 2
            && queue.bytes <= self.shared.capacity.bytes / 2;
        let waker = if roomy && queue.blocked { queue.sender_waker.take() } else { None };
        drop(queue);
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
        let mut queue: MutexGuard<'_, Queue<T>> = lock(&self.shared.queue);
        if queue.receiver != Side::Open {
            return;
        }
        // Behind an end that was taken out, leaving is no failure.
        let complete = queue.sender == Side::Closed && queue.batches.is_empty();
        queue.receiver = if complete { Side::Closed } else { how };
        queue.block(false);
        let left = std::mem::take(&mut queue.batches);
        queue.load = 0;
        queue.bytes = 0;
        let waker = queue.sender_waker.take();
        drop(queue);
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
        let Shared { capacity, queue } = &*self.0;
        let queue = lock(queue);
        let depth: usize = queue.batches.iter().map(|(batch, _)| batch.records.len()).sum();
        EdgeStats {
            sent: queue.sent,
            received: queue.received,
            depth: depth as u64,
            capacity: capacity.records as u64,
            bytes: queue.bytes as u64,
            blocked: queue.blocked,
        }
    }

    fn times(&self) -> EdgeTimes {
        lock(&self.0.queue).meter.read()
    }
}
