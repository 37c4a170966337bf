//! `recover_with`: a stream, and another one that takes over when it fails.

use std::fmt;
use std::time::Duration;

use millstream_engine::chain::Chain;
use millstream_engine::source::SourceFactory;
use millstream_engine::{Error, OperatorError};

use super::attempts::{Attempts, Place, ReadAttempts};
use crate::recovery::Nested;
use crate::{DataStream, Dataflow};

/// A source that runs a stream of its own, and when that fails, by an error or a panic, goes over
/// to the stream that `recover` makes. That may be anything: another feed, one last value by
/// [`once`](super::once), or the end by [`empty`](super::empty). `recover` is told the error, and
/// gives `None` to let it fail the job.
///
/// Both build on a dataflow of their own, as in [`retry_stream`](super::retry_stream). What the
/// first stream had brought out stays; what was still on its way inside it comes out, or is lost
/// where the failure overtook it. The second stream may fail too: by default that fails the job,
/// and [`with_attempts`](RecoverWith::with_attempts) lets `recover` be asked more often.
///
/// Emits what the stream does, event times and watermarks included, and waits when it is not asked.
/// Ends when a stream completes. When the job drains, so does the stream; an abort drops it.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let numbers = source::recover_with(
///     |flow| flow.source("torn", source::failed::<u32, _, _>(|| std::fmt::Error)),
///     |flow, error| match error.operator_name() {
///         Some("torn") => Some(flow.source("zero", source::once(0))),
///         _ => None,
///     },
/// );
/// let flow = Dataflow::new("recovered");
/// let all = flow.source("numbers", numbers).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec![0]));
/// # Ok(())
/// # }
/// ```
pub fn recover_with<T, C, D, F, G>(first: F, recover: G) -> RecoverWith<F, G>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    D: Chain<Item = T>,
    F: Fn(&Dataflow) -> DataStream<T, C> + Clone + Send + 'static,
    G: Fn(&Dataflow, &Error) -> Option<DataStream<T, D>> + Clone + Send + 'static,
{
    RecoverWith { first, recover, attempts: 1 }
}

/// The source behind [`recover_with`].
#[derive(Clone)]
pub struct RecoverWith<F, G> {
    first: F,
    recover: G,
    attempts: u32,
}

impl<F, G> RecoverWith<F, G> {
    /// How often `recover` is asked in one run. Default: once.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }
}

impl<F, G> fmt::Debug for RecoverWith<F, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoverWith").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

impl<T, C, D, F, G> SourceFactory for RecoverWith<F, G>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    D: Chain<Item = T>,
    F: Fn(&Dataflow) -> DataStream<T, C> + Clone + Send + 'static,
    G: Fn(&Dataflow, &Error) -> Option<DataStream<T, D>> + Clone + Send + 'static,
{
    type Source = ReadAttempts<T>;

    fn create(&self, _instance: usize) -> Result<ReadAttempts<T>, OperatorError> {
        let (first, recover) = (self.first.clone(), self.recover.clone());
        Ok(ReadAttempts::new(Other { first, recover, left: self.attempts }))
    }
}

struct Other<F, G> {
    first: F,
    recover: G,
    left: u32,
}

impl<T, C, D, F, G> Attempts<T> for Other<F, G>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    D: Chain<Item = T>,
    F: Fn(&Dataflow) -> DataStream<T, C> + Send + 'static,
    G: Fn(&Dataflow, &Error) -> Option<DataStream<T, D>> + Send + 'static,
{
    fn after(&mut self, _error: &Error, _place: &mut Place) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        Some(Duration::ZERO)
    }

    fn begin(&mut self, error: Option<&Error>, place: &Place) -> Result<Nested<T>, Error> {
        let Some(error) = error else {
            return Nested::start(&place.name, &place.clock, place.limit, |flow| {
                (self.first)(flow)
            });
        };
        let flow = Dataflow::new(&place.name);
        let Some(other) = (self.recover)(&flow, error) else {
            self.left = 0;
            return Err(error.clone());
        };
        Nested::start(&place.name, &place.clock, place.limit, |_| other)
    }
}
