//! `zip_with_index`, `zip_with_previous` and `zip_with_next`: each value with its place.

use std::fmt;

use crate::DataStream;
use crate::part::{LatestTime, read_count, write_count};
use crate::state::{Checkpointed, Codec, State, read_parts, write_parts};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Gives each value its number, from 0 in each run. Each instance of a parallel stream numbers
    /// its own. Order and event times stay.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// State: the next number, from which a run that takes it over goes on.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("numbered");
    /// let numbered = flow.source("words", source::from_iter(["a", "b"])).zip_with_index();
    /// let numbered = numbered.collect();
    /// assert_eq!(flow.run().await?.take(numbered), Some(vec![("a", 0), ("b", 1)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn zip_with_index(self) -> DataStream<(T, u64), Via<C, ZipWithIndex>> {
        self.via(ZipWithIndex { next: 0 })
    }

    /// Gives each value the one before it: `None` for the first. Order and event times stay.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input. Holds
    /// one value.
    ///
    /// State: the last value.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("pairs");
    /// let pairs = flow.source("words", source::from_iter(["a", "b"])).zip_with_previous();
    /// let pairs = pairs.collect();
    /// assert_eq!(flow.run().await?.take(pairs), Some(vec![(None, "a"), (Some("a"), "b")]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn zip_with_previous(self) -> DataStream<(Option<T>, T), Via<C, ZipWithPrevious<T>>>
    where
        T: Clone,
    {
        self.via(ZipWithPrevious { previous: None, codec: None })
    }

    /// Gives each value the one behind it: `None` for the last. Order stays, and so does an event
    /// time, unless the watermark has passed it meanwhile.
    ///
    /// Emits one record later than its input, and the last when that ends. Backpressures when its
    /// output does. Holds one value.
    ///
    /// State: the record that is held.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("pairs");
    /// let pairs = flow.source("words", source::from_iter(["a", "b"])).zip_with_next();
    /// let pairs = pairs.collect();
    /// assert_eq!(flow.run().await?.take(pairs), Some(vec![("a", Some("b")), ("b", None)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn zip_with_next(self) -> DataStream<(T, Option<T>), Via<C, ZipWithNext<T>>>
    where
        T: Clone,
    {
        self.via(ZipWithNext::new())
    }
}

/// The operator behind [`DataStream::zip_with_index`].
#[derive(Debug)]
pub struct ZipWithIndex {
    next: u64,
}

impl Checkpointed for ZipWithIndex {}

impl Clone for ZipWithIndex {
    fn clone(&self) -> Self {
        Self { next: 0 }
    }
}

impl<T: Send + 'static> Operator<T> for ZipWithIndex {
    type Out = (T, u64);
    const NAME: &'static str = "zip_with_index";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<(T, u64)>,
    ) -> Result<(), OperatorError> {
        let index = self.next;
        self.next += 1;
        out.push(record.with(|value| (value, index)));
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_count(state, self.next);
        Ok(())
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.next = read_count(state)?.unwrap_or(0);
        Ok(())
    }
}

/// The operator behind [`DataStream::zip_with_previous`].
pub struct ZipWithPrevious<T> {
    previous: Option<T>,
    codec: Option<Codec<T>>,
}

impl<T: State> Checkpointed for ZipWithPrevious<T> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T> Clone for ZipWithPrevious<T> {
    fn clone(&self) -> Self {
        Self { previous: None, codec: self.codec }
    }
}

impl<T> fmt::Debug for ZipWithPrevious<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ZipWithPrevious")
    }
}

impl<T: Clone + Send + 'static> Operator<T> for ZipWithPrevious<T> {
    type Out = (Option<T>, T);
    const NAME: &'static str = "zip_with_previous";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let previous = self.previous.replace(record.value.clone());
        out.push(record.with(|value| (previous, value)));
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[&self.previous])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [&mut self.previous])
    }
}

/// The operator behind [`DataStream::zip_with_next`].
pub struct ZipWithNext<T> {
    held: Option<Record<T>>,
    time: LatestTime,
    codec: Option<Codec<T>>,
}

impl<T> ZipWithNext<T> {
    const fn new() -> Self {
        Self { held: None, time: LatestTime::new(), codec: None }
    }

    fn emit(&mut self, next: Option<T>, out: &mut impl Collector<(T, Option<T>)>) {
        if let Some(record) = self.held.take() {
            let time = self.time.of(record.time);
            out.push(Record::at((record.value, next), time));
        }
    }
}

impl<T: State> Checkpointed for ZipWithNext<T> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T> Clone for ZipWithNext<T> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new() }
    }
}

impl<T> fmt::Debug for ZipWithNext<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ZipWithNext")
    }
}

impl<T: Clone + Send + 'static> Operator<T> for ZipWithNext<T> {
    type Out = (T, Option<T>);
    const NAME: &'static str = "zip_with_next";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        self.emit(Some(record.value.clone()), out);
        self.held = Some(record);
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

    fn on_end(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.emit(None, out);
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[&self.held, &self.time])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(self.codec, state, &mut [&mut self.held, &mut self.time])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness};

    #[test]
    fn b14_values_are_numbered_from_zero_in_each_run() {
        let mut harness = OperatorHarness::new(ZipWithIndex { next: 0 });
        harness.push("a");
        harness.push("b");
        assert_eq!(harness.values(), [("a", 0), ("b", 1)]);
        let mut fresh = OperatorHarness::new(harness.operator().clone());
        fresh.push("a");
        assert_eq!(fresh.values(), [("a", 0)]);
    }

    #[test]
    fn b14_the_first_has_no_previous_and_the_last_no_next() {
        let mut previous = OperatorHarness::new(ZipWithPrevious { previous: None, codec: None });
        let mut next = OperatorHarness::new(ZipWithNext::new());
        for n in 1..=3 {
            previous.push(n);
            next.push(n);
        }
        next.end();
        assert_eq!(previous.values(), [(None, 1), (Some(1), 2), (Some(2), 3)]);
        assert_eq!(next.values(), [(1, Some(2)), (2, Some(3)), (3, None)]);
        let mut fresh = OperatorHarness::new(next.operator().clone());
        fresh.end();
        assert!(fresh.values().is_empty());
    }

    #[test]
    fn b14_who_waits_for_the_next_is_never_late() {
        let at = Timestamp::from_millis;
        let mut next = OperatorHarness::new(ZipWithNext::new());
        next.push(Record::at(1, at(4)));
        next.watermark(at(6));
        next.end();
        assert_eq!(next.events()[1], Event::Record(Record::at((1, None), at(6))));
    }
}
