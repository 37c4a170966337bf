//! `table_join`: each record with the row of a table that has its key.

use std::fmt;

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;
use millstream_engine::operator::Collector;
use millstream_engine::{OperatorError, Record};

use super::connect::{EitherKey, Order, meet};
use super::kind::{EitherOrBoth, Inner, JoinKind, Left};
use crate::KeyedStream;
use crate::fan::{Either, KeyedPair, Met};
use crate::keyed::process::{KeyContext, ProcessFunction, Processed, ValueState};

impl<L: Send + 'static, C: Chain<Item = L>, K: KeyOf<L>> KeyedStream<L, C, K> {
    /// Looks up for each record the row of a table that has its key. The table is a stream, too:
    /// its latest row of a key is the one that holds, and it is **read to its end before the first
    /// record**, so that what is found does not depend on which of the two was faster.
    ///
    /// Behind it is said which rows delete, if any do, and then what is told:
    /// [`inner`](TableJoin::inner) of records that have a row, or [`left`](TableJoin::left) of all.
    ///
    /// - **Emits** for records only, one result each, with the record's time. Rows make none.
    /// - **Waits** for the end of the table, and meanwhile holds the records up. A table that never
    ///   ends would hold them up for ever: where it goes on changing, say
    ///   [`as_of_join`](KeyedStream::as_of_join), which gives each record the row that was valid at
    ///   its time; and where it is somebody else's and may be asked,
    ///   [`lookup_async`](crate::DataStream::lookup_async).
    /// - **Ends** with the records.
    /// - **State**: a row of each key, kept for good. A [`uid`](crate::DataStream::uid) has it
    ///   written down; a later run goes on from there, and reads as its table what has changed
    ///   since. [`max_keys`](crate::DataStream::max_keys) limits it; a key that makes room is as
    ///   one that has no row.
    /// - **Event time** is that of the records: the table needs none, and if it has some, its end
    ///   makes no record late.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("trips by the name of their zone");
    /// let zones = flow.source("zones", source::from_iter([(1, "Alphabet City"), (4, "Harlem")]));
    /// let trips = flow.source("trips", source::from_iter([("a", 4), ("b", 9), ("c", 1)]));
    /// let named = trips
    ///     .key_by(|trip| trip.1)
    ///     .table_join(zones.key_by(|zone| zone.0))
    ///     .left(|trip, zone| (trip.0, zone.map(|zone| zone.1)))
    ///     .collect();
    /// let expected = vec![("a", Some("Harlem")), ("b", None), ("c", Some("Alphabet City"))];
    /// assert_eq!(flow.run().await?.take(named), Some(expected));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A table that comes from the same stream as the records can only hang, because a stream whose
    /// one half waits stands still with both; such a graph is refused before it runs. Read the
    /// source twice instead:
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// let flow = Dataflow::new("circle");
    /// let numbers = flow.source("numbers", source::from_iter(0..9));
    /// let [one, other] = numbers.broadcast::<2>();
    /// let joined = one.key_by(|n| n % 3).table_join(other.key_by(|n| n % 3));
    /// joined.inner(|one, other| one + other).ignore();
    /// let mistake = flow.validate().unwrap_err().to_string();
    /// assert!(mistake.contains("table_join"), "{mistake}");
    /// ```
    pub fn table_join<R, D, J>(
        self,
        table: KeyedStream<R, D, J>,
    ) -> TableJoin<L, R, EitherKey<K, J>, NoTombstones<R>>
    where
        R: Send + 'static,
        D: Chain<Item = R>,
        J: KeyOf<R, Key = K::Key, Owned = K::Owned>,
    {
        TableJoin { pair: meet(self, table, Order::RightFirst, "table_join"), deletes: |_| false }
    }
}

/// Records and a table. What is said on it first is which rows delete, and then what is told.
#[must_use = "rows that nobody is told of are a mistake: say what to tell, as `.inner(…)`"]
pub struct TableJoin<L, R, K, D> {
    pair: KeyedPair<L, R, K>,
    deletes: D,
}

