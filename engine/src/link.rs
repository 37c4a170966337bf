//! One operator of a running chain, with the rest of the chain behind it.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::task::{Context, Poll, ready};

use crate::batch::{Barrier, Batch};
use crate::error::{Error, OperatorError};
use crate::graph::OperatorId;
use crate::link_state::LinkState;
use crate::operator::{Collector, Operator};
use crate::path::{Apart, Counted, Path, Straight};
use crate::record::Record;
use crate::state::StateWriter;
use crate::tail::{Flow, Flush, Tail, Way, run_mapped};
use crate::time::{Instant, Timestamp};

/// An operator, what comes after it, and what it has to hold back while it has output left.
#[derive(Debug)]
pub(crate) struct Link<In, O: Operator<In>, N> {
    operator: O,
    onward: Onward<N, O::Out>,
    marker: PhantomData<fn(In)>,
}

/// What comes after an operator. It is in one piece, so that a collector is a pointer to it and no
/// more: what it has besides would be stored for each record.
#[derive(Debug)]
struct Onward<N, T> {
    next: N,
    /// What an operator emitted although there was no room.
    overflow: VecDeque<Record<T>>,
    state: LinkState,
}

impl<N, T> Onward<N, T> {
    /// Keeps what was emitted although there was no room.
    #[cold]
    #[inline(never)]
    fn keep(&mut self, record: Record<T>) {
        self.overflow.push_back(record);
    }

    /// Says who is at work, where somebody wants to know. On the other ways nobody does, and that
    /// is known to the compiler: asking for each record costs as much as a cheap operator does.
    #[inline]
    fn begin_work<P: Path>(&self) {
        if P::ASKS && self.state.watched {
            self.state.begin_work();
        }
    }
}

impl<In, O: Operator<In>, N: Tail<O::Out>> Link<In, O, N> {
    #[inline]
    pub(crate) const fn new(operator: O, next: N, state: LinkState) -> Self {
        let onward = Onward { next, overflow: VecDeque::new(), state };
        Self { operator, onward, marker: PhantomData }
    }

