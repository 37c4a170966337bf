//! `connect` of keyed streams: two streams of one kind of key, and the records of each key in one
//! place.

use std::borrow::Borrow;
use std::hash::Hash;

use millstream_engine::chain::Chain;
use millstream_engine::edge::{Discipline, Router};
use millstream_engine::graph::{Distribution, EdgeId, EdgeOptions, Role};
use millstream_engine::key::KeyOf;

use crate::fan::{Either, KeyedPair};
use crate::keyed::ToOwner;
use crate::{DataStream, Dataflow, KeyedStream};

impl<L: Send + 'static, C: Chain<Item = L>, K: KeyOf<L>> KeyedStream<L, C, K> {
    /// Puts the records of this stream and of another together by key: what comes is a keyed stream
    /// like every other, of [`Either`]. Every keyed word can be said on it, and what keeps state by
    /// [`process`](KeyedStream::process) sees both sides of a key.
    ///
    /// Each stream keeps its own order for a key, and nothing is promised between the two. It ends
    /// with the last of them; its watermark is the earlier one, or that of the one which is not
    /// idle. There are as many instances as either of the two was to be spread over, whichever is
    /// more.
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
    /// let both = paid.key_by(|paid| paid.0).connect(used.key_by(|used| used.0));
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
    ///
    /// Keys of two kinds do not meet:
    ///
    /// ```compile_fail
    /// # use millstream_operators::prelude::*;
    /// let flow = Dataflow::new("balance");
    /// let paid = flow.source("paid", source::from_iter([("ann", 10)]));
    /// let used = flow.source("used", source::from_iter([(7, 3.5)]));
    /// paid.key_by(|paid| paid.0).connect(used.key_by(|used| used.0)).count().ignore();
    /// ```
    pub fn connect<R, D, J>(self, other: KeyedStream<R, D, J>) -> KeyedPair<L, R, EitherKey<K, J>>
    where
        R: Send + 'static,
        D: Chain<Item = R>,
        J: KeyOf<R, Key = K::Key, Owned = K::Owned>,
    {
        meet(self, other, Order::Any, "connect")
    }
}

/// Which of two streams is read first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Whichever has something, in turn.
    Any,
    /// The right one to its end, and then the left one.
    RightFirst,
}

/// Lets two streams meet by key.
pub(super) fn meet<L, R, C, D, K, J>(
    left: KeyedStream<L, C, K>,
    right: KeyedStream<R, D, J>,
    order: Order,
    kind: &'static str,
) -> KeyedPair<L, R, EitherKey<K, J>>
where
    L: Send + 'static,
    R: Send + 'static,
    C: Chain<Item = L>,
    D: Chain<Item = R>,
    K: KeyOf<L>,
    J: KeyOf<R, Key = K::Key, Owned = K::Owned>,
{
    let (left, left_key, instances) = left.into_parts();
    let (right, right_key, others) = right.into_parts();
    let instances = instances.max(others);
    let key = EitherKey { left: left_key.clone(), right: right_key.clone() };
    let distribution = if instances == 1 { Distribution::Forward } else { Distribution::Key };
    let discipline = match order {
        Order::Any => Discipline::Merge,
        Order::RightFirst => Discipline::Concat,
    };
    let options = EdgeOptions { distribution, discipline, ..EdgeOptions::default() };
    let flow = left.flow().clone();
    let edge = flow.blueprint().add_edge::<Either<L, R>>(kind, options);
    let to_left = ToOwner::new(left_key, |keyed| Either::<_, R>::Left(keyed.value));
    let to_right = ToOwner::new(right_key, |keyed| Either::<L, _>::Right(keyed.value));
    // Streams that are read one after the other are read in the order in which they come in.
    if order == Order::RightFirst {
        send(right, edge, &flow, to_right);
        send(left, edge, &flow, to_left);
    } else {
        send(left, edge, &flow, to_left);
        send(right, edge, &flow, to_right);
    }
    KeyedStream::in_place(DataStream::behind(flow, edge, instances, kind), key)
}

/// Sends one of the sides into the edge in which they meet.
fn send<T, C, R>(stream: DataStream<T, C>, edge: EdgeId, flow: &Dataflow, router: R)
where
    T: Send + 'static,
    C: Chain<Item = T>,
    R: Router<T> + Clone + 'static,
    R::Out: 'static,
{
    let (own, chain, mut draft) = stream.into_parts();
    draft.operators.push(own.blueprint().add_operator(Role::Operator, "key_by", None));
    flow.blueprint().meet(edge, own.blueprint());
    DataStream::from_parts(own, chain, draft).route(&[edge], router);
}

/// How the key of either side is found.
#[derive(Clone, Copy, Debug)]
pub struct EitherKey<K, J> {
    left: K,
    right: J,
}

#[cfg(test)]
impl<K, J> EitherKey<K, J> {
    pub(super) const fn new(left: K, right: J) -> Self {
        Self { left, right }
    }
}

impl<L, R, K, J> KeyOf<Either<L, R>> for EitherKey<K, J>
where
    K: KeyOf<L>,
    J: KeyOf<R, Key = K::Key, Owned = K::Owned>,
    K::Key: Hash + Eq + ToOwned<Owned = K::Owned>,
    K::Owned: Borrow<K::Key>,
{
    type Key = K::Key;
    type Owned = K::Owned;

    #[inline]
    fn with<O>(&self, value: &Either<L, R>, look: impl FnOnce(&K::Key) -> O) -> O {
        match value {
            Either::Left(value) => self.left.with(value, look),
            Either::Right(value) => self.right.with(value, look),
        }
    }
}
