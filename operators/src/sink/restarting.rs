//! `restarting`: a sink that is made anew when it fails.

use std::fmt;
use std::sync::Arc;

use millstream_engine::batch::Barrier;
use millstream_engine::random::Random;
use millstream_engine::sink::{Committable, Sink, SinkContext, SinkFactory, SinkStatus};
use millstream_engine::time::Instant;
use millstream_engine::{OperatorError, Record};

use crate::recovery::{RestartPolicy, Restarts};

/// A sink that, when it returns an error, is made anew by its factory after a delay, and is given
/// again all the records that it had not flushed.
///
/// Records are kept until a flush of the sink has succeeded: it is flushed when no input is ready,
/// at barriers, and otherwise when as many are kept as
/// [`with_unflushed`](Restarting::with_unflushed) says. What a failed sink had written of them is
/// written once more: at least once. `prepare` and `commit` are repeated in the same way. While it
/// waits to be made anew everything before it comes to rest; each new sink is counted as a retry
/// and logged.
///
/// When `policy` makes no further attempt, the error fails the job. A panic does so at once.
///
/// ```
/// use millstream_engine::sink::{Sink, SinkStatus, SinkWith};
/// use millstream_operators::prelude::*;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::sync::mpsc::{SyncSender, sync_channel};
/// use std::time::Duration;
///
/// /// Loses its connection once.
/// struct Flaky(SyncSender<u32>);
///
/// static CONNECTED: AtomicBool = AtomicBool::new(false);
///
/// impl Sink for Flaky {
///     type Item = u32;
///     async fn write(
///         &mut self,
///         records: &mut Vec<Record<u32>>,
///     ) -> Result<SinkStatus, OperatorError> {
///         if !CONNECTED.swap(true, Ordering::Relaxed) {
///             return Err(std::io::Error::other("connection lost").into());
///         }
///         records.drain(..).try_for_each(|record| self.0.send(record.value))?;
///         Ok(SinkStatus::More)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let (sender, written) = sync_channel(8);
/// let backoff = Backoff::default().with_initial(Duration::from_millis(1));
/// let connect = SinkWith(move |_| Ok(Flaky(sender.clone())));
/// let flow = Dataflow::new("reconnecting");
/// let numbers = flow.source("numbers", source::from_iter(0..3));
/// numbers.sink("table", sink::restarting(backoff, connect));
/// flow.run().await?;
/// assert_eq!(written.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
/// # Ok(())
/// # }
/// ```
pub fn restarting<F>(policy: impl Into<RestartPolicy>, factory: F) -> Restarting<F>
where
    F: SinkFactory<Sink: Sink<Item: Clone + Sync>> + Sync,
{
    Restarting { policy: policy.into(), factory: Arc::new(factory), unflushed: 1024 }
}

/// The sinks behind [`restarting`].
pub struct Restarting<F> {
    policy: RestartPolicy,
    factory: Arc<F>,
    unflushed: usize,
}

impl<F> Restarting<F> {
    /// The most records that are kept for a new sink, beyond the batch at hand. Default: 1,024.
    #[must_use]
    pub fn with_unflushed(mut self, records: usize) -> Self {
        self.unflushed = records;
        self
    }
}

impl<F> fmt::Debug for Restarting<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restarting").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<F> SinkFactory for Restarting<F>
where
    F: SinkFactory<Sink: Sink<Item: Clone + Sync>> + Sync,
{
    type Sink = RestartingSink<F>;

    fn create(&self, instance: usize) -> Result<RestartingSink<F>, OperatorError> {
        Ok(RestartingSink {
            factory: Arc::clone(&self.factory),
            instance,
            sink: None,
            restarts: Restarts::new(self.policy),
            unflushed: Vec::new(),
            unflushed_max: self.unflushed,
            context: None,
            random: Random::new(0),
        })
    }
}

/// A running sink that is made anew when it fails.
pub struct RestartingSink<F: SinkFactory> {
    factory: Arc<F>,
    instance: usize,
    /// None before the first one was made, and after a failure.
    sink: Option<F::Sink>,
    restarts: Restarts,
    unflushed: Vec<Record<<F::Sink as Sink>::Item>>,
    unflushed_max: usize,
    context: Option<SinkContext>,
    random: Random,
}

