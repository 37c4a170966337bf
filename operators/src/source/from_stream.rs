//! `from_stream`: the items of a futures `Stream`.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use millstream_engine::OperatorError;
use millstream_engine::source::{OneShot, Source, SourceBatch, SourceFactory, SourceStatus};

/// A source of the items of any [`Stream`], which can be run once.
///
/// It has no buffer of its own: an item is pulled only when there is room for it. Emits what is
/// ready, waits only when it has nothing to emit, backpressures by not polling the stream, ends
/// with it. Dropping the job drops the stream; an item is never lost between the two.
///
/// Anything that makes a stream is a source by this, async generators among them:
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let pages = async_stream::stream! {
///     for page in 1..=2 {
///         tokio::task::yield_now().await; // fetch the page
///         for item in 0..2 { yield page * 10 + item; }
///     }
/// };
/// let flow = Dataflow::new("pages");
/// let all = flow.source("pages", source::from_stream(pages)).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec![10, 11, 20, 21]));
/// # Ok(())
/// # }
/// ```
pub fn from_stream<S>(stream: S) -> OneShot<FromStream<S>>
where
    S: Stream<Item: Send + 'static> + Send + 'static,
{
    OneShot::new(FromStream::new(stream))
}

/// Like [`from_stream`], with a closure that makes the stream of each run.
///
/// ```
/// use futures_util::stream;
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("again");
/// let all = flow.source("again", source::from_stream_with(|| stream::iter(0..2))).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec![0, 1]));
/// assert_eq!(flow.run().await?.take(all), Some(vec![0, 1]));
/// # Ok(())
/// # }
/// ```
pub const fn from_stream_with<S, F>(make: F) -> FromStreamWith<F>
where
    S: Stream<Item: Send + 'static> + Send + 'static,
    F: Fn() -> S + Send + 'static,
{
    FromStreamWith { make }
}

/// The factory behind [`from_stream_with`].
pub struct FromStreamWith<F> {
    make: F,
}

impl<S, F> SourceFactory for FromStreamWith<F>
where
    S: Stream<Item: Send + 'static> + Send + 'static,
    F: Fn() -> S + Send + 'static,
{
    type Source = FromStream<S>;

    fn create(&self, _instance: usize) -> Result<FromStream<S>, OperatorError> {
        Ok(FromStream::new((self.make)()))
    }
}

impl<F> fmt::Debug for FromStreamWith<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromStreamWith")
    }
}

/// The source behind [`from_stream`] and [`from_stream_with`].
pub struct FromStream<S> {
    stream: Pin<Box<S>>,
}

impl<S> FromStream<S> {
    fn new(stream: S) -> Self {
        Self { stream: Box::pin(stream) }
    }
}

impl<S: Stream> FromStream<S> {
    /// Takes what is ready while there is room, and waits only for the first.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut SourceBatch<S::Item>,
    ) -> Poll<SourceStatus> {
        while !batch.is_full() {
            match self.stream.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => batch.push(item),
                Poll::Ready(None) => return Poll::Ready(SourceStatus::End),
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(SourceStatus::More)
    }
}

impl<S> Source for FromStream<S>
where
    S: Stream<Item: Send + 'static> + Send + 'static,
{
    type Item = S::Item;

    async fn next(
        &mut self,
        batch: &mut SourceBatch<S::Item>,
    ) -> Result<SourceStatus, OperatorError> {
        Ok(poll_fn(|cx| self.poll_fill(cx, batch)).await)
    }
}

impl<S> fmt::Debug for FromStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromStream")
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use futures_util::{FutureExt as _, StreamExt as _, stream};

    use super::*;
    use crate::prelude::*;

    #[test]
    fn a2_pulls_no_more_than_there_is_room_for() {
        let pulled = Cell::new(0);
        let counted = stream::iter(0..100).inspect(|_| pulled.set(pulled.get() + 1));
        let mut source = FromStream::new(counted);
        let mut batch = SourceBatch::new(3);
        let filled = poll_fn(|cx| source.poll_fill(cx, &mut batch)).now_or_never();
        assert_eq!(filled, Some(SourceStatus::More));
        assert!(batch.is_full());
        assert_eq!(pulled.get(), 3);
    }

    #[test]
    fn a2_hands_over_what_is_ready_rather_than_wait() {
        let mut source = FromStream::new(stream::iter([1, 2]).chain(stream::pending()));
        let mut batch = SourceBatch::new(8);
        let status = source.next(&mut batch).now_or_never().unwrap();
        assert_eq!(status.unwrap(), SourceStatus::More);
        assert_eq!(batch.room(), 6);
        let mut batch = SourceBatch::new(8);
        assert!(source.next(&mut batch).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a2_dropping_the_job_drops_the_stream() {
        let held = Arc::new(());
        let guard = Arc::clone(&held);
        let open = stream::pending::<u64>().inspect(move |_| drop(Arc::clone(&guard)));
        let flow = Dataflow::new("dropped");
        flow.source("open", source::from_stream(open)).ignore();
        let job = flow.start().unwrap();
        job.abort();
        job.await.unwrap_err();
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn a2_a_stream_can_be_run_once() {
        let flow = Dataflow::new("once");
        flow.source("items", source::from_stream(stream::iter(0..2))).ignore();
        flow.run().await.unwrap();
        let error = flow.run().await.unwrap_err();
        assert!(error.to_string().contains("read only once"), "{error}");
    }
}
