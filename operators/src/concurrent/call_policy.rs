//! `CallPolicy`: how long a call may take, and what becomes of one that fails.

use std::time::Duration;

use crate::attempt::OnError;

/// What an asynchronous word does with a call that takes too long or fails: an [`OnError`], and
/// limits on time. An `OnError` alone is a policy without limits.
///
/// ```
/// use std::time::Duration;
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// # let flow = Dataflow::new("doc");
/// # let pages = flow.source("pages", source::from_iter(0..3_u32));
/// # async fn fetch(page: u32) -> Result<u32, std::io::Error> { Ok(page) }
/// let policy = CallPolicy::new(OnError::retry(Backoff::default()).or_skip())
///     .with_timeout(Duration::from_secs(10))
///     .with_attempt_timeout(Duration::from_secs(2));
/// pages.try_map_async(8, policy, fetch).ignore();
/// # flow.run().await.map(drop)
/// # }
/// ```
#[derive(Debug)]
pub struct CallPolicy<T> {
    pub(super) on_error: OnError<T>,
    pub(super) timeout: Option<Duration>,
    pub(super) attempt_timeout: Option<Duration>,
}

impl<T> CallPolicy<T> {
    /// No limits on time.
    #[must_use]
    pub const fn new(on_error: OnError<T>) -> Self {
        Self { on_error, timeout: None, attempt_timeout: None }
    }

    /// How long a value may take, all its attempts and the delays between them together, from its
    /// first attempt on. When that is over the attempt in flight is dropped and none follows:
    /// [`TimedOut`] is the error, and it goes where the policy sends those that are given up.
    ///
    /// A call that is dropped may have had its effect. Default: for ever.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long a single attempt may take. One that takes longer is dropped and has failed with
    /// [`TimedOut`]: another may follow. Default: for ever.
    #[must_use]
    pub const fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }
}

impl<T> From<OnError<T>> for CallPolicy<T> {
    fn from(on_error: OnError<T>) -> Self {
        Self::new(on_error)
    }
}

impl<T> Clone for CallPolicy<T> {
    fn clone(&self) -> Self {
        let (timeout, attempt_timeout) = (self.timeout, self.attempt_timeout);
        Self { on_error: self.on_error.clone(), timeout, attempt_timeout }
    }
}

/// A call took longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {0:?}")]
pub struct TimedOut(pub Duration);
