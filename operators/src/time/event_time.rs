//! `event_time`: says when each record happened, and how far the stream has come.

use std::fmt;
use std::task::Context;
use std::time::Duration;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use super::{WatermarkGenerator, Watermarks};
use crate::DataStream;
use crate::state::Checkpointed;
use crate::timing::run_clock::Quiet;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Gives each record the event time that `time` finds in it, and makes watermarks of those
    /// times. Event times and watermarks of the input are replaced.
    ///
    /// A watermark stands right behind the record that brought it on, wherever batches begin and
    /// end: which records are late depends on the records alone. It never goes back. Emits and
    /// backpressures as its input and output do, ends with its input. Best said right behind the
    /// source, before streams part or meet.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("readings");
    /// let readings = flow.source("readings", source::from_iter([(1000, 20.5), (3000, 21.0)]));
    /// let watermarks = Watermarks::bounded_disorder(Duration::from_secs(1));
    /// let timed = readings.event_time(|(millis, _)| Timestamp::from_millis(*millis), watermarks);
    /// timed.boundary().named("behind").for_each(|(_, degrees)| println!("{degrees} °C"));
    /// let report = flow.run().await?;
    /// let reached = report.metrics().stages[1].watermark;
    /// assert_eq!(reached, Some(Timestamp::from_millis(2000)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn event_time<F, G>(
        self,
        time: F,
        watermarks: Watermarks<G>,
    ) -> DataStream<T, Via<C, EventTime<F, G>>>
    where
        F: FnMut(&T) -> Timestamp + Clone + Send + 'static,
        G: WatermarkGenerator<T>,
    {
        self.via(EventTime::new(time, watermarks))
    }
}

/// The operator behind [`DataStream::event_time`].
pub struct EventTime<F, G> {
    time: F,
    watermarks: Watermarks<G>,
    /// The generator of this run.
    generator: G,
    quiet: Option<Quiet>,
    /// What has been said, and whether it has gone out.
    watermark: Timestamp,
    told: Timestamp,
    idle: bool,
}

impl<F, G: Clone> EventTime<F, G> {
    fn new(time: F, watermarks: Watermarks<G>) -> Self {
        Self {
            time,
            generator: watermarks.generator.clone(),
            quiet: watermarks.idle_after.map(Quiet::new),
            watermarks,
            watermark: Timestamp::MIN,
            told: Timestamp::MIN,
            idle: false,
        }
    }

    #[inline]
    fn advance(&mut self, watermark: Timestamp) {
        if watermark > self.watermark {
            self.watermark = self.watermark.max(self.watermarks.round(watermark));
        }
    }
}

impl<F: Clone, G: Clone> Clone for EventTime<F, G> {
    fn clone(&self) -> Self {
        Self::new(self.time.clone(), self.watermarks.clone())
    }
}

impl<F, G> Checkpointed for EventTime<F, G> {}

impl<F, G> fmt::Debug for EventTime<F, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventTime")
            .field("watermark", &self.watermark)
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