    // Always: in the loop over a batch, what a call costs would be a good part of a cheap operator.
    #[allow(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn process<P: Path>(&mut self, record: Record<In>) -> Flow {
        if O::SETS_TIME && !self.onward.state.calm {
            // Before the record, so that it counts from here on.
            self.end_idleness();
        }
        let mut outlet = Outlet::<_, _, P>::open(&mut self.onward, 1);
        let result = self.operator.process(record, &mut outlet);
        let full = outlet.close();
        let flow = self.settle(result, full);
        if !O::STATELESS && self.operator.done() { Flow::Stop } else { flow }
    }

    /// Calls a hook other than `process`.
    fn call(&mut self, hook: Hook) -> Flow {
        let mut outlet = Outlet::<_, _, Apart>::open(&mut self.onward, 0);
        let result = match hook {
            Hook::Resume => self.operator.resume(&mut outlet),
            Hook::Watermark(watermark) => self.operator.on_watermark(watermark, &mut outlet),
            Hook::Timer(now) => self.operator.on_timer(now, &mut outlet),
            Hook::Idle => self.operator.before_idle(&mut outlet),
            Hook::Barrier => self.operator.before_barrier(&mut outlet),
            Hook::End => self.operator.on_end(&mut outlet),
        };
        let full = outlet.close();
        self.settle(result, full)
    }

    /// What follows from a hook: `Stop` if anything keeps the next one from being called.
    #[inline]
    fn settle(&mut self, result: Result<(), OperatorError>, full: bool) -> Flow {
        if let Err(error) = result {
            self.onward.state.fail(error);
            return Flow::Stop;
        }
        if O::STATELESS {
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
        if watermark.is_none() && self.onward.state.calm && !self.operator.idle() {
            return flow;
        }
        let flow = self.tell_news(watermark, flow);
        self.onward.state.note_calm();
        flow
    }

    fn tell_news(&mut self, watermark: Option<Timestamp>, flow: Flow) -> Flow {
        let watermark = watermark.max(self.onward.state.held.watermark.take());
        if flow == Flow::Stop {
            self.onward.state.held.watermark = watermark;
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
        self.operator.idle() || self.onward.state.held.input_idle
    }

    #[cold]
    fn end_idleness(&mut self) {
        self.onward.state.held.input_idle = false;
        let (Flow::More | Flow::Stop) = self.tell_idle(false);
        self.onward.state.note_calm();
    }

    /// Of one that sets the time. That it is no longer idle never stops anybody: no operator is
    /// asked about it.
    fn tell_idle(&mut self, idle: bool) -> Flow {
        if self.onward.state.held.idle_told == idle {
            return Flow::More;
        }
        self.onward.state.held.idle_told = idle;
        self.pass_idle(idle)
    }

    fn input_idle(&mut self, idle: bool) -> Flow {
        if !O::SETS_TIME {
            return self.pass_idle(idle);
        }
        self.onward.state.held.input_idle = idle;
        let flow = self.tell_idle(self.is_idle());
        self.onward.state.note_calm();
        flow
    }

    fn pass_idle(&mut self, idle: bool) -> Flow {
        if let Some(side) = self.operator.side() {
            side.idle(idle);
        }
        self.onward.next.idle(idle)
    }

    /// Brings out what the operator has left, and reports whether it is out.
    fn drain(&mut self) -> Flow {
        if self.onward.state.has_failed() || self.onward.next.resume() == Flow::Stop {
            return Flow::Stop;
        }
        if O::STATELESS {
            return Flow::More;
        }
        if self.onward.next.done() {
            // Nobody wants what is left: neither a held watermark nor the end waits for it.
            self.onward.state.rejected += self.onward.overflow.len() as u64;
            self.onward.overflow.clear();
            return Flow::More;
        }
        while let Some(record) = self.onward.overflow.pop_front() {
            if self.onward.next.push_apart(record) == Flow::Stop {
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
            return self.call(Hook::Resume);
        }
        Flow::More
    }

    fn pass_watermark(&mut self, watermark: Timestamp) -> Flow {
        if let Some(side) = self.operator.side() {
            side.watermark(watermark);
        }
        self.onward.next.watermark(watermark)
    }

    fn pass_barrier(&mut self, barrier: Barrier) -> Flow {
        let write = |state: &mut StateWriter| self.operator.snapshot(state);
        let seat = &self.onward.state.held.seat;
        if let Err(error) = seat.snapshot(barrier, O::NAME, O::STATE_VERSION, write) {
            self.onward.state.fail(error.into());
            return Flow::Stop;
        }
        let mut side_full = false;
        if let Some(side) = self.operator.side() {
            side.barrier(barrier);
            // A barrier that has not gone out yet must not be overtaken by the next record.
            side_full = side.is_full();
        }
        let flow = self.onward.next.barrier(barrier);
        if side_full { Flow::Stop } else { flow }
    }

    fn pass_end(&mut self) -> Flow {
        if let Some(side) = self.operator.side() {
            side.end();
        }
        self.onward.next.end()
    }
}

impl<In: Send, O: Operator<In>, N: Tail<O::Out>> Tail<In> for Link<In, O, N> {
    #[inline]
    fn push(&mut self, record: Record<In>) -> Flow {
        self.process::<Straight>(record)
    }

    #[inline]
    fn push_counted(&mut self, record: Record<In>) -> Flow {
        self.process::<Counted>(record)
    }

    // One piece of code for each link, wherever it is called from.
    #[inline(never)]
    fn push_apart(&mut self, record: Record<In>) -> Flow {
        self.process::<Apart>(record)
    }

    #[inline]
    fn run(&mut self, batch: &mut Batch<In>, limit: usize, spare: &mut Vec<Record<In>>) -> Flow {
        if O::MAPS
            && !self.onward.state.watched
            && batch.marks.is_empty()
            && batch.records.len() <= limit
        {
            let Self { operator, onward: Onward { next, state, .. }, .. } = self;
            let flow = run_mapped(next, batch, spare, |records, out| {
                let guard = state.held.seat.guard();
                operator.map_all(records, out);
                guard.disarm();
            });
            if flow == Flow::Stop || batch.records.is_empty() {
                return flow;
            }
        }
        self.run_along(batch, limit, spare)
    }

    #[inline]
    fn prefetch(&self, upcoming: &[Record<In>]) -> usize {
        self.operator.prefetch(upcoming)
    }

    fn way(&self) -> Way {
        match &self.onward.state {
            state if state.watched => Way::Apart,
            state if state.counts => Way::Counted,
            _ => Way::Straight,
        }
    }

    fn resume(&mut self) -> Flow {
        let flow = self.drain();
        if O::STATELESS || flow == Flow::Stop {
            return flow;
        }
        if let Some(watermark) = self.onward.state.held.watermark.take()
            && self.pass_watermark(watermark) == Flow::Stop
        {
            return Flow::Stop;
        }
        if std::mem::take(&mut self.onward.state.held.idle) && self.input_idle(true) == Flow::Stop {
            return Flow::Stop;
        }
        if O::SETS_TIME {
            let flow = self.tell_idle(self.is_idle());
            self.onward.state.note_calm();
            if flow == Flow::Stop {
                return Flow::Stop;
            }
        }
        if let Some(barrier) = self.onward.state.held.barrier.take() {
            return self.pass_barrier(barrier);
        }
        if self.onward.state.held.end {
            self.onward.state.held.end = false;
            return self.pass_end();
        }
        Flow::More
    }

    fn watermark(&mut self, watermark: Timestamp) -> Flow {
        if O::STATELESS {
            return self.onward.next.watermark(watermark);
        }
        if self.operator.done() {
            // As with records: what else is in the batch depends on how the input was cut.
            return Flow::More;
        }
        let flow = self.call(Hook::Watermark(watermark));
        if O::SETS_TIME {
            return flow;
        }
        if flow == Flow::Stop {
            self.onward.state.held.watermark = Some(watermark);
            return Flow::Stop;
        }
        self.pass_watermark(watermark)
    }

    fn idle(&mut self, idle: bool) -> Flow {
        if O::STATELESS {
            return self.onward.next.idle(idle);
        }
        if idle && !self.onward.next.done() && self.call(Hook::Idle) == Flow::Stop {
            self.onward.state.held.idle = true;
            return Flow::Stop;
        }
        self.input_idle(idle)
    }

    fn timer(&mut self, now: Instant) -> Flow {
        if O::STATELESS {
            return self.onward.next.timer(now);
        }
        // The end of the chain first, so that a timer's output finds nobody busy.
        if self.onward.next.timer(now) == Flow::Stop || self.onward.next.waiting() {
            return Flow::Stop;
        }
        if self.operator.next_timer().is_none_or(|due| due > now) {
            return Flow::More;
        }
        self.call(Hook::Timer(now))
    }

    fn next_timer(&self) -> Option<Instant> {
        if O::STATELESS {
            return self.onward.next.next_timer();
        }
        let later = self.onward.next.next_timer();
        if self.onward.next.waiting() {
            // No timer before that one can fire, and a due one would only keep the stage awake.
            return later;
        }
        self.operator.next_timer().into_iter().chain(later).min()
    }

    fn waiting(&self) -> bool {
        if O::STATELESS {
            return self.onward.next.waiting();
        }
        // What nobody wants any more is not waited for.
        (self.operator.waiting() && !self.onward.next.done()) || self.onward.next.waiting()
    }

    fn holder(&self) -> Option<OperatorId> {
        if O::STATELESS {
            return self.onward.next.holder();
        }
        // The end of the chain first, as with timers.
        let waits = self.operator.waiting() && !self.onward.next.done();
        self.onward.next.holder().or_else(|| waits.then(|| self.onward.state.held.seat.id()))
    }

    fn barrier(&mut self, barrier: Barrier) -> Flow {
        if O::STATELESS {
            return self.onward.next.barrier(barrier);
        }
        if !self.onward.next.done() && self.call(Hook::Barrier) == Flow::Stop {
            self.onward.state.held.barrier = Some(barrier);
            return Flow::Stop;
        }
        self.pass_barrier(barrier)
    }

    fn end(&mut self) -> Flow {
        if O::STATELESS {
            return self.onward.next.end();
        }
        // If nobody wants what is left, the end does not wait for it.
        if !self.onward.next.done() && self.call(Hook::End) == Flow::Stop {
            self.onward.state.held.end = true;
            return Flow::Stop;
        }
        self.pass_end()
    }

    fn done(&self) -> bool {
        if O::STATELESS {
            return self.onward.next.done();
        }
        self.operator.done() || self.onward.next.done()
    }

    fn take_error(&mut self) -> Option<Error> {
        // Looked for here, and not for each record: that costs as much as a cheap operator does.
        if O::STATELESS && !self.onward.overflow.is_empty() {
            self.onward.overflow.clear();
            self.onward.state.fail(EmittedTwice.into());
        }
        if self.onward.state.has_failed() {
            return self.onward.state.take_error();
        }
        self.onward.next.take_error()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        if O::STATELESS {
            return self.onward.next.poll_flush(cx, flush);
        }
        let main = self.onward.next.poll_flush(cx, flush)?;
        let guard = self.onward.state.held.seat.guard();
        let looked = self.operator.poll_outside(cx);
        guard.disarm();
        if let Err(error) = looked {
            self.onward.state.fail(error);
            let error = self.onward.state.take_error();
            return Poll::Ready(Err(error.unwrap_or_else(Error::aborted)));
        }
        if let Some(side) = self.operator.side() {
            ready!(side.poll_flush(cx, flush))?;
        }
        main.map(Ok)
    }

    fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.onward.next.poll_wanted(cx)
    }

    fn watch(&mut self, on: bool) {
        self.onward.state.watched = on && self.onward.state.counts;
        self.onward.next.watch(on);
    }

    fn publish(&mut self) {
        if self.onward.state.counts {
            self.onward.state.publish();
        }
        self.onward.next.publish();
    }
}

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

/// An operator emitted more than it had said it would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it emitted more than one record at once, and its `STATELESS` says it doesn't")]
struct EmittedTwice;

/// The collector of a link: passes on while there is room, and keeps what comes after that.
struct Outlet<'a, N, T, P> {
    onward: &'a mut Onward<N, T>,
    full: bool,
    /// Of a hook that took a record, and not yet gave one: where that is counted.
    owed: i64,
    marker: PhantomData<P>,
}

