//! `chunks_timeout` and `chunks_weighted_timeout`: groups that wait only so long to be full.

use std::fmt;
use std::time::Duration;

use super::run_clock::RunClock;
use crate::DataStream;
use crate::linear::chunks_weighted::TooHeavy;
use crate::part::{Backlog, LatestTime};
use crate::state::{Checkpointed, Codec, Part, Plain, State, read_parts, write_parts};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Groups records into chunks of `size`, and gives a chunk up to `longest` to get full. The
    /// time begins anew with the first record of each. A chunk's event time is the latest of its
    /// records', or the watermark if that has passed them all.
    ///
    /// Emits when a chunk is full, when its time is over, and the last one when the input ends;
    /// never an empty one. Backpressures when its output does: no chunk grows meanwhile, and one
    /// whose time is over is emitted as soon as there is room. Holds up to `size` values. Reads the
    /// clock once a chunk.
    ///
    /// State: the chunk, and when its time is over: at once, if that was between two runs.
    ///
    /// # Panics
    ///
    /// If either is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("lots");
    /// let numbers = flow.source("numbers", source::from_iter(1..=5));
    /// let lots = numbers.chunks_timeout(2, Duration::from_secs(1)).collect();
    /// assert_eq!(flow.run().await?.take(lots), Some(vec![vec![1, 2], vec![3, 4], vec![5]]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn chunks_timeout(
        self,
        size: usize,
        longest: Duration,
    ) -> DataStream<Vec<T>, Via<C, ChunksTimeout<T>>> {
        assert!(size > 0, "chunks of zero records");
        assert!(!longest.is_zero(), "chunks in no time");
        self.via(ChunksTimeout::new(size, longest))
    }

    /// As [`chunks_timeout`](DataStream::chunks_timeout), where a chunk is full by the sum of what
    /// `weight` says of its records: it never exceeds `max_weight`. A record that is heavier alone
    /// fails the job with [`TooHeavy`].
    ///
    /// # Panics
    ///
    /// If either limit is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("lots");
    /// let words = flow.source("words", source::from_iter(["to", "be", "or", "nought"]));
    /// let lots = words.chunks_weighted_timeout(6, Duration::from_secs(1), |word| word.len());
    /// let lots = lots.map(|lot| lot.join(" ")).collect();
    /// let expected = ["to be or", "nought"].map(String::from).to_vec();
    /// assert_eq!(flow.run().await?.take(lots), Some(expected));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn chunks_weighted_timeout<F>(
        self,
        max_weight: usize,
        longest: Duration,
        weight: F,
    ) -> DataStream<Vec<T>, Via<C, ChunksWeightedTimeout<T, F>>>
    where
        F: FnMut(&T) -> usize + Clone + Send + 'static,
    {
        assert!(max_weight > 0, "chunks of no weight");
        assert!(!longest.is_zero(), "chunks in no time");
        self.via(ChunksWeightedTimeout::new(max_weight, longest, weight))
    }
}

/// A chunk in the making.
struct Chunk<T> {
    longest: Duration,
    clock: RunClock,
    values: Vec<T>,
    time: LatestTime,
    due: Option<Instant>,
}

impl<T> Part<T> for Chunk<T> {
    fn write(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        self.values.write(codec, bytes)?;
        self.time.write(codec, bytes)?;
        Plain(self.due.map(|due| self.clock.nanos(due))).write(codec, bytes)
    }

    fn read(&mut self, codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
        self.values.read(codec, bytes)?;
        self.time.read(codec, bytes)?;
        let mut due = Plain(None);
        due.read(codec, bytes)?;
        self.due = due.0.map(|due| self.clock.instant(due));
        Ok(())
    }
}

impl<T> Chunk<T> {
    fn new(longest: Duration) -> Self {
        let (clock, time) = (RunClock::default(), LatestTime::new());
        Self { longest, clock, values: Vec::new(), time, due: None }
    }

    #[inline]
    fn add(&mut self, record: Record<T>) {
        if self.values.is_empty() {
            self.due = Some(self.clock.now() + self.longest);
        }
        self.time.add(record.time);
        self.values.push(record.value);
    }

    /// The chunk, unless it is empty.
    fn close(&mut self) -> Option<Record<Vec<T>>> {
        self.due = None;
        if self.values.is_empty() {
            return None;
        }
        // The next one will be as large, unless this was the last.
        let next = Vec::with_capacity(self.values.len());
        let values = std::mem::replace(&mut self.values, next);
        Some(Record::at(values, self.time.take()))
    }

    fn close_due(&mut self, now: Instant) -> Option<Record<Vec<T>>> {
        self.due.filter(|due| *due <= now)?;
        self.close()
    }
}

/// The operator behind [`DataStream::chunks_timeout`].
pub struct ChunksTimeout<T> {
    size: usize,
    chunk: Chunk<T>,
    codec: Option<Codec<T>>,
}

impl<T> ChunksTimeout<T> {
    fn new(size: usize, longest: Duration) -> Self {
        Self { size, chunk: Chunk::new(longest), codec: None }
    }
}

impl<T: State> Checkpointed for ChunksTimeout<T> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T> Clone for ChunksTimeout<T> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.size, self.chunk.longest) }
    }
}

