//! `map_batches`: a map that sees many values at once.

use std::fmt;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{OperatorError, Record};

use crate::DataStream;
use crate::part::Backlog;
use crate::state::{Checkpointed, Codec, Plain, State, read_parts, write_parts};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns values into others, as many at once as there are at hand, up to `max`: for code that
    /// has a cost by the call. It never waits for more.
    ///
    /// `f` gives one value for each, in order, and each keeps its record's event time. Another
    /// number of values fails the job with [`UnevenBatch`]. How many values it gets is a matter of
    /// speed and may differ from run to run, so what it makes of a value must not depend on the
    /// others: the results have to be those of a [`map`](DataStream::map). For groups that mean
    /// something there is [`chunks`](DataStream::chunks).
    ///
    /// Emits when its input has no more at hand, or `max` have come; before a watermark, and at the
    /// end. Backpressures when its output does. Holds up to `max` values.
    ///
    /// State: the values that are held. Without a `uid`, those held at a barrier are lost to a run
    /// that goes on from there.
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
    /// let flow = Dataflow::new("lengths");
    /// let words = flow.source("words", source::from_iter(["to", "be", "or"]));
    /// let lengths = words.map_batches(100, |words| words.iter().map(|word| word.len()).collect());
    /// let lengths = lengths.collect();
    /// assert_eq!(flow.run().await?.take(lengths), Some(vec![2, 2, 2]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn map_batches<U, F>(self, max: usize, f: F) -> DataStream<U, Via<C, MapBatches<T, U, F>>>
    where
        U: Send + 'static,
        F: FnMut(Vec<T>) -> Vec<U> + Clone + Send + 'static,
    {
        assert!(max > 0, "batches of no records");
        self.via(MapBatches::new(max, f))
    }
}

/// A closure gave more or fewer values than it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a batch of {taken} values became one of {given}")]
pub struct UnevenBatch {
    /// How many values it got.
    pub taken: usize,
    /// How many it gave.
    pub given: usize,
}

/// The operator behind [`DataStream::map_batches`].
pub struct MapBatches<T, U, F> {
    max: usize,
    f: F,
    values: Vec<T>,
    times: Vec<Timestamp>,
    backlog: Backlog<U>,
    codec: Option<Codec<T>>,
}

impl<T, U, F: FnMut(Vec<T>) -> Vec<U>> MapBatches<T, U, F> {
    fn new(max: usize, f: F) -> Self {
        let (values, times, backlog) = (Vec::new(), Vec::new(), Backlog::new());
        Self { max, f, values, times, backlog, codec: None }
    }

    fn run(&mut self, out: &mut impl Collector<U>) -> Result<(), OperatorError> {
        let taken = self.values.len();
        if taken == 0 {
            return Ok(());
        }
        let values = std::mem::replace(&mut self.values, Vec::with_capacity(taken));
        let values = (self.f)(values);
        if values.len() != taken {
            return Err(UnevenBatch { taken, given: values.len() }.into());
        }
        let records = values.into_iter().zip(self.times.drain(..));
        self.backlog.extend(records.map(|(value, time)| Record::at(value, time)), out);
        Ok(())
    }
}

impl<T: State, U, F> Checkpointed for MapBatches<T, U, F> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T, U, F: FnMut(Vec<T>) -> Vec<U> + Clone> Clone for MapBatches<T, U, F> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.max, self.f.clone()) }
    }
}

impl<T, U, F> fmt::Debug for MapBatches<T, U, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapBatches")
            .field("max", &self.max)
            .field("held", &self.values.len())
            .finish_non_exhaustive()
    }
}

impl<T, U, F> Operator<T> for MapBatches<T, U, F>
where
    T: Send + 'static,
    U: Send + 'static,
    F: FnMut(Vec<T>) -> Vec<U> + Clone + Send + 'static,
{
    type Out = U;
    const NAME: &'static str = "map_batches";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<U>,
    ) -> Result<(), OperatorError> {
        self.times.push(record.time);
        self.values.push(record.value);
        if self.values.len() >= self.max { self.run(out) } else { Ok(()) }
    }

    fn on_watermark(
        &mut self,
        _watermark: Timestamp,
        out: &mut impl Collector<U>,
    ) -> Result<(), OperatorError> {
        self.run(out)
    }

    fn on_timer(
        &mut self,
        _now: Instant,
        out: &mut impl Collector<U>,
    ) -> Result<(), OperatorError> {
        self.run(out)
    }

    fn on_end(&mut self, out: &mut impl Collector<U>) -> Result<(), OperatorError> {
        self.run(out)
    }

    #[inline]
    fn pending(&self) -> bool {
        !self.backlog.is_empty()
    }

    fn resume(&mut self, out: &mut impl Collector<U>) -> Result<(), OperatorError> {
        self.backlog.resume(out);
        Ok(())
    }

    /// Overdue from the first record on: the stage looks at timers between one piece of a batch and
    /// the next, and that is as many records as were at hand.
    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.values.first().map(|_| Instant::START)
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let times = self.times.iter().map(|time| time.as_millis()).collect::<Vec<_>>();
        write_parts(self.codec, state, &[&Plain(times), &self.values])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let mut times = Plain(Vec::new());
        read_parts(self.codec, state, &mut [&mut times, &mut self.values])?;
        self.times = times.0.into_iter().map(Timestamp::from_millis).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness};

    #[test]
    fn b12_map_batches_keeps_event_times_and_watermarks_in_their_place() {
        let at = Timestamp::from_millis;
        for room in [1, 9] {
            let double = |values: Vec<u32>| values.into_iter().map(|n| n * 2).collect::<Vec<_>>();
            let mut harness = OperatorHarness::with_room(MapBatches::new(2, double), room);
            for n in 1..=3_u32 {
                harness.push(Record::at(n, at(i64::from(n))));
            }
            harness.watermark(at(4));
            harness.push(Record::at(5, at(5)));
            harness.advance(Duration::ZERO);
            let record = |n: u32| Event::Record(Record::at(n * 2, at(i64::from(n))));
            let mark = Event::Watermark(at(4));
            assert_eq!(harness.events(), [record(1), record(2), record(3), mark, record(5)]);
        }
    }

    #[test]
    fn b12_map_batches_gives_one_value_for_each() {
        let drop_one = |mut values: Vec<u32>| {
            values.pop();
            values
        };
        let mut harness = OperatorHarness::new(MapBatches::new(2, drop_one));
        harness.push(1);
        harness.push(2);
        let error = harness.take_error().unwrap();
        let expected = UnevenBatch { taken: 2, given: 1 };
        assert_eq!(error.cause().unwrap().downcast_ref(), Some(&expected));
    }
}
