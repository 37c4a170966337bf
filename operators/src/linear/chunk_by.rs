//! `chunk_by`: groups of neighbours with the same key.

use std::fmt;

use crate::DataStream;
use crate::part::{Backlog, LatestTime};
use crate::state::{Checkpointed, Codec, State, read_parts, write_parts};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Groups neighbours for which `key` gives the same, up to `max` of them: a longer row of them
    /// gives several chunks. A chunk's event time is the latest of its records', or the watermark
    /// if that has passed them all.
    ///
    /// Emits when the key changes or there are `max`, and the last chunk when the input ends.
    /// Backpressures when its output does. Holds up to `max` values.
    ///
    /// State: the chunk that is open, whose key is found again from its values.
    ///
    /// # Panics
    ///
    /// If `max` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("rows");
    /// let numbers = flow.source("numbers", source::from_iter([1, 3, 4, 6, 8, 5]));
    /// let rows = numbers.chunk_by(2, |n| n % 2).collect();
    /// let expected = vec![vec![1, 3], vec![4, 6], vec![8], vec![5]];
    /// assert_eq!(flow.run().await?.take(rows), Some(expected));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    #[allow(
        clippy::type_complexity,
        reason = "the type names the chain and the closure, as those of other operators do"
    )]
    pub fn chunk_by<K, F>(self, max: usize, key: F) -> DataStream<Vec<T>, Via<C, ChunkBy<T, K, F>>>
    where
        K: PartialEq + Send + 'static,
        F: FnMut(&T) -> K + Clone + Send + 'static,
    {
        assert!(max > 0, "chunks of zero records");
        self.via(ChunkBy::new(max, key))
    }
}

/// The operator behind [`DataStream::chunk_by`].
pub struct ChunkBy<T, K, F> {
    max: usize,
    key: F,
    last: Option<K>,
    chunk: Vec<T>,
    time: LatestTime,
    backlog: Backlog<Vec<T>>,
    codec: Option<Codec<T>>,
}

impl<T, K, F> ChunkBy<T, K, F> {
    fn new(max: usize, key: F) -> Self {
        let (time, backlog) = (LatestTime::new(), Backlog::new());
        Self { max, key, last: None, chunk: Vec::new(), time, backlog, codec: None }
    }

    fn close(&mut self, out: &mut impl Collector<Vec<T>>) {
        if !self.chunk.is_empty() {
            let chunk = std::mem::take(&mut self.chunk);
            self.backlog.emit(Record::at(chunk, self.time.take()), out);
        }
    }
}

impl<T: State, K, F> Checkpointed for ChunkBy<T, K, F> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T, K, F: Clone> Clone for ChunkBy<T, K, F> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.max, self.key.clone()) }
    }
}

impl<T, K, F> fmt::Debug for ChunkBy<T, K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkBy")
            .field("max", &self.max)
            .field("held", &self.chunk.len())
            .finish_non_exhaustive()
    }
}

impl<T, K, F> Operator<T> for ChunkBy<T, K, F>
where
    T: Send + 'static,
    K: PartialEq + Send + 'static,
    F: FnMut(&T) -> K + Clone + Send + 'static,
{
    type Out = Vec<T>;
    const NAME: &'static str = "chunk_by";

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<Vec<T>>,
    ) -> Result<(), OperatorError> {
        let key = Some((self.key)(&record.value));
        if self.last != key {
            self.close(out);
            self.last = key;
        }
        self.time.add(record.time);
        self.chunk.push(record.value);
        if self.chunk.len() >= self.max {
            self.close(out);
        }
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        self.time.pass(watermark);
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<Vec<T>>) -> Result<(), OperatorError> {
        self.close(out);
        Ok(())
    }

    #[inline]
    fn pending(&self) -> bool {
        !self.backlog.is_empty()
    }

    fn resume(&mut self, out: &mut impl Collector<Vec<T>>) -> Result<(), OperatorError> {
        self.backlog.resume(out);
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[&self.chunk, &self.time])
    }

    /// The key is that of what is in the chunk.
    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [&mut self.chunk, &mut self.time])?;
        self.last = self.chunk.last().map(&mut self.key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Dataflow, source};
    use millstream_engine::testing::OperatorHarness;

    #[test]
    fn b17_a_chunk_closes_on_a_new_key_at_its_limit_and_at_the_end() {
        for room in [1, 9] {
            let operator = ChunkBy::new(2, |n: &u32| n / 10);
            let mut harness = OperatorHarness::with_room(operator, room);
            [1, 11, 12, 13, 2, 3].into_iter().for_each(|n| harness.push(n));
            assert_eq!(harness.values(), [vec![1], vec![11, 12], vec![13], vec![2, 3]]);
            harness.push(4);
            harness.end();
            assert_eq!(harness.values(), [[4]]);
        }
    }

    #[test]
    #[should_panic(expected = "chunks of zero records")]
    fn b17_chunks_of_none_are_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter([1])).chunk_by(0, |n| *n).ignore();
    }
}
