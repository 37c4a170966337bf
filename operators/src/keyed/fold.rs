//! `fold` and `running_fold` by key.

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;

use super::KeyedStream;
use super::accumulate::{
    Accumulate, AccumulateRunning, Aggregated, AtEnd, Running, RunningAggregated,
};

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> KeyedStream<T, C, K> {
    /// Folds the records of each key into one result, and emits `(key, result)` for each when the
    /// input has ended, in no particular order. Keeps one accumulator a key.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("sums");
    /// let numbers = flow.source("numbers", source::from_iter(1..=4));
    /// let sums = numbers.key_by(|n| n % 2 == 0).fold(0, |sum, n| *sum += n).collect();
    /// let mut sums = flow.run().await?.take(sums).unwrap_or_default();
    /// sums.sort();
    /// assert_eq!(sums, [(false, 4), (true, 6)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fold<A, F>(self, initial: A, f: F) -> Aggregated<T, C, K, Fold<A, F>>
    where
        A: Clone + Send + 'static,
        F: FnMut(&mut A, T) + Clone + Send + 'static,
    {
        self.via_keyed(|key| AtEnd::new(key, Fold { initial, f }))
    }

    /// Folds the records of each key, and emits `(key, result so far)` for every record.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("running sums");
    /// let numbers = flow.source("numbers", source::from_iter(1..=3));
    /// let sums = numbers.key_by(|n| n % 2 == 0).running_fold(0, |sum, n| *sum += n).collect();
    /// assert_eq!(flow.run().await?.take(sums), Some(vec![(false, 1), (true, 2), (false, 4)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn running_fold<A, F>(self, initial: A, f: F) -> RunningAggregated<T, C, K, Fold<A, F>>
    where
        A: Clone + Send + 'static,
        F: FnMut(&mut A, T) + Clone + Send + 'static,
        K::Owned: Clone,
    {
        self.via_keyed(|key| Running::new(key, Fold { initial, f }))
    }
}

/// An accumulator, and a closure that adds to it.
#[derive(Clone, Debug)]
pub struct Fold<A, F> {
    initial: A,
    f: F,
}

impl<T, A, F> Accumulate<T> for Fold<A, F>
where
    A: Clone + Send + 'static,
    F: FnMut(&mut A, T) + Clone + Send + 'static,
{
    type State = A;
    type Out = A;
    const NAME: &'static str = "fold";
    const RUNNING: &'static str = "running_fold";

    #[inline]
    fn first(&mut self, value: T) -> A {
        let mut accumulator = self.initial.clone();
        (self.f)(&mut accumulator, value);
        accumulator
    }

    #[inline]
    fn add(&mut self, accumulator: &mut A, value: T) {
        (self.f)(accumulator, value);
    }

    fn result(&self, accumulator: A) -> A {
        accumulator
    }
}

impl<T, A, F> AccumulateRunning<T> for Fold<A, F>
where
    A: Clone + Send + 'static,
    F: FnMut(&mut A, T) + Clone + Send + 'static,
{
    #[inline]
    fn result_so_far(&self, accumulator: &A) -> A {
        accumulator.clone()
    }
}
