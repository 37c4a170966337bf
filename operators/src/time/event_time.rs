//! `event_time`: says when each record happened, and how far the stream has come.

use std::fmt;
use std::task::Context;
use std::time::Duration;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Clock, Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use super::alignment::Member;
use super::heartbeat::Listener;
use super::quiet::Quiet;
use super::{WatermarkGenerator, Watermarks};
use crate::DataStream;
use crate::state::{Checkpointed, read_time, time_bytes};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Gives each record the event time that `time` finds in it, and makes watermarks of those
    /// times. Event times and watermarks of the input are replaced.
    ///
    /// A watermark stands right behind the record that brought it on, wherever batches begin and
    /// end: which records are late depends on the records alone. It never goes back. Emits and
    /// backpressures as its input and output do, and ends with its input, which is no watermark.
    /// Best said right behind the source, before streams part or meet. What happens while no record
    /// comes, and how streams wait for each other, is said by [`Watermarks`].
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
    ) -> DataStream<T, Via<C, EventTime<T, F, G>>>
    where
        F: FnMut(&T) -> Timestamp + Clone + Send + 'static,
        G: WatermarkGenerator<T>,
    {
        self.via(EventTime::new(time, watermarks))
    }
}

/// The operator behind [`DataStream::event_time`].
pub struct EventTime<T, F, G> {
    time: F,
    watermarks: Watermarks<G>,
    /// The generator of this run, and when it is asked without a record.
    generator: G,
    ticks: Option<Ticks>,
    quiet: Option<Quiet>,
    listener: Option<Listener>,
    member: Option<Member>,
    /// How far the stream has come, that in steps, and what has gone out of it.
    reached: Timestamp,
    watermark: Timestamp,
    told: Timestamp,
    /// How far it has to come for the next step.
    next_step: Timestamp,
    idle: bool,
    /// A record has come since it was last looked.
    seen: bool,
    /// Whether anything comes but by records, for which there has to be room; and whether the last
    /// record made the rest of the chain stop.
    timed: bool,
    stalled: bool,
    /// A record that waits for other streams, and how far it will bring this one.
    held: Option<(Record<T>, Timestamp)>,
}

/// When a generator is asked again.
#[derive(Debug)]
struct Ticks {
    every: Duration,
    due: Option<Instant>,
    clock: Clock,
    /// The wall clock may be set back, and what the generator is told may not.
    last: Timestamp,
}

impl<T, F, G: Clone> EventTime<T, F, G> {
    fn new(time: F, watermarks: Watermarks<G>) -> Self {
        Self {
            time,
            generator: watermarks.generator.clone(),
            ticks: None,
            quiet: watermarks.idle_after.map(Quiet::new),
            timed: watermarks.is_timed(),
            listener: None,
            member: None,
            watermarks,
            reached: Timestamp::MIN,
            watermark: Timestamp::MIN,
            told: Timestamp::MIN,
            next_step: Timestamp::MIN,
            idle: false,
            seen: false,
            stalled: false,
            held: None,
        }
    }

    #[inline]
    fn advance(&mut self, to: Timestamp) {
        if to > self.reached {
            self.reached = to;
            if to >= self.next_step {
                self.begin_step(to);
            }
        }
    }

    /// Moves on, and lets those know who are held up by this stream.
    fn bring(&mut self, to: Timestamp) {
        if to > self.reached {
            self.advance(to);
            if let Some(member) = &mut self.member {
                member.reach(to);
            }
        }
    }

    fn begin_step(&mut self, to: Timestamp) {
        self.watermark = self.watermarks.round(to);
        self.next_step = self.watermark.saturating_add(self.watermarks.step);
    }

    /// Looks at a record, where not only records say what time it is. None if it has to wait for
    /// other streams.
    #[cold]
    fn admit(&mut self, record: Record<T>, mark: Option<Timestamp>) -> Option<Record<T>> {
        let reached = mark.map_or(self.reached, |mark| mark.max(self.reached));
        if self.idle {
            self.wake_up();
        }
        if let Some(listener) = &mut self.listener {
            listener.record_came();
        }
        if let Some(member) = &mut self.member
            && !member.admits(reached)
        {
            self.held = Some((record, reached));
            return None;
        }
        self.bring(reached);
        Some(record)
    }

