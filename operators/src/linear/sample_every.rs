//! `sample_every`, `sample_ratio` and `sample_by_key`: a share of the records.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::key::stable_hash;
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::random::Random;
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::{Error, OperatorError, Record};

use crate::DataStream;
use crate::part::{read_count, write_count};
use crate::state::Checkpointed;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets every `nth` record through: the first of each group of so many. The others are counted
    /// as `sampled`. Each instance of a parallel stream counts for itself.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// State: the place in the row.
    ///
    /// # Panics
    ///
    /// If `nth` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("thirds");
    /// let thirds = flow.source("numbers", source::from_iter(0..8)).sample_every(3).collect();
    /// assert_eq!(flow.run().await?.take(thirds), Some(vec![0, 3, 6]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn sample_every(self, nth: u64) -> DataStream<T, Via<C, SampleShare<Every>>> {
        assert!(nth > 0, "a sample of every zeroth record");
        self.via(SampleShare::new(Every { nth, seen: 0 }))
    }

    /// Lets each record through with the probability `ratio`, by the job's seed: the same seed and
    /// input give the same sample. The others are counted as `sampled`.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// State: how the chances go on.
    ///
    /// # Panics
    ///
    /// If `ratio` is not between 0 and 1.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("some");
    /// let some = flow.source("numbers", source::from_iter(0..1000)).sample_ratio(0.1).count();
    /// assert!((50..150).contains(&flow.run().await?.take(some).unwrap_or_default()));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn sample_ratio(self, ratio: f64) -> DataStream<T, Via<C, SampleShare<Ratio>>> {
        assert!((0.0..=1.0).contains(&ratio), "a sample of no share between 0 and 1");
        self.via(SampleShare::new(Ratio { ratio, random: None }))
    }

    /// Lets the records of a share of the keys through, all of each: which keys they are follows
    /// from the engine's stable hash, and is the same in every run, instance and program. The
    /// others are counted as `sampled`.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// State: none.
    ///
    /// # Panics
    ///
    /// If `ratio` is not between 0 and 1.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("some users");
    /// let users = flow.source("users", source::from_iter((0..1000).chain(0..1000)));
    /// let some = users.sample_by_key(0.1, |user| *user).count();
    /// let count = flow.run().await?.take(some).unwrap_or_default();
    /// assert!(count % 2 == 0 && (100..300).contains(&count));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn sample_by_key<K, F>(
        self,
        ratio: f64,
        key: F,
    ) -> DataStream<T, Via<C, SampleShare<ByKey<F>>>>
    where
        K: Hash,
        F: FnMut(&T) -> K + Clone + Send + 'static,
    {
        assert!((0.0..=1.0).contains(&ratio), "a sample of no share between 0 and 1");
        self.via(SampleShare::new(ByKey { ratio, key }))
    }
}

/// How a sample is chosen.
pub trait Share<T>: Clone + Send + 'static {
    /// The word.
    const NAME: &'static str;

    /// Takes what it needs of a run, blank.
    fn open(&mut self, context: &OperatorContext<'_>) {
        let _ = context;
    }

    /// What it knows of the records before, as state.
    fn memory(&self) -> u64 {
        0
    }

    /// Goes on from what another run knew.
    fn remember(&mut self, memory: u64) {
        let _ = memory;
    }

    /// Whether a record belongs to the sample.
    fn takes(&mut self, value: &T) -> bool;
}

/// The choice of [`DataStream::sample_every`].
#[derive(Clone, Copy, Debug)]
pub struct Every {
    nth: u64,
    seen: u64,
}

impl<T> Share<T> for Every {
    const NAME: &'static str = "sample_every";

    fn open(&mut self, _context: &OperatorContext<'_>) {
        self.seen = 0;
    }

    fn memory(&self) -> u64 {
        self.seen
    }

    fn remember(&mut self, memory: u64) {
        self.seen = memory % self.nth;
    }

    #[inline]
    fn takes(&mut self, _value: &T) -> bool {
        let first = self.seen == 0;
        self.seen = (self.seen + 1) % self.nth;
        first
    }
}

/// The choice of [`DataStream::sample_ratio`].
#[derive(Clone, Debug)]
pub struct Ratio {
    ratio: f64,
    random: Option<Random>,
}

