//! One operator of a running chain, with the rest of the chain behind it.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::task::{Context, Poll, ready};

use crate::batch::Barrier;
use crate::error::{Error, OperatorError};
use crate::metrics::Counting;
use crate::operator::{Collector, Operator};
use crate::record::Record;
use crate::runtime::Seat;
use crate::tail::{Flow, Flush, Tail};
use crate::time::{Instant, Timestamp};

/// An operator, what comes after it, and what it has to hold back while it has output left.
#[derive(Debug)]
pub(crate) struct Link<In, O: Operator<In>, N, M> {
    operator: O,
    next: N,
    seat: Seat,
    /// What an operator emitted although there was no room.
    overflow: VecDeque<Record<O::Out>>,
    held_watermark: Option<Timestamp>,
    held_end: bool,
    error: Option<Error>,
    rejected: u64,
    added: u64,
    marker: PhantomData<fn(In) -> M>,
}

impl<In, O: Operator<In>, N: Tail<O::Out>, M: Counting> Link<In, O, N, M> {
    pub(crate) const fn new(operator: O, next: N, seat: Seat) -> Self {
        Self {
            operator,
            next,
            seat,
            overflow: VecDeque::new(),
            held_watermark: None,
            held_end: false,
            error: None,
            rejected: 0,
            added: 0,
            marker: PhantomData,
        }
    }

    /// Calls a hook. What comes back is `Stop` if anything keeps the next call from being made.
    #[inline]
    fn call(
        &mut self,
        taken: u64,
        hook: impl FnOnce(&mut O, &mut Outlet<'_, O::Out, N>) -> Result<(), OperatorError>,
    ) -> Flow {
        let guard = self.seat.guard();
        let overflow = &mut self.overflow;
        let mut outlet = Outlet {
            next: &mut self.next,
            overflow,
            full: false,
            pushed: 0,
        };
        let result = hook(&mut self.operator, &mut outlet);
        let (full, pushed) = (outlet.full, outlet.pushed);
        guard.disarm();
        if M::BY_OPERATOR {
            // Each is folded away where an operator always emits what it takes.
            self.rejected += taken.saturating_sub(pushed);
            self.added += pushed.saturating_sub(taken);
        }
        if let Err(error) = result {
            return self.fail(error);
        }
        let side_full = self.operator.side().is_some_and(|side| side.is_full());
        if full || side_full || self.operator.pending() {
            Flow::Stop
        } else {
            Flow::More
        }
    }

    #[cold]
    fn fail(&mut self, error: OperatorError) -> Flow {
        self.seat.counters().errors.add(1);
        self.error = Some(Error::operator(self.seat.name(), error));
        Flow::Stop
    }

    /// Brings out what the operator has left, and reports whether it is out.
    fn drain(&mut self) -> Flow {
        if self.error.is_some() || self.next.resume() == Flow::Stop {
            return Flow::Stop;
        }
        if self.next.done() {
            // Nobody wants what is left: neither a held watermark nor the end waits for it.
            self.overflow.clear();
            return Flow::More;
        }
        while let Some(record) = self.overflow.pop_front() {
            if self.next.push(record) == Flow::Stop {
                return Flow::Stop;
            }
        }
        if self.operator.side().is_some_and(|side| side.is_full()) {
            return Flow::Stop;
        }
        if self.operator.pending() {
            if self.operator.waiting() {
                return Flow::Stop;
            }
            return self.call(0, |operator, out| operator.resume(out));
        }
        Flow::More
    }

    fn pass_watermark(&mut self, watermark: Timestamp) -> Flow {
        if let Some(side) = self.operator.side() {
            side.watermark(watermark);
        }
        self.next.watermark(watermark)
    }

    fn pass_end(&mut self) -> Flow {
        if let Some(side) = self.operator.side() {
            side.end();
        }
        self.next.end()
    }
}

impl<In: Send, O: Operator<In>, N: Tail<O::Out>, M: Counting> Tail<In> for Link<In, O, N, M> {
    #[inline]
    fn push(&mut self, record: Record<In>) -> Flow {
        let flow = self.call(1, |operator, out| operator.process(record, out));
        if self.operator.done() {
            Flow::Stop
        } else {
            flow
        }
    }

    fn resume(&mut self) -> Flow {
        if self.drain() == Flow::Stop {
            return Flow::Stop;
        }
        if let Some(watermark) = self.held_watermark.take()
            && self.pass_watermark(watermark) == Flow::Stop
        {
            return Flow::Stop;
        }
        if self.held_end {
            self.held_end = false;
            return self.pass_end();
        }
        Flow::More
    }

    fn watermark(&mut self, watermark: Timestamp) -> Flow {
        if self.operator.done() {
            // As with records: what else is in the batch depends on how the input was cut.
            return Flow::More;
        }
        if self.call(0, |operator, out| operator.on_watermark(watermark, out)) == Flow::Stop {
            self.held_watermark = Some(watermark);
            return Flow::Stop;
        }
        self.pass_watermark(watermark)
    }

    fn idle(&mut self, idle: bool) {
        if let Some(side) = self.operator.side() {
            side.idle(idle);
        }
        self.next.idle(idle);
    }

    fn timer(&mut self, now: Instant) -> Flow {
        // The end of the chain first, so that a timer's output finds nobody busy.
        if self.next.timer(now) == Flow::Stop || self.next.waiting() {
            return Flow::Stop;
        }
        if self.operator.next_timer().is_none_or(|due| due > now) {
            return Flow::More;
        }
        self.call(0, |operator, out| operator.on_timer(now, out))
    }

    fn next_timer(&self) -> Option<Instant> {
        let own = self.operator.next_timer();
        let later = self.next.next_timer();
        own.into_iter().chain(later).min()
    }

    fn waiting(&self) -> bool {
        // What nobody wants any more is not waited for.
        (self.operator.waiting() && !self.next.done()) || self.next.waiting()
    }

    fn barrier(&mut self, barrier: Barrier) -> Flow {
        if let Some(side) = self.operator.side() {
            side.barrier(barrier);
        }
        self.next.barrier(barrier)
    }

    fn end(&mut self) -> Flow {
        // If nobody wants what is left, the end does not wait for it.
        if !self.next.done() && self.call(0, |operator, out| operator.on_end(out)) == Flow::Stop {
            self.held_end = true;
            return Flow::Stop;
        }
        self.pass_end()
    }

    fn done(&self) -> bool {
        self.operator.done() || self.next.done()
    }

    fn take_error(&mut self) -> Option<Error> {
        self.error.take().or_else(|| self.next.take_error())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        let main = self.next.poll_flush(cx, flush)?;
        if let Some(side) = self.operator.side() {
            ready!(side.poll_flush(cx, flush))?;
        }
        main.map(Ok)
    }

    fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.next.poll_wanted(cx)
    }

    fn publish(&mut self) {
        if M::BY_OPERATOR {
            let counters = self.seat.counters();
            counters.filtered.add(std::mem::take(&mut self.rejected));
            counters.added.add(std::mem::take(&mut self.added));
        }
        self.next.publish();
    }
}

/// The collector of a link: passes on while there is room, and keeps what comes after that.
struct Outlet<'a, T, N> {
    next: &'a mut N,
    overflow: &'a mut VecDeque<Record<T>>,
    full: bool,
    pushed: u64,
}

impl<T, N: Tail<T>> Collector<T> for Outlet<'_, T, N> {
    #[inline]
    fn push(&mut self, record: Record<T>) {
        self.pushed += 1;
        if self.full {
            self.overflow.push_back(record);
        } else if self.next.push(record) == Flow::Stop {
            self.full = true;
        }
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.full
    }
}
