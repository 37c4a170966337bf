//! One operator of a running chain, with the rest of the chain behind it.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::task::{Context, Poll, ready};

use crate::batch::{Barrier, Batch};
use crate::error::{Error, OperatorError};
use crate::graph::OperatorId;
use crate::metrics::Counting;
use crate::operator::{Collector, Operator};
use crate::record::Record;
use crate::runtime::Seat;
use crate::state::StateWriter;
use crate::tail::{Flow, Flush, Tail, run_each};
use crate::time::{Instant, Timestamp};

/// An operator, what comes after it, and what it has to hold back while it has output left.
#[derive(Debug)]
pub(crate) struct Link<In, O: Operator<In>, N, M> {
    operator: O,
    next: N,
    /// What an operator emitted although there was no room.
    overflow: VecDeque<Record<O::Out>>,
    state: LinkState,
    marker: PhantomData<fn(In) -> M>,
}

/// The part of a link that knows none of its types, and so is compiled once and not once a link.
#[derive(Debug)]
struct LinkState {
    seat: Seat,
    held_watermark: Option<Timestamp>,
    held_idle: bool,
    held_barrier: Option<Barrier>,
    held_end: bool,
    /// Of an operator that sets the time: whether its input is idle, and what everybody behind it
    /// has been told.
    input_idle: bool,
    idle_told: bool,
    error: Option<Error>,
    /// Whether to say who is at work.
    watched: bool,
    rejected: u64,
    added: u64,
}

impl LinkState {
    const fn new(seat: Seat) -> Self {
        Self {
            seat,
            held_watermark: None,
            held_idle: false,
            held_barrier: None,
            held_end: false,
            input_idle: false,
            idle_told: false,
            error: None,
            watched: false,
            rejected: 0,
            added: 0,
        }
    }

    #[cold]
    #[inline(never)]
    fn fail(&mut self, error: OperatorError) {
        self.seat.counters().errors.add(1);
        self.error = Some(Error::operator(self.seat.name(), error));
    }

    fn publish(&mut self) {
        let counters = self.seat.counters();
        counters.filtered.add(std::mem::take(&mut self.rejected));
        counters.added.add(std::mem::take(&mut self.added));
    }
}

impl<In, O: Operator<In>, N: Tail<O::Out>, M: Counting> Link<In, O, N, M> {
    pub(crate) const fn new(operator: O, next: N, seat: Seat) -> Self {
        Self {
            operator,
            next,
            overflow: VecDeque::new(),
            state: LinkState::new(seat),
            marker: PhantomData,
        }
    }