    /// It is idle no longer.
    #[cold]
    fn wake_up(&mut self) {
        self.idle = false;
        if let Some(quiet) = &mut self.quiet {
            quiet.begin_again();
        }
    }

    /// It has been quiet for too long.
    fn go_idle(&mut self, quiet: Duration, limit: Duration, now: Instant) {
        self.idle = true;
        if let Some(member) = &mut self.member {
            member.go_idle();
        }
        if !self.watermarks.advance || self.reached == Timestamp::MIN {
            return;
        }
        // Looked at again after as long. A machine that stood still was not watching: then time
        // goes on by no more than twice that.
        let gone = quiet.min(limit.saturating_mul(2)).max(Duration::from_millis(1));
        self.bring(self.reached.saturating_add(gone));
        if let Some(looks) = &mut self.quiet {
            looks.begin_idle(now);
        }
    }

    /// Somebody outside has said how far it is.
    fn hear(&mut self) {
        let Some(time) = self.listener.as_mut().and_then(Listener::take) else {
            return;
        };
        self.seen = true;
        self.wake_up();
        self.bring(time);
        if let Some(member) = &mut self.member {
            member.come_back();
        }
    }
}

impl<T, F: Clone, G: Clone> Clone for EventTime<T, F, G> {
    fn clone(&self) -> Self {
        Self::new(self.time.clone(), self.watermarks.clone())
    }
}

impl<T, F, G> Checkpointed for EventTime<T, F, G> {}

impl<T, F, G> fmt::Debug for EventTime<T, F, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventTime")
            .field("watermark", &self.watermark)
            .field("idle", &self.idle)
            .field("held", &self.held.is_some())
            .finish_non_exhaustive()
    }
}

