//! The words of a substream: a chain of operators as one.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::task::Context;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::graph::StageDraft;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::{OperatorContext, Run};
use millstream_engine::tail::Tail;
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use crate::{DataStream, Dataflow};

/// A substream in the making.
pub(super) fn group<T: Send + 'static>(flow: &Dataflow) -> DataStream<T, Group<T>> {
    let draft = StageDraft { operators: Vec::new(), input: None, parallelism: 1 };
    DataStream::from_parts(flow.clone(), Group(PhantomData), draft)
}

/// The beginning of a substream: the chain of nothing.
pub struct Group<T>(PhantomData<fn() -> T>);

impl<T: Send + 'static> Chain for Group<T> {
    type Item = T;

    fn finish<N: Tail<T> + 'static>(
        &self,
        _run: &mut Run<'_>,
        _instance: usize,
        _next: N,
    ) -> Result<(), Error> {
        // It is run by the operator that it is made into, and its graph is never started.
        Ok(())
    }
}

impl<T> fmt::Debug for Group<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Group")
    }
}

/// A chain of operators that begins with a [`Group`], and so can be one operator.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a chain of operators of a group",
    note = "a group has the words that are fused into one stage: neither `.boxed()` nor a boundary"
)]
pub trait Fragment<T>: Chain {
    /// What comes out of it.
    type Out: Send + 'static;
    /// The operator.
    type Operator: Operator<T, Out = Self::Out>;

    /// The operator that does all of it.
    fn into_operator(self) -> Self::Operator;
}

impl<T: Send + 'static> Fragment<T> for Group<T> {
    type Out = T;
    type Operator = Same;

    fn into_operator(self) -> Same {
        Same
    }
}

impl<T, C, O> Fragment<T> for Via<C, O>
where
    C: Fragment<T> + Chain<Item = <C as Fragment<T>>::Out>,
    O: Operator<<C as Fragment<T>>::Out>,
{
    type Out = O::Out;
    type Operator = Then<C::Operator, O, <C as Fragment<T>>::Out>;

    fn into_operator(self) -> Self::Operator {
        const {
            assert!(!O::SETS_TIME, "one group can't set the time of all: do so before `group_by`");
        }
        let (chain, operator, _) = self.into_parts();
        Then::new(chain.into_operator(), operator)
    }
}

/// The operator that changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Same;

impl<T: Send + 'static> Operator<T> for Same {
    type Out = T;
    const NAME: &'static str = "same";
    const STATELESS: bool = true;

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }
}

/// Two operators as one, with `M` between them.
pub struct Then<A, B, M> {
    first: A,
    second: B,
    /// What the first has emitted and the second has no room for.
    between: VecDeque<Record<M>>,
    /// What the second is told when all that is out.
    held: Option<Held>,
}

#[derive(Clone, Copy, Debug)]
enum Held {
    Watermark(Timestamp),
    Barrier,
    Idle,
    End,
}

impl<A, B, M> Then<A, B, M> {
    const fn new(first: A, second: B) -> Self {
        Self { first, second, between: VecDeque::new(), held: None }
    }

    /// Calls a hook of the first operator, with the second behind it.
    fn call<In, C>(
        &mut self,
        out: &mut C,
        hook: impl FnOnce(&mut A, &mut Between<'_, B, M, C>) -> Result<(), OperatorError>,
    ) -> Result<(), OperatorError>
    where
        A: Operator<In, Out = M>,
        B: Operator<M>,
        C: Collector<B::Out>,
    {
        let (second, between) = (&mut self.second, &mut self.between);
        let mut middle = Between { second, between, out, failed: None };
        let result = hook(&mut self.first, &mut middle);
        middle.failed.map_or(result, Err)
    }

    /// Goes on until everything is out, or there is no room, or it waits.
    fn drive<In>(&mut self, out: &mut impl Collector<B::Out>) -> Result<(), OperatorError>
    where
        A: Operator<In, Out = M>,
        B: Operator<M>,
    {
        loop {
            if self.second.pending() {
                if out.is_full() || self.second.waiting() {
                    return Ok(());
                }
                self.second.resume(out)?;
                if self.second.pending() {
                    return Ok(());
                }
            }
            if out.is_full() {
                return Ok(());
            }
            if let Some(record) = self.between.pop_front() {
                if !self.second.done() {
                    self.second.process(record, out)?;
                }
            } else if self.first.pending() {
                if self.first.waiting() {
                    return Ok(());
                }
                self.call(out, |first, out| first.resume(out))?;
                if self.first.pending() && self.between.is_empty() && !self.second.pending() {
                    return Ok(());
                }
            } else {
                match self.held.take() {
                    Some(Held::Watermark(watermark)) => self.second.on_watermark(watermark, out)?,
                    Some(Held::Barrier) => self.second.before_barrier(out)?,
                    Some(Held::Idle) => self.second.before_idle(out)?,
                    Some(Held::End) => self.second.on_end(out)?,
                    None => return Ok(()),
                }
            }
        }
    }
}

impl<A: Clone, B: Clone, M> Clone for Then<A, B, M> {
    fn clone(&self) -> Self {
        Self::new(self.first.clone(), self.second.clone())
    }
}

impl<A: fmt::Debug, B: fmt::Debug, M> fmt::Debug for Then<A, B, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Then")
            .field("first", &self.first)
            .field("second", &self.second)
            .finish_non_exhaustive()
    }
}