    // Always: in the loop over a batch, what a call costs would be a good part of a cheap operator.
    #[allow(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn process<const WATCHED: bool>(&mut self, record: Record<In>) -> Flow {
        if O::SETS_TIME {
            // Before the record, so that it counts from here on.
            if self.state.input_idle || self.state.idle_told {
                self.end_idleness();
            }
        }
        let flow = self.call::<WATCHED>(1, |operator, out| operator.process(record, out));
        if !O::STATELESS && self.operator.done() { Flow::Stop } else { flow }
    }

    /// Calls a hook other than `process`.
    fn call_hook(&mut self, hook: Hook) -> Flow {
        if M::BY_OPERATOR && self.state.watched {
            return self.call::<true>(0, |operator, out| hook.call(operator, out));
        }
        self.call::<false>(0, |operator, out| hook.call(operator, out))
    }

    /// Calls a hook. What comes back is `Stop` if anything keeps the next call from being made.
    ///
    /// Whether it is watched is known to the compiler: asking for each record costs as much as a
    /// cheap operator does.
    #[inline]
    fn call<const WATCHED: bool>(
        &mut self,
        taken: u64,
        hook: impl FnOnce(&mut O, &mut Outlet<'_, O::Out, N, M, WATCHED>) -> Hooked,
    ) -> Flow {
        let guard = self.state.seat.guard();
        if WATCHED {
            self.state.seat.begin_work();
        }
        let mut outlet = Outlet {
            // A plain function has nothing to do behind what it emits.
            watched: (WATCHED && !O::STATELESS).then_some(&self.state.seat),
            next: &mut self.next,
            overflow: &mut self.overflow,
            full: false,
            pushed: 0,
            taken,
            rejected: &mut self.state.rejected,
            added: &mut self.state.added,
            marker: PhantomData::<M>,
        };
        let result = hook(&mut self.operator, &mut outlet);
        let full = outlet.full;
        drop(outlet);
        guard.disarm();
        if let Err(error) = result {
            self.state.fail(error);
            return Flow::Stop;
        }
        if O::STATELESS {
            if full && !self.overflow.is_empty() {
                self.state.fail(EmittedTwice.into());
            }
            return if full { Flow::Stop } else { Flow::More };
        }
        let side_full = self.operator.side().is_some_and(|side| side.is_full());
        let stopped = full || side_full || self.operator.pending();
        let flow = if stopped { Flow::Stop } else { Flow::More };
        if O::SETS_TIME { self.tell_time(flow) } else { flow }
    }

    /// Passes on what an operator that sets the time says of it, behind what it has emitted.
    #[inline]
    fn tell_time(&mut self, flow: Flow) -> Flow {
        let watermark = self.operator.watermark();
        if watermark.is_none()
            && self.state.held_watermark.is_none()
            && self.is_idle() == self.state.idle_told
        {
            return flow;
        }
        self.tell_news(watermark, flow)
    }

    fn tell_news(&mut self, watermark: Option<Timestamp>, flow: Flow) -> Flow {
        let watermark = watermark.max(self.state.held_watermark.take());
        if flow == Flow::Stop {
            self.state.held_watermark = watermark;
            return flow;
        }
        // Who counts again does so before its watermark is looked at.
        if !self.is_idle() {
            let (Flow::More | Flow::Stop) = self.tell_idle(false);
        }
        let flow = watermark.map_or(Flow::More, |watermark| self.pass_watermark(watermark));
        if flow == Flow::More { self.tell_idle(self.is_idle()) } else { flow }
    }

    /// Of one that sets the time: its input need not be idle for it to be, but is enough.
    fn is_idle(&self) -> bool {
        self.operator.idle() || self.state.input_idle
    }

    #[cold]
    fn end_idleness(&mut self) {
        self.state.input_idle = false;
        let (Flow::More | Flow::Stop) = self.tell_idle(false);
    }

    /// Of one that sets the time. That it is no longer idle never stops anybody: no operator is
    /// asked about it.
    fn tell_idle(&mut self, idle: bool) -> Flow {
        if self.state.idle_told == idle {
            return Flow::More;
        }
        self.state.idle_told = idle;
        self.pass_idle(idle)
    }

    fn input_idle(&mut self, idle: bool) -> Flow {
        if O::SETS_TIME {
            self.state.input_idle = idle;
            return self.tell_idle(self.is_idle());
        }
        self.pass_idle(idle)
    }

    fn pass_idle(&mut self, idle: bool) -> Flow {
        if let Some(side) = self.operator.side() {
            side.idle(idle);
        }
        self.next.idle(idle)
    }

    /// Brings out what the operator has left, and reports whether it is out.
    fn drain(&mut self) -> Flow {
        if self.state.error.is_some() || self.next.resume() == Flow::Stop {
            return Flow::Stop;
        }
        if O::STATELESS {
            return Flow::More;
        }
        if self.next.done() {
            // Nobody wants what is left: neither a held watermark nor the end waits for it.
            self.state.rejected += self.overflow.len() as u64;
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
            return self.call_hook(Hook::Resume);
        }
        Flow::More
    }

    fn pass_watermark(&mut self, watermark: Timestamp) -> Flow {
        if let Some(side) = self.operator.side() {
            side.watermark(watermark);
        }
        self.next.watermark(watermark)
    }

    fn pass_barrier(&mut self, barrier: Barrier) -> Flow {
        let write = |state: &mut StateWriter| self.operator.snapshot(state);
        let written = self.state.seat.snapshot(barrier, O::NAME, O::STATE_VERSION, write);
        if let Err(error) = written {
            self.state.fail(error.into());
            return Flow::Stop;
        }
        let mut side_full = false;
        if let Some(side) = self.operator.side() {
            side.barrier(barrier);
            // A barrier that has not gone out yet must not be overtaken by the next record.
            side_full = side.is_full();
        }
        let flow = self.next.barrier(barrier);
        if side_full { Flow::Stop } else { flow }
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
        self.process::<false>(record)
    }

    // One piece of code for each link, wherever it is called from, and none where nobody counts.
    #[inline(never)]
    fn push_watched(&mut self, record: Record<In>) -> Flow {
        if M::BY_OPERATOR { self.process::<true>(record) } else { self.push(record) }
    }

    #[inline]
    fn run(&mut self, batch: &mut Batch<In>, limit: usize, spare: &mut Vec<Record<In>>) -> Flow {
        if M::BY_OPERATOR && self.state.watched {
            return run_each(self, batch, limit, spare, Self::push_watched);
        }
        run_each(self, batch, limit, spare, Self::process::<false>)
    }

    fn resume(&mut self) -> Flow {
        let flow = self.drain();
        if O::STATELESS || flow == Flow::Stop {
            return flow;
        }
        if let Some(watermark) = self.state.held_watermark.take()
            && self.pass_watermark(watermark) == Flow::Stop
        {
            return Flow::Stop;
        }
        if std::mem::take(&mut self.state.held_idle) && self.input_idle(true) == Flow::Stop {
            return Flow::Stop;
        }
        if O::SETS_TIME && self.tell_idle(self.is_idle()) == Flow::Stop {
            return Flow::Stop;
        }
        if let Some(barrier) = self.state.held_barrier.take() {
            return self.pass_barrier(barrier);
        }
        if self.state.held_end {
            self.state.held_end = false;
            return self.pass_end();
        }
        Flow::More
    }

    fn watermark(&mut self, watermark: Timestamp) -> Flow {
        if O::STATELESS {
            return self.next.watermark(watermark);
        }
        if self.operator.done() {
            // As with records: what else is in the batch depends on how the input was cut.
            return Flow::More;
        }
        let flow = self.call_hook(Hook::Watermark(watermark));
        if O::SETS_TIME {
            return flow;
        }
        if flow == Flow::Stop {
            self.state.held_watermark = Some(watermark);
            return Flow::Stop;
        }
        self.pass_watermark(watermark)
    }

    fn idle(&mut self, idle: bool) -> Flow {
        if O::STATELESS {
            return self.next.idle(idle);
        }
        if idle && !self.next.done() && self.call_hook(Hook::Idle) == Flow::Stop {
            self.state.held_idle = true;
            return Flow::Stop;
        }
        self.input_idle(idle)
    }

    fn timer(&mut self, now: Instant) -> Flow {
        if O::STATELESS {
            return self.next.timer(now);
        }
        // The end of the chain first, so that a timer's output finds nobody busy.
        if self.next.timer(now) == Flow::Stop || self.next.waiting() {
            return Flow::Stop;
        }
        if self.operator.next_timer().is_none_or(|due| due > now) {
            return Flow::More;
        }
        self.call_hook(Hook::Timer(now))
    }

    fn next_timer(&self) -> Option<Instant> {
        if O::STATELESS {
            return self.next.next_timer();
        }
        let later = self.next.next_timer();
        if self.next.waiting() {
            // No timer before that one can fire, and a due one would only keep the stage awake.
            return later;
        }
        self.operator.next_timer().into_iter().chain(later).min()
    }

    fn waiting(&self) -> bool {
        if O::STATELESS {
            return self.next.waiting();
        }
        // What nobody wants any more is not waited for.
        (self.operator.waiting() && !self.next.done()) || self.next.waiting()
    }

    fn holder(&self) -> Option<OperatorId> {
        // The end of the chain first, as with timers.
        let waits = !O::STATELESS && self.operator.waiting() && !self.next.done();
        self.next.holder().or_else(|| waits.then(|| self.state.seat.id()))
    }

    fn barrier(&mut self, barrier: Barrier) -> Flow {
        if O::STATELESS {
            return self.next.barrier(barrier);
        }
        if !self.next.done() && self.call_hook(Hook::Barrier) == Flow::Stop {
            self.state.held_barrier = Some(barrier);
            return Flow::Stop;
        }
        self.pass_barrier(barrier)
    }

    fn end(&mut self) -> Flow {
        if O::STATELESS {
            return self.next.end();
        }
        // If nobody wants what is left, the end does not wait for it.
        if !self.next.done() && self.call_hook(Hook::End) == Flow::Stop {
            self.state.held_end = true;
            return Flow::Stop;
        }
        self.pass_end()
    }

    fn done(&self) -> bool {
        if O::STATELESS {
            return self.next.done();
        }
        self.operator.done() || self.next.done()
    }

    fn take_error(&mut self) -> Option<Error> {
        match self.state.error.take() {
            None => self.next.take_error(),
            error => error,
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        if O::STATELESS {
            return self.next.poll_flush(cx, flush);
        }
        let main = self.next.poll_flush(cx, flush)?;
        let guard = self.state.seat.guard();
        let looked = self.operator.poll_outside(cx);
        guard.disarm();
        if let Err(error) = looked {
            self.state.fail(error);
            return Poll::Ready(Err(self.state.error.take().unwrap_or_else(Error::aborted)));
        }
        if let Some(side) = self.operator.side() {
            ready!(side.poll_flush(cx, flush))?;
        }
        main.map(Ok)
    }

    fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.next.poll_wanted(cx)
    }

    fn watch(&mut self, on: bool) {
        if M::BY_OPERATOR {
            self.state.watched = on;
        }
        self.next.watch(on);
    }

    fn publish(&mut self) {
        if M::BY_OPERATOR {
            self.state.publish();
        }
        self.next.publish();
    }
}

