//! `from_future`: the value of a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use millstream_engine::OperatorError;
use millstream_engine::source::{OneShot, Source, SourceBatch, SourceStatus};

/// A source of the one value that a future gives, which can be run once. An error of the future
/// fails the job.
///
/// The future is polled from the first demand on and not before. It belongs to the source, so a
/// wait that is given up loses nothing; it is dropped when the job is cancelled, drained or aborted
/// before it is ready. The source ends behind its value.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let answer = source::from_future(async { "42".parse::<u32>() });
/// let flow = Dataflow::new("answer");
/// let first = flow.source("answer", answer).first();
/// assert_eq!(flow.run().await?.take(first), Some(Some(42)));
/// # Ok(())
/// # }
/// ```
pub fn from_future<F, T, E>(future: F) -> OneShot<FromFuture<F>>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Into<OperatorError>,
{
    OneShot::new(FromFuture(Some(Box::pin(future))))
}

/// The source behind [`from_future`].
pub struct FromFuture<F>(Option<Pin<Box<F>>>);

impl<F, T, E> Source for FromFuture<F>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Into<OperatorError>,
{
    type Item = T;

    async fn next(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        if let Some(future) = &mut self.0 {
            let ready = future.await;
            self.0 = None;
            batch.push(ready.map_err(Into::into)?);
        }
        Ok(SourceStatus::End)
    }
}

impl<F> fmt::Debug for FromFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFuture")
    }
}
