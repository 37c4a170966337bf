//! `queue`: values that the program around the job puts in by hand.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::task::AtomicWaker;
use millstream_engine::source::SourceStatus;
use millstream_engine::source::{OneShot, Source, SourceBatch, SourceFactory};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// A bounded queue into a job: a handle for any number of producers, and the source to read it by,
/// which can be run once. A capacity of zero counts as one.
///
/// The source emits in the order in which values were accepted, and waits while there are none.
/// Backpressure fills the queue, which then says so to whoever offers. It ends after
/// [`QueueHandle::close`], or when the last handle is dropped, once all that was accepted has been
/// emitted; it cannot fail. Cancelling the wait for a value loses none. When the job drains, the
/// queue closes, and what it had accepted is still emitted; when the job is aborted, it is dropped.
///
/// ```
/// use millstream_operators::prelude::*;
/// use source::Offer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let (handle, clicks) = source::queue(1);
/// assert_eq!(handle.offer("a"), Offer::Accepted);
/// assert_eq!(handle.offer("b"), Offer::Full("b"));
/// handle.close();
/// let flow = Dataflow::new("clicks");
/// let all = flow.source("clicks", clicks).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec!["a"]));
/// assert_eq!(handle.offer("c"), Offer::Closed("c"));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn queue<T: Send + 'static>(capacity: usize) -> (QueueHandle<T>, Queue<T>) {
    let (sender, receiver) = channel(capacity.clamp(1, Semaphore::MAX_PERMITS));
    let closing = Arc::<Closing>::default();
    let handle = QueueHandle { sender, closing: Arc::clone(&closing) };
    let source = ReadQueue { receiver, closing, taken: Vec::new() };
    (handle, Queue(OneShot::new(source)))
}

/// What became of a value offered to a [`queue`]. The value comes back when it was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a value that was not accepted comes back in the answer"]
pub enum Offer<T> {
    /// It will be emitted, unless the job is stopped first: [`QueueHandle::close`] is the way to
    /// stop one that loses nothing.
    Accepted,
    /// The queue is full: the job is slower than its producers.
    Full(T),
    /// The queue was closed, or the job is over.
    Closed(T),
}

impl<T> Offer<T> {
    /// Whether the value was accepted.
    pub const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted)
    }
}

/// Where producers put values into a [`queue`]. Clones share the queue.
pub struct QueueHandle<T> {
    sender: Sender<Record<T>>,
    closing: Arc<Closing>,
}

impl<T> QueueHandle<T> {
    /// Offers a value without an event time, and answers at once.
    pub fn offer(&self, value: T) -> Offer<T> {
        self.send(Record::new(value))
    }

    /// Offers a value of something that happened at `time`, and answers at once.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, source::Offer};
    ///
    /// let (handle, _source) = source::queue(8);
    /// assert_eq!(handle.offer_at("a", Timestamp::from_millis(5)), Offer::Accepted);
    /// ```
    pub fn offer_at(&self, value: T, time: Timestamp) -> Offer<T> {
        self.send(Record::at(value, time))
    }

    fn send(&self, record: Record<T>) -> Offer<T> {
        if self.closing.closed.load(Ordering::Acquire) {
            return Offer::Closed(record.value);
        }
        match self.sender.try_send(record) {
            Ok(()) => Offer::Accepted,
            Err(TrySendError::Full(record)) => Offer::Full(record.value),
            Err(TrySendError::Closed(record)) => Offer::Closed(record.value),
        }
    }

    /// Closes the queue for all its handles: nothing more is accepted, and the source ends after
    /// what has been.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, source::Offer};
    ///
    /// let (handle, _source) = source::queue(8);
    /// handle.close();
    /// assert_eq!(handle.clone().offer(1), Offer::Closed(1));
    /// ```
    pub fn close(&self) {
        self.closing.closed.store(true, Ordering::Release);
        self.closing.reader.wake();
    }
}

impl<T> Clone for QueueHandle<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), closing: Arc::clone(&self.closing) }
    }
}

impl<T> fmt::Debug for QueueHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueHandle").field("room", &self.sender.capacity()).finish_non_exhaustive()
    }
}

/// The reading end of a [`queue`], to give to one source.
pub struct Queue<T>(OneShot<ReadQueue<T>>);

impl<T: Send + 'static> SourceFactory for Queue<T> {
    type Source = ReadQueue<T>;

    /// # Errors
    ///
    /// [`AlreadyRead`](millstream_engine::source::AlreadyRead) in the second run.
    fn create(&self, instance: usize) -> Result<ReadQueue<T>, OperatorError> {
        self.0.create(instance)
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}

/// The running source behind [`queue`].
pub struct ReadQueue<T> {
    receiver: Receiver<Record<T>>,
    closing: Arc<Closing>,
    taken: Vec<Record<T>>,
}

