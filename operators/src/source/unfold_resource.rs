//! `unfold_resource`: values read from something that has to be closed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use millstream_engine::OperatorError;
use millstream_engine::source::{Source, SourceBatch, SourceContext, SourceFactory, SourceStatus};

/// A source that opens something, reads values from it until `None`, and closes it. Each run opens
/// it anew.
///
/// It is closed exactly once, however the run ends: behind the last value, when reading fails or
/// panics, and when the job is cancelled, drained or aborted. An error of `close` at the end fails
/// the job; where the job is over anyway, it is only logged. Nothing is closed that was not opened.
///
/// The closures are called from the worker that runs the stage and must not block it: what blocks
/// belongs into [`unfold_async`](super::unfold_async) and `tokio::task::spawn_blocking`. A value is
/// read only when there is room for it.
///
/// # Errors
///
/// Those of the closures.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let open = || Ok(vec!["c", "b", "a"]);
/// let close = |_stack| {
///     println!("closed");
///     Ok(())
/// };
/// let letters = source::unfold_resource(open, |stack| Ok(stack.pop()), close);
/// let flow = Dataflow::new("letters");
/// let all = flow.source("letters", letters).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec!["a", "b", "c"]));
/// # Ok(())
/// # }
/// ```
pub const fn unfold_resource<R, T, O, F, C>(open: O, read: F, close: C) -> UnfoldResource<O, F, C>
where
    R: Send + 'static,
    T: Send + 'static,
    O: Fn() -> Result<R, OperatorError> + Clone + Send + 'static,
    F: FnMut(&mut R) -> Result<Option<T>, OperatorError> + Clone + Send + 'static,
    C: Fn(R) -> Result<(), OperatorError> + Clone + Send + 'static,
{
    UnfoldResource { open, read, close }
}

/// The factory behind [`unfold_resource`].
#[derive(Clone)]
pub struct UnfoldResource<O, F, C> {
    open: O,
    read: F,
    close: C,
}

impl<R, T, O, F, C> SourceFactory for UnfoldResource<O, F, C>
where
    R: Send + 'static,
    T: Send + 'static,
    O: Fn() -> Result<R, OperatorError> + Clone + Send + 'static,
    F: FnMut(&mut R) -> Result<Option<T>, OperatorError> + Clone + Send + 'static,
    C: Fn(R) -> Result<(), OperatorError> + Clone + Send + 'static,
{
    type Source = ReadResource<R, O, F, C>;

    fn create(&self, _instance: usize) -> Result<Self::Source, OperatorError> {
        let Self { open, read, close } = self.clone();
        Ok(ReadResource { open, read, held: Held { resource: None, close } })
    }
}

impl<O, F, C> fmt::Debug for UnfoldResource<O, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnfoldResource")
    }
}

/// The running source behind [`unfold_resource`].
pub struct ReadResource<R, O, F, C: Fn(R) -> Result<(), OperatorError>> {
    open: O,
    read: F,
    held: Held<R, C>,
}

/// What is open, and how to close it.
struct Held<R, C: Fn(R) -> Result<(), OperatorError>> {
    resource: Option<R>,
    close: C,
}

impl<R, C: Fn(R) -> Result<(), OperatorError>> Held<R, C> {
    fn close(&mut self) -> Result<(), OperatorError> {
        self.resource.take().map_or(Ok(()), &self.close)
    }
}

impl<R, C: Fn(R) -> Result<(), OperatorError>> Drop for Held<R, C> {
    fn drop(&mut self) {
        // This may happen while another panic unwinds, which a second one must not meet.
        match catch_unwind(AssertUnwindSafe(|| self.close())) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a resource could not be closed"),
            Err(_) => tracing::warn!("closing a resource panicked"),
        }
    }
}

impl<R, T, O, F, C> Source for ReadResource<R, O, F, C>
where
    R: Send + 'static,
    T: Send + 'static,
    O: Fn() -> Result<R, OperatorError> + Send + 'static,
    F: FnMut(&mut R) -> Result<Option<T>, OperatorError> + Send + 'static,
    C: Fn(R) -> Result<(), OperatorError> + Send + 'static,
{
    type Item = T;

    async fn open(&mut self, _context: &SourceContext) -> Result<(), OperatorError> {
        self.held.resource = Some((self.open)()?);
        Ok(())
    }

    async fn next(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        while !batch.is_full() {
            let Some(resource) = &mut self.held.resource else {
                return Ok(SourceStatus::End);
            };
            match (self.read)(resource)? {
                Some(value) => batch.push(value),
                None => {
                    self.held.close()?;
                    return Ok(SourceStatus::End);
                }
            }
        }
        Ok(SourceStatus::More)
    }

    async fn drain(&mut self, _batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        self.held.close()?;
        Ok(SourceStatus::End)
    }
}

impl<R, O, F, C: Fn(R) -> Result<(), OperatorError>> fmt::Debug for ReadResource<R, O, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadResource")
    }
}