impl<In, A, B, M> Operator<In> for Then<A, B, M>
where
    A: Operator<In, Out = M>,
    B: Operator<M>,
    M: Send + 'static,
{
    type Out = B::Out;
    const NAME: &'static str = B::NAME;
    const STATELESS: bool = A::STATELESS && B::STATELESS;

    #[inline]
    fn process(
        &mut self,
        record: Record<In>,
        out: &mut impl Collector<B::Out>,
    ) -> Result<(), OperatorError> {
        self.call(out, |first, out| first.process(record, out))
    }

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.first.open(context)?;
        self.second.open(context)
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<B::Out>,
    ) -> Result<(), OperatorError> {
        self.held = Some(Held::Watermark(watermark));
        self.call(out, |first, out| first.on_watermark(watermark, out))?;
        self.drive(out)
    }

    fn on_timer(
        &mut self,
        now: Instant,
        out: &mut impl Collector<B::Out>,
    ) -> Result<(), OperatorError> {
        if self.second.next_timer().is_some_and(|due| due <= now) {
            self.second.on_timer(now, out)?;
        }
        // As in a chain: the first has its turn when nobody behind it is busy.
        let busy = self.second.pending() || !self.between.is_empty();
        if !busy && self.first.next_timer().is_some_and(|due| due <= now) {
            self.call(out, |first, out| first.on_timer(now, out))?;
        }
        self.drive(out)
    }

    fn before_barrier(&mut self, out: &mut impl Collector<B::Out>) -> Result<(), OperatorError> {
        self.held = Some(Held::Barrier);
        self.call(out, |first, out| first.before_barrier(out))?;
        self.drive(out)
    }

    fn before_idle(&mut self, out: &mut impl Collector<B::Out>) -> Result<(), OperatorError> {
        self.held = Some(Held::Idle);
        self.call(out, |first, out| first.before_idle(out))?;
        self.drive(out)
    }

    fn on_end(&mut self, out: &mut impl Collector<B::Out>) -> Result<(), OperatorError> {
        self.held = Some(Held::End);
        self.call(out, |first, out| first.on_end(out))?;
        self.drive(out)
    }

    fn pending(&self) -> bool {
        self.held.is_some()
            || !self.between.is_empty()
            || self.second.pending()
            || self.first.pending()
    }

    fn resume(&mut self, out: &mut impl Collector<B::Out>) -> Result<(), OperatorError> {
        self.drive(out)
    }

    fn waiting(&self) -> bool {
        let at_rest = self.between.is_empty() && !self.second.pending();
        self.second.waiting() || (at_rest && self.first.waiting())
    }

    fn done(&self) -> bool {
        self.first.done() || self.second.done()
    }

    fn next_timer(&self) -> Option<Instant> {
        let second = self.second.next_timer();
        if self.second.waiting() {
            return second;
        }
        self.first.next_timer().into_iter().chain(second).min()
    }

    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        self.second.poll_outside(cx)?;
        self.first.poll_outside(cx)
    }
}

/// The collector between two operators.
struct Between<'a, B, M, C> {
    second: &'a mut B,
    between: &'a mut VecDeque<Record<M>>,
    out: &'a mut C,
    failed: Option<OperatorError>,
}

impl<B: Operator<M>, M, C: Collector<B::Out>> Collector<M> for Between<'_, B, M, C> {
    #[inline]
    fn push(&mut self, record: Record<M>) {
        if self.failed.is_some() || self.second.done() {
            return;
        }
        if self.second.pending() || !self.between.is_empty() {
            self.between.push_back(record);
        } else if let Err(error) = self.second.process(record, self.out) {
            self.failed = Some(error);
        }
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.out.is_full() || self.second.pending() || !self.between.is_empty()
    }
}
