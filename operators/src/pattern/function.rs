//! The function over keyed records that looks for a pattern.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use millstream_engine::batch::Barrier;
use millstream_engine::graph::{Blueprint, OperatorId};
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::operator::{Collector, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::tail::Flush;
use millstream_engine::time::Timestamp;
use millstream_engine::{Error, OperatorError, Record};

use super::automaton::{Automaton, Place};
use super::matching::{Known, Listener};
use super::{Match, PatternState};
use crate::fan::{SidePort, SideTag};
use crate::keyed::process::{KeyContext, ProcessFunction, Timer};

/// The function behind [`PatternStream::select`](super::PatternStream::select).
pub struct PatternFunction<T, F> {
    automaton: Automaton<T>,
    select: F,
    sides: Sides<T>,
    known: Known,
    counters: Arc<OperatorCounters>,
}

impl<T, F> PatternFunction<T, F> {
    pub(super) fn new(automaton: Automaton<T>, select: F, sides: Sides<T>) -> Self {
        let (known, counters) = (Known::default(), Arc::default());
        Self { automaton, select, sides, known, counters }
    }
}

impl<T: Send + 'static, F: Clone> Clone for PatternFunction<T, F> {
    fn clone(&self) -> Self {
        Self::new(self.automaton.clone(), self.select.clone(), self.sides.clone())
    }
}

impl<T, F> fmt::Debug for PatternFunction<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = &self.automaton.names;
        f.debug_struct("PatternFunction").field("steps", steps).finish_non_exhaustive()
    }
}

type Kept<'a, K, T> = KeyContext<'a, K, PatternState<T>>;

impl<K, T, U, F> ProcessFunction<K, T> for PatternFunction<T, F>
where
    K: Eq + Clone,
    T: Send + 'static,
    U: Send + 'static,
    F: FnMut(&Match<'_, T>) -> U + Clone + Send + 'static,
{
    type Out = U;
    type States = PatternState<T>;
    const NAME: &'static str = "pattern";
    const NEEDS_TIME: bool = true;

    fn states(&self) -> PatternState<T> {
        let ways = self.automaton.places.iter().map(Place::open).collect();
        PatternState::new(self.automaton.shape, ways)
    }

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.counters = context.counters();
        self.sides.open(context);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<T>,
        context: &mut Kept<'_, K, T>,
        _out: &mut impl Collector<U>,
    ) -> Result<(), OperatorError> {
        if record.time < context.watermark {
            match &mut self.sides.late {
                Some(late) => late.emit(record),
                None => self.counters.dropped(DropReason::Late, 1),
            }
            return Ok(());
        }
        let kept = context.states.open();
        let before = kept.due(self.automaton.within);
        kept.put(record.time, record.value);
        let due = kept.due(self.automaton.within);
        if due != before {
            before.into_iter().for_each(|time| context.timers.delete_event_time(time));
            due.into_iter().for_each(|time| context.timers.set_event_time(time));
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut Kept<'_, K, T>,
        out: &mut impl Collector<U>,
    ) -> Result<(), OperatorError> {
        let Self { automaton, select, sides, known, .. } = self;
        let mut told = Told { select, sides, out };
        let kept = context.states.open();
        kept.advance(automaton, known, timer.time(), &mut told)?;
        let due = kept.due(automaton.within);
        due.into_iter().for_each(|time| context.timers.set_event_time(time));
        Ok(())
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        let is_there = self.sides.late.is_some() || self.sides.timed_out.is_some();
        is_there.then_some(&mut self.sides as &mut dyn SideOutput)
    }
}

/// Where what becomes of partial matches goes.
struct Told<'a, T, F, O> {
    select: &'a mut F,
    sides: &'a mut Sides<T>,
    out: &'a mut O,
}