impl<T> fmt::Debug for ChunksTimeout<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunksTimeout")
            .field("size", &self.size)
            .field("held", &self.chunk.values.len())
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operator<T> for ChunksTimeout<T> {
    type Out = Vec<T>;
    const NAME: &'static str = "chunks_timeout";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.chunk.clock.open(context);
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<Vec<T>>,
    ) -> Result<(), OperatorError> {
        self.chunk.add(record);
        if self.chunk.values.len() >= self.size
            && let Some(chunk) = self.chunk.close()
        {
            out.push(chunk);
        }
        Ok(())
    }

    #[inline]
    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<Vec<T>>,
    ) -> Result<(), OperatorError> {
        self.chunk.time.pass(watermark);
        Ok(())
    }

    fn on_timer(
        &mut self,
        now: Instant,
        out: &mut impl Collector<Vec<T>>,
    ) -> Result<(), OperatorError> {
        if let Some(chunk) = self.chunk.close_due(now) {
            out.push(chunk);
        }
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<Vec<T>>) -> Result<(), OperatorError> {
        if let Some(chunk) = self.chunk.close() {
            out.push(chunk);
        }
        Ok(())
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.chunk.due
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[&self.chunk])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [&mut self.chunk])
    }
}

/// The operator behind [`DataStream::chunks_weighted_timeout`].
pub struct ChunksWeightedTimeout<T, F> {
    max_weight: usize,
    weight: F,
    held: usize,
    chunk: Chunk<T>,
    backlog: Backlog<Vec<T>>,
    codec: Option<Codec<T>>,
}

impl<T, F> ChunksWeightedTimeout<T, F> {
    fn new(max_weight: usize, longest: Duration, weight: F) -> Self {
        let (chunk, backlog) = (Chunk::new(longest), Backlog::new());
        Self { max_weight, weight, held: 0, chunk, backlog, codec: None }
    }

    fn close(&mut self, out: &mut impl Collector<Vec<T>>) {
        self.held = 0;
        if let Some(chunk) = self.chunk.close() {
            self.backlog.emit(chunk, out);
        }
    }
}

impl<T: State, F> Checkpointed for ChunksWeightedTimeout<T, F> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T, F: Clone> Clone for ChunksWeightedTimeout<T, F> {
    fn clone(&self) -> Self {
        let blank = Self::new(self.max_weight, self.chunk.longest, self.weight.clone());
        Self { codec: self.codec, ..blank }
    }
}

impl<T, F> fmt::Debug for ChunksWeightedTimeout<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunksWeightedTimeout")
            .field("max_weight", &self.max_weight)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

impl<T, F> Operator<T> for ChunksWeightedTimeout<T, F>
where
    T: Send + 'static,
    F: FnMut(&T) -> usize + Clone + Send + 'static,
{
    type Out = Vec<T>;
    const NAME: &'static str = "chunks_weighted_timeout";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.chunk.clock.open(context);
        Ok(())
    }

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
        self.chunk.add(record);
        if self.held == self.max_weight {
            self.close(out);
        }
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<Vec<T>>,
    ) -> Result<(), OperatorError> {
        self.chunk.time.pass(watermark);
        Ok(())
    }

    fn on_timer(
        &mut self,
        now: Instant,
        out: &mut impl Collector<Vec<T>>,
    ) -> Result<(), OperatorError> {
        if self.chunk.due.is_some_and(|due| due <= now) {
            self.close(out);
        }
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<Vec<T>>) -> Result<(), OperatorError> {
        self.close(out);
        Ok(())
    }

    fn pending(&self) -> bool {
        !self.backlog.is_empty()
    }

    fn resume(&mut self, out: &mut impl Collector<Vec<T>>) -> Result<(), OperatorError> {
        self.backlog.resume(out);
        Ok(())
    }

    fn next_timer(&self) -> Option<Instant> {
        self.chunk.due
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[&self.held, &self.chunk])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [&mut self.held, &mut self.chunk])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Dataflow, source};
    use millstream_engine::testing::{Event, OperatorHarness};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn d2_the_time_of_a_chunk_begins_with_its_first_record() {
        let mut harness = OperatorHarness::new(ChunksTimeout::new(3, SECOND));
        harness.advance(SECOND / 2);
        harness.push(1);
        harness.advance(SECOND / 2);
        harness.push(2);
        assert!(harness.values().is_empty());
        harness.advance(SECOND / 2);
        assert_eq!(harness.values(), [[1, 2]]);
        (3..=5).for_each(|n| harness.push(n));
        assert_eq!(harness.values(), [[3, 4, 5]]);
        harness.advance(SECOND * 9);
        assert!(harness.events().is_empty(), "and nothing without a record");
        harness.push(6);
        harness.end();
        assert_eq!(harness.values(), [[6]]);
        assert_eq!(Operator::<i32>::next_timer(harness.operator()), None);
    }

    #[test]
    fn d2_a_chunk_is_never_late() {
        let at = Timestamp::from_millis;
        let mut harness = OperatorHarness::new(ChunksTimeout::new(3, SECOND));
        harness.push(Record::at(1, at(9)));
        harness.push(Record::at(2, at(4)));
        harness.watermark(at(12));
        harness.advance(SECOND);
        let chunk = Event::Record(Record::at(vec![1, 2], at(12)));
        assert_eq!(harness.events(), [Event::Watermark(at(12)), chunk]);
    }

    #[test]
    fn d11_a_chunk_never_exceeds_its_weight() {
        for room in [1, 9] {
            let operator = ChunksWeightedTimeout::new(5, SECOND, |n: &usize| *n);
            let mut harness = OperatorHarness::with_room(operator, room);
            for n in [2, 2, 5, 0, 5, 1] {
                harness.push(n);
            }
            let expected = [vec![2, 2], vec![5], vec![0, 5]];
            assert_eq!(harness.values(), expected);
            harness.advance(SECOND);
            assert_eq!(harness.values(), [[1]]);
            harness.push(6);
            let error = harness.take_error().unwrap();
            assert!(error.cause().unwrap().is::<TooHeavy>());
        }
    }

    #[test]
    #[should_panic(expected = "chunks in no time")]
    fn d2_no_time_is_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        let numbers = flow.source("numbers", source::from_iter([1]));
        numbers.chunks_timeout(1, Duration::ZERO).ignore();
    }
}
