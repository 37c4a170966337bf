//! `reduce` and `running_reduce` by key.

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;

use super::KeyedStream;
use super::accumulate::{
    Accumulate, AccumulateMerged, AccumulateRunning, Aggregated, AtEnd, Running, RunningAggregated,
};

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> KeyedStream<T, C, K> {
    /// Folds the records of each key into the first of them, and emits `(key, result)` for each
    /// when the input has ended, in no particular order.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("highest");
    /// let numbers = flow.source("numbers", source::from_iter([3, 8, 5, 2]));
    /// let highest =
    ///     numbers.key_by(|n| n % 2 == 0).reduce(|best, n| *best = n.max(*best)).collect();
    /// let mut highest = flow.run().await?.take(highest).unwrap_or_default();
    /// highest.sort();
    /// assert_eq!(highest, [(false, 5), (true, 8)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reduce<F>(self, f: F) -> Aggregated<T, C, K, Reduce<F>>
    where
        F: FnMut(&mut T, T) + Clone + Send + 'static,
    {
        self.via_keyed(|key| AtEnd::new(key, Reduce { f }))
    }

    /// Folds the records of each key into the first of them, and emits `(key, result so far)` for
    /// every record.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("highest so far");
    /// let numbers = flow.source("numbers", source::from_iter([3, 1, 5]));
    /// let highest =
    ///     numbers.key_by(|_| ()).running_reduce(|best, n| *best = n.max(*best)).collect();
    /// assert_eq!(flow.run().await?.take(highest), Some(vec![((), 3), ((), 3), ((), 5)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn running_reduce<F>(self, f: F) -> RunningAggregated<T, C, K, Reduce<F>>
    where
        F: FnMut(&mut T, T) + Clone + Send + 'static,
        T: Clone,
        K::Owned: Clone,
    {
        self.via_keyed(|key| Running::new(key, Reduce { f }))
    }
}

/// The first record, and a closure that adds the others to it.
#[derive(Clone, Debug)]
pub struct Reduce<F> {
    f: F,
}

impl<F> Reduce<F> {
    pub(crate) const fn with(f: F) -> Self {
        Self { f }
    }
}

impl<T, F> Accumulate<T> for Reduce<F>
where
    T: Send + 'static,
    F: FnMut(&mut T, T) + Clone + Send + 'static,
{
    type State = T;
    type Out = T;
    const NAME: &'static str = "reduce";
    const RUNNING: &'static str = "running_reduce";

    #[inline]
    fn first(&mut self, value: T) -> T {
        value
    }

    #[inline]
    fn add(&mut self, reduced: &mut T, value: T) {
        (self.f)(reduced, value);
    }

    fn result(&self, reduced: T) -> T {
        reduced
    }
}

impl<T, F> AccumulateMerged<T> for Reduce<F>
where
    T: Send + 'static,
    F: FnMut(&mut T, T) + Clone + Send + 'static,
{
    #[inline]
    fn merge(&mut self, reduced: &mut T, later: T) {
        (self.f)(reduced, later);
    }
}

impl<T, F> AccumulateRunning<T> for Reduce<F>
where
    T: Clone + Send + 'static,
    F: FnMut(&mut T, T) + Clone + Send + 'static,
{
    #[inline]
    fn result_so_far(&self, reduced: &T) -> T {
        reduced.clone()
    }
}
