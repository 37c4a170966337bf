//! `default_if_empty`: something in place of nothing.

use std::fmt;

use crate::DataStream;
use crate::state::{Checkpointed, PLAIN, read_parts, write_parts};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Emits `value` if the input ends without a record. What it is, is decided at the first record
    /// or the end. Each instance of a parallel stream decides for itself.
    ///
    /// Emits when its input does, or once at its end: at the watermark. Backpressures when its
    /// output does, ends with its input.
    ///
    /// State: whether there was a record.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("nothing");
    /// let none = flow.source("none", source::empty()).default_if_empty("none").collect();
    /// assert_eq!(flow.run().await?.take(none), Some(vec!["none"]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn default_if_empty(self, value: T) -> DataStream<T, Via<C, DefaultIfEmpty<T>>>
    where
        T: Clone,
    {
        self.via(DefaultIfEmpty { value, empty: true, watermark: Timestamp::MIN })
    }
}

/// The operator behind [`DataStream::default_if_empty`].
pub struct DefaultIfEmpty<T> {
    value: T,
    empty: bool,
    watermark: Timestamp,
}

impl<T> Checkpointed for DefaultIfEmpty<T> {}

impl<T: Clone> Clone for DefaultIfEmpty<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), empty: true, watermark: Timestamp::MIN }
    }
}

impl<T> fmt::Debug for DefaultIfEmpty<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultIfEmpty").field("empty", &self.empty).finish_non_exhaustive()
    }
}

impl<T: Clone + Send + 'static> Operator<T> for DefaultIfEmpty<T> {
    type Out = T;
    const NAME: &'static str = "default_if_empty";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.empty = false;
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.watermark = watermark;
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        if self.empty {
            out.push(Record::at(self.value.clone(), self.watermark));
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(PLAIN, state, &[&self.empty, &self.watermark])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(PLAIN, state, &mut [&mut self.empty, &mut self.watermark])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness};

    #[test]
    fn b23_the_default_stands_for_nothing_only() {
        let at = Timestamp::from_millis;
        let operator = DefaultIfEmpty { value: 7, empty: true, watermark: Timestamp::MIN };
        let mut harness = OperatorHarness::new(operator.clone());
        harness.push(1);
        harness.end();
        assert_eq!(harness.values(), [1]);
        let mut empty = OperatorHarness::new(harness.operator().clone());
        empty.watermark(at(3));
        empty.end();
        let expected = [Event::Watermark(at(3)), Event::Record(Record::at(7, at(3))), Event::End];
        assert_eq!(empty.events(), expected);
    }
}