#[derive(Default)]
struct Closing {
    closed: AtomicBool,
    reader: AtomicWaker,
}

impl<T: Send + 'static> Source for ReadQueue<T> {
    type Item = T;

    async fn next(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        let Self { receiver, closing, taken } = self;
        let room = batch.room();
        let received = poll_fn(|cx| {
            // First, so that a close that comes after the look is not missed.
            closing.reader.register(cx.waker());
            if closing.closed.load(Ordering::Acquire) && !receiver.is_closed() {
                // What was accepted before this is still received.
                receiver.close();
            }
            receiver.poll_recv_many(cx, taken, room)
        });
        let ended = received.await == 0;
        for record in taken.drain(..) {
            batch.push(record);
        }
        Ok(if ended { SourceStatus::End } else { SourceStatus::More })
    }

    async fn drain(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        self.receiver.close();
        self.next(batch).await
    }
}

/// Handles may outlive the job: they keep nothing of the task that read here.
impl<T> Drop for ReadQueue<T> {
    fn drop(&mut self) {
        self.closing.reader.take();
    }
}

impl<T> fmt::Debug for ReadQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadQueue")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Dataflow, source};

    #[test]
    fn a4_queue_answers_at_once_when_full() {
        let (handle, _queue) = queue(2);
        let answers: Vec<_> = (0..3).map(|n| handle.offer(n)).collect();
        assert_eq!(answers, [Offer::Accepted, Offer::Accepted, Offer::Full(2)]);
        assert!(!answers[2].is_accepted());
    }

    #[tokio::test]
    async fn a4_a_drain_delivers_what_the_queue_had_accepted() {
        for accepted in [0, 1, 5, 2000] {
            let (handle, queue) = queue(4096);
            let flow = Dataflow::new("drained");
            let all = flow.source("queue", queue).collect();
            let job = flow.start().unwrap();
            assert!((0..accepted).all(|n| handle.offer(n).is_accepted()));
            let report = job.drain(std::time::Duration::from_secs(60)).await.unwrap();
            assert_eq!(report.take(all), Some((0..accepted).collect()));
            assert_eq!(handle.offer(7), Offer::Closed(7));
        }
    }

    #[tokio::test]
    async fn a4_a_closed_queue_ends_after_what_it_accepted() {
        let (handle, queue) = queue(8);
        let flow = Dataflow::new("closed");
        let all = flow.source("queue", queue).collect();
        let job = flow.start().unwrap();
        assert!(handle.offer(1).is_accepted());
        tokio::task::yield_now().await;
        assert!(handle.clone().offer_at(2, Timestamp::from_millis(9)).is_accepted());
        handle.close();
        assert_eq!(handle.offer(3), Offer::Closed(3));
        assert_eq!(job.await.unwrap().take(all), Some(vec![1, 2]));
    }

    #[tokio::test]
    async fn a4_a_queue_ends_with_its_last_handle() {
        let (handle, queue) = source::queue(8);
        let other = handle.clone();
        let flow = Dataflow::new("dropped");
        let all = flow.source("queue", queue).collect();
        let job = flow.start().unwrap();
        drop(handle);
        assert!(other.offer(1).is_accepted());
        drop(other);
        assert_eq!(job.await.unwrap().take(all), Some(vec![1]));
    }

    #[tokio::test]
    async fn a4_the_queue_of_an_aborted_job_answers_closed() {
        let (handle, queue) = queue(8);
        let flow = Dataflow::new("aborted");
        flow.source("queue", queue).ignore();
        let job = flow.start().unwrap();
        assert!(handle.offer(1).is_accepted());
        job.abort();
        job.await.unwrap_err();
        assert_eq!(handle.offer(2), Offer::Closed(2));
    }

    #[test]
    fn a4_a_handle_keeps_nothing_of_the_task_that_read() {
        struct Task;
        impl std::task::Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let (handle, queue) = queue::<u8>(8);
        let mut source = queue.create(0).unwrap();
        let task = Arc::new(Task);
        {
            let waker = std::task::Waker::from(Arc::clone(&task));
            let mut batch = SourceBatch::new(1);
            let next = std::pin::pin!(source.next(&mut batch));
            let polled = next.poll(&mut std::task::Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        assert!(Arc::strong_count(&task) > 1);
        drop(source);
        assert_eq!(Arc::strong_count(&task), 1);
        drop(handle);
    }

    #[tokio::test]
    async fn a4_a_slow_job_bounds_what_is_accepted() {
        let (handle, queue) = queue(4);
        let flow = Dataflow::new("never run");
        flow.source("queue", queue).ignore();
        let accepted = (0..1000).filter(|n| handle.offer(*n).is_accepted());
        assert_eq!(accepted.count(), 4);
    }
}
