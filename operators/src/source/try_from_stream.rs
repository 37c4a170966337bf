//! `try_from_stream`: the values of a futures `Stream` of results.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use millstream_engine::OperatorError;
use millstream_engine::source::{OneShot, Source, SourceBatch, SourceStatus};

/// A source of the values of any [`Stream`] of results, which can be run once. The first error
/// fails the job, after the values before it have been handed over.
///
/// In all else it keeps the contract of [`from_stream`](super::from_stream): no buffer of its own,
/// what is ready is emitted, it waits only when it has nothing, and it ends with the stream.
///
/// ```
/// use futures_util::stream;
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let lines = stream::iter([Ok("a"), Err(std::io::Error::other("cable pulled"))]);
/// let flow = Dataflow::new("lines");
/// flow.source("socket", source::try_from_stream(lines)).ignore();
/// let error = flow.run().await.unwrap_err();
/// assert_eq!(error.to_string(), "operator `socket` failed: cable pulled");
/// # }
/// ```
pub fn try_from_stream<S, T, E>(stream: S) -> OneShot<TryFromStream<S>>
where
    S: Stream<Item = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Into<OperatorError>,
{
    OneShot::new(TryFromStream { stream: Box::pin(stream), failure: None })
}

/// The source behind [`try_from_stream`].
pub struct TryFromStream<S> {
    stream: Pin<Box<S>>,
    /// The error behind the values that were handed over last.
    failure: Option<OperatorError>,
}

impl<S> TryFromStream<S> {
    fn poll_fill<T, E>(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut SourceBatch<T>,
    ) -> Poll<Result<SourceStatus, OperatorError>>
    where
        S: Stream<Item = Result<T, E>>,
        E: Into<OperatorError>,
    {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Err(failure));
        }
        while !batch.is_full() {
            match self.stream.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(item))) => batch.push(item),
                Poll::Ready(Some(Err(error))) if batch.is_empty() => {
                    return Poll::Ready(Err(error.into()));
                }
                Poll::Ready(Some(Err(error))) => {
                    self.failure = Some(error.into());
                    break;
                }
                Poll::Ready(None) => return Poll::Ready(Ok(SourceStatus::End)),
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(SourceStatus::More))
    }
}

impl<S, T, E> Source for TryFromStream<S>
where
    S: Stream<Item = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Into<OperatorError>,
{
    type Item = T;

    async fn next(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        poll_fn(|cx| self.poll_fill(cx, batch)).await
    }
}

impl<S> fmt::Debug for TryFromStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TryFromStream")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use std::io;

    use crate::prelude::*;

    #[tokio::test]
    async fn a2_values_before_the_first_error_are_handed_over() {
        let items = [Ok(1), Ok(2), Err(io::Error::other("torn")), Ok(3)];
        let flow = Dataflow::new("torn");
        flow.source("items", source::try_from_stream(stream::iter(items))).ignore();
        let error = flow.run().await.unwrap_err();
        assert_eq!(error.operator_name(), Some("items"));
        assert_eq!(error.report().unwrap().records_read(), 2);
    }
}
