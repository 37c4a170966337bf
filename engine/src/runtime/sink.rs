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
    /// The sink has to be flushed before it gets another record: there is a barrier, or the time
    /// for which it wanted to collect is over.
    flushing: bool,
    /// The barrier that it has to be told of then.
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
    /// Until when the sink wants to collect, as it said after its last call.
    flush_due: Option<Instant>,
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
                state.flush_due = None;
                Poll::Ready(command)
            }
            None => Poll::Pending,
        };
        std::future::poll_fn(|_| self.with(next)).await
    }
}

/// What a sink has been given and what became of it, so that each record is counted once, when
/// that is known.
struct Deliveries {
    seat: Seat,
    taken: u64,
    counted: u64,
}

impl Deliveries {
    fn count(&mut self, taken: usize, held: usize) {
        let counters = self.seat.counters();
        self.taken += taken as u64;
        let dropped = counters.drops().total();
        let delivered = self.taken.saturating_sub(held as u64 + dropped);
        counters.delivered.add(delivered.saturating_sub(self.counted));
        self.counted = self.counted.max(delivered);
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
    let mut deliveries = Deliveries { seat, taken: 0, counted: 0 };
    loop {
        let flush_due = sink.flush_due();
        slot.with(|state| {
            state.busy = false;
            state.flush_due = flush_due;
        });
        match slot.command().await {
            Command::Write(mut records) => {
                let offered = records.len();
                let status = sink.write(&mut records).await?;
                let left = if status == SinkStatus::Enough { records.len() } else { 0 };
                deliveries.count(offered - left, sink.held());
                cancelled.add(left as u64);
                records.clear();
                slot.with(|state| {
                    state.spare = records;
                    state.enough |= status == SinkStatus::Enough;
                });
            }
            Command::Flush => {
                sink.flush().await?;
                deliveries.count(0, sink.held());
            }
            Command::Barrier(barrier) => {
                sink.barrier(barrier).await?;
                deliveries.count(0, sink.held());
            }
            Command::End => {
                let committable = sink.prepare().await?;
                deliveries.count(0, sink.held());
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
    pub fn new(
        run: &mut Run<'_>,
        operator: OperatorId,
        instance: usize,
        factory: &impl SinkFactory<Sink: Sink<Item = T>>,
    ) -> Result<Self, Error> {
        let seat = run.seat(operator, instance);
        let created = factory.create(instance);
        let sink = created.map_err(|error| Error::operator(seat.name(), error))?;
        let context = SinkContext::of(run.clock(), &seat, run.random(&seat));
        let state = SlotState {
            command: None,
            busy: false,
            enough: false,
            flush_due: None,
            spare: Vec::new(),
        };
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
            flushing: false,
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
        let full = self.records.len() >= self.limit || self.flushing;
        if !self.records.is_empty() && (full || flush == Flush::All) {
            self.dirty = true;
            let spare = self.slot.with(|state| std::mem::take(&mut state.spare));
            return Some(Command::Write(std::mem::replace(&mut self.records, spare)));
        }
        if let Some(barrier) = self.barrier.take() {
            self.flushing = false;
            self.dirty = false;
            return Some(Command::Barrier(barrier));
        }
        let rests = flush == Flush::All && self.dirty && !self.ending;
        let collects = || self.slot.with(|state| state.flush_due.is_some());
        if std::mem::take(&mut self.flushing) || (rests && !collects()) {
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
                self.flushing = false;
                self.barrier = None;
            }
            if !idle {
                // While it writes, there may be room for more.
                let room = self.records.len() < self.limit && !self.flushing;
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
        if self.records.len() < self.limit && !self.flushing { Flow::More } else { Flow::Stop }
    }

    fn watermark(&mut self, _watermark: Timestamp) -> Flow {
        Flow::More
    }

    fn idle(&mut self, _idle: bool) -> Flow {
        Flow::More
    }

    fn timer(&mut self, now: Instant) -> Flow {
        if self.next_timer().is_none_or(|due| due > now) {
            return Flow::More;
        }
        self.flushing = true;
        Flow::Stop
    }

    fn next_timer(&self) -> Option<Instant> {
        if self.flushing || self.ending {
            return None;
        }
        self.slot.with(|state| state.flush_due)
    }

    fn waiting(&self) -> bool {
        false
    }

    fn barrier(&mut self, barrier: Barrier) -> Flow {
        self.barrier = Some(barrier);
        self.flushing = true;
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
