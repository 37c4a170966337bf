//! `MergeHub`: what producers send that come and go at run time, into one dataflow.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use millstream_engine::sink::{Sink, SinkFactory, SinkStatus};
use millstream_engine::source::{OneShot, Source, SourceBatch, SourceFactory, SourceStatus};
use millstream_engine::{OperatorError, Record};

use super::HubError;

/// Brings what producers send into one dataflow. They attach and leave at run time: dataflows of
/// their own, or anybody who sends by hand. Clones share the hub.
///
/// * **Backpressure.** Each producer has a buffer of `capacity` records, and waits while that is
///   full, whatever the others do. A capacity of zero counts as one.
/// * **Fairness.** The source takes from the producers that have something in turn, from each at
///   most what it has and there is room for. Each producer's records stay in order.
/// * **Coming and going.** A producer that leaves, ends, fails or is aborted leaves behind what it
///   has sent, and the hub goes on without it. The number of producers is limited, to 1024 by
///   default: one too many is refused.
/// * **End.** The hub is open until [`close`](MergeHub::close): from then on it takes nothing more,
///   and its source ends behind what it had taken. It also ends when the hub and all producers are
///   gone, so that nobody could send. When the job that reads drains, the hub closes; when it ends
///   in another way, what was waiting is lost with it. Producers then hear that the hub is
///   [closed](HubError::Closed), and sinks have enough, which is no failure of their jobs.
/// * **Time.** Records keep their event times. Watermarks end at a sink, and so at the hub: the
///   dataflow that reads it says itself how late its records may be.
///
/// ```
/// use millstream_operators::hub::MergeHub;
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = MergeHub::new(16);
/// let flow = Dataflow::new("all orders");
/// let count = flow.source("hub", hub.source()).count();
/// let job = flow.start()?;
///
/// let shop = Dataflow::new("a shop");
/// shop.source("orders", source::from_iter(0..10)).sink("hub", hub.sink());
/// shop.run().await?;
///
/// let mut by_hand = hub.producer()?;
/// by_hand.send(11).await?;
/// hub.close();
/// assert_eq!(job.await?.take(count), Some(11));
/// # Ok(())
/// # }
/// ```
pub struct MergeHub<T>(Arc<Keep<T>>);

/// Held by everybody who can make a producer.
struct Keep<T> {
    shared: Arc<Shared<T>>,
    source: Arc<OneShot<ReadMerge<T>>>,
}

impl<T> Drop for Keep<T> {
    fn drop(&mut self) {
        self.shared.change(|state, wakers| {
            state.abandoned = true;
            wakers.extend(state.reader.take());
        });
    }
}

struct Shared<T>(Mutex<State<T>>);

struct State<T> {
    capacity: usize,
    max_producers: usize,
    producers: BTreeMap<u64, Waiting<T>>,
    next_id: u64,
    /// The producers that have something, in the order of their turns.
    turns: VecDeque<u64>,
    reader: Option<Waker>,
    closed: bool,
    /// Nobody can become a producer any more.
    abandoned: bool,
}

/// What one producer has sent.
struct Waiting<T> {
    records: VecDeque<Record<T>>,
    waker: Option<Waker>,
    left: bool,
}

