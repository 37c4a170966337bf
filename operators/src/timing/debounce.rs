//! `debounce`: the last record before a quiet time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::run_clock::RunClock;
use crate::DataStream;
use crate::part::LatestTime;
use crate::state::{Checkpointed, Codec, Plain, State, read_parts, write_parts};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets a record through once no other has come for `quiet` after it. One that another follows
    /// sooner is dropped, and counted as `superseded`.
    ///
    /// What counts is when each record reaches the operator. Records that come at one instant
    /// follow each other without a gap, whether they are in one batch or in several, and only the
    /// last of them is left. One that comes just when the quiet time is over is too late to
    /// replace the one before.
    ///
    /// Emits when a quiet time is over, and the last record when the input ends. Backpressures when
    /// its output does. Holds one record, whose event time stays, unless the watermark has passed
    /// it. Reads the clock once a record.
    ///
    /// State: the record that is held, and when the quiet is over: at once, if that was between two
    /// runs.
    ///
    /// # Panics
    ///
    /// If `quiet` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("settled");
    /// let typed = flow.source("typed", source::from_iter(["m", "mi", "mill"]));
    /// let settled = typed.debounce(Duration::from_millis(300)).collect();
    /// assert_eq!(flow.run().await?.take(settled), Some(vec!["mill"]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn debounce(self, quiet: Duration) -> DataStream<T, Via<C, Debounce<T>>> {
        assert!(!quiet.is_zero(), "a debounce of no time");
        self.via(Debounce::new(quiet))
    }
}

/// The operator behind [`DataStream::debounce`].
pub struct Debounce<T> {
    quiet: Duration,
    clock: RunClock,
    counters: Arc<OperatorCounters>,
    held: Option<Record<T>>,
    due: Option<Instant>,
    time: LatestTime,
    codec: Option<Codec<T>>,
}

impl<T> Debounce<T> {
    fn new(quiet: Duration) -> Self {
        let (clock, time) = (RunClock::default(), LatestTime::new());
        let counters = Arc::default();
        Self { quiet, clock, counters, held: None, due: None, time, codec: None }
    }

    fn emit_due(&mut self, now: Instant, out: &mut impl Collector<T>) {
        if self.due.is_some_and(|due| due <= now) {
            self.emit(out);
        }
    }

    fn emit(&mut self, out: &mut impl Collector<T>) {
        self.due = None;
        if let Some(record) = self.held.take() {
            let time = self.time.of(record.time);
            out.push(Record::at(record.value, time));
        }
    }
}

impl<T: State> Checkpointed for Debounce<T> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T> Clone for Debounce<T> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.quiet) }
    }
}

impl<T> fmt::Debug for Debounce<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Debounce")
            .field("quiet", &self.quiet)
            .field("held", &self.held.is_some())
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operator<T> for Debounce<T> {
    type Out = T;
    const NAME: &'static str = "debounce";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        self.counters = context.counters();
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        let now = self.clock.now();
        // Timers are served between slices of a batch: one that was due has fired all the same.
        self.emit_due(now, out);
        self.due = Some(now + self.quiet);
        if self.held.replace(record).is_some() {
            self.counters.dropped(DropReason::Superseded, 1);
        }
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.time.pass(watermark);
        Ok(())
    }

    fn on_timer(&mut self, now: Instant, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.emit_due(now, out);
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.emit(out);
        Ok(())
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.due
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let due = Plain(self.due.map(|due| self.clock.nanos(due)));
        write_parts(self.codec, state, &[&self.held, &self.time, &due])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let mut due = Plain(None);
        read_parts(self.codec, state, &mut [&mut self.held, &mut self.time, &mut due])?;
        self.due = due.0.map(|due| self.clock.instant(due));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Dataflow, source};
    use millstream_engine::testing::{Event, OperatorHarness};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn d5_debounce_emits_the_last_record_before_a_quiet_time() {
        let mut harness = OperatorHarness::new(Debounce::new(SECOND));
        harness.push(1);
        harness.advance(SECOND / 2);
        harness.push(2);
        harness.push(3);
        harness.advance(SECOND - Duration::from_nanos(1));
        assert!(harness.values().is_empty());
        harness.advance(Duration::from_nanos(1));
        assert_eq!(harness.values(), [3]);
        harness.advance(SECOND * 9);
        assert!(harness.values().is_empty(), "nothing is emitted twice");
        assert_eq!(harness.operator().counters.drops().of(DropReason::Superseded), 2);
    }

    #[test]
    fn d5_the_last_value_is_flushed_at_the_end_and_is_never_late() {
        let at = Timestamp::from_millis;
        let mut harness = OperatorHarness::new(Debounce::new(SECOND));
        harness.push(Record::at(1, at(3)));
        harness.watermark(at(5));
        harness.end();
        let record = Event::Record(Record::at(1, at(5)));
        assert_eq!(harness.events(), [Event::Watermark(at(5)), record, Event::End]);
        let mut empty = OperatorHarness::new(harness.operator().clone());
        empty.end();
        assert_eq!(empty.events(), [Event::End]);
    }

    #[test]
    #[should_panic(expected = "a debounce of no time")]
    fn d5_no_time_is_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter([1])).debounce(Duration::ZERO).ignore();
    }
}