impl<T, F, G> Operator<T> for EventTime<F, G>
where
    T: Send + 'static,
    F: FnMut(&T) -> Timestamp + Clone + Send + 'static,
    G: WatermarkGenerator<T>,
{
    type Out = T;
    const NAME: &'static str = "event_time";
    const SETS_TIME: bool = true;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        if let Some(quiet) = &mut self.quiet {
            quiet.open(context);
        }
        Ok(())
    }

    fn poll_outside(&mut self, _cx: &mut Context<'_>) -> Result<(), OperatorError> {
        if let Some(quiet) = &mut self.quiet {
            quiet.begin();
        }
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        let time = (self.time)(&record.value);
        if let Some(watermark) = self.generator.on_record(&record.value, time) {
            self.advance(watermark);
        }
        self.idle = false;
        out.push(Record::at(record.value, time));
        if let Some(quiet) = &mut self.quiet {
            quiet.touch();
            quiet.stall(out.is_full());
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        now: Instant,
        _out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        let Some((quiet, limit)) = self.quiet.as_mut().zip(self.watermarks.idle_after) else {
            return Ok(());
        };
        if !quiet.is_over(now) {
            return Ok(());
        }
        self.idle = true;
        if self.watermarks.advance && self.watermark > Timestamp::MIN {
            // It has been quiet for as long, and this is looked at again after as long.
            quiet.touch();
            let gone = limit.max(Duration::from_millis(1));
            self.advance(self.watermark.saturating_add(gone));
        }
        Ok(())
    }

    fn on_end(&mut self, _out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        if let Some(quiet) = &mut self.quiet {
            quiet.end();
        }
        Ok(())
    }

    /// Not that anything is left: it wants to be told when there is room again.
    #[inline]
    fn pending(&self) -> bool {
        self.quiet.as_ref().is_some_and(Quiet::is_stalled)
    }

    fn resume(&mut self, _out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        if let Some(quiet) = &mut self.quiet {
            quiet.resume();
        }
        Ok(())
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.quiet.as_ref().and_then(Quiet::next_timer)
    }

    #[inline]
    fn watermark(&mut self) -> Option<Timestamp> {
        (self.watermark > self.told).then(|| {
            self.told = self.watermark;
            self.watermark
        })
    }

    #[inline]
    fn idle(&self) -> bool {
        self.idle
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let mut bytes = self.watermark.as_millis().to_le_bytes().to_vec();
        bytes.extend(self.generator.snapshot());
        state.write(bytes);
        Ok(())
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let Some(bytes) = state.read() else {
            return Ok(());
        };
        let (watermark, generator) =
            bytes.split_first_chunk().ok_or_else(|| StateError::new("a watermark has 8 bytes"))?;
        self.watermark = Timestamp::from_millis(i64::from_le_bytes(*watermark));
        self.told = self.watermark;
        self.generator.restore(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness, Step, assert_survives_crashes};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn reading(millis: &i64) -> Timestamp {
        at(*millis)
    }

    type Reading = fn(&i64) -> Timestamp;

    fn bounded(bound: u64) -> EventTime<Reading, super::super::BoundedDisorder> {
        let watermarks = Watermarks::bounded_disorder(Duration::from_millis(bound));
        EventTime::new(reading, watermarks)
    }

    fn record(millis: i64) -> Event<i64> {
        Event::Record(Record::at(millis, at(millis)))
    }

    #[test]
    fn h1_the_watermark_is_the_latest_time_less_the_bound_and_never_goes_back() {
        let mut harness = OperatorHarness::new(bounded(5));
        [10, 7, 12, 11, 12, 30].into_iter().for_each(|millis| harness.push(millis));
        let expected = [
            record(10),
            Event::Watermark(at(5)),
            record(7),
            record(12),
            Event::Watermark(at(7)),
            record(11),
            record(12),
            record(30),
            Event::Watermark(at(25)),
        ];
        assert_eq!(harness.events(), expected);
    }

    #[test]
    fn h1_watermarks_of_the_input_end_here() {
        let mut harness = OperatorHarness::new(bounded(0));
        harness.watermark(at(100));
        harness.push(3);
        assert_eq!(harness.events(), [record(3), Event::Watermark(at(3))]);
    }

    #[test]
    fn h1_marks_may_come_from_the_records_themselves() {
        let mark = |millis: &i64| (millis % 10 == 0).then(|| at(*millis));
        let operator = EventTime::new(reading as Reading, Watermarks::punctuated(mark));
        let mut harness = OperatorHarness::new(operator);
        [3, 10, 7, 20].into_iter().for_each(|millis| harness.push(millis));
        let marks: Vec<_> = harness
            .events()
            .into_iter()
            .filter(|event| matches!(event, Event::Watermark(_)))
            .collect();
        assert_eq!(marks, [10, 20].map(|millis| Event::Watermark(at(millis))));
    }

    #[test]
    fn h1_hostile_times_do_no_harm() {
        let mut harness = OperatorHarness::new(bounded(5));
        [i64::MIN, -1, i64::MAX, 0].into_iter().for_each(|millis| harness.push(millis));
        let last = harness.events().into_iter().rfind(|event| matches!(event, Event::Watermark(_)));
        assert_eq!(last, Some(Event::Watermark(at(i64::MAX - 5))));
    }

    #[test]
    fn h2_a_quiet_stream_is_idle_until_the_next_record() {
        let watermarks = Watermarks::monotonic().idle_after(Duration::from_secs(1));
        let mut harness = OperatorHarness::new(EventTime::new(reading as Reading, watermarks));
        let idle = |harness: &OperatorHarness<i64, _>| Operator::<i64>::idle(harness.operator());
        harness.push(5);
        harness.advance(Duration::from_millis(999));
        assert!(!idle(&harness));
        harness.advance(Duration::from_millis(1));
        assert!(idle(&harness));
        harness.push(6);
        assert!(!idle(&harness));
        harness.events();
        harness.advance(Duration::from_secs(100));
        assert!(idle(&harness));
        assert_eq!(harness.events(), [], "event time stands still with the records");
    }

    #[test]
    fn h2_event_time_may_go_on_with_the_clock_while_nothing_comes() {
        let watermarks = Watermarks::bounded_disorder(Duration::from_millis(5))
            .idle_after(Duration::from_secs(1))
            .advance_when_idle();
        let mut harness = OperatorHarness::new(EventTime::new(reading as Reading, watermarks));
        harness.push(105);
        harness.advance(Duration::from_secs(3));
        let marks = [100, 1100, 2100, 3100].map(|millis| Event::Watermark(at(millis)));
        assert_eq!(harness.events(), [&[record(105)][..], &marks].concat());
    }

    #[test]
    fn h1_a_restart_at_any_record_changes_no_watermark() {
        let script =
            [10, 7, 12, 11, 12, 30, 29, 31].map(|millis| Step::Record(Record::new(millis)));
        assert_survives_crashes(&bounded(5), &script);
    }
}
