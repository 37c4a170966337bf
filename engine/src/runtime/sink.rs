//! The tail of a stage that ends in an asynchronous sink.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use super::{Run, Seat};
use crate::batch::Barrier;
use crate::error::{Error, OperatorError};
use crate::graph::OperatorId;
use crate::metrics::Counter;
use crate::record::Record;
use crate::sink::{Sink, SinkContext, SinkFactory, SinkStatus};
use crate::tail::{Flow, Flush, Tail};
use crate::time::{Instant, Timestamp};

/// A sink, driven by a future that owns it for its whole life: records collect here while it
/// writes. The two sides meet in a slot that only ever one of them touches, because the future is
/// polled from inside `poll_flush`.
pub struct SinkTail<T> {
    records: Vec<Record<T>>,
    limit: usize,
    driver: Pin<Box<dyn Future<Output = Result<(), OperatorError>> + Send>>,
    slot: Arc<Slot<T>>,
    seat: Seat,
    cancelled: Arc<Counter>,
    /// A barrier that the sink has to be told of before it gets another record.
    barrier: Option<Barrier>,
    /// Something was written since the sink was last flushed.
    dirty: bool,
    ending: bool,
    closed: bool,
}

struct Slot<T>(Mutex<SlotState<T>>);

struct SlotState<T> {
    command: Option<Command<T>>,
    /// The driver is working on a command.
    busy: bool,
    enough: bool,
    spare: Vec<Record<T>>,
}

enum Command<T> {
    Write(Vec<Record<T>>),
    Flush,
    Barrier(Barrier),
    /// The input is complete: prepare and commit.
    End,
}

