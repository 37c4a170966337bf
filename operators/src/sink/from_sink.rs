//! `from_sink`: into a futures `Sink`.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use futures_util::SinkExt as _;
use millstream_engine::sink::{Committable, Sink, SinkFactory, SinkStatus};
use millstream_engine::{OperatorError, Record};

/// A sink into any futures [`Sink`](futures_sink::Sink), which can be run once, by one instance.
///
/// Each value is sent when the foreign sink is ready for it, which is how that backpressures. It is
/// flushed when no more input is ready, and closed at the end of a complete input only: a job that
/// fails or is aborted drops it instead, without closing it.
///
/// # Errors
///
/// Those of the foreign sink, and [`AlreadyWritten`] in a second run or at a second instance: call
/// [`gather`](crate::DataStream::gather) before the sink of a parallel stream.
///
/// ```
/// use futures::{SinkExt, StreamExt, channel::mpsc};
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let (sender, receiver) = mpsc::channel::<String>(8);
/// let foreign = sender.with(|n: u32| async move { Ok::<_, mpsc::SendError>(n.to_string()) });
/// let flow = Dataflow::new("sent");
/// flow.source("numbers", source::from_iter(1..=2)).sink("out", sink::from_sink(foreign));
/// flow.run().await?;
/// assert_eq!(receiver.collect::<Vec<_>>().await, ["1", "2"]);
/// # Ok(())
/// # }
/// ```
pub fn from_sink<T, S>(sink: S) -> FromSink<T, S>
where
    T: Send + 'static,
    S: futures_sink::Sink<T, Error: Into<OperatorError>> + Send + 'static,
{
    FromSink(Mutex::new(Some(WriteSink::new(sink))))
}

/// The factory behind [`from_sink`].
pub struct FromSink<T, S>(Mutex<Option<WriteSink<T, S>>>);

/// A sink that can be written to once only was asked for a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this sink can be written to only once, by one instance")]
pub struct AlreadyWritten;

impl<T, S> SinkFactory for FromSink<T, S>
where
    T: Send + 'static,
    S: futures_sink::Sink<T, Error: Into<OperatorError>> + Send + 'static,
{
    type Sink = WriteSink<T, S>;

    fn create(&self, _instance: usize) -> Result<WriteSink<T, S>, OperatorError> {
        let sink = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        sink.ok_or_else(|| AlreadyWritten.into())
    }
}

impl<T, S> fmt::Debug for FromSink<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromSink")
    }
}

/// The running sink behind [`from_sink`].
pub struct WriteSink<T, S> {
    sink: Pin<Box<S>>,
    closed: bool,
    marker: PhantomData<fn(T)>,
}

impl<T, S> WriteSink<T, S> {
    fn new(sink: S) -> Self {
        Self { sink: Box::pin(sink), closed: false, marker: PhantomData }
    }
}

impl<T, S> Sink for WriteSink<T, S>
where
    T: Send + 'static,
    S: futures_sink::Sink<T, Error: Into<OperatorError>> + Send + 'static,
{
    type Item = T;

    async fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<SinkStatus, OperatorError> {
        for record in records.drain(..) {
            self.sink.feed(record.value).await.map_err(Into::into)?;
        }
        Ok(SinkStatus::More)
    }

    async fn flush(&mut self) -> Result<(), OperatorError> {
        self.sink.flush().await.map_err(Into::into)
    }

    async fn commit(&mut self, _committable: Committable) -> Result<(), OperatorError> {
        if !self.closed {
            self.sink.close().await.map_err(Into::into)?;
            self.closed = true;
        }
        Ok(())
    }
}

impl<T, S> fmt::Debug for WriteSink<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteSink")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;
    use futures::channel::mpsc;
    use futures_util::StreamExt as _;

    #[tokio::test]
    async fn n1_a_foreign_sink_is_closed_at_the_end() {
        let (sender, receiver) = mpsc::channel(1);
        let flow = Dataflow::new("closed");
        flow.source("numbers", source::from_iter(0..100)).sink("out", from_sink(sender));
        let (report, seen) = tokio::join!(flow.run(), receiver.collect::<Vec<_>>());
        report.unwrap();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn n1_the_error_of_a_foreign_sink_fails_the_job() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let flow = Dataflow::new("broken");
        flow.source("numbers", source::from_iter(0..100)).sink("out", from_sink(sender));
        let error = flow.run().await.unwrap_err();
        assert_eq!(error.operator_name(), Some("out"));
        assert!(error.cause().unwrap().is::<mpsc::SendError>());
    }

    #[tokio::test]
    async fn n1_a_foreign_sink_is_written_to_once() {
        let (sender, _receiver) = mpsc::channel(8);
        let flow = Dataflow::new("once");
        flow.source("numbers", source::from_iter(0..2)).sink("out", from_sink(sender));
        flow.run().await.unwrap();
        let error = flow.run().await.unwrap_err();
        assert!(error.cause().unwrap().is::<AlreadyWritten>());
    }
}
