//! `intersperse`: something between the records.

use std::fmt;

use crate::DataStream;
use crate::part::{Backlog, LatestTime};
use crate::state::{Checkpointed, PLAIN, read_parts, write_parts};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Emits `separator` between each two records. It has the event time of the record behind it.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// State: whether there was a record.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("list");
    /// let list = flow.source("words", source::from_iter(["a", "b"])).intersperse(", ").collect();
    /// assert_eq!(flow.run().await?.take(list), Some(vec!["a", ", ", "b"]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn intersperse(self, separator: T) -> DataStream<T, Via<C, Intersperse<T>>>
    where
        T: Clone,
    {
        self.via(Intersperse::new(None, separator, None))
    }

    /// As [`intersperse`](DataStream::intersperse), with a value before the first record and one
    /// behind the last. Both are emitted for an empty stream, too. Each instance of a parallel
    /// stream has its own.
    ///
    /// Emits when its input does, and when that ends.
    ///
    /// State: whether there was a record.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("list");
    /// let words = flow.source("words", source::from_iter(["a", "b"]));
    /// let list = words.intersperse_between("[", ", ", "]").collect();
    /// assert_eq!(flow.run().await?.take(list), Some(vec!["[", "a", ", ", "b", "]"]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn intersperse_between(
        self,
        first: T,
        separator: T,
        last: T,
    ) -> DataStream<T, Via<C, Intersperse<T>>>
    where
        T: Clone,
    {
        self.via(Intersperse::new(Some(first), separator, Some(last)))
    }
}

/// The operator behind [`DataStream::intersperse`].
pub struct Intersperse<T> {
    first: Option<T>,
    separator: T,
    last: Option<T>,
    begun: bool,
    time: LatestTime,
    backlog: Backlog<T>,
}

impl<T> Intersperse<T> {
    fn new(first: Option<T>, separator: T, last: Option<T>) -> Self {
        let (time, backlog) = (LatestTime::new(), Backlog::new());
        Self { first, separator, last, begun: false, time, backlog }
    }
}

impl<T> Checkpointed for Intersperse<T> {}

impl<T: Clone> Clone for Intersperse<T> {
    fn clone(&self) -> Self {
        Self::new(self.first.clone(), self.separator.clone(), self.last.clone())
    }
}

impl<T> fmt::Debug for Intersperse<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intersperse").field("begun", &self.begun).finish_non_exhaustive()
    }
}

impl<T: Clone + Send + 'static> Operator<T> for Intersperse<T> {
    type Out = T;
    const NAME: &'static str = "intersperse";

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.time.add(record.time);
        let before = if std::mem::replace(&mut self.begun, true) {
            Some(self.separator.clone())
        } else {
            self.first.clone()
        };
        if let Some(before) = before {
            self.backlog.emit(Record::at(before, record.time), out);
        }
        self.backlog.emit(record, out);
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

    fn on_end(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        let first = self.first.clone().filter(|_| !self.begun);
        let time = self.time.take();
        let marks = first.into_iter().chain(self.last.clone());
        self.backlog.extend(marks.map(|mark| Record::at(mark, time)), out);
        Ok(())
    }

    #[inline]
    fn pending(&self) -> bool {
        !self.backlog.is_empty()
    }

    fn resume(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.backlog.resume(out);
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(PLAIN, state, &[&self.begun, &self.time])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(PLAIN, state, &mut [&mut self.begun, &mut self.time])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::OperatorHarness;

    fn interspersed(operator: &Intersperse<u32>, count: u32) -> Vec<u32> {
        let mut outputs = [1, 9].map(|room| {
            let mut harness = OperatorHarness::with_room(operator.clone(), room);
            (1..=count).for_each(|n| harness.push(n));
            harness.end();
            harness.values()
        });
        assert_eq!(outputs[0], outputs[1]);
        std::mem::take(&mut outputs[0])
    }

    #[test]
    fn b15_separators_stand_between_records_only() {
        let operator = || Intersperse::new(None, 0, None);
        assert_eq!(interspersed(&operator(), 3), [1, 0, 2, 0, 3]);
        assert_eq!(interspersed(&operator(), 1), [1]);
        assert!(interspersed(&operator(), 0).is_empty());
    }

    #[test]
    fn b15_marks_stand_around_nothing_too() {
        let operator = || Intersperse::new(Some(7), 0, Some(9));
        assert_eq!(interspersed(&operator(), 2), [7, 1, 0, 2, 9]);
        assert_eq!(interspersed(&operator(), 0), [7, 9]);
    }
}
