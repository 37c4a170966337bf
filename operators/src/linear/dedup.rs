//! `dedup` and `dedup_by_key`: consecutive repetitions left out.

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::{OperatorError, Record};

use crate::DataStream;
use crate::state::{Checkpointed, Codec, State, read_parts, write_parts};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Leaves out values that are equal to the last one emitted; they count as delivered. Memory
    /// for one value.
    ///
    /// Emits when its input does and the value is another one, backpressures when its output does,
    /// ends with its input.
    ///
    /// State: the last value.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("changes");
    /// let states = flow.source("states", source::from_iter(["up", "up", "down", "up"]));
    /// let changes = states.dedup().collect();
    /// assert_eq!(flow.run().await?.take(changes), Some(vec!["up", "down", "up"]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn dedup(self) -> DataStream<T, Via<C, Dedup<T>>>
    where
        T: PartialEq + Clone,
    {
        self.via(Dedup { last: None, codec: None })
    }

    /// Leaves out values whose key is equal to that of the last one emitted; they count as
    /// delivered. Memory for one key.
    ///
    /// Emits when its input does and the key is another one, backpressures when its output does,
    /// ends with its input.
    ///
    /// State: the last key.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("changes");
    /// let readings = flow.source("readings", source::from_iter([11, 19, 20, 24, 10]));
    /// let changes = readings.dedup_by_key(|n| n / 10).collect();
    /// assert_eq!(flow.run().await?.take(changes), Some(vec![11, 20, 10]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn dedup_by_key<K, F>(self, key: F) -> DataStream<T, Via<C, DedupByKey<K, F>>>
    where
        K: PartialEq + Send + 'static,
        F: FnMut(&T) -> K + Clone + Send + 'static,
    {
        self.via(DedupByKey { key, last: None, codec: None })
    }
}

/// The operator behind [`DataStream::dedup`].
#[derive(Debug)]
pub struct Dedup<T> {
    last: Option<T>,
    codec: Option<Codec<T>>,
}

impl<T: State> Checkpointed for Dedup<T> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T> Clone for Dedup<T> {
    fn clone(&self) -> Self {
        Self { last: None, codec: self.codec }
    }
}

impl<T: PartialEq + Clone + Send + 'static> Operator<T> for Dedup<T> {
    type Out = T;
    const NAME: &'static str = "dedup";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if self.last.as_ref() != Some(&record.value) {
            match &mut self.last {
                Some(last) => last.clone_from(&record.value),
                None => self.last = Some(record.value.clone()),
            }
            out.push(record);
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[&self.last])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [&mut self.last])
    }
}

/// The operator behind [`DataStream::dedup_by_key`].
#[derive(Debug)]
pub struct DedupByKey<K, F> {
    key: F,
    last: Option<K>,
    codec: Option<Codec<K>>,
}

impl<K: State, F> Checkpointed for DedupByKey<K, F> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<K, F: Clone> Clone for DedupByKey<K, F> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), last: None, codec: self.codec }
    }
}

impl<T, K, F> Operator<T> for DedupByKey<K, F>
where
    T: Send + 'static,
    K: PartialEq + Send + 'static,
    F: FnMut(&T) -> K + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "dedup_by_key";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        let key = Some((self.key)(&record.value));
        if self.last != key {
            self.last = key;
            out.push(record);
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[&self.last])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [&mut self.last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::OperatorHarness;

    fn check<O: Operator<u32, Out = u32>>(operator: O, expected: &[u32]) {
        let mut harness = OperatorHarness::new(operator);
        for n in [1, 1, 11, 2, 2, 1] {
            harness.push(n);
        }
        harness.end();
        assert_eq!(harness.values(), expected);
        let mut fresh = OperatorHarness::new(harness.operator().clone());
        fresh.push(1);
        assert_eq!(fresh.values(), [1], "a clone is blank");
    }

    #[test]
    fn b10_dedup_leaves_out_consecutive_repetitions_only() {
        check(Dedup { last: None, codec: None }, &[1, 11, 2, 1]);
    }

    #[test]
    fn b10_dedup_by_key_compares_with_the_last_one_emitted() {
        let key = |n: &u32| n % 10;
        check(DedupByKey { key, last: None, codec: None }, &[1, 2, 1]);
    }
}
