//! `chunks`: groups of equal size.

use std::fmt;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

use crate::DataStream;
use crate::part::LatestTime;
use crate::state::{Checkpointed, Codec, State, read_parts, write_parts};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Groups records into chunks of `size`. A chunk's event time is the latest of its records', or
    /// the watermark if that has passed them all.
    ///
    /// Emits when a chunk is full; the last one, which may be smaller but is never empty, when the
    /// input ends. Backpressures when its output does. Holds up to `size` values.
    ///
    /// State: the chunk that is not full yet.
    ///
    /// # Panics
    ///
    /// If `size` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("pairs");
    /// let pairs = flow.source("numbers", source::from_iter(1..=5)).chunks(2).collect();
    /// assert_eq!(flow.run().await?.take(pairs), Some(vec![vec![1, 2], vec![3, 4], vec![5]]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn chunks(self, size: usize) -> DataStream<Vec<T>, Via<C, Chunks<T>>> {
        assert!(size > 0, "chunks of zero records");
        self.via(Chunks::new(size))
    }
}

/// The operator behind [`DataStream::chunks`].
pub struct Chunks<T> {
    size: usize,
    chunk: Vec<T>,
    time: LatestTime,
    codec: Option<Codec<T>>,
}

impl<T> Chunks<T> {
    const fn new(size: usize) -> Self {
        Self { size, chunk: Vec::new(), time: LatestTime::new(), codec: None }
    }

    fn close(&mut self, out: &mut impl Collector<Vec<T>>) {
        // The next one will be as large, unless this was the last.
        let next = Vec::with_capacity(self.chunk.len());
        let chunk = std::mem::replace(&mut self.chunk, next);
        out.push(Record::at(chunk, self.time.take()));
    }
}

impl<T: State> Checkpointed for Chunks<T> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T> Clone for Chunks<T> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.size) }
    }
}

impl<T> fmt::Debug for Chunks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks")
            .field("size", &self.size)
            .field("held", &self.chunk.len())
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operator<T> for Chunks<T> {
    type Out = Vec<T>;
    const NAME: &'static str = "chunks";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<Vec<T>>,
    ) -> Result<(), OperatorError> {
        self.time.add(record.time);
        self.chunk.push(record.value);
        if self.chunk.len() >= self.size {
            self.close(out);
        }
        Ok(())
    }

    #[inline]
    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<Vec<T>>,
    ) -> Result<(), OperatorError> {
        self.time.pass(watermark);
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<Vec<T>>) -> Result<(), OperatorError> {
        if !self.chunk.is_empty() {
            self.close(out);
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[&self.chunk, &self.time])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [&mut self.chunk, &mut self.time])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Dataflow, source};
    use millstream_engine::testing::{Event, OperatorHarness};

    #[test]
    fn b8_chunks_emits_the_last_partial_group() {
        let mut harness = OperatorHarness::new(Chunks::new(2));
        for n in 1..=5 {
            harness.push(n);
        }
        assert_eq!(harness.values(), [[1, 2], [3, 4]]);
        harness.end();
        assert_eq!(harness.values(), [[5]]);
        let mut fresh = OperatorHarness::new(harness.operator().clone());
        fresh.push(6);
        fresh.push(7);
        assert_eq!(fresh.values(), [[6, 7]], "a clone is blank");
    }

    #[test]
    fn b8_chunks_emits_no_empty_group() {
        let mut harness = OperatorHarness::new(Chunks::new(2));
        harness.push(1);
        harness.push(2);
        harness.end();
        assert_eq!(harness.values(), [[1, 2]]);
    }

    #[test]
    fn b8_chunks_has_the_latest_time_and_is_never_late() {
        let at = Timestamp::from_millis;
        let mut harness = OperatorHarness::new(Chunks::new(2));
        harness.push(Record::at(1, at(9)));
        harness.push(Record::at(2, at(4)));
        harness.push(Record::at(3, at(10)));
        harness.watermark(at(12));
        harness.end();
        let expected = [
            Event::Record(Record::at(vec![1, 2], at(9))),
            Event::Watermark(at(12)),
            Event::Record(Record::at(vec![3], at(12))),
            Event::End,
        ];
        assert_eq!(harness.events(), expected);
    }

    #[test]
    #[should_panic(expected = "chunks of zero records")]
    fn b8_chunks_of_none_is_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter([1])).chunks(0).ignore();
    }
}
