//! `sample`, `sample_first` and `audit`: one record of each period.

use std::fmt;
use std::sync::Arc;
use std::task::Context;
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
    /// Lets the latest record of each `period` through, at the end of the period. Periods are
    /// counted from the beginning of the stream; one without a record gives none. What is left out
    /// is counted as `sampled`.
    ///
    /// Emits at the end of a period, and the latest record when the input ends. Backpressures when
    /// its output does. Holds one record, whose event time stays, unless the watermark has passed
    /// it. A record that comes just at the end of a period belongs to the next one.
    ///
    /// State: the record that is held, when its period is over, and when the stream began: periods
    /// go on in a later run as they were.
    ///
    /// # Panics
    ///
    /// If `period` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("gauge");
    /// let gauge = flow.source("gauge", source::from_iter(0..100));
    /// let latest = gauge.sample(Duration::from_secs(60)).collect();
    /// assert_eq!(flow.run().await?.take(latest), Some(vec![99]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn sample(self, period: Duration) -> DataStream<T, Via<C, Sample<T>>> {
        assert!(!period.is_zero(), "a sample in no time");
        self.via(Sample::new(period, Choice::Latest))
    }

    /// As [`sample`](DataStream::sample), where a period begins with the first record after the
    /// last one, and is not counted from the beginning: the latest record of each such period goes
    /// through at its end.
    ///
    /// # Panics
    ///
    /// If `period` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("gauge");
    /// let gauge = flow.source("gauge", source::from_iter(0..100));
    /// let latest = gauge.audit(Duration::from_secs(60)).collect();
    /// assert_eq!(flow.run().await?.take(latest), Some(vec![99]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn audit(self, period: Duration) -> DataStream<T, Via<C, Sample<T>>> {
        assert!(!period.is_zero(), "an audit in no time");
        self.via(Sample::new(period, Choice::Audit))
    }

    /// Lets a record through at once, and leaves out those that come within `period` after it. They
    /// are counted as `sampled`.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input. Holds
    /// nothing.
    ///
    /// State: when the period is over.
    ///
    /// # Panics
    ///
    /// If `period` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("gauge");
    /// let gauge = flow.source("gauge", source::from_iter(0..100));
    /// let first = gauge.sample_first(Duration::from_secs(60)).collect();
    /// assert_eq!(flow.run().await?.take(first), Some(vec![0]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn sample_first(self, period: Duration) -> DataStream<T, Via<C, Sample<T>>> {
        assert!(!period.is_zero(), "a sample in no time");
        self.via(Sample::new(period, Choice::First))
    }
}

/// Which record of a period is let through, and when a period begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Latest,
    Audit,
    First,
}

/// The operator behind [`DataStream::sample`], [`DataStream::audit`] and
/// [`DataStream::sample_first`].
pub struct Sample<T> {
    period: Duration,
    choice: Choice,
    clock: RunClock,
    counters: Arc<OperatorCounters>,
    held: Option<Record<T>>,
    /// The end of the period.
    until: Option<Instant>,
    time: LatestTime,
    codec: Option<Codec<T>>,
}

impl<T> Sample<T> {
    fn new(period: Duration, choice: Choice) -> Self {
        let (clock, time) = (RunClock::default(), LatestTime::new());
        let counters = Arc::default();
        Self { period, choice, clock, counters, held: None, until: None, time, codec: None }
    }

    /// The end of the period that `now` is in, if it begins there or is one of those that are
    /// counted from the beginning.
    fn end_of_period(&self, now: Instant) -> Instant {
        let elapsed = match self.choice {
            Choice::Latest => self.clock.running(now),
            Choice::Audit | Choice::First => Duration::ZERO,
        };
        let into = elapsed.as_nanos() % self.period.as_nanos();
        let into = Duration::from_nanos(u64::try_from(into).unwrap_or(u64::MAX));
        now + self.period.saturating_sub(into)
    }

    fn emit(&mut self, out: &mut impl Collector<T>) {
        self.until = None;
        if let Some(record) = self.held.take() {
            let time = self.time.of(record.time);
            out.push(Record::at(record.value, time));
        }
    }

