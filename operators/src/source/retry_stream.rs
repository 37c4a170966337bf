//! `retry_stream`: a stream that begins anew when it fails.

use std::fmt;

use millstream_engine::chain::Chain;
use millstream_engine::source::SourceFactory;
use millstream_engine::{Error, OperatorError};

use super::attempts::{Attempts, Place, ReadAttempts};
use crate::recovery::{Nested, RestartPolicy, Restarts};
use crate::{DataStream, Dataflow};

/// A source that runs a stream of its own, and when that fails, by an error or a panic, begins it
/// anew after a delay, as `policy` says. Its numbers start over after a quiet time.
///
/// `make` builds the stream of each attempt on a dataflow of its own, from new sources, and may say
/// anything on it that belongs to the part that is started again. Whether the new source begins at
/// the beginning or where the last one got to is for `make` to say; what an attempt had read and
/// not brought out is lost to this stream.
///
/// Emits what the stream does, event times and watermarks included, and waits when it is not asked.
/// Ends when the stream completes. When no further attempt is made, it fails the job with the error
/// of the last one. Each further attempt is counted as a retry, and logged. When the job drains, so
/// does the stream, and what it brings out is delivered; an abort drops it.
///
/// ```
/// use millstream_operators::prelude::*;
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
/// let backoff = Backoff::default().with_initial(Duration::from_millis(1)).with_attempts(3);
/// let numbers = source::retry_stream(backoff, |flow| {
///     let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
///     let numbers = flow.source("feed", source::from_iter(0..4_u32));
///     numbers.inspect(move |_| assert_eq!(attempt, 1, "not yet"))
/// });
/// let flow = Dataflow::new("stubborn");
/// let all = flow.source("numbers", numbers).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec![0, 1, 2, 3]));
/// # Ok(())
/// # }
/// ```
pub fn retry_stream<T, C, F>(policy: impl Into<RestartPolicy>, make: F) -> RetryStream<F>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    F: Fn(&Dataflow) -> DataStream<T, C> + Clone + Send + 'static,
{
    RetryStream { policy: policy.into(), make }
}

/// The source behind [`retry_stream`].
#[derive(Clone)]
pub struct RetryStream<F> {
    policy: RestartPolicy,
    make: F,
}

impl<F> fmt::Debug for RetryStream<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryStream").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<T, C, F> SourceFactory for RetryStream<F>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    F: Fn(&Dataflow) -> DataStream<T, C> + Clone + Send + 'static,
{
    type Source = ReadAttempts<T>;

    fn create(&self, _instance: usize) -> Result<ReadAttempts<T>, OperatorError> {
        let restarts = Restarts::new(self.policy);
        Ok(ReadAttempts::new(Again { restarts, make: self.make.clone() }))
    }
}

struct Again<F> {
    restarts: Restarts,
    make: F,
}

impl<T, C, F> Attempts<T> for Again<F>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    F: Fn(&Dataflow) -> DataStream<T, C> + Send + 'static,
{
    fn after(&mut self, _error: &Error, place: &mut Place) -> Option<std::time::Duration> {
        self.restarts.fail(place.clock.now(), &mut place.random)
    }

    fn begin(&mut self, _error: Option<&Error>, place: &Place) -> Result<Nested<T>, Error> {
        Nested::start(&place.name, &place.clock, place.limit, |flow| (self.make)(flow))
    }
}
