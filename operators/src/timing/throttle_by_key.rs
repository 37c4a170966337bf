//! `throttle_by_key_or_drop`: a rate for each key, and what comes faster is dropped.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashTable;
use millstream_engine::chain::{Chain, Via};
use millstream_engine::key::stable_hash;
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Instant;
use millstream_engine::{Error, OperatorError, Record};

use super::rate::{Gcra, Rate};
use super::run_clock::RunClock;
use crate::DataStream;
use crate::state::{Checkpointed, Codec, Part, State, read_parts, write_parts};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets the records of each key through no faster than `rate`, and drops what comes faster. It
    /// never waits. Each drop is counted, as `throttled`.
    ///
    /// `max_keys` keys are known at once. A key whose allowance is whole again needs no memory, and
    /// is forgotten when a new one needs the room. If there is none such, the record of a new key
    /// is dropped: too little passes then, and never too much. Each instance of a parallel stream
    /// keeps its own keys.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// State: the keys that are known, and how much of its rate each has used.
    ///
    /// # Panics
    ///
    /// If `max_keys` is zero.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, timing::Rate};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("noisy");
    /// let lines = flow.source("lines", source::from_iter(["a 1", "a 2", "b 1", "a 3"]));
    /// let host = |line: &&'static str| line.as_bytes()[0];
    /// let quiet = lines.throttle_by_key_or_drop(Rate::per_second(1), 1000, host).collect();
    /// assert_eq!(flow.run().await?.take(quiet), Some(vec!["a 1", "b 1"]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn throttle_by_key_or_drop<K, F>(
        self,
        rate: Rate,
        max_keys: usize,
        key: F,
    ) -> DataStream<T, Via<C, ThrottleByKey<K, F>>>
    where
        K: Hash + Eq + Send + 'static,
        F: FnMut(&T) -> K + Clone + Send + 'static,
    {
        assert!(max_keys > 0, "a throttle of no keys");
        self.via(ThrottleByKey::new(rate, max_keys, key))
    }
}

/// The operator behind [`DataStream::throttle_by_key_or_drop`].
pub struct ThrottleByKey<K, F> {
    rate: Rate,
    max_keys: usize,
    key: F,
    buckets: HashTable<Bucket<K>>,
    /// Before this no key can be forgotten.
    sweep_at: Instant,
    clock: RunClock,
    counters: Arc<OperatorCounters>,
    codec: Option<Codec<K>>,
}

struct Bucket<K> {
    hash: u64,
    key: K,
    gcra: Gcra,
}

impl<K, F> ThrottleByKey<K, F> {
    fn new(rate: Rate, max_keys: usize, key: F) -> Self {
        Self {
            rate,
            max_keys,
            key,
            buckets: HashTable::new(),
            sweep_at: Instant::START,
            clock: RunClock::default(),
            counters: Arc::default(),
            codec: None,
        }
    }

    /// Makes room for a new key, if that is possible without forgetting anything.
    fn sweep(&mut self, now: Instant) -> bool {
        if now < self.sweep_at {
            return false;
        }
        let mut next = None;
        self.buckets.retain(|bucket| {
            let kept = !bucket.gcra.is_full(now);
            if kept {
                let full_at = bucket.gcra.full_at();
                next = Some(next.map_or(full_at, |next: Instant| next.min(full_at)));
            }
            kept
        });
        self.sweep_at = next.unwrap_or(Instant::START);
        self.buckets.len() < self.max_keys
    }
}

impl<K: Hash + Eq, F> ThrottleByKey<K, F> {
    fn allows(&mut self, key: K, now: Instant) -> bool {
        let hash = stable_hash(&key);
        let same = |bucket: &Bucket<K>| bucket.hash == hash && bucket.key == key;
        if let Some(bucket) = self.buckets.find_mut(hash, same) {
            return bucket.gcra.try_take(now, 1).is_ok();
        }
        if self.buckets.len() >= self.max_keys && !self.sweep(now) {
            return false;
        }
        let mut gcra = Gcra::new(self.rate);
        let allowed = gcra.try_take(now, 1).is_ok();
        self.buckets.insert_unique(hash, Bucket { hash, key, gcra }, |bucket| bucket.hash);
        allowed
    }
}

