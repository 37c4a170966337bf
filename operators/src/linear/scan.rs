//! `scan` and `scan_with_initial`: a running fold.

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

use crate::DataStream;
use crate::part::LatestTime;
use crate::state::{Checkpointed, Codec, State, Value, read_parts, write_parts};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Folds the records into an accumulator, and emits a copy of it behind each: one value for
    /// each input, and no seed. Event times stay. Each instance of a parallel stream has an
    /// accumulator of its own.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// State: the result so far.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("sums");
    /// let numbers = flow.source("numbers", source::from_iter(1..=3));
    /// let sums = numbers.scan(0, |sum, n| *sum += n).collect();
    /// assert_eq!(flow.run().await?.take(sums), Some(vec![1, 3, 6]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn scan<A, F>(self, initial: A, f: F) -> DataStream<A, Via<C, Scan<A, F>>>
    where
        A: Clone + Send + 'static,
        F: FnMut(&mut A, T) + Clone + Send + 'static,
    {
        self.via(Scan::new(initial, f))
    }

    /// As [`scan`](DataStream::scan), with the initial value in front: also if there are no
    /// records.
    ///
    /// Emits the initial value with the first record, at that record's event time, or at the end of
    /// an empty input; then when its input does. Backpressures when its output does, ends with its
    /// input.
    ///
    /// State: the result so far.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("sums");
    /// let numbers = flow.source("numbers", source::from_iter(1..=3));
    /// let sums = numbers.scan_with_initial(0, |sum, n| *sum += n).collect();
    /// assert_eq!(flow.run().await?.take(sums), Some(vec![0, 1, 3, 6]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn scan_with_initial<A, F>(
        self,
        initial: A,
        f: F,
    ) -> DataStream<A, Via<C, ScanWithInitial<A, F>>>
    where
        A: Clone + Send + 'static,
        F: FnMut(&mut A, T) + Clone + Send + 'static,
    {
        self.via(ScanWithInitial::new(initial, f))
    }
}

/// The operator behind [`DataStream::scan`].
#[derive(Debug)]
pub struct Scan<A, F> {
    initial: A,
    accumulator: Value<A>,
    f: F,
    codec: Option<Codec<A>>,
}

impl<A: Clone, F> Scan<A, F> {
    fn new(initial: A, f: F) -> Self {
        Self { accumulator: Value(initial.clone()), initial, f, codec: None }
    }
}

impl<A: State, F> Checkpointed for Scan<A, F> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<A: Clone, F: Clone> Clone for Scan<A, F> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.initial.clone(), self.f.clone()) }
    }
}

impl<T, A, F> Operator<T> for Scan<A, F>
where
    A: Clone + Send + 'static,
    F: FnMut(&mut A, T) + Clone + Send + 'static,
{
    type Out = A;
    const NAME: &'static str = "scan";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<A>,
    ) -> Result<(), OperatorError> {
        (self.f)(&mut self.accumulator.0, record.value);
        out.push(Record::at(self.accumulator.0.clone(), record.time));
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[&self.accumulator])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [&mut self.accumulator])
    }
}

/// The operator behind [`DataStream::scan_with_initial`].
#[derive(Debug)]
pub struct ScanWithInitial<A, F> {
    initial: A,
    /// Absent until the initial value has been emitted.
    accumulator: Option<A>,
    f: F,
    /// The first record's result, where there was room for the initial value only.
    left: Option<Record<A>>,
    time: LatestTime,
    codec: Option<Codec<A>>,
}

impl<A, F> ScanWithInitial<A, F> {
    const fn new(initial: A, f: F) -> Self {
        Self { initial, accumulator: None, f, left: None, time: LatestTime::new(), codec: None }
    }
}

impl<A: State, F> Checkpointed for ScanWithInitial<A, F> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<A: Clone, F: Clone> Clone for ScanWithInitial<A, F> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.initial.clone(), self.f.clone()) }
    }
}

impl<T, A, F> Operator<T> for ScanWithInitial<A, F>
where
    A: Clone + Send + 'static,
    F: FnMut(&mut A, T) + Clone + Send + 'static,
{
    type Out = A;
    const NAME: &'static str = "scan_with_initial";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<A>,
    ) -> Result<(), OperatorError> {
        let initial = &self.initial;
        let accumulator = self.accumulator.get_or_insert_with(|| {
            out.push(Record::at(initial.clone(), record.time));
            initial.clone()
        });
        (self.f)(accumulator, record.value);
        let result = Record::at(accumulator.clone(), record.time);
        if out.is_full() {
            self.left = Some(result);
        } else {
            out.push(result);
        }
        Ok(())
    }

    #[inline]
    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<A>,
    ) -> Result<(), OperatorError> {
        self.time.pass(watermark);
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<A>) -> Result<(), OperatorError> {
        if self.accumulator.is_none() {
            out.push(Record::at(self.initial.clone(), self.time.take()));
        }
        Ok(())
    }

    #[inline]
    fn pending(&self) -> bool {
        self.left.is_some()
    }

    fn resume(&mut self, out: &mut impl Collector<A>) -> Result<(), OperatorError> {
        if let Some(result) = self.left.take() {
            out.push(result);
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[&self.accumulator, &self.time])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [&mut self.accumulator, &mut self.time])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness};

    fn add(sum: &mut u32, n: u32) {
        *sum += n;
    }

    #[test]
    fn b5_scan_emits_one_value_for_each_input_and_no_seed() {
        let scan = Scan::new(10, add);
        let mut harness = OperatorHarness::new(scan);
        let at = Timestamp::from_millis(4);
        harness.push(Record::at(1, at));
        harness.push(Record::at(2, at));
        harness.end();
        let sums = [11, 13].map(|sum| Event::Record(Record::at(sum, at)));
        assert_eq!(harness.events(), [&sums[..], &[Event::End]].concat());
        let mut fresh = OperatorHarness::new(harness.operator().clone());
        fresh.push(1);
        assert_eq!(fresh.values(), [11], "a clone is blank");
    }

    #[test]
    fn b5_scan_with_initial_emits_the_seed_first() {
        for room in 1..4 {
            let mut harness = OperatorHarness::with_room(ScanWithInitial::new(10, add), room);
            harness.push(1);
            harness.push(2);
            harness.end();
            assert_eq!(harness.values(), [10, 11, 13], "room for {room}");
        }
    }

    #[test]
    fn b5_scan_with_initial_emits_the_seed_of_an_empty_input_on_time() {
        let mut harness = OperatorHarness::new(ScanWithInitial::new(10, add));
        let at = Timestamp::from_millis(4);
        harness.watermark(at);
        harness.end();
        let seed = Event::Record(Record::at(10, at));
        assert_eq!(harness.events(), [Event::Watermark(at), seed, Event::End]);
    }
}