impl<T> State<T> {
    fn close(&mut self, wakers: &mut Vec<Waker>) {
        self.closed = true;
        wakers.extend(self.reader.take());
        wakers.extend(self.producers.values_mut().filter_map(|waiting| waiting.waker.take()));
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and wakes whom that concerns once the mutex is free.
    fn change<R>(&self, act: impl FnOnce(&mut State<T>, &mut Vec<Waker>) -> R) -> R {
        let mut wakers = Vec::new();
        let result = act(&mut self.lock(), &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    fn attach(self: &Arc<Self>) -> Result<Attached<T>, HubError> {
        let mut state = self.lock();
        if state.closed {
            return Err(HubError::Closed);
        }
        let limit = state.max_producers;
        if state.producers.len() >= limit {
            return Err(HubError::TooManyProducers { limit });
        }
        let id = state.next_id;
        state.next_id += 1;
        let waiting = Waiting { records: VecDeque::new(), waker: None, left: false };
        state.producers.insert(id, waiting);
        Ok(Attached { shared: Arc::clone(self), id })
    }

    /// Moves what there is room for over to the reader, a producer at a time.
    fn poll_take(&self, cx: &mut Context<'_>, batch: &mut SourceBatch<T>) -> Poll<SourceStatus> {
        self.change(|state, wakers| {
            while !batch.is_full() {
                let Some(id) = state.turns.pop_front() else {
                    break;
                };
                let Some(waiting) = state.producers.get_mut(&id) else {
                    continue;
                };
                let count = waiting.records.len().min(batch.room());
                batch.extend(waiting.records.drain(..count));
                if !waiting.records.is_empty() {
                    state.turns.push_back(id);
                } else if waiting.left {
                    state.producers.remove(&id);
                    continue;
                }
                if waiting.records.len() <= state.capacity / 2 {
                    wakers.extend(waiting.waker.take());
                }
            }
            if !batch.is_empty() {
                return Poll::Ready(SourceStatus::More);
            }
            if state.closed || (state.abandoned && state.producers.is_empty()) {
                return Poll::Ready(SourceStatus::End);
            }
            state.reader = Some(cx.waker().clone());
            Poll::Pending
        })
    }
}

/// A producer's place in the hub, given back when it is dropped.
struct Attached<T> {
    shared: Arc<Shared<T>>,
    id: u64,
}

impl<T> Attached<T> {
    /// Ready with `true` when all has been sent, and with `false` if the hub is closed. What was
    /// not sent stays in `records`.
    fn poll_send(&self, cx: &mut Context<'_>, records: &mut Vec<Record<T>>) -> Poll<bool> {
        self.shared.change(|state, wakers| {
            let Some(waiting) = state.producers.get_mut(&self.id).filter(|_| !state.closed) else {
                return Poll::Ready(records.is_empty());
            };
            let room = state.capacity.saturating_sub(waiting.records.len());
            let count = room.min(records.len());
            if count > 0 {
                if waiting.records.is_empty() {
                    state.turns.push_back(self.id);
                    wakers.extend(state.reader.take());
                }
                waiting.records.extend(records.drain(..count));
            }
            if records.is_empty() {
                return Poll::Ready(true);
            }
            waiting.waker = Some(cx.waker().clone());
            Poll::Pending
        })
    }
}

impl<T> Drop for Attached<T> {
    fn drop(&mut self) {
        self.shared.change(|state, wakers| {
            let Some(waiting) = state.producers.get_mut(&self.id) else {
                return;
            };
            waiting.left = true;
            waiting.waker = None;
            if waiting.records.is_empty() {
                state.producers.remove(&self.id);
                wakers.extend(state.reader.take());
            }
        });
    }
}

impl<T: Send + 'static> MergeHub<T> {
    /// A hub whose producers have buffers of `capacity` records.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let shared = Arc::new(Shared(Mutex::new(State {
            capacity: capacity.max(1),
            max_producers: 1024,
            producers: BTreeMap::new(),
            next_id: 0,
            turns: VecDeque::new(),
            reader: None,
            closed: false,
            abandoned: false,
        })));
        let source = Arc::new(OneShot::new(ReadMerge { shared: Arc::clone(&shared) }));
        Self(Arc::new(Keep { shared, source }))
    }

    /// The most producers at a time. Default: 1024; zero counts as one.
    #[must_use]
    pub fn with_max_producers(self, limit: usize) -> Self {
        self.0.shared.lock().max_producers = limit.max(1);
        self
    }

    /// The source that reads the hub, for one run of one dataflow.
    #[must_use]
    pub fn source(&self) -> MergeSource<T> {
        MergeSource(Arc::clone(&self.0.source))
    }

    /// A new producer, for sending by hand.
    ///
    /// # Errors
    ///
    /// [`HubError::TooManyProducers`], or [`HubError::Closed`].
    pub fn producer(&self) -> Result<Producer<T>, HubError> {
        Ok(Producer { attached: self.0.shared.attach()? })
    }

    /// A sink into the hub, for any number of dataflows and runs. Each instance of each run is a
    /// producer, and one too many keeps its job from starting.
    #[must_use]
    pub fn sink(&self) -> HubSink<T> {
        HubSink(Arc::clone(&self.0))
    }

    /// Takes nothing more: the source ends behind what was taken.
    pub fn close(&self) {
        self.0.shared.change(State::close);
    }

    /// How many producers there are, those included that have left something behind.
    #[must_use]
    pub fn producers(&self) -> usize {
        self.0.shared.lock().producers.len()
    }
}

