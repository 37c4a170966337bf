//! `materialize` and `dematerialize`: a stream's signals as values, and back.

use crate::DataStream;
use crate::part::LatestTime;
use crate::state::{Checkpointed, PLAIN, gather_parts, read_parts, write_parts};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

/// What a stream says, as a value.
///
/// There is none for a failure: that overtakes everything and ends the job, and is not to be had
/// as an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal<T> {
    /// A record.
    Record(T),
    /// No earlier record will follow.
    Watermark(Timestamp),
    /// The input has ended, completely.
    End,
}

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns records, watermarks and the end of a complete input into values, so that code behind
    /// it can count, keep or send them. Watermarks also stay what they are. A record keeps its
    /// event time; a watermark's value has that of the watermark itself; the end's is the latest
    /// before it.
    ///
    /// Emits when its input does, and once more at its end. Backpressures when its output does.
    ///
    /// State: the latest time.
    ///
    /// ```
    /// use millstream_operators::{linear::materialize::Signal, prelude::*};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("signals");
    /// let signals = flow.source("one", source::from_iter([1])).materialize().collect();
    /// let expected = vec![Signal::Record(1), Signal::End];
    /// assert_eq!(flow.run().await?.take(signals), Some(expected));
    /// # Ok(())
    /// # }
    /// ```
    pub fn materialize(self) -> DataStream<Signal<T>, Via<C, Materialize>> {
        self.via(Materialize { time: LatestTime::new() })
    }
}

impl<T: Send + 'static, C: Chain<Item = Signal<T>>> DataStream<Signal<T>, C> {
    /// Turns signals back into a stream: its records, up to [`Signal::End`], which ends it and
    /// cancels its input. The values of watermarks are left out, because the watermarks themselves
    /// have come along.
    ///
    /// Emits when its input does, backpressures when its output does. Ends with its input, if there
    /// is no value for the end.
    ///
    /// State: whether the end has come.
    ///
    /// ```
    /// use millstream_operators::{linear::materialize::Signal, prelude::*};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("signals");
    /// let signals = [Signal::Record(1), Signal::End, Signal::Record(2)];
    /// let records = flow.source("signals", source::from_iter(signals)).dematerialize().collect();
    /// assert_eq!(flow.run().await?.take(records), Some(vec![1]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn dematerialize(self) -> DataStream<T, Via<C, Dematerialize>> {
        self.via(Dematerialize { done: false })
    }
}

/// The operator behind [`DataStream::materialize`].
#[derive(Debug)]
pub struct Materialize {
    time: LatestTime,
}

impl Checkpointed for Materialize {}

impl Clone for Materialize {
    fn clone(&self) -> Self {
        Self { time: LatestTime::new() }
    }
}

impl<T: Send + 'static> Operator<T> for Materialize {
    type Out = Signal<T>;
    const NAME: &'static str = "materialize";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<Signal<T>>,
    ) -> Result<(), OperatorError> {
        self.time.add(record.time);
        out.push(record.with(Signal::Record));
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<Signal<T>>,
    ) -> Result<(), OperatorError> {
        self.time.pass(watermark);
        out.push(Record::at(Signal::Watermark(watermark), watermark));
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<Signal<T>>) -> Result<(), OperatorError> {
        out.push(Record::at(Signal::End, self.time.take()));
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(PLAIN, state, &[&self.time])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        gather_parts(PLAIN, state, &mut [&mut self.time])
    }
}

/// The operator behind [`DataStream::dematerialize`].
#[derive(Debug)]
pub struct Dematerialize {
    done: bool,
}

impl Checkpointed for Dematerialize {}

impl Clone for Dematerialize {
    fn clone(&self) -> Self {
        Self { done: false }
    }
}

impl<T: Send + 'static> Operator<Signal<T>> for Dematerialize {
    type Out = T;
    const NAME: &'static str = "dematerialize";

    #[inline]
    fn process(
        &mut self,
        record: Record<Signal<T>>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        match record.value {
            Signal::Record(value) if !self.done => out.push(Record::at(value, record.time)),
            Signal::Record(_) | Signal::Watermark(_) => {}
            Signal::End => self.done = true,
        }
        Ok(())
    }

    #[inline]
    fn done(&self) -> bool {
        self.done
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(PLAIN, state, &[&self.done])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(PLAIN, state, &mut [&mut self.done])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness};

    #[test]
    fn b25_signals_become_values_and_records_again() {
        let at = Timestamp::from_millis;
        let mut there = OperatorHarness::new(Materialize { time: LatestTime::new() });
        there.push(Record::at(1, at(4)));
        there.watermark(at(3));
        there.watermark(at(9));
        there.end();
        let mut back = OperatorHarness::new(Dematerialize { done: false });
        let mut values = Vec::new();
        for event in there.events() {
            match event {
                Event::Record(record) => {
                    values.push(record.value);
                    back.push(record);
                }
                Event::Watermark(watermark) => back.watermark(watermark),
                Event::End => {}
            }
        }
        let watermark = |millis| Signal::Watermark(at(millis));
        assert_eq!(values, [Signal::Record(1), watermark(3), watermark(9), Signal::End]);
        assert!(Operator::<Signal<i32>>::done(back.operator()));
        let expected =
            [Event::Record(Record::at(1, at(4))), Event::Watermark(at(3)), Event::Watermark(at(9))];
        assert_eq!(back.events(), expected);
    }
}