impl<T, U, F, O> Listener<T> for Told<'_, T, F, O>
where
    F: FnMut(&Match<'_, T>) -> U,
    O: Collector<U>,
{
    fn found(&mut self, found: &Match<'_, T>, time: Timestamp) {
        self.out.push(Record::at((self.select)(found), time));
    }

    fn timed_out(&mut self, partial: &Match<'_, T>, time: Timestamp) {
        if let Some(port) = &mut self.sides.timed_out {
            port.emit(partial, time);
        }
    }
}

/// The side outputs that it may have.
pub(super) struct Sides<T> {
    pub(super) late: Option<SidePort<T>>,
    pub(super) timed_out: Option<Box<dyn TimedOut<T>>>,
}

impl<T: Send + 'static> Sides<T> {
    fn open(&mut self, context: &mut OperatorContext<'_>) {
        if let Some(late) = &mut self.late {
            late.open(context);
        }
        if let Some(timed_out) = &mut self.timed_out {
            timed_out.open(context);
        }
    }

    fn each(&mut self, mut act: impl FnMut(&mut dyn SideOutput)) {
        if let Some(late) = &mut self.late {
            act(late);
        }
        if let Some(timed_out) = &mut self.timed_out {
            act(timed_out.side());
        }
    }
}

impl<T> Clone for Sides<T> {
    fn clone(&self) -> Self {
        let timed_out = self.timed_out.as_ref().map(|timed_out| timed_out.boxed_clone());
        Self { late: self.late.clone(), timed_out }
    }
}

impl<T: Send + 'static> SideOutput for Sides<T> {
    fn is_full(&self) -> bool {
        self.late.as_ref().is_some_and(SideOutput::is_full)
            || self.timed_out.as_ref().is_some_and(|timed_out| timed_out.is_full())
    }

    fn watermark(&mut self, watermark: Timestamp) {
        self.each(|side| side.watermark(watermark));
    }

    fn idle(&mut self, idle: bool) {
        self.each(|side| side.idle(idle));
    }

    fn barrier(&mut self, barrier: Barrier) {
        self.each(|side| side.barrier(barrier));
    }

    fn end(&mut self) {
        self.each(|side| side.end());
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        let late = self.late.as_mut().map(|late| late.poll_flush(cx, flush));
        let timed_out = self.timed_out.as_mut();
        let timed_out = timed_out.map(|timed_out| timed_out.side().poll_flush(cx, flush));
        for flushed in late.into_iter().chain(timed_out) {
            ready!(flushed)?;
        }
        Poll::Ready(Ok(()))
    }
}

/// A side output of partial matches whose time was up, whatever is told of them.
pub(super) trait TimedOut<T>: Send {
    fn open(&mut self, context: &mut OperatorContext<'_>);
    fn emit(&mut self, partial: &Match<'_, T>, time: Timestamp);
    fn is_full(&self) -> bool;
    fn side(&mut self) -> &mut dyn SideOutput;
    fn boxed_clone(&self) -> Box<dyn TimedOut<T>>;
}

/// A tag and what is told by it, before its operator is known.
pub(super) trait TimedOutTag<T> {
    fn port(self: Box<Self>, operator: OperatorId, blueprint: &Blueprint) -> Box<dyn TimedOut<T>>;
}

impl<T, S, F> TimedOutTag<T> for (SideTag<S>, F)
where
    S: Send + 'static,
    F: FnMut(&Match<'_, T>) -> S + Clone + Send + 'static,
{
    fn port(self: Box<Self>, operator: OperatorId, blueprint: &Blueprint) -> Box<dyn TimedOut<T>> {
        let (tag, tell) = *self;
        Box::new(TimedOutPort { port: tag.port(operator, blueprint), tell })
    }
}

struct TimedOutPort<S, F> {
    port: SidePort<S>,
    tell: F,
}

impl<T, S, F> TimedOut<T> for TimedOutPort<S, F>
where
    S: Send + 'static,
    F: FnMut(&Match<'_, T>) -> S + Clone + Send + 'static,
{
    fn open(&mut self, context: &mut OperatorContext<'_>) {
        self.port.open(context);
    }

    fn emit(&mut self, partial: &Match<'_, T>, time: Timestamp) {
        self.port.emit(Record::at((self.tell)(partial), time));
    }

    fn is_full(&self) -> bool {
        SideOutput::is_full(&self.port)
    }

    fn side(&mut self) -> &mut dyn SideOutput {
        &mut self.port
    }

    fn boxed_clone(&self) -> Box<dyn TimedOut<T>> {
        Box::new(Self { port: self.port.clone(), tell: self.tell.clone() })
    }
}