impl<T> Clone for MergeHub<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for MergeHub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let producers = self.0.shared.lock().producers.len();
        f.debug_struct("MergeHub").field("producers", &producers).finish_non_exhaustive()
    }
}

/// Somebody who sends into a [`MergeHub`] by hand. Dropping it leaves behind what was sent.
pub struct Producer<T> {
    attached: Attached<T>,
}

impl<T> Producer<T> {
    /// Sends a value, or a record with its event time, and waits for room.
    ///
    /// # Errors
    ///
    /// [`HubError::Closed`]: it was not sent.
    ///
    /// # Cancel safety
    ///
    /// A wait that is given up has sent nothing.
    pub async fn send(&mut self, record: impl Into<Record<T>>) -> Result<(), HubError> {
        let mut records = vec![record.into()];
        let sent = poll_fn(|cx| self.attached.poll_send(cx, &mut records)).await;
        if sent { Ok(()) } else { Err(HubError::Closed) }
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("id", &self.attached.id).finish_non_exhaustive()
    }
}

/// A sink into a [`MergeHub`]. It comes from [`MergeHub::sink`].
pub struct HubSink<T>(Arc<Keep<T>>);

impl<T: Send + 'static> SinkFactory for HubSink<T> {
    type Sink = ToMerge<T>;

    /// # Errors
    ///
    /// If the hub is closed, or has as many producers as it allows.
    fn create(&self, _instance: usize) -> Result<ToMerge<T>, OperatorError> {
        Ok(ToMerge { attached: self.0.shared.attach()? })
    }
}

impl<T> fmt::Debug for HubSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubSink")
    }
}

/// The running sink behind [`HubSink`].
pub struct ToMerge<T> {
    attached: Attached<T>,
}

impl<T: Send + 'static> Sink for ToMerge<T> {
    type Item = T;

    async fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<SinkStatus, OperatorError> {
        let sent = poll_fn(|cx| self.attached.poll_send(cx, records)).await;
        Ok(if sent { SinkStatus::More } else { SinkStatus::Enough })
    }
}

impl<T> fmt::Debug for ToMerge<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToMerge")
    }
}

/// The source of a [`MergeHub`]. It comes from [`MergeHub::source`], and can be run once.
pub struct MergeSource<T>(Arc<OneShot<ReadMerge<T>>>);

impl<T: Send + 'static> SourceFactory for MergeSource<T> {
    type Source = ReadMerge<T>;

    /// # Errors
    ///
    /// [`AlreadyRead`](millstream_engine::source::AlreadyRead) in the second run.
    fn create(&self, instance: usize) -> Result<ReadMerge<T>, OperatorError> {
        self.0.create(instance)
    }
}

impl<T> fmt::Debug for MergeSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MergeSource")
    }
}

/// The running source behind [`MergeSource`].
pub struct ReadMerge<T> {
    shared: Arc<Shared<T>>,
}

impl<T: Send + 'static> Source for ReadMerge<T> {
    type Item = T;

    async fn next(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        Ok(poll_fn(|cx| self.shared.poll_take(cx, batch)).await)
    }

    async fn drain(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        self.shared.change(State::close);
        self.next(batch).await
    }
}

impl<T> Drop for ReadMerge<T> {
    fn drop(&mut self) {
        let waiting = self.shared.change(|state, wakers| {
            state.close(wakers);
            state.turns.clear();
            std::mem::take(&mut state.producers)
        });
        // Outside of the mutex: dropping a record is the user's code.
        drop(waiting);
    }
}

impl<T> fmt::Debug for ReadMerge<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadMerge")
    }
}
