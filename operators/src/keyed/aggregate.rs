//! `aggregate` and `running_aggregate` by key.

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;

use super::KeyedStream;
use super::accumulate::{
    Accumulate, AccumulateMerged, AccumulateRunning, Aggregated, AtEnd, Running, RunningAggregated,
};
use crate::aggregate::Aggregate;

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> KeyedStream<T, C, K> {
    /// Emits `(key, result)` for each key when the input has ended, in no particular order: what
    /// `aggregate` tells of its records. Keeps one accumulator a key.
    ///
    /// ```
    /// use millstream_operators::aggregate::{Count, Max};
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("how many, and the most");
    /// let numbers = flow.source("numbers", source::from_iter([3, 8, 5]));
    /// let told = numbers.key_by(|n| n % 2).aggregate((Count, Max::of(|n| *n))).collect();
    /// let mut told = flow.run().await?.take(told).unwrap_or_default();
    /// told.sort();
    /// assert_eq!(told, [(0, (1, Some(8))), (1, (2, Some(5)))]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn aggregate<G: Aggregate<T>>(self, aggregate: G) -> Aggregated<T, C, K, Aggregating<G>> {
        self.via_keyed(|key| AtEnd::new(key, Aggregating(aggregate)))
    }

    /// Emits `(key, result so far)` for every record: what `aggregate` tells of the records of the
    /// key up to this one. To tell costs what the aggregate says it does, each time.
    ///
    /// ```
    /// use millstream_operators::aggregate::Mean;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("mean so far");
    /// let numbers = flow.source("numbers", source::from_iter([3, 5, 1]));
    /// let means =
    ///     numbers.key_by(|_| ()).running_aggregate(Mean::of(|n| f64::from(*n))).collect();
    /// let means = flow.run().await?.take(means).unwrap_or_default();
    /// assert_eq!(means, [((), Some(3.0)), ((), Some(4.0)), ((), Some(3.0))]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn running_aggregate<G: Aggregate<T>>(
        self,
        aggregate: G,
    ) -> RunningAggregated<T, C, K, Aggregating<G>>
    where
        K::Owned: Clone,
    {
        self.via_keyed(|key| Running::new(key, Aggregating(aggregate)))
    }
}

/// An [`Aggregate`] over the records of a key.
#[derive(Clone, Copy, Debug)]
pub struct Aggregating<G>(pub G);

impl<T, G: Aggregate<T>> Accumulate<T> for Aggregating<G> {
    type State = G::Accumulator;
    type Out = G::Out;
    const NAME: &'static str = "aggregate";
    const RUNNING: &'static str = "running_aggregate";

    #[inline]
    fn first(&mut self, value: T) -> G::Accumulator {
        let mut accumulator = self.0.create();
        self.0.add(&mut accumulator, &value);
        accumulator
    }

    #[inline]
    fn add(&mut self, accumulator: &mut G::Accumulator, value: T) {
        self.0.add(accumulator, &value);
    }

    fn result(&self, accumulator: G::Accumulator) -> G::Out {
        self.0.finish(accumulator)
    }
}

impl<T, G: Aggregate<T>> AccumulateMerged<T> for Aggregating<G> {
    #[inline]
    fn merge(&mut self, accumulator: &mut G::Accumulator, later: G::Accumulator) {
        self.0.merge(accumulator, &later);
    }
}

impl<T, G: Aggregate<T>> AccumulateRunning<T> for Aggregating<G> {
    #[inline]
    fn result_so_far(&self, accumulator: &G::Accumulator) -> G::Out {
        self.0.result(accumulator)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use millstream_engine::Record;
    use millstream_engine::edge::Keyed;
    use millstream_engine::key::{Made, stable_hash};
    use millstream_engine::testing::{OperatorHarness, Step, assert_survives_crashes};

    use super::*;
    use crate::aggregate::{Count, Sum};
    use crate::state::Checkpointed as _;

    fn keyed(value: u64) -> Keyed<u64> {
        Keyed { hash: stable_hash(&(value % 3)), value }
    }

    type ByRest = Made<fn(&u64) -> u64>;

    fn by_rest() -> ByRest {
        Made(|value: &u64| value % 3)
    }

    #[test]
    fn g11_a_rolling_aggregate_tells_after_every_record() {
        let both = Aggregating((Count, Sum::of(|value: &u64| *value)));
        let mut rolling = OperatorHarness::new(Running::new(by_rest(), both));
        let mut at_end = OperatorHarness::new(AtEnd::new(by_rest(), both));
        let mut model = BTreeMap::<u64, (u64, u128)>::new();
        for value in (0..50).map(|n| n * n) {
            let (count, sum) = model.entry(value % 3).or_default();
            (*count, *sum) = (*count + 1, *sum + u128::from(value));
            rolling.push(keyed(value));
            assert_eq!(rolling.values(), [(value % 3, (*count, *sum))]);
            at_end.push(keyed(value));
        }
        at_end.end();
        assert_eq!(at_end.values().into_iter().collect::<BTreeMap<_, _>>(), model);
    }

    #[test]
    fn g11_a_crash_behind_any_record_changes_nothing() {
        let sum = Aggregating(Sum::of(|value: &u64| *value));
        let steps: Vec<_> = (0..40).map(|n| Step::Record(Record::from(keyed(n * n)))).collect();
        assert_survives_crashes(&Running::new(by_rest(), sum).checkpointed(), &steps);
    }
}
