//! The tail of a stage that ends in synchronous code: `for_each`, `fold`, `collect`, `count`.

use std::fmt;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use super::{OperatorContext, Run, Seat};
use crate::batch::{Barrier, Batch};
use crate::error::{Error, OperatorError};
use crate::graph::OperatorId;
use crate::record::Record;
use crate::tail::{Flow, Flush, Tail, Way, run_each};
use crate::time::{Instant, Timestamp};

/// The end of a stream in synchronous code.
///
/// As with an operator, a clone is the configuration with blank state, and no hook may block.
/// [`end`](Consumer::end) is called at the end of a complete input only.
pub trait Consumer<T>: Clone + Send + 'static {
    /// Makes ready for a run.
    fn open(&mut self, context: &OperatorContext<'_>) {
        let _ = context;
    }

    /// Takes one record.
    fn consume(&mut self, record: Record<T>) -> Result<(), OperatorError>;

    /// Whether it wants no more.
    #[inline]
    fn done(&self) -> bool {
        false
    }

    /// The input is complete.
    fn end(&mut self) -> Result<(), OperatorError> {
        Ok(())
    }
}

/// A [`Consumer`] at the end of a chain.
pub struct ConsumerTail<T, S> {
    consumer: S,
    seat: Seat,
    consumed: u64,
    error: Option<Error>,
    counts: bool,
    watched: bool,
    marker: PhantomData<fn(T)>,
}

impl<T, S: Consumer<T>> ConsumerTail<T, S> {
    /// The tail for one instance of one run, known to the graph as `operator`.
    #[must_use]
    pub fn new(run: &mut Run<'_>, operator: OperatorId, instance: usize, consumer: &S) -> Self {
        let seat = run.seat(operator, instance);
        let mut consumer = consumer.clone();
        consumer.open(&run.operator_context(&seat));
        let counts = run.counts_by_operator();
        let (consumed, error, watched) = (0, None, false);
        Self { consumer, seat, consumed, error, counts, watched, marker: PhantomData }
    }

    #[inline]
    fn call(&mut self, hook: impl FnOnce(&mut S) -> Result<(), OperatorError>) -> Flow {
        let guard = self.seat.guard();
        let result = hook(&mut self.consumer);
        guard.disarm();
        match result {
            Ok(()) => Flow::More,
            Err(error) => self.fail(error),
        }
    }

    #[cold]
    fn fail(&mut self, error: OperatorError) -> Flow {
        self.seat.counters().errors.add(1);
        self.error = Some(Error::operator(self.seat.name(), error));
        Flow::Stop
    }
}

impl<T: Send, S: Consumer<T>> Tail<T> for ConsumerTail<T, S> {
    #[inline]
    fn push(&mut self, record: Record<T>) -> Flow {
        if self.call(|consumer| consumer.consume(record)) == Flow::Stop {
            return Flow::Stop;
        }
        self.consumed += 1;
        if self.consumer.done() { Flow::Stop } else { Flow::More }
    }

    fn push_apart(&mut self, record: Record<T>) -> Flow {
        if self.watched {
            self.seat.begin_work();
        }
        self.push(record)
    }

    #[inline]
    fn run(&mut self, batch: &mut Batch<T>, limit: usize, spare: &mut Vec<Record<T>>) -> Flow {
        if self.watched {
            return run_each(self, batch, limit, spare, Self::push_apart);
        }
        run_each(self, batch, limit, spare, Self::push)
    }

    fn way(&self) -> Way {
        if self.watched { Way::Apart } else { Way::Straight }
    }

    fn resume(&mut self) -> Flow {
        if self.error.is_some() { Flow::Stop } else { Flow::More }
    }

    fn watermark(&mut self, _watermark: Timestamp) -> Flow {
        Flow::More
    }

    fn idle(&mut self, _idle: bool) -> Flow {
        Flow::More
    }

    fn timer(&mut self, _now: Instant) -> Flow {
        Flow::More
    }

    fn next_timer(&self) -> Option<Instant> {
        None
    }

    fn waiting(&self) -> bool {
        false
    }

    fn barrier(&mut self, _barrier: Barrier) -> Flow {
        Flow::More
    }

    fn end(&mut self) -> Flow {
        if self.watched {
            self.seat.begin_work();
        }
        self.call(S::end)
    }

    fn done(&self) -> bool {
        self.consumer.done()
    }

    fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>, _flush: Flush) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_wanted(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn watch(&mut self, on: bool) {
        self.watched = on && self.counts;
    }

    fn publish(&mut self) {
        self.seat.counters().delivered.add(std::mem::take(&mut self.consumed));
    }
}

impl<T, S> fmt::Debug for ConsumerTail<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerTail").field("sink", &self.seat.name()).finish_non_exhaustive()
    }
}
