//! An aggregate behind the shuffle: of records, and of what others have made of records.

use super::Combined;
use crate::aggregate::Aggregate;
use crate::keyed::accumulate::{Accumulate, AccumulateMerged, AccumulateRunning};

/// The same aggregate, of what is [`Combined`]: a record is added, a partial is merged.
///
/// What it keeps is what the aggregate itself does, so that the state of a word is the same with
/// and without a combiner before it.
#[derive(Clone, Copy, Debug)]
pub struct Merging<G>(pub G);

impl<T, K, G> Accumulate<Combined<T, K, G::State>> for Merging<G>
where
    G: AccumulateMerged<T>,
{
    type State = G::State;
    type Out = G::Out;
    const NAME: &'static str = G::NAME;
    const RUNNING: &'static str = G::RUNNING;

    #[inline]
    fn first(&mut self, value: Combined<T, K, G::State>) -> G::State {
        match value {
            Combined::Record(value) => self.0.first(value),
            Combined::Partial(partial) => partial.accumulator,
        }
    }

    #[inline]
    fn add(&mut self, state: &mut G::State, value: Combined<T, K, G::State>) {
        match value {
            Combined::Record(value) => self.0.add(state, value),
            Combined::Partial(partial) => self.0.merge(state, partial.accumulator),
        }
    }

    fn result(&self, state: G::State) -> G::Out {
        self.0.result(state)
    }
}

impl<T, K, G> AccumulateRunning<Combined<T, K, G::State>> for Merging<G>
where
    G: AccumulateMerged<T> + AccumulateRunning<T>,
{
    #[inline]
    fn result_so_far(&self, state: &G::State) -> G::Out {
        self.0.result_so_far(state)
    }
}

impl<T, K, G> Aggregate<Combined<T, K, G::Accumulator>> for Merging<G>
where
    G: Aggregate<T>,
{
    type Accumulator = G::Accumulator;
    type Out = G::Out;
    const NAME: &'static str = G::NAME;

    fn create(&self) -> G::Accumulator {
        self.0.create()
    }

    #[inline]
    fn add(&self, accumulator: &mut G::Accumulator, value: &Combined<T, K, G::Accumulator>) {
        match value {
            Combined::Record(value) => self.0.add(accumulator, value),
            Combined::Partial(partial) => self.0.merge(accumulator, &partial.accumulator),
        }
    }

    fn merge(&self, accumulator: &mut G::Accumulator, other: &G::Accumulator) {
        self.0.merge(accumulator, other);
    }

    fn result(&self, accumulator: &G::Accumulator) -> G::Out {
        self.0.result(accumulator)
    }

    fn finish(&self, accumulator: G::Accumulator) -> G::Out {
        self.0.finish(accumulator)
    }
}
