//! What `retry_stream` and `recover_with` have in common: a source that runs nested jobs, one after
//! another.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::batch::Batch;
use millstream_engine::metrics::OperatorCounters;
use millstream_engine::random::Random;
use millstream_engine::source::{Source, SourceBatch, SourceContext, SourceStatus};
use millstream_engine::time::{Clock, Timestamp};
use millstream_engine::{Error, ErrorKind, OperatorError};

use crate::recovery::{Nested, hand_over};

/// What is begun, and whether it is begun once more.
pub(super) trait Attempts<T>: Send {
    /// After a failure: how long to wait before the next attempt, if there is one.
    fn after(&mut self, error: &Error, place: &mut Place) -> Option<Duration>;

    /// Begins the first attempt, or the one after `error`.
    fn begin(&mut self, error: Option<&Error>, place: &Place) -> Result<Nested<T>, Error>;
}

/// Where in a job the attempts run.
pub(super) struct Place {
    pub(super) name: Arc<str>,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) limit: usize,
    counters: Arc<OperatorCounters>,
}

/// A running source that makes attempts.
pub struct ReadAttempts<T> {
    attempts: Box<dyn Attempts<T>>,
    place: Option<Place>,
    running: Option<Nested<T>>,
    failure: Option<Error>,
    /// An attempt does not know what watermarks earlier ones have sent.
    watermark: Timestamp,
}

impl<T: Send + 'static> ReadAttempts<T> {
    pub(super) fn new(attempts: impl Attempts<T> + 'static) -> Self {
        Self {
            attempts: Box::new(attempts),
            place: None,
            running: None,
            failure: None,
            watermark: Timestamp::MIN,
        }
    }

    /// The next batch of the running attempt, or of the one that is begun for it.
    async fn advance(&mut self) -> Result<Option<Batch<T>>, Error> {
        let Some(place) = &self.place else {
            return Ok(None);
        };
        let running = match &mut self.running {
            Some(running) => running,
            None => self.running.insert(self.attempts.begin(self.failure.as_ref(), place)?),
        };
        poll_fn(|cx| running.poll_next(cx)).await
    }

    /// Waits for the time of the next attempt, or gives the error back.
    async fn rest(&mut self, error: Error) -> Result<(), OperatorError> {
        self.running = None;
        let Some(place) = &mut self.place else {
            return Err(error.into());
        };
        // What was built wrongly is built wrongly again.
        let hopeless = matches!(error.kind(), ErrorKind::Build(_));
        let Some(delay) = self.attempts.after(&error, place).filter(|_| !hopeless) else {
            return Err(error.into());
        };
        place.counters.errors.add(1);
        place.counters.retries.add(1);
        tracing::warn!(source = %place.name, %error, ?delay, "beginning anew");
        self.failure = Some(error);
        let rest = place.clock.sleep(delay);
        rest.await;
        Ok(())
    }
}

impl<T: Send + 'static> Source for ReadAttempts<T> {
    type Item = T;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        self.place = Some(Place {
            name: Arc::clone(&context.name),
            clock: context.clock.clone(),
            random: context.random.clone(),
            limit: 1,
            counters: Arc::clone(&context.counters),
        });
        Ok(())
    }

    async fn next(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        if let Some(place) = &mut self.place {
            place.limit = batch.room().max(1);
        }
        loop {
            match self.advance().await {
                Ok(Some(mut came)) => {
                    came.barrier = None;
                    let latest = self.watermark;
                    came.marks.retain(|mark| mark.watermark > latest);
                    if let Some(last) = came.marks.last() {
                        self.watermark = last.watermark;
                    }
                    if came.is_empty() && !came.idle {
                        continue;
                    }
                    hand_over(came, batch);
                    return Ok(SourceStatus::More);
                }
                Ok(None) => return Ok(SourceStatus::End),
                Err(error) => self.rest(error).await?,
            }
        }
    }

    async fn drain(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        let Some(running) = &mut self.running else {
            return Ok(SourceStatus::End);
        };
        running.drain();
        match poll_fn(|cx| running.poll_next(cx)).await? {
            Some(came) => {
                hand_over(Batch { barrier: None, ..came }, batch);
                Ok(SourceStatus::More)
            }
            None => Ok(SourceStatus::End),
        }
    }
}

impl<T> fmt::Debug for ReadAttempts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAttempts").field("running", &self.running).finish_non_exhaustive()
    }
}
