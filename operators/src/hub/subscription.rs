//! The receiving end of a broadcast hub: the source of a dataflow, or a futures `Stream`.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use millstream_engine::OperatorError;
use millstream_engine::source::{AlreadyRead, Source, SourceBatch, SourceFactory, SourceStatus};

use super::HubError;
use super::mailbox::{End, Segment, Shared};

/// The most records that the stream takes out of its mailbox at once.
const STREAM_RECORDS: usize = 64;

/// What a subscriber of a [`BroadcastHub`](super::BroadcastHub) gets, from the moment it
/// subscribed.
///
/// It is the source of a dataflow, which can be run once, with the records' event times and without
/// watermarks. When that job drains, what is waiting here is still handed over, and nothing more
/// comes.
///
/// And it is a futures `Stream` of values, whose last item is an error if the publisher failed or
/// the subscriber was [evicted](HubError::Evicted): a stream that ends without one has given all
/// there was. Polls that are given up lose nothing.
///
/// Dropping it, or the job that reads it, ends the subscription and costs nobody anything.
pub struct Subscription<T>(Mutex<Option<Reading<T>>>);

struct Reading<T> {
    place: Place<T>,
    /// What the stream has taken and not handed over.
    taken: Vec<Segment<T>>,
    next: usize,
    failed: bool,
}

/// A mailbox, given back when it is dropped.
struct Place<T> {
    shared: Arc<Shared<T>>,
    id: u64,
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        self.shared.unsubscribe(self.id);
    }
}

impl<T> Subscription<T> {
    pub(super) const fn new(shared: Arc<Shared<T>>, id: u64) -> Self {
        let place = Place { shared, id };
        Self(Mutex::new(Some(Reading { place, taken: Vec::new(), next: 0, failed: false })))
    }
}

impl<T: Clone> Reading<T> {
    fn poll_value(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, HubError>>> {
        loop {
            let mut before = 0;
            for segment in &self.taken {
                let records = segment.records();
                if let Some(record) = records.get(self.next - before) {
                    let value = record.value.clone();
                    self.next += 1;
                    return Poll::Ready(Some(Ok(value)));
                }
                before += records.len();
            }
            let Place { shared, id } = &self.place;
            self.taken.clear();
            shared.release(*id, std::mem::take(&mut self.next));
            if self.failed {
                return Poll::Ready(None);
            }
            match ready!(shared.poll_take(cx, *id, STREAM_RECORDS, true)) {
                Ok(taken) => self.taken = taken,
                Err(End::Complete) => return Poll::Ready(None),
                Err(End::Failed(error)) => {
                    self.failed = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl<T> Unpin for Subscription<T> {}

impl<T: Clone> Stream for Subscription<T> {
    type Item = Result<T, HubError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let reading = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Given to a dataflow as its source, it has nothing left for a stream.
        reading.as_mut().map_or(Poll::Ready(None), |reading| reading.poll_value(cx))
    }
}

impl<T: Clone + Send + Sync + 'static> SourceFactory for Subscription<T> {
    type Source = ReadSubscription<T>;

    /// # Errors
    ///
    /// [`AlreadyRead`] in the second run.
    fn create(&self, _instance: usize) -> Result<ReadSubscription<T>, OperatorError> {
        let reading = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(ReadSubscription(reading.ok_or(AlreadyRead)?))
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

/// The running source behind [`Subscription`].
pub struct ReadSubscription<T>(Reading<T>);

impl<T: Clone + Send + Sync + 'static> Source for ReadSubscription<T> {
    type Item = T;

    async fn next(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        // What a stream had begun to read before it became a source comes first.
        if let Reading { taken, next, .. } = &mut self.0
            && !taken.is_empty()
        {
            let records = taken.iter().flat_map(Segment::records);
            batch.extend(records.skip(*next).cloned());
            let held = taken.drain(..).map(|segment| segment.records().len()).sum();
            *next = 0;
            self.0.place.shared.release(self.0.place.id, held);
            if !batch.is_empty() {
                return Ok(SourceStatus::More);
            }
        }
        let Place { shared, id } = &self.0.place;
        let room = batch.room();
        match poll_fn(|cx| shared.poll_take(cx, *id, room, false)).await {
            Ok(taken) => {
                batch.extend(taken.iter().flat_map(Segment::records).cloned());
                Ok(SourceStatus::More)
            }
            Err(End::Complete) => Ok(SourceStatus::End),
            Err(End::Failed(error)) => Err(error.into()),
        }
    }

    async fn drain(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        self.0.place.shared.close(self.0.place.id);
        self.next(batch).await
    }
}

impl<T> fmt::Debug for ReadSubscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadSubscription")
    }
}