impl<T, F, G> Operator<T> for EventTime<T, F, G>
where
    T: Send + 'static,
    F: FnMut(&T) -> Timestamp + Clone + Send + 'static,
    G: WatermarkGenerator<T>,
{
    type Out = T;
    const NAME: &'static str = "event_time";
    const SETS_TIME: bool = true;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        let clock = context.clock();
        if let Some(quiet) = &mut self.quiet {
            quiet.open(context);
        }
        self.listener = self.watermarks.heartbeat.as_ref().map(Listener::new);
        self.ticks = self.watermarks.interval.map(|every| {
            let due = Some(clock.now() + every);
            Ticks { every, due, clock, last: Timestamp::MIN }
        });
        if let (Some(alignment), Some(limit)) =
            (&self.watermarks.alignment, self.watermarks.idle_after)
        {
            self.member = Some(Member::join(alignment, context, limit));
        }
        Ok(())
    }

    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        let mut begins = false;
        if let Some(quiet) = &mut self.quiet {
            begins = quiet.begin();
        }
        if let Some(member) = &mut self.member {
            member.rest(cx, begins);
        }
        if let Some(listener) = &mut self.listener
            && !self.stalled
            && self.held.is_none()
        {
            listener.listen(cx);
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
        let mark = self.generator.on_record(&record.value, time);
        let mut record = Record::at(record.value, time);
        if self.timed {
            match self.admit(record, mark) {
                Some(admitted) => record = admitted,
                None => return Ok(()),
            }
        } else if let Some(mark) = mark {
            self.advance(mark);
        }
        out.push(record);
        if self.timed {
            self.seen = true;
            self.stalled = out.is_full();
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        now: Instant,
        _out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if let Some(member) = &mut self.member {
            member.lose_patience(now);
        }
        if self.held.is_some() || self.stalled {
            return Ok(());
        }
        self.hear();
        if let Some(ticks) = &mut self.ticks
            && ticks.due.is_some_and(|due| due <= now)
        {
            ticks.due = Some(now + ticks.every);
            ticks.last = ticks.last.max(ticks.clock.timestamp());
            if let Some(mark) = self.generator.on_interval(ticks.last) {
                self.bring(mark);
            }
        }
        if let Some((quiet, limit)) = self.quiet.as_mut().zip(self.watermarks.idle_after)
            && let Some(quiet) = quiet.look(now, &mut self.seen)
        {
            self.go_idle(quiet, limit, now);
        }
        Ok(())
    }

    fn on_end(&mut self, _out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        if let Some(quiet) = &mut self.quiet {
            quiet.end();
        }
        if let Some(member) = self.member.take() {
            member.leave();
        }
        (self.ticks, self.listener) = (None, None);
        Ok(())
    }

    /// Also when nothing is left: then it wants to be told when there is room again.
    #[inline]
    fn pending(&self) -> bool {
        self.stalled || self.held.is_some()
    }

    #[inline]
    fn waiting(&self) -> bool {
        self.member.as_ref().is_some_and(Member::is_held)
    }

    fn resume(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        if std::mem::take(&mut self.stalled) {
            // What is before what was full could not have brought another record earlier.
            self.seen = true;
        }
        if !Operator::<T>::waiting(self)
            && let Some((record, reached)) = self.held.take()
        {
            self.bring(reached);
            out.push(record);
            self.seen = true;
            self.stalled = self.timed && out.is_full();
        }
        Ok(())
    }

    fn next_timer(&self) -> Option<Instant> {
        if self.held.is_some() || self.stalled {
            return self.member.as_ref().and_then(Member::patience);
        }
        if self.listener.as_ref().is_some_and(Listener::has_news) {
            return Some(Instant::START);
        }
        let look = self.quiet.as_ref().and_then(Quiet::next_look);
        let tick = self.ticks.as_ref().and_then(|ticks| ticks.due);
        look.into_iter().chain(tick).min()
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
        let mut bytes = time_bytes(self.reached).to_vec();
        bytes.extend(self.generator.snapshot());
        state.write(bytes);
        Ok(())
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let Some(mut bytes) = state.read() else {
            return Ok(());
        };
        self.advance(read_time(&mut bytes)?);
        // It is told again: where streams meet, nobody remembers how far each of them had come.
        self.generator.restore(bytes)
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

    fn bounded(bound: u64) -> EventTime<i64, Reading, super::super::BoundedDisorder> {
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

    fn is_idle(harness: &OperatorHarness<i64, impl Operator<i64>>) -> bool {
        harness.operator().idle()
    }

    fn marks(harness: &mut OperatorHarness<i64, impl Operator<i64, Out = i64>>) -> Vec<i64> {
        let mark = |event| match event {
            Event::Watermark(watermark) => Some(watermark.as_millis()),
            Event::Record(_) | Event::End => None,
        };
        harness.events().into_iter().filter_map(mark).collect()
    }

    #[test]
    fn h2_a_quiet_stream_is_idle_until_the_next_record() {
        let watermarks = Watermarks::monotonic().idle_after(Duration::from_secs(8));
        let mut harness = OperatorHarness::new(EventTime::new(reading as Reading, watermarks));
        for millis in 0..20 {
            harness.push(millis);
            harness.advance(Duration::from_millis(700));
            assert!(!is_idle(&harness));
        }
        harness.push(20);
        harness.advance(Duration::from_millis(7_999));
        assert!(!is_idle(&harness), "never before the limit");
        harness.advance(Duration::from_millis(1_001));
        assert!(is_idle(&harness), "and at most an eighth behind it");
        harness.push(21);
        assert!(!is_idle(&harness));
        harness.events();
        harness.advance(Duration::from_secs(100));
        assert!(is_idle(&harness));
        assert_eq!(harness.events(), [], "event time stands still with the records");
        assert_eq!(harness.next_timer(), None, "and nobody looks at the clock");
    }

    #[test]
    fn h2_a_stream_that_never_had_a_record_becomes_idle_too() {
        let watermarks = Watermarks::monotonic().idle_after(Duration::from_secs(8));
        let watermarks = watermarks.advance_when_idle();
        let mut harness = OperatorHarness::new(EventTime::new(reading as Reading, watermarks));
        harness.advance(Duration::from_secs(9));
        assert!(is_idle(&harness));
        harness.advance(Duration::from_secs(100));
        assert_eq!(harness.events(), [], "there is no time from which to go on");
    }

    #[test]
    fn h2_event_time_may_go_on_with_the_clock_while_nothing_comes() {
        let watermarks = Watermarks::bounded_disorder(Duration::from_millis(5))
            .idle_after(Duration::from_secs(1))
            .advance_when_idle();
        let mut harness = OperatorHarness::new(EventTime::new(reading as Reading, watermarks));
        harness.push(105);
        harness.advance(Duration::from_millis(3125));
        assert_eq!(marks(&mut harness), [100, 1100, 2100, 3100]);
    }

    #[test]
    fn h2_event_time_goes_on_with_the_clock_in_steps_longer_than_the_pause() {
        let watermarks = Watermarks::monotonic()
            .with_step(Duration::from_secs(10))
            .idle_after(Duration::from_secs(1))
            .advance_when_idle();
        let mut harness = OperatorHarness::new(EventTime::new(reading as Reading, watermarks));
        harness.push(0);
        harness.advance(Duration::from_secs(25));
        assert_eq!(marks(&mut harness), [0, 10_000, 20_000]);
    }

    #[test]
    fn h2_a_machine_that_stood_still_is_idle_once_and_no_flood_is_late() {
        let watermarks = Watermarks::monotonic().idle_after(Duration::from_secs(1));
        let watermarks = watermarks.advance_when_idle();
        let mut operator = EventTime::new(reading as Reading, watermarks);
        let now = |seconds| Instant::after_start(Duration::from_secs(seconds));
        let mut out = Nowhere;
        let mut cx = Context::from_waker(std::task::Waker::noop());
        Operator::<i64>::poll_outside(&mut operator, &mut cx).expect("it begins");
        operator.process(Record::new(0), &mut out).expect("no error");
        operator.on_timer(now(1), &mut out).expect("no error");
        assert!(!Operator::<i64>::idle(&operator));
        // Ten minutes later, and every timer but one was missed.
        operator.on_timer(now(601), &mut out).expect("no error");
        assert!(Operator::<i64>::idle(&operator));
        assert_eq!(Operator::<i64>::watermark(&mut operator), Some(at(2000)));
        operator.on_timer(now(601), &mut out).expect("no error");
        assert_eq!(Operator::<i64>::watermark(&mut operator), None, "and not twice");
    }

    /// Takes everything.
    struct Nowhere;

    impl Collector<i64> for Nowhere {
        fn push(&mut self, _record: Record<i64>) {}

        fn is_full(&self) -> bool {
            false
        }
    }

    /// The wall clock, less a second.
    #[derive(Clone)]
    struct Wall;

    impl WatermarkGenerator<i64> for Wall {
        fn on_record(&mut self, _value: &i64, _time: Timestamp) -> Option<Timestamp> {
            None
        }

        fn on_interval(&mut self, now: Timestamp) -> Option<Timestamp> {
            Some(now.saturating_sub(Duration::from_secs(1)))
        }
    }

    #[test]
    fn h1_a_generator_may_follow_the_wall_clock_and_no_jump_turns_it_back() {
        let watermarks = Watermarks::custom(Wall).with_interval(Duration::from_secs(2));
        let mut harness = OperatorHarness::new(EventTime::new(reading as Reading, watermarks));
        harness.advance(Duration::from_secs(4));
        assert_eq!(marks(&mut harness), [1000, 3000]);
        let hour = 3_600_000;
        harness.set_wall_clock(at(hour));
        harness.advance(Duration::from_secs(4));
        assert_eq!(marks(&mut harness), [hour + 1000, hour + 3000]);
        harness.set_wall_clock(at(0));
        harness.advance(Duration::from_secs(60));
        assert!(marks(&mut harness).is_empty(), "until it has caught up");
        harness.set_wall_clock(at(2 * hour));
        harness.advance(Duration::from_secs(2));
        assert_eq!(marks(&mut harness), [2 * hour + 1000]);
    }

    #[test]
    fn h2_a_jump_of_the_wall_clock_neither_idles_nor_moves_time() {
        let watermarks = Watermarks::monotonic().idle_after(Duration::from_secs(8));
        let watermarks = watermarks.advance_when_idle();
        let mut harness = OperatorHarness::new(EventTime::new(reading as Reading, watermarks));
        harness.push(5);
        for wall in [3_600_000, -3_600_000, i64::MAX, i64::MIN] {
            harness.set_wall_clock(at(wall));
            harness.advance(Duration::from_secs(1));
            assert!(!is_idle(&harness));
        }
        assert_eq!(marks(&mut harness), [5]);
    }

    #[test]
    fn h1_a_restart_at_any_record_changes_no_watermark() {
        let script =
            [10, 7, 12, 11, 12, 30, 29, 31].map(|millis| Step::Record(Record::new(millis)));
        assert_survives_crashes(&bounded(5), &script);
    }
}
