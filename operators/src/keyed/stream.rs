//! `key_by` and `key_by_ref`: the way into keyed operators.

use std::fmt;
use std::hash::Hash;

use millstream_engine::chain::{Boundary, Chain};
use millstream_engine::edge::{KeyRouter, Keyed, Router};
use millstream_engine::graph::{
    Blueprint, Distribution, EdgeOptions, OperatorId, Role, StageDraft,
};
use millstream_engine::key::{Borrowed, KeyOf, Made};
use millstream_engine::operator::Operator;

use super::chain::{HashKey, KeyedChain, ViaKeyed};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Says which key each record belongs to. Records of one key go to one instance, in order.
    ///
    /// The key is made anew for each record; where that costs an allocation, as with a `String`,
    /// use [`key_by_ref`](DataStream::key_by_ref).
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("parity");
    /// let counts =
    ///     flow.source("numbers", source::from_iter(0..5)).key_by(|n| n % 2).count().collect();
    /// let mut counts = flow.run().await?.take(counts).unwrap_or_default();
    /// counts.sort();
    /// assert_eq!(counts, [(0, 3), (1, 2)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn key_by<K, F>(self, key: F) -> KeyedStream<T, C, Made<F>>
    where
        K: Hash + Eq + Clone + Send + 'static,
        F: Fn(&T) -> K + Clone + Send + 'static,
    {
        KeyedStream::new(self, Made(key), false)
    }

    /// Says which key each record belongs to, by borrowing it from the record. State keeps a key of
    /// its own for the first record only.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("words");
    /// let words = ["to", "be", "to"].map(String::from);
    /// let counts = flow
    ///     .source("words", source::from_iter(words))
    ///     .key_by_ref(|word: &String| word.as_str())
    ///     .count()
    ///     .fold(0, |most, (_, count)| *most = count.max(*most));
    /// assert_eq!(flow.run().await?.take(counts), Some(2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn key_by_ref<K, F>(self, key: F) -> KeyedStream<T, C, Borrowed<F>>
    where
        K: Hash + Eq + ToOwned<Owned: Send + 'static> + ?Sized + 'static,
        F: Fn(&T) -> &K + Clone + Send + 'static,
    {
        KeyedStream::new(self, Borrowed(key), false)
    }
}

/// Records of `T` that belong to keys. What is said on it keeps state for each key, and gives a
/// plain stream again.
///
/// It can be ended in no sink, because nothing has been said yet of what becomes of a key:
///
/// ```compile_fail
/// # use millstream_operators::prelude::*;
/// let flow = Dataflow::new("parity");
/// flow.source("numbers", source::from_iter(0..5)).key_by(|n| n % 2).ignore();
/// ```
#[must_use = "a stream that goes nowhere is a mistake: say what to do for each key"]
pub struct KeyedStream<T, C, K> {
    stream: DataStream<T, C>,
    key: K,
    parallelism: usize,
    /// Whether each record already is where its key belongs.
    in_place: bool,
}

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> KeyedStream<T, C, K> {
    /// Spreads the keys over `instances` instances, 128 at most. Without it there are as many as
    /// the stream has. Where that is one before and behind, nothing has to find its way, and what
    /// follows is part of the same stage; a [`boundary`](DataStream::boundary) before lets the two
    /// run at the same time.
    pub const fn parallel(mut self, instances: usize) -> Self {
        self.parallelism = instances;
        self
    }

    /// A stream whose records are where their keys belong already, in as many instances as it has.
    pub(crate) const fn in_place(stream: DataStream<T, C>, key: K) -> Self {
        Self::new(stream, key, true)
    }

    /// A stream whose keys `key` finds.
    pub(crate) const fn by(stream: DataStream<T, C>, key: K) -> Self {
        Self::new(stream, key, false)
    }

    const fn new(stream: DataStream<T, C>, key: K, in_place: bool) -> Self {
        Self { parallelism: stream.parallelism(), stream, key, in_place }
    }

    /// Whether each record is where its key belongs already, so that nothing is shuffled.
    pub(crate) const fn is_in_place(&self) -> bool {
        let instances = self.stream.parallelism();
        self.parallelism == instances && (instances == 1 || self.in_place)
    }

    /// The stream, the key function, and how many instances were asked for.
    pub(crate) fn into_parts(self) -> (DataStream<T, C>, K, usize) {
        (self.stream, self.key, self.parallelism)
    }

    /// Puts an operator behind the shuffle, given the key function: the one door for keyed
    /// operators, ours and yours. What it gets is each value with the hash of its key.
    pub fn via_keyed<O: Operator<Keyed<T>>>(
        self,
        operator: impl FnOnce(K) -> O,
    ) -> ViaKeyed<T, C, K, O> {
        self.via_keyed_with(|key, _, _| operator(key))
    }

    /// As [`via_keyed`](KeyedStream::via_keyed), for an operator that has to know its place in the
    /// graph: to connect itself to the edge of a side output.
    pub fn via_keyed_with<O: Operator<Keyed<T>>>(
        self,
        operator: impl FnOnce(K, OperatorId, &Blueprint) -> O,
    ) -> ViaKeyed<T, C, K, O> {
        let keyed = if self.is_in_place() {
            let (flow, chain, draft) = self.stream.via(HashKey(self.key.clone())).into_parts();
            DataStream::from_parts(flow, KeyedChain::fused(chain), draft)
        } else {
            let shuffled = shuffled(self.stream, KeyRouter(self.key.clone()), self.parallelism);
            let (flow, chain, draft) = shuffled.into_parts();
            DataStream::from_parts(flow, KeyedChain::shuffled(chain), draft)
        };
        keyed.via_with(|id, blueprint| operator(self.key, id, blueprint))
    }
}

/// Sends each record to the instance that owns its key, which the router finds.
pub(crate) fn shuffled<T, C, U, R>(
    stream: DataStream<T, C>,
    router: R,
    parallelism: usize,
) -> DataStream<Keyed<U>>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    U: Send + 'static,
    R: Router<T, Out = Keyed<U>> + Clone + 'static,
{
    let (flow, chain, mut draft) = stream.into_parts();
    draft.operators.push(flow.blueprint().add_operator(Role::Operator, "key_by", None));
    let options = EdgeOptions { distribution: Distribution::Key, ..EdgeOptions::default() };
    let edge = flow.blueprint().add_edge::<Keyed<U>>("key_by", options);
    DataStream::from_parts(flow.clone(), chain, draft).route(&[edge], router);
    let draft = StageDraft { operators: Vec::new(), input: Some(edge), parallelism };
    DataStream::from_parts(flow, Boundary::edge(edge), draft)
}

impl<T, C, K> fmt::Debug for KeyedStream<T, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedStream").field("stream", &self.stream).finish_non_exhaustive()
    }
}
