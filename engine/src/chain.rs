//! A chain: the blueprint of a stage's inside, consecutive operators that the compiler turns into
//! one loop.

use std::fmt;
use std::marker::PhantomData;

use crate::batcher::Batcher;
use crate::delegate::Whole;
use crate::edge::Inputs;
use crate::error::Error;
use crate::graph::{EdgeId, OperatorId};
use crate::link::Link;
use crate::operator::Operator;
use crate::runtime::{Fresh, HeadFactory, OperatorContext, Run, Seated};
use crate::state::{StateError, StateReader};
use crate::tail::Tail;

/// The blueprint of a stage, from its head to some point of it.
///
/// [`finish`](Chain::finish) is called once a run and instance, given what comes after that point:
/// it makes the operators fresh and puts the finished stage into the run.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a chain of operators",
    note = "write `DataStream<T, impl Chain<Item = T>>` for a stream with operators behind it, \
        or call `.boxed()` on it and write `DataStream<T>`"
)]
pub trait Chain: Send + 'static {
    /// What comes out of it.
    type Item: Send + 'static;

    /// Whether the type alone says that the stage has one instance, as one that reads a source
    /// does: then nothing is compiled for more, which for a chain that ends in a result is half.
    const ALONE: bool = false;

    /// The edge that it begins with, if nothing is behind that yet: a head may read it itself.
    fn edge(&self) -> Option<EdgeId> {
        None
    }

    /// Builds the stage for one instance of one run.
    fn finish<N: Tail<Self::Item> + 'static>(
        &self,
        run: &mut Run<'_>,
        instance: usize,
        next: N,
    ) -> Result<(), Error>;
}

/// A chain with one more operator behind it.
#[derive(Clone, Debug)]
pub struct Via<C, O> {
    chain: C,
    operator: O,
    id: OperatorId,
}

impl<C, O> Via<C, O> {
    /// Puts `operator`, known to the graph as `id`, behind `chain`.
    #[must_use]
    pub const fn new(chain: C, operator: O, id: OperatorId) -> Self {
        Self { chain, operator, id }
    }

    /// Takes it apart again, for a word that changes the operator said last, or runs chains in
    /// another way.
    #[must_use]
    pub fn into_parts(self) -> (C, O, OperatorId) {
        (self.chain, self.operator, self.id)
    }
}

impl<C: Chain, O: Operator<C::Item>> Chain for Via<C, O> {
    type Item = O::Out;
    const ALONE: bool = C::ALONE;

    fn finish<N: Tail<O::Out> + 'static>(
        &self,
        run: &mut Run<'_>,
        instance: usize,
        next: N,
    ) -> Result<(), Error> {
        let mut fresh = FreshOperator { operator: self.operator.clone(), marker: PhantomData };
        let state = run.take_seat(self.id, instance, &mut fresh)?;
        self.chain.finish(run, instance, Link::new(fresh.operator, next, state))
    }
}

/// An operator on its way to its seat.
struct FreshOperator<In, O> {
    operator: O,
    marker: PhantomData<fn(In)>,
}

impl<In, O: Operator<In>> Fresh for FreshOperator<In, O> {
    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.operator.open(context)
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.operator.restore(state)
    }

    fn state_version(&self) -> u32 {
        O::STATE_VERSION
    }
}

/// A chain whose type is forgotten: what stands behind an edge, and what `.boxed()` gives.
///
/// The price is one virtual call a batch.
pub struct Boundary<T>(Box<dyn ErasedChain<T>>);

impl<T: Send + 'static> Boundary<T> {
    /// Forgets the type of `chain`.
    #[must_use]
    pub fn erase(chain: impl Chain<Item = T>) -> Self {
        Self(Box::new(Erased(chain)))
    }

    /// The beginning of a stage that reads from `edge`.
    #[must_use]
    pub fn edge(edge: EdgeId) -> Self {
        Self(Box::new(FromEdge(edge)))
    }

    /// The beginning of a stage that reads from `edge` by way of a head of its own, known to the
    /// graph as `operator`.
    #[must_use]
    pub fn head<In: Send + 'static>(
        edge: EdgeId,
        operator: OperatorId,
        factory: impl HeadFactory<In, Out = T>,
    ) -> Self {
        Self(Box::new(FromHead { edge, operator, factory, marker: PhantomData }))
    }
}

impl<T: Send + 'static> Chain for Boundary<T> {
    type Item = T;

    fn edge(&self) -> Option<EdgeId> {
        self.0.edge()
    }

    fn finish<N: Tail<T> + 'static>(
        &self,
        run: &mut Run<'_>,
        instance: usize,
        next: N,
    ) -> Result<(), Error> {
        self.0.finish(run, instance, Box::new(Whole(next)))
    }
}

impl<T> fmt::Debug for Boundary<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Boundary")
    }
}

/// A [`Chain`] as a trait object.
trait ErasedChain<T>: Send {
    fn edge(&self) -> Option<EdgeId> {
        None
    }

    fn finish(
        &self,
        run: &mut Run<'_>,
        instance: usize,
        next: Box<dyn Tail<T>>,
    ) -> Result<(), Error>;
}

struct Erased<C>(C);

impl<T: Send + 'static, C: Chain<Item = T>> ErasedChain<T> for Erased<C> {
    fn finish(
        &self,
        run: &mut Run<'_>,
        instance: usize,
        next: Box<dyn Tail<T>>,
    ) -> Result<(), Error> {
        let batcher = Batcher::new(next, run.batch_records::<T>(), run.cancelled());
        self.0.finish(run, instance, batcher)
    }
}

/// The head of a stage behind an edge, which already hands over whole batches.
struct FromEdge(EdgeId);

impl<T: Send + 'static> ErasedChain<T> for FromEdge {
    fn edge(&self) -> Option<EdgeId> {
        Some(self.0)
    }

    fn finish(
        &self,
        run: &mut Run<'_>,
        instance: usize,
        next: Box<dyn Tail<T>>,
    ) -> Result<(), Error> {
        let head: Inputs<T> = run.inputs(self.0, instance);
        run.stage(Box::new(head), next);
        Ok(())
    }
}

/// The head of a stage that makes its own batches from those of an edge.
struct FromHead<In, F> {
    edge: EdgeId,
    operator: OperatorId,
    factory: F,
    marker: PhantomData<fn(In)>,
}

impl<In: Send + 'static, F: HeadFactory<In>> ErasedChain<F::Out> for FromHead<In, F> {
    fn finish(
        &self,
        run: &mut Run<'_>,
        instance: usize,
        next: Box<dyn Tail<F::Out>>,
    ) -> Result<(), Error> {
        let seat = run.seat(self.operator, instance);
        let input: Inputs<In> = run.inputs(self.edge, instance);
        let head = self.factory.create(&mut run.operator_context(&seat), input)?;
        run.stage(Box::new(Seated { head, seat }), next);
        Ok(())
    }
}
