//! `woken_by_io`: a source that threads feed, woken as a socket is.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Context;

use millstream_engine::OperatorError;
use millstream_engine::source::{Source, SourceBatch, SourceContext, SourceFactory, SourceStatus};

use super::doorbell::Listener;

/// A source that is fed by threads outside of the runtime, such as a
/// [`queue`](crate::source::queue()), woken by the runtime's I/O driver where all of the runtime
/// sleeps. On Unix only, by the feature `woken-by-io`.
///
/// A thread that wakes a task of tokio's wakes one worker, and that one another before it begins,
/// to look for more to do (`idle.rs` of its multi-thread scheduler). Where there is no more, those
/// are two wakes for one. A byte in a pipe wakes only the worker that waits for I/O: `w7` of
/// `benches/RESULTS.md` has what that saves of CPU time and of latency, and it depends on the
/// machine. Where a worker is awake, where there is but one, and within the runtime, the task is
/// woken as ever.
///
/// In all else it is the source that it is made of. The price is two descriptors for each instance.
/// And should a worker begin something long in the very moment of the wake, then the source, as a
/// socket would, waits until one looks for I/O again: after 61 tasks, unless the runtime was built
/// with another `event_interval`.
///
/// # Errors
///
/// The job fails, and names the source, if there are no more descriptors, and if the runtime was
/// built without `enable_io` (tokio panics).
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let (handle, ticks) = source::queue(1_024);
/// std::thread::spawn(move || (0..3).all(|tick| handle.offer(tick).is_accepted()));
/// let flow = Dataflow::new("ticks");
/// let all = flow.source("ticks", source::woken_by_io(ticks)).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec![0, 1, 2]));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub const fn woken_by_io<F: SourceFactory>(source: F) -> WokenByIo<F> {
    WokenByIo(source)
}

/// The factory behind [`woken_by_io`].
#[derive(Clone, Debug)]
pub struct WokenByIo<F>(F);

impl<F: SourceFactory> SourceFactory for WokenByIo<F> {
    type Source = ReadWokenByIo<F::Source>;
    const ALONE: bool = F::ALONE;

    fn create(&self, instance: usize) -> Result<Self::Source, OperatorError> {
        Ok(ReadWokenByIo { source: self.0.create(instance)?, listener: None })
    }
}

/// The running source behind [`woken_by_io`].
pub struct ReadWokenByIo<S> {
    source: S,
    /// There is none until the source is opened.
    listener: Option<Listener>,
}

impl<S: Source> Source for ReadWokenByIo<S> {
    type Item = S::Item;
    const SETS_TIME: bool = S::SETS_TIME;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        self.listener = Some(Listener::new()?);
        self.source.open(context).await
    }

    async fn next(
        &mut self,
        batch: &mut SourceBatch<S::Item>,
    ) -> Result<SourceStatus, OperatorError> {
        let mut next = pin!(self.source.next(batch));
        let Some(listener) = &mut self.listener else { return next.await };
        let next = poll_fn(|cx| match listener.listen(cx) {
            Ok(waker) => next.as_mut().poll(&mut Context::from_waker(waker)),
            Err(error) => Err(error.into()).into(),
        });
        next.await
    }

    async fn drain(
        &mut self,
        batch: &mut SourceBatch<S::Item>,
    ) -> Result<SourceStatus, OperatorError> {
        self.source.drain(batch).await
    }
}

impl<S> fmt::Debug for ReadWokenByIo<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadWokenByIo")
    }
}