impl<T> Slot<T> {
    fn with<R>(&self, act: impl FnOnce(&mut SlotState<T>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next command. Nobody wakes this: the tail polls the driver when it has one.
    async fn command(&self) -> Command<T> {
        let next = |state: &mut SlotState<T>| match state.command.take() {
            Some(command) => {
                state.busy = true;
                Poll::Ready(command)
            }
            None => Poll::Pending,
        };
        std::future::poll_fn(|_| self.with(next)).await
    }
}

async fn drive<S: Sink>(
    mut sink: S,
    context: SinkContext,
    slot: Arc<Slot<S::Item>>,
    seat: Seat,
    cancelled: Arc<Counter>,
) -> Result<(), OperatorError> {
    slot.with(|state| state.busy = true);
    sink.open(&context).await?;
    loop {
        slot.with(|state| state.busy = false);
        match slot.command().await {
            Command::Write(mut records) => {
                let offered = records.len();
                let status = sink.write(&mut records).await?;
                let left = if status == SinkStatus::Enough { records.len() } else { 0 };
                seat.counters().delivered.add((offered - left) as u64);
                cancelled.add(left as u64);
                records.clear();
                slot.with(|state| {
                    state.spare = records;
                    state.enough |= status == SinkStatus::Enough;
                });
            }
            Command::Flush => sink.flush().await?,
            Command::Barrier(barrier) => sink.barrier(barrier).await?,
            Command::End => {
                let committable = sink.prepare().await?;
                return sink.commit(committable).await;
            }
        }
    }
}

impl<T: Send + 'static> SinkTail<T> {
    /// The tail that writes to what `factory` makes, known to the graph as `operator`.
    ///
    /// # Errors
    ///
    /// What the factory returns, with the operator's name.
    pub fn new<M>(
        run: &Run<'_, M>,
        operator: OperatorId,
        instance: usize,
        factory: &impl SinkFactory<Sink: Sink<Item = T>>,
    ) -> Result<Self, Error> {
        let seat = run.seat(operator, instance);
        let created = factory.create(instance);
        let sink = created.map_err(|error| Error::operator(seat.name(), error))?;
        let context = SinkContext::of(run.clock(), &seat, run.random(&seat));
        let state = SlotState { command: None, busy: false, enough: false, spare: Vec::new() };
        let slot = Arc::new(Slot(Mutex::new(state)));
        let cancelled = run.cancelled();
        let driver =
            Box::pin(drive(sink, context, Arc::clone(&slot), seat.clone(), Arc::clone(&cancelled)));
        Ok(Self {
            records: Vec::new(),
            limit: run.batch_records::<T>(),
            driver,
            slot,
            seat,
            cancelled,
            barrier: None,
            dirty: false,
            ending: false,
            closed: false,
        })
    }

    fn poll_driver(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let guard = self.seat.guard();
        self.seat.begin_work();
        let driven = self.driver.as_mut().poll(cx);
        self.seat.end_work();
        guard.disarm();
        match driven {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => {
                self.closed = true;
                Ok(())
            }
            Poll::Ready(Err(error)) => {
                self.seat.counters().errors.add(1);
                Err(Error::operator(self.seat.name(), error))
            }
        }
    }

    /// What to tell the sink next, if there is anything to tell it now.
    fn next_command(&mut self, flush: Flush) -> Option<Command<T>> {
        let full = self.records.len() >= self.limit || self.barrier.is_some();
        if !self.records.is_empty() && (full || flush == Flush::All) {
            self.dirty = true;
            let spare = self.slot.with(|state| std::mem::take(&mut state.spare));
            return Some(Command::Write(std::mem::replace(&mut self.records, spare)));
        }
        if let Some(barrier) = self.barrier.take() {
            self.dirty = false;
            return Some(Command::Barrier(barrier));
        }
        if flush == Flush::All && self.dirty && !self.ending {
            self.dirty = false;
            return Some(Command::Flush);
        }
        if flush == Flush::All && self.ending {
            return Some(Command::End);
        }
        None
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        loop {
            if self.closed || self.done() && !self.ending {
                return Poll::Ready(Ok(()));
            }
            self.poll_driver(cx)?;
            if self.closed {
                return Poll::Ready(Ok(()));
            }
            let (idle, enough) =
                self.slot.with(|state| (!state.busy && state.command.is_none(), state.enough));
            if enough {
                self.cancelled.add(self.records.len() as u64);
                self.records.clear();
                self.barrier = None;
            }
            if !idle {
                // While it writes, there may be room for more.
                let room = self.records.len() < self.limit && self.barrier.is_none();
                let satisfied = flush == Flush::Room && room;
                return if satisfied { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            match self.next_command(flush) {
                Some(command) => self.slot.with(|state| state.command = Some(command)),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<T: Send + 'static> Tail<T> for SinkTail<T> {
    #[inline]
    fn push(&mut self, record: Record<T>) -> Flow {
        self.records.push(record);
        if self.records.len() < self.limit { Flow::More } else { Flow::Stop }
    }

    fn resume(&mut self) -> Flow {
        if self.records.len() < self.limit && self.barrier.is_none() {
            Flow::More
        } else {
            Flow::Stop
        }
    }

    fn watermark(&mut self, _watermark: Timestamp) -> Flow {
        Flow::More
    }

    fn idle(&mut self, _idle: bool) {}

    fn timer(&mut self, _now: Instant) -> Flow {
        Flow::More
    }

    fn next_timer(&self) -> Option<Instant> {
        None
    }

    fn waiting(&self) -> bool {
        false
    }

    fn barrier(&mut self, barrier: Barrier) -> Flow {
        self.barrier = Some(barrier);
        Flow::Stop
    }

    fn end(&mut self) -> Flow {
        self.ending = true;
        Flow::More
    }

    fn done(&self) -> bool {
        self.slot.with(|state| state.enough)
    }

    fn take_error(&mut self) -> Option<Error> {
        None
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        self.poll_write(cx, flush)
    }

    fn poll_wanted(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn publish(&mut self) {}
}

impl<T> fmt::Debug for SinkTail<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkTail").field("sink", &self.seat.name()).finish_non_exhaustive()
    }
}
