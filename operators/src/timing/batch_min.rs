//! `batch_min`: fewer, larger batches at the cost of some time.

use std::fmt;
use std::time::Duration;

use super::run_clock::RunClock;
use crate::DataStream;
use crate::part::Backlog;
use crate::state::{Checkpointed, Codec, Plain, State, read_parts, write_parts};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Holds records back until there are `records` of them, or the first has waited for `longest`,
    /// and emits them together: where each batch costs what comes behind a system call, and its
    /// records come one by one. It changes when records are emitted, and nothing else: neither
    /// their order nor their event times nor the place of a watermark among them, which therefore
    /// lets out what is held before it.
    ///
    /// Emits when there are enough, when their time is over, at a watermark and at the end.
    /// Backpressures when its output does. Holds up to `records`.
    ///
    /// State: the records that are held, and when their time is over: at once, if that was between
    /// two runs. Without a `uid`, those held at a barrier are lost to a run that goes on from
    /// there.
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
    /// let flow = Dataflow::new("together");
    /// let numbers = flow.source("numbers", source::from_iter(0..5));
    /// let all = numbers.batch_min(3, Duration::from_millis(5)).collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec![0, 1, 2, 3, 4]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn batch_min(
        self,
        records: usize,
        longest: Duration,
    ) -> DataStream<T, Via<C, BatchMin<T>>> {
        assert!(records > 0, "batches of no records");
        assert!(!longest.is_zero(), "batches in no time");
        self.via(BatchMin::new(records, longest))
    }
}

/// The operator behind [`DataStream::batch_min`].
pub struct BatchMin<T> {
    records: usize,
    longest: Duration,
    clock: RunClock,
    held: Vec<Record<T>>,
    due: Option<Instant>,
    backlog: Backlog<T>,
    codec: Option<Codec<T>>,
}

impl<T> BatchMin<T> {
    fn new(records: usize, longest: Duration) -> Self {
        let (clock, backlog) = (RunClock::default(), Backlog::new());
        Self { records, longest, clock, held: Vec::new(), due: None, backlog, codec: None }
    }

    fn release(&mut self, out: &mut impl Collector<T>) {
        self.due = None;
        self.backlog.extend(self.held.drain(..), out);
    }
}

impl<T: State> Checkpointed for BatchMin<T> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T> Clone for BatchMin<T> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.records, self.longest) }
    }
}

impl<T> fmt::Debug for BatchMin<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchMin")
            .field("records", &self.records)
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operator<T> for BatchMin<T> {
    type Out = T;
    const NAME: &'static str = "batch_min";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if self.held.is_empty() {
            self.due = Some(self.clock.now() + self.longest);
        }
        self.held.push(record);
        if self.held.len() >= self.records {
            self.release(out);
        }
        Ok(())
    }

    fn on_watermark(
        &mut self,
        _watermark: Timestamp,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.release(out);
        Ok(())
    }

    fn on_timer(&mut self, now: Instant, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        if self.due.is_some_and(|due| due <= now) {
            self.release(out);
        }
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.release(out);
        Ok(())
    }

    fn pending(&self) -> bool {
        !self.backlog.is_empty()
    }

    fn resume(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.backlog.resume(out);
        Ok(())
    }

    fn next_timer(&self) -> Option<Instant> {
        self.due
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let due = Plain(self.due.map(|due| self.clock.nanos(due)));
        write_parts(self.codec, state, &[&self.held, &due])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let mut due = Plain(None);
        read_parts(self.codec, state, &mut [&mut self.held, &mut due])?;
        self.due = due.0.map(|due| self.clock.instant(due));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness};

    #[test]
    fn b12_batch_min_lets_out_enough_or_what_has_waited() {
        let second = Duration::from_secs(1);
        for room in [1, 9] {
            let mut harness = OperatorHarness::with_room(BatchMin::new(3, second), room);
            harness.push(1);
            harness.push(2);
            assert!(harness.values().is_empty());
            harness.push(3);
            assert_eq!(harness.values(), [1, 2, 3]);
            harness.push(4);
            harness.advance(second);
            assert_eq!(harness.values(), [4]);
            harness.push(5);
            harness.end();
            assert_eq!(harness.values(), [5]);
        }
    }

    #[test]
    fn b12_batch_min_keeps_watermarks_in_their_place() {
        let at = Timestamp::from_millis;
        let mut harness = OperatorHarness::new(BatchMin::new(3, Duration::from_secs(1)));
        harness.push(Record::at(1, at(5)));
        harness.watermark(at(6));
        let record = Event::Record(Record::at(1, at(5)));
        assert_eq!(harness.events(), [record, Event::Watermark(at(6))]);
    }
}
