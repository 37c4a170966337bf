//! `primary_key_join`: two tables as one, by the key that both have.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use millstream_engine::chain::Chain;
use millstream_engine::operator::Collector;
use millstream_engine::{OperatorError, Record};

use super::connect::{EitherKey, Order, meet};
use super::kind::{EitherOrBoth, Inner, JoinKind, Left, Outer, Right};
use crate::fan::{Either, KeyedPair, Met};
use crate::keyed::process::{KeyContext, ProcessFunction, Processed, ValueState};
use crate::keyed::{Change, ChangeKey};
use crate::{DataStream, KeyedStream};

impl<K, L, C> DataStream<Change<K, L>, C>
where
    K: Hash + Eq + Clone + Send + 'static,
    L: Send + 'static,
    C: Chain<Item = Change<K, L>>,
{
    /// Joins the table whose changes this stream tells of with another that has the same keys: what
    /// comes are the changes of the join, from which it can be built again.
    ///
    /// Behind it is said which rows the join has: [`inner`](PrimaryKeyJoin::inner) those that both
    /// tables have, [`left`](PrimaryKeyJoin::left) and [`right`](PrimaryKeyJoin::right) those of
    /// one, [`outer`](PrimaryKeyJoin::outer) those of either.
    ///
    /// - **Emits** a change when one of a side changes the row of the join, with the time of that
    ///   change: what a side deletes, it takes back what it had made. Where the row remains as it
    ///   was, nothing is told; so the closure should always make the same of the same two rows.
    ///   When it begins anew from what it has [written down](crate::DataStream::uid), the rows that
    ///   were told are not told again.
    /// - **Waits** for its output, and **ends** with the last of its inputs.
    /// - **State**: the row of each side. [`max_keys`](crate::DataStream::max_keys) limits it; a
    ///   key that makes room is told as deleted.
    ///
    /// Each side may be told of as it comes, from [`table`](KeyedStream::table), or once a
    /// watermark, from [`table_by_watermark`](KeyedStream::table_by_watermark). Between the sides
    /// there is no order: two runs may pass through different rows, and come to the same.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("stock and price");
    /// let stock = [("tea", Some(7)), ("cake", Some(2)), ("cake", None)];
    /// let stock = flow.source("stock", source::from_iter(stock));
    /// let prices = flow.source("prices", source::from_iter([("tea", Some(3)), ("pie", Some(9))]));
    /// let stock = stock.key_by(|row| row.0).table(|row| row.1);
    /// let prices = prices.key_by(|row| row.0).table(|row| row.1);
    /// let worth = stock.primary_key_join(prices).inner(|stock, price| stock * price).collect();
    /// assert_eq!(flow.run().await?.take(worth), Some(vec![Change::Insert("tea", 21)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn primary_key_join<R, D>(
        self,
        right: DataStream<Change<K, R>, D>,
    ) -> PrimaryKeyJoin<K, L, R>
    where
        R: Send + 'static,
        D: Chain<Item = Change<K, R>>,
    {
        let left = KeyedStream::by(self, ChangeKey);
        let right = KeyedStream::by(right, ChangeKey);
        PrimaryKeyJoin(meet(left, right, Order::Any, "primary_key_join"))
    }
}

/// The changes of either table.
type Changes<K, L, R> = Either<Change<K, L>, Change<K, R>>;
type ByKey = EitherKey<ChangeKey, ChangeKey>;

/// Two tables with the same keys. What is said on it is which rows the join has.
#[must_use = "a join that nobody is told of is a mistake: say what to tell, as `.inner(…)`"]
pub struct PrimaryKeyJoin<K, L, R>(KeyedPair<Change<K, L>, Change<K, R>, ByKey>);

/// The changes of a join of two tables.
pub type TablesJoined<K, L, R, M> =
    Processed<Changes<K, L, R>, Met<Change<K, L>, Change<K, R>>, ByKey, TwoTables<L, R, M>>;

