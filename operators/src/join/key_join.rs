//! `join`: records of one key, whenever they come.

use std::fmt;

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;

use super::connect::{EitherKey, Order, meet};
use super::key_function::{AtEnd, Complete, JoinMode, Keep, KeyFunction, Running};
use super::kind::EitherOrBoth;
use crate::KeyedStream;
use crate::fan::{Either, KeyedPair, Met};
use crate::keyed::process::{Processed, StateTtl};

impl<L: Send + 'static, C: Chain<Item = L>, K: KeyOf<L>> KeyedStream<L, C, K> {
    /// Puts what there is of each key in this stream and in another together, whatever its time:
    /// for streams that are not about when, such as the parts of an answer.
    ///
    /// Behind it is said what is kept of each side, the last record if nothing is said, and then
    /// when is told of it: [`complete`](KeyJoin::complete), as soon as both are there;
    /// [`running`](KeyJoin::running), at each change; or [`at_end`](KeyJoin::at_end). What is told
    /// of two has the later of their times.
    ///
    /// What comes of it depends on what comes first, if a side of a key has several records. Joins
    /// by time that don't are [`interval_join`](KeyedStream::interval_join) and
    /// [`as_of_join`](KeyedStream::as_of_join).
    ///
    /// - **Waits** for its output, between one result and the next; **ends** with the last of its
    ///   inputs.
    /// - **State**: what is kept of each key. Nothing says that a key is over, so it grows with
    ///   their number: [`ttl`](KeyJoin::ttl) forgets keys of which nothing comes, and
    ///   [`max_keys`](crate::DataStream::max_keys) is a limit. A [`uid`](crate::DataStream::uid)
    ///   has it written down.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("settled");
    /// let orders = flow.source("orders", source::from_iter([(1, "tea"), (2, "cake")]));
    /// let payments = flow.source("payments", source::from_iter([(2, 350)]));
    /// let settled = orders
    ///     .key_by(|order| order.0)
    ///     .join(payments.key_by(|payment| payment.0))
    ///     .complete(|order, payment| (order.1, payment.1))
    ///     .collect();
    /// assert_eq!(flow.run().await?.take(settled), Some(vec![("cake", 350)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn join<R, D, J>(self, right: KeyedStream<R, D, J>) -> KeyJoin<L, R, EitherKey<K, J>>
    where
        R: Send + 'static,
        D: Chain<Item = R>,
        J: KeyOf<R, Key = K::Key, Owned = K::Owned>,
    {
        KeyJoin { pair: meet(self, right, Order::Any, "join"), keep: Keep::Last, ttl: None }
    }
}

/// Two streams whose records belong together by key. What is said on it first is what is kept of
/// them, and then when is told of it.
#[must_use = "what nobody is told of is a mistake: say when to tell, as `.complete(…)`"]
pub struct KeyJoin<L, R, K> {
    pair: KeyedPair<L, R, K>,
    keep: Keep,
    ttl: Option<StateTtl>,
}

/// The stream that a join by key ends in.
pub type KeyJoined<L, R, K, M> = Processed<Either<L, R>, Met<L, R>, K, KeyFunction<L, R, M>>;

impl<L, R, K> KeyJoin<L, R, K>
where
    L: Send + 'static,
    R: Send + 'static,
    K: KeyOf<Either<L, R>, Owned: Eq + Clone>,
{
    /// Keeps the first record of each side of a key: others change nothing.
    pub const fn keep_first(mut self) -> Self {
        self.keep = Keep::First;
        self
    }

    /// Keeps the last record of each side of a key, in the order of its stream. That is so if
    /// nothing is said.
    pub const fn keep_last(mut self) -> Self {
        self.keep = Keep::Last;
        self
    }

    /// Keeps all records of each side of a key, and tells of each with each: of the product. What
    /// is kept of a key grows with their number.
    pub const fn keep_all(mut self) -> Self {
        self.keep = Keep::All;
        self
    }

    /// Forgets what is kept of a key when it has lived its time. A record that comes for either
    /// side lets it live anew.
    pub const fn ttl(mut self, ttl: StateTtl) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Tells of what is kept when there is something of both sides, and then forgets the key: the
    /// next record of it begins anew.
    pub fn complete<O, F>(self, tell: F) -> KeyJoined<L, R, K, Complete<F>>
    where
        O: Send + 'static,
        F: FnMut(&L, &R) -> O + Clone + Send + 'static,
    {
        self.tell(Complete(tell))
    }

    /// Tells of each record that changes what is kept, with what is kept of the other side.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("profile");
    /// let names = flow.source("names", source::from_iter([(7, "ann")]));
    /// let towns = flow.source("towns", source::from_iter([(7, "Lund")]));
    /// let known = names
    ///     .key_by(|name| name.0)
    ///     .join(towns.key_by(|town| town.0))
    ///     .running(|sides| (sides.left().map(|name| name.1), sides.right().map(|town| town.1)))
    ///     .collect();
    /// let known = flow.run().await?.take(known).unwrap_or_default();
    /// assert_eq!(known.len(), 2);
    /// assert_eq!(known[1], (Some("ann"), Some("Lund")));
    /// # Ok(())
    /// # }
    /// ```
    pub fn running<O, F>(self, tell: F) -> KeyJoined<L, R, K, Running<F>>
    where
        O: Send + 'static,
        F: FnMut(EitherOrBoth<&L, &R>) -> O + Clone + Send + 'static,
    {
        self.tell(Running(tell))
    }

    /// Tells of what is kept when the input has ended: of each key that had any record. Event time
    /// behind it does not pass before that. A key that makes room for another is told of then.
    ///
    /// # Panics
    ///
    /// With a [`ttl`](KeyJoin::ttl): what has been forgotten can't be told of at the end.
    #[track_caller]
    pub fn at_end<O, F>(self, tell: F) -> KeyJoined<L, R, K, AtEnd<F>>
    where
        O: Send + 'static,
        F: FnMut(EitherOrBoth<&L, &R>) -> O + Clone + Send + 'static,
    {
        assert!(self.ttl.is_none(), "what a `ttl` has forgotten can't be told of `at_end`");
        self.tell(AtEnd(tell))
    }

    fn tell<M: JoinMode<L, R>>(self, mode: M) -> KeyJoined<L, R, K, M> {
        self.pair.process(KeyFunction::new(mode, self.keep, self.ttl))
    }
}

impl<L, R, K> fmt::Debug for KeyJoin<L, R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyJoin")
            .field("keep", &self.keep)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}