/// What a hook answers.
type Hooked = Result<(), OperatorError>;

/// The hooks that are called less often than once a record.
#[derive(Clone, Copy)]
enum Hook {
    Resume,
    Watermark(Timestamp),
    Timer(Instant),
    Idle,
    Barrier,
    End,
}

impl Hook {
    fn call<In, O: Operator<In>>(
        self,
        operator: &mut O,
        out: &mut impl Collector<O::Out>,
    ) -> Result<(), OperatorError> {
        match self {
            Self::Resume => operator.resume(out),
            Self::Watermark(watermark) => operator.on_watermark(watermark, out),
            Self::Timer(now) => operator.on_timer(now, out),
            Self::Idle => operator.before_idle(out),
            Self::Barrier => operator.before_barrier(out),
            Self::End => operator.on_end(out),
        }
    }
}

/// An operator emitted more than it had said it would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it emitted more than one record at once, and its `STATELESS` says it doesn't")]
struct EmittedTwice;

/// The collector of a link: passes on while there is room, and keeps what comes after that.
struct Outlet<'a, T, N, M: Counting, const WATCHED: bool> {
    watched: Option<&'a Seat>,
    next: &'a mut N,
    overflow: &'a mut VecDeque<Record<T>>,
    full: bool,
    pushed: u64,
    taken: u64,
    rejected: &'a mut u64,
    added: &'a mut u64,
    marker: PhantomData<M>,
}

/// Counts when the hook is over, be it by a panic.
impl<T, N, M: Counting, const WATCHED: bool> Drop for Outlet<'_, T, N, M, WATCHED> {
    #[inline]
    fn drop(&mut self) {
        if M::BY_OPERATOR {
            // Tested rather than always added, so that the common way through stays free of stores.
            if self.pushed < self.taken {
                *self.rejected += self.taken - self.pushed;
            } else if self.pushed > self.taken {
                *self.added += self.pushed - self.taken;
            }
        }
    }
}

impl<T, N: Tail<T>, M: Counting, const WATCHED: bool> Collector<T>
    for Outlet<'_, T, N, M, WATCHED>
{
    #[inline]
    fn push(&mut self, record: Record<T>) {
        self.pushed += 1;
        if self.full {
            self.overflow.push_back(record);
            return;
        }
        let flow = if WATCHED { self.next.push_watched(record) } else { self.next.push(record) };
        self.full = flow == Flow::Stop;
        if WATCHED && let Some(seat) = self.watched {
            seat.begin_work();
        }
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.full
    }
}
