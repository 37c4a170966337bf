//! `chunks_weighted`: groups up to a weight.

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
    /// Groups records into chunks whose weight, the sum of what `weight` says of each record, never
    /// exceeds `max_weight`. A record that is heavier alone fails the job with [`TooHeavy`]. A
    /// chunk's event time is the latest of its records', or the watermark if that has passed them
    /// all.
    ///
    /// Emits when the next record would be too much, or when the weight is just reached; the last
    /// chunk, never an empty one, when the input ends. Backpressures when its output does. How many
    /// records it holds is up to their weights: those of weight zero have no bound.
    ///
    /// State: the chunk that is not full yet, and its weight.
    ///
    /// # Panics
    ///
    /// If `max_weight` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("lines");
    /// let words = flow.source("words", source::from_iter(["to", "be", "or", "nought"]));
    /// let lines = words.chunks_weighted(6, |word| word.len()).map(|line| line.join(" "));
    /// let lines = lines.collect();
    /// let expected = ["to be or", "nought"].map(String::from).to_vec();
    /// assert_eq!(flow.run().await?.take(lines), Some(expected));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn chunks_weighted<F>(
        self,
        max_weight: usize,
        weight: F,
    ) -> DataStream<Vec<T>, Via<C, ChunksWeighted<T, F>>>
    where
        F: FnMut(&T) -> usize + Clone + Send + 'static,
    {
        assert!(max_weight > 0, "chunks of no weight");
        self.via(ChunksWeighted::new(max_weight, weight))
    }
}

/// A record alone is heavier than a chunk may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of weight {weight} does not fit into a chunk of at most {max_weight}")]
pub struct TooHeavy {
    /// The record's weight.
    pub weight: usize,
    /// The most that a chunk may weigh.
    pub max_weight: usize,
}

/// The operator behind [`DataStream::chunks_weighted`].
pub struct ChunksWeighted<T, F> {
    max_weight: usize,
    weight: F,
    held: usize,
    chunk: Vec<T>,
    time: LatestTime,
    backlog: Backlog<Vec<T>>,
    codec: Option<Codec<T>>,
}

impl<T, F> ChunksWeighted<T, F> {
    fn new(max_weight: usize, weight: F) -> Self {
        let (time, backlog) = (LatestTime::new(), Backlog::new());
        Self { max_weight, weight, held: 0, chunk: Vec::new(), time, backlog, codec: None }
    }

    fn close(&mut self, out: &mut impl Collector<Vec<T>>) {
        self.held = 0;
        if !self.chunk.is_empty() {
            let chunk = std::mem::take(&mut self.chunk);
            self.backlog.emit(Record::at(chunk, self.time.take()), out);
        }
    }
}

impl<T: State, F> Checkpointed for ChunksWeighted<T, F> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T, F: Clone> Clone for ChunksWeighted<T, F> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.max_weight, self.weight.clone()) }
    }
}

impl<T, F> fmt::Debug for ChunksWeighted<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunksWeighted")
            .field("max_weight", &self.max_weight)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

impl<T, F> Operator<T> for ChunksWeighted<T, F>
where
    T: Send + 'static,
    F: FnMut(&T) -> usize + Clone + Send + 'static,
{
    type Out = Vec<T>;
    const NAME: &'static str = "chunks_weighted";

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<Vec<T>>,
    ) -> Result<(), OperatorError> {
        let weight = (self.weight)(&record.value);
        if weight > self.max_weight {
            return Err(TooHeavy { weight, max_weight: self.max_weight }.into());
        }
        if self.held > self.max_weight - weight {
            self.close(out);
        }
        self.held += weight;
        self.time.add(record.time);
        self.chunk.push(record.value);
        if self.held == self.max_weight {
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
        write_parts(self.codec, state, &[&self.held, &self.chunk, &self.time])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [&mut self.held, &mut self.chunk, &mut self.time])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Dataflow, source};
    use millstream_engine::testing::OperatorHarness;

    #[test]
    fn b16_the_weight_is_a_hard_ceiling() {
        for room in [1, 9] {
            let operator = ChunksWeighted::new(5, |n: &usize| *n);
            let mut harness = OperatorHarness::with_room(operator, room);
            [2, 2, 5, 0, 4, 2].into_iter().for_each(|n| harness.push(n));
            assert_eq!(harness.values(), [vec![2, 2], vec![5], vec![0, 4]]);
            harness.end();
            assert_eq!(harness.values(), [[2]]);
        }
    }

    #[test]
    fn b16_a_record_that_never_fits_fails() {
        let mut harness = OperatorHarness::new(ChunksWeighted::new(5, |n: &usize| *n));
        harness.push(6);
        let error = harness.take_error().unwrap();
        let expected = TooHeavy { weight: 6, max_weight: 5 };
        assert_eq!(error.cause().unwrap().downcast_ref(), Some(&expected));
    }

    #[test]
    #[should_panic(expected = "chunks of no weight")]
    fn b16_no_weight_is_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter([1])).chunks_weighted(0, |_| 1).ignore();
    }
}
