//! `count` and `running_count` by key.

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;

use super::KeyedStream;
use super::accumulate::{
    Accumulate, AccumulateMerged, AccumulateRunning, Aggregated, AtEnd, Running, RunningAggregated,
};
use crate::aggregate::Count;

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> KeyedStream<T, C, K> {
    /// Counts the records of each key, and emits `(key, count)` for each when the input has ended,
    /// in no particular order. Where few keys have many records, say
    /// [`combined`](KeyedStream::combined) before it.
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
    pub fn count(self) -> Aggregated<T, C, K, Count> {
        self.via_keyed(|key| AtEnd::new(key, Count))
    }

    /// Counts the records of each key, and emits `(key, count so far)` for every record.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("so far");
    /// let letters = flow.source("letters", source::from_iter(["a", "b", "a"]));
    /// let counts = letters.key_by(|letter| *letter).running_count().collect();
    /// assert_eq!(flow.run().await?.take(counts), Some(vec![("a", 1), ("b", 1), ("a", 2)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn running_count(self) -> RunningAggregated<T, C, K, Count>
    where
        K::Owned: Clone,
    {
        self.via_keyed(|key| Running::new(key, Count))
    }
}

impl<T> Accumulate<T> for Count {
    type State = u64;
    type Out = u64;
    const NAME: &'static str = "count";
    const RUNNING: &'static str = "running_count";

    #[inline]
    fn first(&mut self, _value: T) -> u64 {
        1
    }

    #[inline]
    fn add(&mut self, count: &mut u64, _value: T) {
        *count += 1;
    }

    fn result(&self, count: u64) -> u64 {
        count
    }
}

impl<T> AccumulateMerged<T> for Count {
    #[inline]
    fn merge(&mut self, count: &mut u64, later: u64) {
        *count += later;
    }
}

impl<T> AccumulateRunning<T> for Count {
    #[inline]
    fn result_so_far(&self, count: &u64) -> u64 {
        *count
    }
}
