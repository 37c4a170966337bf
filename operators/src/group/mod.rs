//! `group_by`: a stream in parts, one for each key, and each with operators of its own.

mod each;
mod fragment;
mod limits;
mod open;

pub use each::Each;
pub use fragment::{Fragment, Group, Same, Then};
pub use limits::{AtLimit, Diverted, Groups, TooManyGroups};

use std::fmt;
use std::hash::Hash;

use millstream_engine::chain::Chain;

use crate::{DataStream, Dataflow};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Parts the stream into substreams, one for each key, which [`each`](GroupedStream::each)
    /// gives operators of their own and brings together again.
    ///
    /// A new key opens a substream. It is closed, as at the end of its input, when the stream ends,
    /// when no record has come for the idle timeout, or to make room where `groups` says so. What
    /// it keeps is freed then, and the key's next record opens another. If the operators of a
    /// substream have enough, the rest of its records are left out until it is closed.
    ///
    /// All substreams run in the one task of their stage, and each instance of a parallel stream
    /// has substreams of its own: where a key has to be in one place, use
    /// [`key_by`](DataStream::key_by), which has no limits and keeps state to the end.
    ///
    /// State: none that is written down so far. What substreams hold at a barrier is lost to a run
    /// that goes on from there.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use millstream_operators::group::{AtLimit, Groups};
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("pairs of each parity");
    /// let groups = Groups::new(100, Duration::from_secs(60), AtLimit::Evict);
    /// let pairs = flow
    ///     .source("numbers", source::from_iter(1..=5))
    ///     .group_by(|n| n % 2, groups)
    ///     .each(|group| group.chunks(2))
    ///     .collect();
    /// let pairs = flow.run().await?.take(pairs);
    /// assert_eq!(pairs, Some(vec![(1, vec![1, 3]), (0, vec![2, 4]), (1, vec![5])]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn group_by<K, F>(self, key: F, groups: Groups<T>) -> GroupedStream<T, C, F>
    where
        K: Hash + Eq + Clone + Send + 'static,
        F: Fn(&T) -> K + Clone + Send + 'static,
    {
        GroupedStream { stream: self, key, groups }
    }
}

/// A stream in parts, made by [`DataStream::group_by`].
#[must_use = "a stream that goes nowhere is a mistake: say what to do with each group"]
pub struct GroupedStream<T, C, F> {
    stream: DataStream<T, C>,
    key: F,
    groups: Groups<T>,
}

impl<T: Send + 'static, C: Chain<Item = T>, F> GroupedStream<T, C, F> {
    /// Says what becomes of each substream, in the words of a stream, and brings them together:
    /// what comes out has the key with it.
    ///
    /// The words are those that are fused into the stage; one with a side output, dead letters
    /// included, is a mistake that keeps the job from being started. Each substream
    /// has its own instance of their operators, closures and all; timers, watermarks and the end
    /// reach every one of them. Results of one substream keep their order, and so do those of
    /// several, as their records came.
    ///
    /// Emits when an operator of a substream does, and backpressures when its output does: one
    /// substream that waits keeps the others waiting. Ends with its input, when every substream has
    /// been closed, the longest unused first.
    pub fn each<K, O, G>(
        self,
        fragment: impl FnOnce(DataStream<T, Group<T>>) -> DataStream<O, G>,
    ) -> DataStream<(K, O), impl Chain<Item = (K, O)>>
    where
        K: Hash + Eq + Clone + Send + 'static,
        F: Fn(&T) -> K + Clone + Send + 'static,
        O: Send + 'static,
        G: Fragment<T, Out = O> + Chain<Item = O>,
    {
        let (inside, chain, _) = fragment(fragment::group(&Dataflow::new("group"))).into_parts();
        let (key, groups, operator) = (self.key, self.groups, chain.into_operator());
        self.stream.via_with(|id, blueprint| {
            blueprint.enclose(id, inside.blueprint());
            let port = groups.diverted().map(|edge| blueprint.connect(edge, id));
            Each::new(key, groups, port, operator)
        })
    }
}

impl<T, C, F> fmt::Debug for GroupedStream<T, C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupedStream").field("groups", &self.groups).finish_non_exhaustive()
    }
}