/// Which rows delete, where nothing is said: none.
pub type NoTombstones<R> = fn(&R) -> bool;

/// The stream that a table join ends in.
pub type TableJoined<L, R, K, M, D> = Processed<Either<L, R>, Met<L, R>, K, TableLookup<M, D>>;

impl<L, R, K, D> TableJoin<L, R, K, D>
where
    L: Send + 'static,
    R: Send + 'static,
    K: KeyOf<Either<L, R>, Owned: Eq + Clone>,
    D: Fn(&R) -> bool + Clone + Send + 'static,
{
    /// Says which rows delete the one of their key, and are none themselves: tombstones. Default:
    /// no row does.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("prices");
    /// let prices = [("tea", Some(3)), ("cake", Some(4)), ("cake", None)];
    /// let prices = flow.source("prices", source::from_iter(prices));
    /// let orders = flow.source("orders", source::from_iter(["cake", "tea"]));
    /// let priced = orders
    ///     .key_by(|order| *order)
    ///     .table_join(prices.key_by(|price| price.0))
    ///     .deleted_by(|price| price.1.is_none())
    ///     .inner(|order, price| (*order, price.1))
    ///     .collect();
    /// assert_eq!(flow.run().await?.take(priced), Some(vec![("tea", Some(3))]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn deleted_by<E>(self, deletes: E) -> TableJoin<L, R, K, E>
    where
        E: Fn(&R) -> bool + Clone + Send + 'static,
    {
        TableJoin { pair: self.pair, deletes }
    }

    /// Tells of each record that has a row.
    pub fn inner<O, F>(self, tell: F) -> TableJoined<L, R, K, Inner<F>, D>
    where
        O: Send + 'static,
        F: FnMut(&L, &R) -> O + Clone + Send + 'static,
    {
        self.tell(Inner(tell))
    }

    /// Tells of each record, and of its row if it has one.
    pub fn left<O, F>(self, tell: F) -> TableJoined<L, R, K, Left<F>, D>
    where
        O: Send + 'static,
        F: FnMut(&L, Option<&R>) -> O + Clone + Send + 'static,
    {
        self.tell(Left(tell))
    }

    fn tell<M: JoinKind<L, R>>(self, kind: M) -> TableJoined<L, R, K, M, D> {
        self.pair.process(TableLookup { kind, deletes: self.deletes })
    }
}

impl<L, R, K, D> fmt::Debug for TableJoin<L, R, K, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableJoin").finish_non_exhaustive()
    }
}

/// The function behind a [`table_join`](KeyedStream::table_join): keeps the row of each key, and
/// looks it up for each record.
#[derive(Clone)]
pub struct TableLookup<M, D> {
    kind: M,
    deletes: D,
}

impl<K, L, R, M, D> ProcessFunction<K, Either<L, R>> for TableLookup<M, D>
where
    L: Send + 'static,
    R: Send + 'static,
    M: JoinKind<L, R>,
    D: Fn(&R) -> bool + Clone + Send + 'static,
{
    type Out = M::Out;
    type States = ValueState<R>;
    const NAME: &'static str = "table_join";

    fn states(&self) -> ValueState<R> {
        ValueState::new("row")
    }

    fn process(
        &mut self,
        record: Record<Either<L, R>>,
        context: &mut KeyContext<'_, K, ValueState<R>>,
        out: &mut impl Collector<M::Out>,
    ) -> Result<(), OperatorError> {
        match record.value {
            Either::Right(row) if (self.deletes)(&row) => context.states.clear(),
            Either::Right(row) => context.states.set(row),
            Either::Left(left) => {
                let sides = match context.states.get() {
                    Some(row) => EitherOrBoth::Both(&left, row),
                    None => EitherOrBoth::Left(&left),
                };
                let told = self.kind.tell(sides);
                told.into_iter().for_each(|told| out.push(Record::at(told, record.time)));
            }
        }
        Ok(())
    }
}

impl<M, D> fmt::Debug for TableLookup<M, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableLookup").finish_non_exhaustive()
    }
}