/// The keys in the order of their hashes, each with its bucket.
impl<K: Hash + Eq, F> Part<K> for ThrottleByKey<K, F> {
    fn write(&self, codec: Codec<K>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        let mut entries = Vec::new();
        for bucket in &self.buckets {
            let mut entry = Vec::new();
            codec.write(&bucket.key, &mut entry)?;
            Part::<K>::write(&bucket.gcra.state(&self.clock), codec, &mut entry)?;
            entries.push((bucket.hash, entry));
        }
        entries.sort_unstable();
        Part::<K>::write(&entries.len(), codec, bytes)?;
        bytes.extend(entries.into_iter().flat_map(|(_, entry)| entry));
        Ok(())
    }

    fn read(&mut self, codec: Codec<K>, bytes: &mut &[u8]) -> Result<(), StateError> {
        let mut count = 0_usize;
        Part::<K>::read(&mut count, codec, bytes)?;
        for _ in 0..count {
            let key = codec.read(bytes)?;
            let mut gcra = Gcra::new(self.rate);
            let mut state = gcra.state(&self.clock);
            Part::<K>::read(&mut state, codec, bytes)?;
            gcra.resume(&state, &self.clock);
            let hash = stable_hash(&key);
            self.buckets.insert_unique(hash, Bucket { hash, key, gcra }, |bucket| bucket.hash);
        }
        Ok(())
    }
}

impl<K: State, F> Checkpointed for ThrottleByKey<K, F> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<K, F: Clone> Clone for ThrottleByKey<K, F> {
    fn clone(&self) -> Self {
        let blank = Self::new(self.rate, self.max_keys, self.key.clone());
        Self { codec: self.codec, ..blank }
    }
}

impl<K, F> fmt::Debug for ThrottleByKey<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleByKey")
            .field("rate", &self.rate)
            .field("keys", &self.buckets.len())
            .finish_non_exhaustive()
    }
}

impl<T, K, F> Operator<T> for ThrottleByKey<K, F>
where
    T: Send + 'static,
    K: Hash + Eq + Send + 'static,
    F: FnMut(&T) -> K + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "throttle_by_key_or_drop";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        self.counters = context.counters();
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        let key = (self.key)(&record.value);
        if self.allows(key, self.clock.now()) {
            out.push(record);
        } else {
            self.counters.dropped(DropReason::Throttled, 1);
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[self])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [self])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::prelude::{Dataflow, source};
    use millstream_engine::testing::OperatorHarness;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn d1_each_key_has_a_rate_of_its_own() {
        let operator = ThrottleByKey::new(Rate::per_second(1), 9, |n: &u32| n % 10);
        let mut harness = OperatorHarness::new(operator);
        [1, 11, 2, 21].into_iter().for_each(|n| harness.push(n));
        harness.advance(SECOND);
        [31, 41, 12].into_iter().for_each(|n| harness.push(n));
        assert_eq!(harness.values(), [1, 2, 31, 12]);
        assert_eq!(harness.operator().counters.drops().of(DropReason::Throttled), 3);
    }

    #[test]
    fn d1_a_key_too_many_is_dropped_until_another_is_whole_again() {
        let rate = Rate::per_second(1).with_burst(2);
        let mut harness = OperatorHarness::new(ThrottleByKey::new(rate, 2, |n: &u32| *n));
        [1, 2, 2, 3].into_iter().for_each(|n| harness.push(n));
        assert_eq!(harness.values(), [1, 2, 2]);
        harness.advance(SECOND);
        harness.push(3);
        harness.push(4);
        assert_eq!(harness.values(), [3], "1 was whole again, and 2 is not");
        assert!(harness.operator().buckets.len() <= 2);
    }

    #[test]
    fn l5_the_same_keys_are_written_as_the_same_bytes() {
        let written = |keys: &mut dyn Iterator<Item = u32>| {
            let operator = ThrottleByKey::new(Rate::per_second(1), 99, |n: &u32| *n);
            let mut harness = OperatorHarness::new(operator.checkpointed());
            keys.for_each(|n| harness.push(n));
            harness.snapshot().unwrap()
        };
        assert_eq!(written(&mut (0..99)), written(&mut (0..99).rev()));
    }

    #[test]
    #[should_panic(expected = "a throttle of no keys")]
    fn d1_no_keys_are_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        let numbers = flow.source("numbers", source::from_iter([1]));
        numbers.throttle_by_key_or_drop(Rate::per_second(1), 0, |n| *n).ignore();
    }
}
