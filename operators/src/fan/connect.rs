//! `connect`: two streams of different types, and one operator for both.

use std::fmt;
use std::hash::Hash;

use millstream_engine::chain::{Boundary, Chain, Via};
use millstream_engine::edge::Discipline;
use millstream_engine::key::KeyOf;
use millstream_engine::operator::Operator;

use super::either::{Either, meet_sides};
use crate::DataStream;
use crate::keyed::KeyedStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Puts this stream and another, which need not be of the same type, before one operator: the
    /// ground that joins, control streams and rules stand on.
    ///
    /// Each input keeps its own order, and nothing is promised between the two. It ends with the
    /// last of them; its watermark is the earliest of the inputs that are not idle. It has as many
    /// instances as the streams, if they agree, and one if they don't.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("orders and payments");
    /// let orders = flow.source("orders", source::from_iter(["tea"]));
    /// let payments = flow.source("payments", source::from_iter([250]));
    /// let told = orders.connect(payments).map(str::to_owned, |cents| format!("{cents} cents"));
    /// let told = told.collect();
    /// let mut told = flow.run().await?.take(told).unwrap_or_default();
    /// told.sort();
    /// assert_eq!(told, ["250 cents", "tea"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect<U, D>(self, other: DataStream<U, D>) -> ConnectedStreams<T, U>
    where
        U: Send + 'static,
        D: Chain<Item = U>,
    {
        let same = self.parallelism() == other.parallelism();
        let instances = if same { self.parallelism() } else { 1 };
        let (edge, flow) = meet_sides(self, other, Discipline::Merge, "connect");
        ConnectedStreams(DataStream::behind(flow, edge, instances, "connect"))
    }
}

/// The chain at whose beginning two streams have met.
pub type Met<L, R> = Boundary<Either<L, R>>;

/// Two streams whose records belong to the same keys.
pub type KeyedPair<L, R, K> = KeyedStream<Either<L, R>, Met<L, R>, K>;

/// Two streams before one operator, made by [`DataStream::connect`].
#[must_use = "streams that go nowhere are a mistake: say what to do with both"]
pub struct ConnectedStreams<L, R>(DataStream<Either<L, R>>);

impl<L: Send + 'static, R: Send + 'static> ConnectedStreams<L, R> {
    /// Turns the records of either stream into those of one.
    pub fn map<O, F, G>(self, mut left: F, mut right: G) -> DataStream<O, impl Chain<Item = O>>
    where
        O: Send + 'static,
        F: FnMut(L) -> O + Clone + Send + 'static,
        G: FnMut(R) -> O + Clone + Send + 'static,
    {
        self.0.map(move |either| match either {
            Either::Left(value) => left(value),
            Either::Right(value) => right(value),
        })
    }

    /// Turns each record of either stream into the items of an iterator, as
    /// [`flat_map_iter`](DataStream::flat_map_iter) does.
    pub fn flat_map_iter<I, F, G>(
        self,
        mut left: F,
        mut right: G,
    ) -> DataStream<I::Item, impl Chain<Item = I::Item>>
    where
        I: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static> + 'static,
        F: FnMut(L) -> I + Clone + Send + 'static,
        G: FnMut(R) -> I + Clone + Send + 'static,
    {
        self.0.flat_map_iter(move |either| match either {
            Either::Left(value) => left(value),
            Either::Right(value) => right(value),
        })
    }

    /// Puts an operator behind both, which sees which stream a record comes from. It has its state,
    /// timers and side outputs as behind any stream.
    pub fn process<O: Operator<Either<L, R>>>(
        self,
        operator: O,
    ) -> DataStream<O::Out, Via<Met<L, R>, O>> {
        self.0.via(operator)
    }

    /// Says which key each record belongs to, so that both streams' records of one key go to one
    /// instance. What comes is a keyed stream like every other, of [`Either`].
    ///
    /// ```
    /// use millstream_operators::fan::Either;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("balance");
    /// let paid = flow.source("paid", source::from_iter([("ann", 10), ("bob", 5)]));
    /// let used = flow.source("used", source::from_iter([("ann", 3.5)]));
    /// let both = paid.connect(used).key_by(|paid| paid.0, |used| used.0);
    /// let balances = both.fold(0.0, |sum, either| match either {
    ///     Either::Left((_, paid)) => *sum += f64::from(paid),
    ///     Either::Right((_, used)) => *sum -= used,
    /// });
    /// let balances = balances.collect();
    /// let balances = flow.run().await?.take(balances).unwrap_or_default();
    /// assert!(balances.contains(&("ann", 6.5)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn key_by<K, F, G>(
        self,
        left: F,
        right: G,
    ) -> KeyedPair<L, R, impl KeyOf<Either<L, R>, Key = K, Owned = K>>
    where
        K: Hash + Eq + Clone + Send + 'static,
        F: Fn(&L) -> K + Clone + Send + 'static,
        G: Fn(&R) -> K + Clone + Send + 'static,
    {
        self.0.key_by(move |either| match either {
            Either::Left(value) => left(value),
            Either::Right(value) => right(value),
        })
    }
}

impl<L, R> fmt::Debug for ConnectedStreams<L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectedStreams").field(&self.0).finish()
    }
}
