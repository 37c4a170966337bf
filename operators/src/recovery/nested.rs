//! A job within a job: what can be started again while the rest of the graph goes on.

use std::fmt;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use millstream_engine::batch::Batch;
use millstream_engine::chain::Chain;
use millstream_engine::edge::{Capacity, Outbox, Received, Receiver, Sender, channel};
use millstream_engine::graph::{OperatorId, Role, StageBlueprint};
use millstream_engine::runtime::{JobHandle, JobOptions, Run};
use millstream_engine::source::{AlreadyRead, Source, SourceBatch, SourceFactory, SourceStatus};
use millstream_engine::time::Clock;
use millstream_engine::{Error, OperatorError};

use crate::{DataStream, Dataflow};

/// How many batches wait on the way out of a nested job.
const BATCHES_AHEAD: usize = 2;

/// A running job whose stream of `U` comes out here. It belongs to whoever holds this: dropping it
/// aborts the job.
pub(crate) struct Nested<U> {
    job: JobHandle,
    output: Receiver<U>,
    over: bool,
}

impl<U: Send + 'static> Nested<U> {
    /// Starts the stream that `build` makes on a dataflow of its own, in batches of up to `limit`
    /// records.
    pub(crate) fn start<C: Chain<Item = U>>(
        name: &str,
        clock: &Clock,
        limit: usize,
        build: impl FnOnce(&Dataflow) -> DataStream<U, C>,
    ) -> Result<Self, Error> {
        let capacity = Capacity::records(limit.saturating_mul(BATCHES_AHEAD), limit);
        let (sender, output) = channel(capacity);
        let stream = build(&Dataflow::new(name));
        let flow = stream.flow().clone();
        if C::ALONE || stream.parallelism() == 1 {
            lead_out(stream, sender);
        } else {
            lead_out(stream.gather(), sender);
        }
        let options = JobOptions::default().with_clock(clock.clone());
        let options = options.with_batch_records(limit).with_publish_every(None);
        Ok(Self { job: flow.start_with(&options)?, output, over: false })
    }

    /// The next batch that has come out; `None` when the job has completed. Its error comes behind
    /// everything that was on its way.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Batch<U>>, Error>> {
        if !self.over {
            match ready!(self.output.poll_recv(cx)) {
                Received::Batch(mut batch) => {
                    self.over = std::mem::take(&mut batch.end);
                    return Poll::Ready(Ok(Some(batch)));
                }
                Received::Failed => self.over = true,
            }
        }
        Pin::new(&mut self.job).poll(cx).map(|ended| ended.map(|_| None))
    }

    /// Has the job end its sources. How long that may take is for the outer job to say.
    pub(crate) fn drain(&self) {
        self.job.request_drain(Duration::from_secs(365 * 86_400));
    }
}

impl<U> fmt::Debug for Nested<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nested").field("job", &self.job).finish_non_exhaustive()
    }
}

fn lead_out<U: Send + 'static, C: Chain<Item = U>>(stream: DataStream<U, C>, sender: Sender<U>) {
    let (flow, chain, mut draft) = stream.into_parts();
    let operator = flow.blueprint().add_operator(Role::Sink, "outlet", None);
    draft.operators.push(operator);
    let sender = Mutex::new(Some(sender));
    flow.blueprint().add_stage(draft, LeadOut { chain, operator, sender });
}

/// A stage that ends in a channel out of its job.
struct LeadOut<C: Chain> {
    chain: C,
    operator: OperatorId,
    sender: Mutex<Option<Sender<C::Item>>>,
}

impl<C: Chain> StageBlueprint for LeadOut<C> {
    fn build(&self, run: &mut Run<'_>, instance: usize) -> Result<(), Error> {
        let name = Arc::clone(run.seat(self.operator, instance).name());
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        let sender = sender.ok_or_else(|| Error::operator(&name, AlreadyRead.into()))?;
        self.chain.finish(run, instance, Outbox::to(sender, name))
    }
}

/// Hands over a batch as it is, watermarks at their places.
pub(crate) fn hand_over<T>(from: Batch<T>, to: &mut SourceBatch<T>) {
    let mut records = from.records.into_iter();
    let mut taken = 0;
    for mark in from.marks {
        to.extend(records.by_ref().take(mark.position - taken));
        taken = mark.position;
        to.watermark(mark.watermark);
    }
    to.extend(records);
    if from.idle {
        to.idle();
    }
    if let Some(barrier) = from.barrier {
        to.barrier(barrier);
    }
}

/// The source of a nested job that reads what the outer one sends it.
pub(crate) struct Supply<T>(Mutex<Option<Receiver<T>>>);

impl<T> Supply<T> {
    pub(crate) const fn new(receiver: Receiver<T>) -> Self {
        Self(Mutex::new(Some(receiver)))
    }
}

impl<T: Send + 'static> SourceFactory for Supply<T> {
    type Source = ReadSupply<T>;

    fn create(&self, _instance: usize) -> Result<ReadSupply<T>, OperatorError> {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        receiver.map(ReadSupply).ok_or_else(|| AlreadyRead.into())
    }
}

pub(crate) struct ReadSupply<T>(Receiver<T>);

impl<T: Send + 'static> Source for ReadSupply<T> {
    type Item = T;
    const SETS_TIME: bool = true;

    async fn next(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        match poll_fn(|cx| self.0.poll_recv(cx)).await {
            Received::Batch(received) => {
                let end = received.end;
                hand_over(received, batch);
                Ok(if end { SourceStatus::End } else { SourceStatus::More })
            }
            Received::Failed => Err(Abandoned.into()),
        }
    }
}

impl<T> Drop for ReadSupply<T> {
    fn drop(&mut self) {
        // Whether this is an end or a failure, the job's own result says.
        self.0.finish();
    }
}

/// The job around a nested one is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the job around this one is gone")]
struct Abandoned;