impl<F: SinkFactory<Sink: Sink<Item: Clone + Sync>> + Sync> RestartingSink<F> {
    /// The sink, made anew if need be, with everything written that had not been flushed.
    async fn ready(&mut self) -> Result<(&mut F::Sink, SinkStatus), OperatorError> {
        let mut status = SinkStatus::More;
        if self.sink.is_none() {
            let mut sink = self.factory.create(self.instance)?;
            if let Some(context) = &self.context {
                sink.open(context).await?;
            }
            if !self.unflushed.is_empty() {
                status = sink.write(&mut self.unflushed.clone()).await?;
            }
            self.sink = Some(sink);
        }
        let sink = self.sink.as_mut().ok_or(Unmade)?;
        Ok((sink, status))
    }

    /// Waits for the time of the next sink, or gives the error back.
    async fn rest(&mut self, error: OperatorError) -> Result<(), OperatorError> {
        self.sink = None;
        let Some(context) = &self.context else {
            return Err(error);
        };
        let Some(delay) = self.restarts.fail(context.clock.now(), &mut self.random) else {
            return Err(error);
        };
        context.counters.errors.add(1);
        context.counters.retries.add(1);
        let again = self.unflushed.len();
        tracing::warn!(sink = %context.name, %error, ?delay, again, "making the sink anew");
        context.clock.sleep(delay).await;
        Ok(())
    }

    async fn try_flush(&mut self) -> Result<(), OperatorError> {
        self.ready().await?.0.flush().await?;
        self.unflushed.clear();
        Ok(())
    }

    async fn try_barrier(&mut self, barrier: Barrier) -> Result<(), OperatorError> {
        self.ready().await?.0.barrier(barrier).await?;
        self.unflushed.clear();
        Ok(())
    }
}

/// There is no sink where one was just made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sink was not made")]
struct Unmade;

impl<F: SinkFactory<Sink: Sink<Item: Clone + Sync>> + Sync> Sink for RestartingSink<F> {
    type Item = <F::Sink as Sink>::Item;

    async fn open(&mut self, context: &SinkContext) -> Result<(), OperatorError> {
        self.context = Some(context.clone());
        self.random = context.random.clone();
        loop {
            match self.ready().await {
                Ok(_) => return Ok(()),
                Err(error) => self.rest(error).await?,
            }
        }
    }

    async fn write(
        &mut self,
        records: &mut Vec<Record<Self::Item>>,
    ) -> Result<SinkStatus, OperatorError> {
        self.unflushed.extend_from_slice(records);
        let mut written = match &mut self.sink {
            Some(sink) => sink.write(records).await,
            None => Err(Unmade.into()),
        };
        let status = loop {
            match written {
                Ok(status) => break status,
                Err(error) => self.rest(error).await?,
            }
            // They are among those that a new sink is given at once.
            records.clear();
            written = self.ready().await.map(|(_, status)| status);
        };
        if status == SinkStatus::More && self.unflushed.len() >= self.unflushed_max {
            self.flush().await?;
        }
        Ok(status)
    }

    async fn flush(&mut self) -> Result<(), OperatorError> {
        loop {
            match self.try_flush().await {
                Ok(()) => return Ok(()),
                Err(error) => self.rest(error).await?,
            }
        }
    }

    async fn barrier(&mut self, barrier: Barrier) -> Result<(), OperatorError> {
        loop {
            match self.try_barrier(barrier).await {
                Ok(()) => return Ok(()),
                Err(error) => self.rest(error).await?,
            }
        }
    }

    fn flush_due(&self) -> Option<Instant> {
        self.sink.as_ref()?.flush_due()
    }

    fn held(&self) -> usize {
        self.sink.as_ref().map_or(self.unflushed.len(), Sink::held)
    }

    async fn prepare(&mut self) -> Result<Committable, OperatorError> {
        loop {
            let prepared = match self.ready().await {
                Ok((sink, _)) => sink.prepare().await,
                Err(error) => Err(error),
            };
            match prepared {
                Ok(committable) => {
                    self.unflushed.clear();
                    return Ok(committable);
                }
                Err(error) => self.rest(error).await?,
            }
        }
    }

    async fn commit(&mut self, committable: Committable) -> Result<(), OperatorError> {
        loop {
            let committed = match self.ready().await {
                Ok((sink, _)) => sink.commit(committable.clone()).await,
                Err(error) => Err(error),
            };
            match committed {
                Ok(()) => return Ok(()),
                Err(error) => self.rest(error).await?,
            }
        }
    }
}

impl<F: SinkFactory> fmt::Debug for RestartingSink<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestartingSink")
            .field("unflushed", &self.unflushed.len())
            .finish_non_exhaustive()
    }
}