    fn emit_due(&mut self, now: Instant, out: &mut impl Collector<T>) {
        if self.until.is_some_and(|until| until <= now) {
            self.emit(out);
        }
    }
}

impl<T: State> Checkpointed for Sample<T> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T> Clone for Sample<T> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.period, self.choice) }
    }
}

impl<T> fmt::Debug for Sample<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("period", &self.period)
            .field("choice", &self.choice)
            .field("held", &self.held.is_some())
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operator<T> for Sample<T> {
    type Out = T;
    const NAME: &'static str = "sample";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        self.counters = context.counters();
        Ok(())
    }

    fn poll_outside(&mut self, _cx: &mut Context<'_>) -> Result<(), OperatorError> {
        self.clock.begin();
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        let now = self.clock.now();
        self.emit_due(now, out);
        let within = self.until.is_some();
        if !within {
            self.until = Some(self.end_of_period(now));
        }
        match self.choice {
            Choice::First if !within => out.push(record),
            Choice::First => self.counters.dropped(DropReason::Sampled, 1),
            Choice::Latest | Choice::Audit => {
                if self.held.replace(record).is_some() {
                    self.counters.dropped(DropReason::Sampled, 1);
                }
            }
        }
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

    fn on_timer(&mut self, now: Instant, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.emit_due(now, out);
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.emit(out);
        Ok(())
    }

    fn next_timer(&self) -> Option<Instant> {
        self.held.as_ref().and(self.until)
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let due = Plain(self.until.map(|until| self.clock.nanos(until)));
        write_parts(self.codec, state, &[&self.clock, &self.held, &self.time, &due])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let mut due = Plain(None);
        read_parts(
            self.codec,
            state,
            &mut [&mut self.clock, &mut self.held, &mut self.time, &mut due],
        )?;
        self.until = due.0.map(|due| self.clock.instant(due));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Dataflow, source};
    use millstream_engine::testing::{Event, OperatorHarness};

    const SECOND: Duration = Duration::from_secs(1);

    /// Two records in each of the seconds 0, 1 and 3, at a tenth and a half.
    fn sampled(choice: Choice) -> Vec<(u64, u32)> {
        let mut harness = OperatorHarness::new(Sample::new(SECOND, choice));
        let mut seen = Vec::new();
        for tenth in 0..50 {
            match tenth {
                1 | 11 | 31 => harness.push(tenth),
                5 | 15 | 35 => harness.push(tenth),
                _ => {}
            }
            seen.extend(harness.values().into_iter().map(|value| (u64::from(tenth), value)));
            harness.advance(SECOND / 10);
            seen.extend(harness.values().into_iter().map(|value| (u64::from(tenth) + 1, value)));
        }
        harness.end();
        assert!(harness.values().is_empty());
        assert_eq!(harness.operator().counters.drops().of(DropReason::Sampled), 3);
        seen
    }

    #[test]
    fn d14_sample_gives_the_latest_at_the_end_of_each_period() {
        assert_eq!(sampled(Choice::Latest), [(10, 5), (20, 15), (40, 35)]);
    }

    #[test]
    fn d14_audit_begins_a_period_with_a_record() {
        assert_eq!(sampled(Choice::Audit), [(11, 5), (21, 15), (41, 35)]);
    }

    #[test]
    fn d14_sample_first_gives_the_first_at_once() {
        assert_eq!(sampled(Choice::First), [(1, 1), (11, 11), (31, 31)]);
    }

    #[test]
    fn d14_the_last_value_is_flushed_at_the_end_and_is_never_late() {
        let at = Timestamp::from_millis;
        for choice in [Choice::Latest, Choice::Audit] {
            let mut harness = OperatorHarness::new(Sample::new(SECOND, choice));
            harness.push(Record::at(1, at(3)));
            harness.watermark(at(5));
            harness.end();
            let record = Event::Record(Record::at(1, at(5)));
            assert_eq!(harness.events(), [Event::Watermark(at(5)), record, Event::End]);
        }
    }

    #[test]
    #[should_panic(expected = "a sample in no time")]
    fn d14_no_time_is_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter([1])).sample(Duration::ZERO).ignore();
    }
}
