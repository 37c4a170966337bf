//! `chunks_sliding`: groups that overlap.

use std::collections::VecDeque;
use std::fmt;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

use crate::DataStream;
use crate::state::{Checkpointed, Codec, State, read_parts, write_parts};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Groups records into chunks of `size`, one beginning at every `step`-th record. With a step
    /// smaller than the size they overlap, with a larger one records between them are left out. A
    /// chunk's event time is the latest of its records'.
    ///
    /// Emits when a chunk is full; what is left when the input ends is not emitted. Backpressures
    /// when its output does. Holds up to `size` values.
    ///
    /// State: the records that the next chunk begins with.
    ///
    /// # Panics
    ///
    /// If `size` or `step` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("neighbours");
    /// let numbers = flow.source("numbers", source::from_iter(1..=4));
    /// let pairs = numbers.chunks_sliding(2, 1).collect();
    /// assert_eq!(flow.run().await?.take(pairs), Some(vec![vec![1, 2], vec![2, 3], vec![3, 4]]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn chunks_sliding(
        self,
        size: usize,
        step: usize,
    ) -> DataStream<Vec<T>, Via<C, ChunksSliding<T>>>
    where
        T: Clone,
    {
        assert!(size > 0, "sliding chunks of zero records");
        assert!(step > 0, "chunks that slide by zero records");
        self.via(ChunksSliding::new(size, step))
    }
}

/// The operator behind [`DataStream::chunks_sliding`].
pub struct ChunksSliding<T> {
    size: usize,
    step: usize,
    held: VecDeque<Record<T>>,
    /// Records to leave out before the next chunk begins.
    skip: usize,
    codec: Option<Codec<T>>,
}

impl<T> ChunksSliding<T> {
    const fn new(size: usize, step: usize) -> Self {
        Self { size, step, held: VecDeque::new(), skip: 0, codec: None }
    }
}

impl<T: State> Checkpointed for ChunksSliding<T> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T> Clone for ChunksSliding<T> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.size, self.step) }
    }
}

impl<T> fmt::Debug for ChunksSliding<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunksSliding")
            .field("size", &self.size)
            .field("step", &self.step)
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl<T: Clone + Send + 'static> Operator<T> for ChunksSliding<T> {
    type Out = Vec<T>;
    const NAME: &'static str = "chunks_sliding";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<Vec<T>>,
    ) -> Result<(), OperatorError> {
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(());
        }
        self.held.push_back(record);
        if self.held.len() >= self.size {
            // The record just taken is on time, so the latest of them is.
            let time = self.held.iter().map(|record| record.time).max();
            let chunk = self.held.iter().map(|record| record.value.clone());
            out.push(Record::at(chunk.collect(), time.unwrap_or(Timestamp::MIN)));
            self.held.drain(..self.step.min(self.size));
            self.skip = self.step.saturating_sub(self.size);
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[&self.held, &self.skip])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [&mut self.held, &mut self.skip])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Dataflow, source};
    use millstream_engine::testing::{Event, OperatorHarness};

    fn check(size: usize, step: usize, expected: &[&[u32]]) {
        let mut harness = OperatorHarness::new(ChunksSliding::new(size, step));
        for n in 1..=7 {
            harness.push(n);
        }
        harness.end();
        assert_eq!(harness.values(), expected);
    }

    #[test]
    fn b11_chunks_sliding_overlap_where_the_step_is_smaller() {
        check(3, 2, &[&[1, 2, 3], &[3, 4, 5], &[5, 6, 7]]);
        check(3, 1, &[&[1, 2, 3], &[2, 3, 4], &[3, 4, 5], &[4, 5, 6], &[5, 6, 7]]);
    }

    #[test]
    fn b11_chunks_sliding_leave_records_out_where_the_step_is_larger() {
        check(2, 3, &[&[1, 2], &[4, 5]]);
        check(1, 3, &[&[1], &[4], &[7]]);
    }

    #[test]
    fn b11_chunks_sliding_emits_no_partial_group() {
        check(8, 1, &[]);
        check(4, 4, &[&[1, 2, 3, 4]]);
    }

    #[test]
    fn b11_chunks_sliding_has_the_latest_time() {
        let at = Timestamp::from_millis;
        let mut harness = OperatorHarness::new(ChunksSliding::new(2, 1));
        for (n, millis) in [(1, 9), (2, 4), (3, 5)] {
            harness.push(Record::at(n, at(millis)));
        }
        let expected = [
            Event::Record(Record::at(vec![1, 2], at(9))),
            Event::Record(Record::at(vec![2, 3], at(5))),
        ];
        assert_eq!(harness.events(), expected);
    }

    #[test]
    #[should_panic(expected = "chunks that slide by zero records")]
    fn b11_chunks_sliding_by_none_is_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter([1])).chunks_sliding(1, 0).ignore();
    }
}