impl<K, L, R> PrimaryKeyJoin<K, L, R>
where
    K: Hash + Eq + Clone + Send + 'static,
    L: Send + 'static,
    R: Send + 'static,
{
    /// Has the rows whose key is in both tables.
    pub fn inner<O, F>(self, tell: F) -> TablesJoined<K, L, R, Inner<F>>
    where
        O: PartialEq + Send + 'static,
        F: FnMut(&L, &R) -> O + Clone + Send + 'static,
    {
        self.tell(Inner(tell))
    }

    /// Has the rows of this table, with that of the other if there is one.
    pub fn left<O, F>(self, tell: F) -> TablesJoined<K, L, R, Left<F>>
    where
        O: PartialEq + Send + 'static,
        F: FnMut(&L, Option<&R>) -> O + Clone + Send + 'static,
    {
        self.tell(Left(tell))
    }

    /// Has the rows of the other table, with that of this one if there is one.
    pub fn right<O, F>(self, tell: F) -> TablesJoined<K, L, R, Right<F>>
    where
        O: PartialEq + Send + 'static,
        F: FnMut(Option<&L>, &R) -> O + Clone + Send + 'static,
    {
        self.tell(Right(tell))
    }

    /// Has the rows whose key is in either table.
    pub fn outer<O, F>(self, tell: F) -> TablesJoined<K, L, R, Outer<F>>
    where
        O: PartialEq + Send + 'static,
        F: FnMut(EitherOrBoth<&L, &R>) -> O + Clone + Send + 'static,
    {
        self.tell(Outer(tell))
    }

    fn tell<M: JoinKind<L, R, Out: PartialEq>>(self, kind: M) -> TablesJoined<K, L, R, M> {
        self.0.process(TwoTables { kind, marker: PhantomData })
    }
}

impl<K, L, R> fmt::Debug for PrimaryKeyJoin<K, L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrimaryKeyJoin").finish_non_exhaustive()
    }
}

/// The function behind a [`primary_key_join`](DataStream::primary_key_join): keeps the row of each
/// side, and tells how that of the join changes.
pub struct TwoTables<L, R, M> {
    kind: M,
    marker: PhantomData<fn(L, R)>,
}

/// What a kind of join makes of what there is on both sides.
pub(super) fn row_of<L, R, M: JoinKind<L, R>>(
    kind: &mut M,
    left: Option<&L>,
    right: Option<&R>,
) -> Option<M::Out> {
    match (left, right) {
        (None, None) => None,
        (Some(left), None) => kind.tell(EitherOrBoth::Left(left)),
        (None, Some(right)) => kind.tell(EitherOrBoth::Right(right)),
        (Some(left), Some(right)) => kind.tell(EitherOrBoth::Both(left, right)),
    }
}

impl<K, L, R, M> ProcessFunction<K, Changes<K, L, R>> for TwoTables<L, R, M>
where
    K: Clone + Send + 'static,
    L: Send + 'static,
    R: Send + 'static,
    M: JoinKind<L, R, Out: PartialEq>,
{
    type Out = Change<K, M::Out>;
    type States = (ValueState<L>, ValueState<R>);
    const NAME: &'static str = "primary_key_join";

    fn states(&self) -> Self::States {
        (ValueState::new("left"), ValueState::new("right"))
    }

    fn process(
        &mut self,
        record: Record<Changes<K, L, R>>,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let (left, right) = &mut context.states;
        let old = row_of(&mut self.kind, left.get(), right.get());
        match record.value {
            Either::Left(change) => match change.into_value() {
                Some(row) => left.set(row),
                None => left.clear(),
            },
            Either::Right(change) => match change.into_value() {
                Some(row) => right.set(row),
                None => right.clear(),
            },
        }
        let new = row_of(&mut self.kind, left.get(), right.get());
        if old != new
            && let Some(change) = Change::of(context.key.clone(), old, new)
        {
            out.push(context.record(change));
        }
        Ok(())
    }

    fn on_evict(
        &mut self,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let (left, right) = &mut context.states;
        let old = row_of(&mut self.kind, left.get(), right.get());
        let change = Change::of(context.key.clone(), old, None);
        change.into_iter().for_each(|change| out.push(context.record(change)));
        Ok(())
    }
}

impl<L, R, M: Clone> Clone for TwoTables<L, R, M> {
    fn clone(&self) -> Self {
        Self { kind: self.kind.clone(), marker: PhantomData }
    }
}

impl<L, R, M> fmt::Debug for TwoTables<L, R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwoTables").finish_non_exhaustive()
    }
}