impl<T> Share<T> for Ratio {
    const NAME: &'static str = "sample_ratio";

    fn open(&mut self, context: &OperatorContext<'_>) {
        self.random = Some(context.random());
    }

    fn memory(&self) -> u64 {
        self.random.as_ref().map_or(0, Random::state)
    }

    fn remember(&mut self, memory: u64) {
        self.random = Some(Random::new(memory));
    }

    #[inline]
    fn takes(&mut self, _value: &T) -> bool {
        self.random.as_mut().is_none_or(|random| random.ratio() < self.ratio)
    }
}

/// The choice of [`DataStream::sample_by_key`].
#[derive(Clone, Copy, Debug)]
pub struct ByKey<F> {
    ratio: f64,
    key: F,
}

impl<T, K, F> Share<T> for ByKey<F>
where
    K: Hash,
    F: FnMut(&T) -> K + Clone + Send + 'static,
{
    const NAME: &'static str = "sample_by_key";

    #[inline]
    fn takes(&mut self, value: &T) -> bool {
        // The upper half: exact as a float.
        #[allow(clippy::cast_possible_truncation, reason = "32 bits are left")]
        let hash = (stable_hash(&(self.key)(value)) >> 32) as u32;
        f64::from(hash) < self.ratio * (f64::from(u32::MAX) + 1.0)
    }
}

/// The operator behind [`DataStream::sample_every`], [`DataStream::sample_ratio`] and
/// [`DataStream::sample_by_key`].
#[derive(Clone)]
pub struct SampleShare<S> {
    share: S,
    counters: Arc<OperatorCounters>,
}

impl<S> Checkpointed for SampleShare<S> {}

impl<S> SampleShare<S> {
    fn new(share: S) -> Self {
        Self { share, counters: Arc::default() }
    }
}

impl<S> fmt::Debug for SampleShare<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SampleShare")
    }
}

impl<T: Send + 'static, S: Share<T>> Operator<T> for SampleShare<S> {
    type Out = T;
    const NAME: &'static str = S::NAME;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.share.open(context);
        self.counters = context.counters();
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if self.share.takes(&record.value) {
            out.push(record);
        } else {
            self.counters.dropped(DropReason::Sampled, 1);
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_count(state, self.share.memory());
        Ok(())
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        if let Some(memory) = read_count(state)? {
            self.share.remember(memory);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Dataflow, source};
    use millstream_engine::testing::OperatorHarness;

    fn sample<S: Share<u32>>(share: S) -> Vec<u32> {
        let mut harness = OperatorHarness::new(SampleShare::new(share));
        (0..1000).for_each(|n| harness.push(n));
        let values = harness.values();
        let dropped = harness.operator().counters.drops().of(DropReason::Sampled);
        assert_eq!(dropped, 1000 - values.len() as u64);
        values
    }

    #[test]
    fn b28_every_nth_is_the_first_of_each_group() {
        assert_eq!(sample(Every { nth: 400, seen: 0 }), [0, 400, 800]);
        assert_eq!(sample(Every { nth: 1, seen: 0 }).len(), 1000);
    }

    #[test]
    fn b28_a_ratio_follows_from_the_seed() {
        let ratio = |ratio| sample(Ratio { ratio, random: None });
        assert_eq!(ratio(0.3), ratio(0.3));
        assert!((200..400).contains(&ratio(0.3).len()));
        assert_eq!((ratio(0.0).len(), ratio(1.0).len()), (0, 1000));
    }

    #[test]
    fn b28_keys_are_sampled_whole_and_alike_everywhere() {
        let by_key = |ratio| sample(ByKey { ratio, key: |n: &u32| n / 10 });
        let some = by_key(0.3);
        assert_eq!(some, by_key(0.3));
        assert!(some.chunks(10).all(|chunk| chunk.len() == 10 && chunk[0] % 10 == 0), "{some:?}");
        assert!((150..450).contains(&some.len()), "{}", some.len());
        let more = by_key(0.6);
        assert!(some.iter().all(|n| more.contains(n)), "a larger share has the smaller one in it");
        assert_eq!((by_key(0.0).len(), by_key(1.0).len()), (0, 1000));
    }

    #[test]
    #[should_panic(expected = "no share between 0 and 1")]
    fn b28_no_share_is_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter([1])).sample_ratio(f64::NAN).ignore();
    }
}
