//! `foreign_key_join`: each row of a table with that row of another which it names.

use std::fmt;

use millstream_engine::chain::{Boundary, Chain};

use super::connect::{Order, meet};
use super::foreign_key::{ByForeign, ByPrimary, Resolve, Respond, Subscribe, TableKey};
use super::kind::{Inner, JoinKind, Left};
use crate::keyed::{Change, ChangeKey};
use crate::state::State;
use crate::{DataStream, KeyedStream};

impl<K, L, C> DataStream<Change<K, L>, C>
where
    K: TableKey,
    L: State,
    C: Chain<Item = Change<K, L>>,
{
    /// Joins the table whose changes this stream tells of with another, by the key of that which a
    /// row names: many orders, each of one customer. What comes are the changes of the join, by the
    /// keys of this table.
    ///
    /// Behind it is said what its state is called, if it is to be kept, and which rows the join
    /// has: [`inner`](ForeignKeyJoin::inner) those that name one which is there, or
    /// [`left`](ForeignKeyJoin::left) all of this table.
    ///
    /// - **Emits** a change when one of either side changes a row of the join: one of the right
    ///   table as many as there are rows that name it. Where a row remains as it was, nothing is
    ///   told. A change has the time of the one that made it.
    /// - **Order.** A row may come to name another; it then travels by way of two owners, whose
    ///   answers may overtake each other. What is told follows the latest change of the row that
    ///   has been answered: no older row is told of behind a newer one, while answers are less than
    ///   a minute on their way; and whatever overtook what, when everything has arrived the join is
    ///   that of the two tables. Between, a row that moves may be told as deleted and inserted.
    /// - **Waits** for its output, between one row and the next, and **ends** with the last of its
    ///   inputs.
    /// - **State**: both tables, by the key that is joined by; of each row of this table also which
    ///   one it names, and what was told of it. Keys, rows and results have to be
    ///   [`State`](crate::state::State).
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("orders and their customers");
    /// let orders = [(1, Some("ann")), (2, Some("bob")), (3, Some("ann"))];
    /// let orders = orders.map(|(id, who)| (id, who.map(String::from)));
    /// let orders = flow.source("orders", source::from_iter(orders));
    /// let orders = orders.key_by(|row| row.0).table(|row| row.1);
    /// let cities = [("ann", "Bern")].map(|(who, city)| (who.to_owned(), city.to_owned()));
    /// let customers = flow.source("customers", source::from_iter(cities));
    /// let customers = customers.key_by(|row| row.0.clone()).table(|row| Some(row.1));
    /// let cities = orders
    ///     .foreign_key_join(customers, |who: &String| who.clone())
    ///     .left(|_, city| city.cloned())
    ///     .collect();
    /// let mut table = std::collections::BTreeMap::new();
    /// for change in flow.run().await?.take(cities).unwrap_or_default() {
    ///     match change {
    ///         Change::Insert(id, city) | Change::Update { key: id, new: city, .. } => {
    ///             table.insert(id, city);
    ///         }
    ///         Change::Delete(id, _) => drop(table.remove(&id)),
    ///     }
    /// }
    /// let bern = Some("Bern".to_owned());
    /// let expected = [(1, bern.clone()), (2, None), (3, bern)];
    /// assert_eq!(table.into_iter().collect::<Vec<_>>(), expected);
    /// # Ok(())
    /// # }
    /// ```
    pub fn foreign_key_join<F, R, D, G>(
        self,
        right: DataStream<Change<F, R>, D>,
        foreign_key: G,
    ) -> ForeignKeyJoin<K, L, C, F, R, D, G>
    where
        F: TableKey,
        R: State,
        D: Chain<Item = Change<F, R>>,
        G: Fn(&L) -> F + Clone + Send + 'static,
    {
        ForeignKeyJoin { left: self, right, foreign_key, uid: None }
    }
}

/// Two tables, the left of which names rows of the right. What is said on it is what its state is
/// called, and which rows the join has.
#[must_use = "a join that nobody is told of is a mistake: say what to tell, as `.inner(…)`"]
pub struct ForeignKeyJoin<K, L, C, F, R, D, G> {
    left: DataStream<Change<K, L>, C>,
    right: DataStream<Change<F, R>, D>,
    foreign_key: G,
    uid: Option<String>,
}

/// The changes of a join by foreign key.
pub type ForeignKeyJoined<K, O> = DataStream<Change<K, O>, Boundary<Change<K, O>>>;

impl<K, L, C, F, R, D, G> ForeignKeyJoin<K, L, C, F, R, D, G>
where
    K: TableKey,
    L: State,
    C: Chain<Item = Change<K, L>>,
    F: TableKey,
    R: State,
    D: Chain<Item = Change<F, R>>,
    G: Fn(&L) -> F + Clone + Send + 'static,
{
    /// Gives its state an identity, as [`uid`](DataStream::uid) does for a word that is one
    /// operator. This one is three: they are called `uid/rows`, `uid/keys` and `uid/answers`.
    pub fn uid(mut self, uid: &str) -> Self {
        self.uid = Some(uid.to_owned());
        self
    }

    /// Has the rows that name one which is there.
    pub fn inner<O, M>(self, tell: M) -> ForeignKeyJoined<K, O>
    where
        O: PartialEq + Clone + State,
        M: FnMut(&L, &R) -> O + Clone + Send + 'static,
    {
        self.tell(Inner(tell))
    }

    /// Has all rows of this table, with the one they name if it is there.
    pub fn left<O, M>(self, tell: M) -> ForeignKeyJoined<K, O>
    where
        O: PartialEq + Clone + State,
        M: FnMut(&L, Option<&R>) -> O + Clone + Send + 'static,
    {
        self.tell(Left(tell))
    }

    fn tell<M>(self, kind: M) -> ForeignKeyJoined<K, M::Out>
    where
        M: JoinKind<L, R, Out: PartialEq + Clone + State>,
    {
        let Self { left, right, foreign_key, uid } = self;
        let part = |part: &str| uid.as_ref().map(|uid| format!("{uid}/{part}"));
        let told = KeyedStream::by(left, ChangeKey).process(Subscribe::<F, G>::new(foreign_key));
        let told = match part("rows") {
            Some(uid) => told.uid(&uid),
            None => told,
        };
        let (told, right) = (KeyedStream::by(told, ByForeign), KeyedStream::by(right, ChangeKey));
        let pair = meet(told, right, Order::Any, "foreign_key_join");
        let answers = pair.process(Respond::<K, L, R, M>::new(kind));
        let answers = match part("keys") {
            Some(uid) => answers.uid(&uid),
            None => answers,
        };
        let rows = KeyedStream::by(answers, ByPrimary).process(Resolve::<F, M::Out>::new());
        match part("answers") {
            Some(uid) => rows.uid(&uid).boxed(),
            None => rows.boxed(),
        }
    }
}

impl<K, L, C, F, R, D, G> fmt::Debug for ForeignKeyJoin<K, L, C, F, R, D, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignKeyJoin").field("uid", &self.uid).finish_non_exhaustive()
    }
}