impl<'a, N, T, P: Path> Outlet<'a, N, T, P> {
    /// Begins a call in which `taken` records are taken.
    #[inline]
    fn open(onward: &'a mut Onward<N, T>, taken: i64) -> Self {
        onward.begin_work::<P>();
        Self { onward, full: false, owed: taken, marker: PhantomData }
    }
}

impl<N, T, P: Path> Outlet<'_, N, T, P> {
    /// Ends the call, and tells whether there is no room any more.
    #[inline]
    fn close(self) -> bool {
        let full = self.full;
        if P::COUNTS {
            self.onward.state.count(self.owed);
        }
        std::mem::forget(self);
        full
    }
}

/// Only while unwinding.
impl<N, T, P> Drop for Outlet<'_, N, T, P> {
    #[inline]
    fn drop(&mut self) {
        self.onward.state.abandon(self.owed);
    }
}

impl<N: Tail<T>, T, P: Path> Collector<T> for Outlet<'_, N, T, P> {
    #[inline]
    fn push(&mut self, record: Record<T>) {
        if P::COUNTS {
            self.owed -= 1;
        }
        if self.full {
            return self.onward.keep(record);
        }
        self.full = P::push(&mut self.onward.next, record) == Flow::Stop;
        self.onward.begin_work::<P>();
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.full
    }
}
