//! `Either`: one of two, which is what travels where streams of different types meet.

use std::marker::PhantomData;

use millstream_engine::chain::Chain;
use millstream_engine::edge::Discipline;
use millstream_engine::graph::EdgeId;
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::{OperatorError, Record};

use super::{join, meet};
use crate::{DataStream, Dataflow};

/// A value of the left stream or of the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Either<L, R> {
    /// From the stream on which the word was said.
    Left(L),
    /// From the other one.
    Right(R),
}

/// Makes the edge in which two streams meet that need not be of one type.
pub(super) fn meet_sides<A, B, C, D>(
    left: DataStream<A, C>,
    right: DataStream<B, D>,
    discipline: Discipline,
    kind: &'static str,
) -> (EdgeId, Dataflow)
where
    A: Send + 'static,
    B: Send + 'static,
    C: Chain<Item = A>,
    D: Chain<Item = B>,
{
    let left = left.via(ToLeft::<B>(PhantomData));
    let (edge, flow) = meet(&left, discipline, kind);
    left.forward(edge);
    join(right.via(ToRight::<A>(PhantomData)), edge, &flow);
    (edge, flow)
}

/// Marks the records of the left stream.
struct ToLeft<R>(PhantomData<fn() -> R>);

impl<R> Clone for ToLeft<R> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<L: Send + 'static, R: Send + 'static> Operator<L> for ToLeft<R> {
    type Out = Either<L, R>;
    const NAME: &'static str = "left";
    const STATELESS: bool = true;

    #[inline]
    fn process(
        &mut self,
        record: Record<L>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        out.push(record.with(Either::Left));
        Ok(())
    }
}

/// Marks the records of the right stream.
struct ToRight<L>(PhantomData<fn() -> L>);

impl<L> Clone for ToRight<L> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<L: Send + 'static, R: Send + 'static> Operator<R> for ToRight<L> {
    type Out = Either<L, R>;
    const NAME: &'static str = "right";
    const STATELESS: bool = true;

    #[inline]
    fn process(
        &mut self,
        record: Record<R>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        out.push(record.with(Either::Right));
        Ok(())
    }
}
