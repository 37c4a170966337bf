//! The head of a stage that begins with a source.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::job::JobShared;
use super::pump::Pump;
use super::{Head, Run, Seat};
use crate::batch::{Batch, default_batch};
use crate::chain::Chain;
use crate::delegate::Whole;
use crate::error::{Error, OperatorError};
use crate::graph::OperatorId;
use crate::record::Record;
use crate::source::{Entrance, Source, SourceBatch, SourceContext, SourceFactory, SourceStatus};
use crate::tail::Tail;

/// The beginning of a chain that reads a source.
#[derive(Debug)]
pub struct FromSource<F> {
    factory: F,
    operator: OperatorId,
}

impl<F: SourceFactory> FromSource<F> {
    /// A chain that reads what `factory` makes, known to the graph as `operator`.
    #[must_use]
    pub const fn new(factory: F, operator: OperatorId) -> Self {
        Self { factory, operator }
    }
}

impl<F: SourceFactory> Chain for FromSource<F> {
    type Item = <F::Source as Source>::Item;
    const ALONE: bool = F::ALONE;

    fn finish<N: Tail<Self::Item> + 'static>(
        &self,
        run: &mut Run<'_>,
        instance: usize,
        next: N,
    ) -> Result<(), Error> {
        let seat = run.seat(self.operator, instance);
        let created = self.factory.create(instance);
        let source = created.map_err(|error| Error::operator(seat.name(), error))?;
        source.enter(Begin { run, seat, next });
        Ok(())
    }
}

/// Where a source goes in: at the head of the stage that `next` is the rest of.
struct Begin<'r, 'j, N> {
    run: &'r mut Run<'j>,
    seat: Seat,
    next: N,
}

impl<T: Send + 'static, N: Tail<T> + 'static> Entrance<T> for Begin<'_, '_, N> {
    type Entered = ();

    fn source(self, source: impl Source<Item = T>) {
        let Self { run, seat, next } = self;
        let context = SourceContext::of(run.clock(), &seat, run.random(&seat));
        let limit = run.batch_records::<T>();
        let head = SourceHead::new(source, context, limit, seat, Arc::clone(run.shared()));
        run.stage(Box::new(head), Box::new(Whole(next)));
    }

    fn items(self, items: impl Iterator<Item = T> + Send + 'static) {
        let Self { run, seat, next } = self;
        let pump = Box::new(Pump::new(items, next, seat));
        run.stage_that_pulls(const { default_batch::<T>() }, pump);
    }
}

/// A source, driven by a future that owns it for its whole life. The two sides meet in a slot that
/// only ever one of them touches, because the future is polled from inside `poll_next`.
struct SourceHead<T> {
    driver: Option<Driver>,
    slot: Arc<Slot<T>>,
    seat: Seat,
    job: Arc<JobShared>,
}

type Driver = Pin<Box<dyn Future<Output = Result<(), OperatorError>> + Send>>;

struct Slot<T> {
    limit: usize,
    inner: Mutex<SlotState<T>>,
}

struct SlotState<T> {
    filled: Option<(SourceBatch<T>, SourceStatus)>,
    spare: Vec<Record<T>>,
}

impl<T> Slot<T> {
    fn with<R>(&self, act: impl FnOnce(&mut SlotState<T>) -> R) -> R {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An empty batch, as soon as the last one has been taken. Nobody wakes this: the head polls
    /// the driver whenever it wants another batch.
    async fn empty(&self) -> SourceBatch<T> {
        let spare = std::future::poll_fn(|_| {
            self.with(|state| match state.filled {
                Some(_) => Poll::Pending,
                None => Poll::Ready(std::mem::take(&mut state.spare)),
            })
        });
        SourceBatch::reusing(spare.await, self.limit)
    }
}

async fn drive<S: Source>(
    mut source: S,
    context: SourceContext,
    slot: Arc<Slot<S::Item>>,
    drain: CancellationToken,
) -> Result<(), OperatorError> {
    // One for the whole life of the source: each would take its place in the token's list.
    let mut drained = pin!(drain.cancelled());
    unless(drained.as_mut(), source.open(&context)).await.transpose()?;
    loop {
        let mut batch = slot.empty().await;
        // The batch outlives a `next` that is given up, and so does what was put into it.
        let status = match unless(drained.as_mut(), source.next(&mut batch)).await {
            Some(status) => status?,
            None => source.drain(&mut batch).await?,
        };
        slot.with(|state| state.filled = Some((batch, status)));
        if status == SourceStatus::End {
            return Ok(());
        }
    }
}

/// Does `work`, and gives it up when the job drains.
async fn unless<F: Future>(
    mut drained: Pin<&mut WaitForCancellationFuture<'_>>,
    work: F,
) -> Option<F::Output> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        if drained.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

impl<T: Send + 'static> SourceHead<T> {
    fn new<S: Source<Item = T>>(
        source: S,
        context: SourceContext,
        limit: usize,
        seat: Seat,
        job: Arc<JobShared>,
    ) -> Self {
        let inner = Mutex::new(SlotState { filled: None, spare: Vec::new() });
        let slot = Arc::new(Slot { limit, inner });
        let drain = job.drain.clone();
        let driver = Box::pin(drive(source, context, Arc::clone(&slot), drain));
        Self { driver: Some(driver), slot, seat, job }
    }
}

impl<T: Send> Head<T> for SourceHead<T> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<T>, Error>> {
        let Some(driver) = &mut self.driver else {
            return Poll::Ready(Ok(Batch { end: true, ..Batch::new() }));
        };
        let guard = self.seat.guard();
        self.seat.begin_work();
        let driven = driver.as_mut().poll(cx);
        self.seat.end_work();
        guard.disarm();
        if let Poll::Ready(Err(error)) = driven {
            self.seat.counters().errors.add(1);
            return Poll::Ready(Err(Error::operator(self.seat.name(), error)));
        }
        // A source that is paused lives on; what it has read waits in the slot, and so does it.
        if self.job.gate.poll_open(cx).is_pending() {
            return Poll::Pending;
        }
        let Some((filled, status)) = self.slot.with(|state| state.filled.take()) else {
            return Poll::Pending;
        };
        // The position goes no further yet: a checkpoint is what will keep it.
        let (mut batch, _position) = filled.into_parts();
        batch.end = status == SourceStatus::End;
        if batch.end {
            self.driver = None;
        }
        if batch.records.is_empty() && !batch.idle && batch.is_empty() {
            // A source that hands over nothing may not spin: others get their turn first.
            super::spawn::yield_now(cx);
            return Poll::Pending;
        }
        Poll::Ready(Ok(batch))
    }

    fn recycle(&mut self, records: Vec<Record<T>>) {
        self.slot.with(|state| state.spare = records);
    }

    fn finish(&mut self) {
        self.driver = None;
    }
}
