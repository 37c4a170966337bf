//! `delay` and `initial_delay`: everything later, or only the beginning.

use std::collections::VecDeque;
use std::fmt;
use std::task::Context;
use std::time::Duration;

use super::run_clock::RunClock;
use crate::DataStream;
use crate::part::LatestTime;
use crate::state::{
    Checkpointed, Codec, PLAIN, Part, Plain, State, gather_parts, read_parts, write_list,
    write_parts,
};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Emits each record `by` later than it came. Order and the distances between records stay, and
    /// so does a record's event time, unless the watermark has passed it meanwhile: watermarks are
    /// not delayed.
    ///
    /// Holds up to `capacity` records, and backpressures when it does; they are what limits the
    /// throughput, to `capacity` in each `by`. Ends `by` after the last record. A drain waits for
    /// that.
    ///
    /// State: the records that are held, each with its time. Those whose time came between two runs
    /// go out at once, and another number of instances may share them.
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
    /// let flow = Dataflow::new("later");
    /// let numbers = flow.source("numbers", source::from_iter(0..5));
    /// let later = numbers.delay(Duration::from_millis(5), 100).count();
    /// let report = flow.run().await?;
    /// assert!(report.elapsed() >= Duration::from_millis(5));
    /// assert_eq!(report.take(later), Some(5));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn delay(self, by: Duration, capacity: usize) -> DataStream<T, Via<C, Delay<T>>> {
        assert!(!by.is_zero(), "a delay of no time");
        assert!(capacity > 0, "a delay of no records");
        self.via(Delay::new(by, capacity))
    }

    /// Holds the first record back until the stream has been running for `by`, and everything
    /// behind it with it. From then on nothing is delayed.
    ///
    /// Emits when its input does, but not before. Backpressures until then, and when its output
    /// does. Ends with its input, which may be sooner if there is no record.
    ///
    /// State: when the stream began to run, in its first run. The record that is held goes out
    /// before a barrier.
    ///
    /// # Panics
    ///
    /// If `by` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("later");
    /// let numbers = flow.source("numbers", source::from_iter(0..5));
    /// let later = numbers.initial_delay(Duration::from_millis(5)).count();
    /// let report = flow.run().await?;
    /// assert!(report.elapsed() >= Duration::from_millis(5));
    /// assert_eq!(report.take(later), Some(5));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn initial_delay(self, by: Duration) -> DataStream<T, Via<C, InitialDelay<T>>> {
        assert!(!by.is_zero(), "an initial delay of no time");
        self.via(InitialDelay::new(by))
    }
}

/// The operator behind [`DataStream::delay`].
pub struct Delay<T> {
    by: Duration,
    capacity: usize,
    clock: RunClock,
    held: VecDeque<(Record<T>, Instant)>,
    time: LatestTime,
    /// There was no room for all that was due.
    cut: bool,
    ending: bool,
    codec: Option<Codec<T>>,
}

impl<T> Delay<T> {
    fn new(by: Duration, capacity: usize) -> Self {
        let (clock, time) = (RunClock::default(), LatestTime::new());
        let (held, cut, ending) = (VecDeque::new(), false, false);
        Self { by, capacity, clock, held, time, cut, ending, codec: None }
    }

    fn emit_due(&mut self, now: Instant, out: &mut impl Collector<T>) {
        self.cut = false;
        while self.held.front().is_some_and(|(_, due)| *due <= now) {
            if out.is_full() {
                self.cut = true;
                return;
            }
            if let Some((record, _)) = self.held.pop_front() {
                let time = self.time.of(record.time);
                out.push(Record::at(record.value, time));
            }
        }
    }
}

/// The records, the times at which they are due, and the watermark.
impl<T> Part<T> for Delay<T> {
    fn write(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        write_list(self.held.iter().map(|(record, _)| record), codec, bytes)?;
        let due = self.held.iter().map(|(_, due)| self.clock.nanos(*due));
        Plain(due.collect::<Vec<_>>()).write(codec, bytes)?;
        self.time.write(codec, bytes)
    }

    fn read(&mut self, codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
        let (mut records, mut due) = (Vec::new(), Plain(Vec::new()));
        records.read(codec, bytes)?;
        due.read(codec, bytes)?;
        let due = due.0.into_iter().map(|due| self.clock.instant(due));
        self.held.extend(records.into_iter().zip(due));
        self.time.read(codec, bytes)
    }
}

impl<T: State> Checkpointed for Delay<T> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<T> Clone for Delay<T> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.by, self.capacity) }
    }
}

impl<T> fmt::Debug for Delay<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delay")
            .field("by", &self.by)
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operator<T> for Delay<T> {
    type Out = T;
    const NAME: &'static str = "delay";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<T>,
        _out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.held.push_back((record, self.clock.now() + self.by));
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

    fn on_end(&mut self, _out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.ending = true;
        Ok(())
    }

    fn pending(&self) -> bool {
        self.cut || self.held.len() >= self.capacity || (self.ending && !self.held.is_empty())
    }

    fn waiting(&self) -> bool {
        !self.cut && self.pending_for_time()
    }

    fn resume(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.emit_due(self.clock.now(), out);
        Ok(())
    }

    fn next_timer(&self) -> Option<Instant> {
        self.held.front().map(|(_, due)| *due)
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(self.codec, state, &[self])
    }

    /// What was held by instances that are no more takes its place among the others.
    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        gather_parts(self.codec, state, &mut [self])?;
        self.held.make_contiguous().sort_by_key(|(_, due)| *due);
        Ok(())
    }
}

impl<T> Delay<T> {
    fn pending_for_time(&self) -> bool {
        self.held.len() >= self.capacity || (self.ending && !self.held.is_empty())
    }
}

/// The operator behind [`DataStream::initial_delay`].
pub struct InitialDelay<T> {
    by: Duration,
    clock: RunClock,
    held: Option<Record<T>>,
    over: bool,
}

impl<T> InitialDelay<T> {
    fn new(by: Duration) -> Self {
        Self { by, clock: RunClock::default(), held: None, over: false }
    }
}

impl<T> Checkpointed for InitialDelay<T> {}

impl<T> Clone for InitialDelay<T> {
    fn clone(&self) -> Self {
        Self::new(self.by)
    }
}

impl<T> fmt::Debug for InitialDelay<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InitialDelay").field("by", &self.by).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operator<T> for InitialDelay<T> {
    type Out = T;
    const NAME: &'static str = "initial_delay";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        Ok(())
    }

    fn poll_outside(&mut self, _cx: &mut Context<'_>) -> Result<(), OperatorError> {
        self.clock.begin();
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        let due = self.clock.due(self.by);
        if self.over || due.is_none_or(|due| due <= self.clock.now()) {
            self.over = true;
            out.push(record);
        } else {
            self.held = Some(record);
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        _now: Instant,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.over = true;
        if let Some(record) = self.held.take() {
            out.push(record);
        }
        Ok(())
    }

    #[inline]
    fn pending(&self) -> bool {
        self.held.is_some()
    }

    #[inline]
    fn waiting(&self) -> bool {
        self.held.is_some()
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.held.as_ref().and(self.clock.due(self.by))
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(PLAIN, state, &[&self.clock, &self.over])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(PLAIN, state, &mut [&mut self.clock, &mut self.over])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Dataflow, source};
    use millstream_engine::testing::{Event, OperatorHarness};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn d9_each_record_comes_so_much_later() {
        for room in [1, 9] {
            let mut harness = OperatorHarness::with_room(Delay::new(SECOND, 9), room);
            harness.push(1);
            harness.push(2);
            harness.advance(SECOND / 2);
            harness.push(3);
            assert!(harness.values().is_empty());
            harness.advance(SECOND / 2);
            assert_eq!(harness.values(), [1, 2]);
            harness.advance(SECOND / 2);
            assert_eq!(harness.values(), [3]);
        }
    }

    #[test]
    fn d9_a_delayed_record_is_never_late() {
        let at = Timestamp::from_millis;
        let mut harness = OperatorHarness::new(Delay::new(SECOND, 9));
        harness.push(Record::at(1, at(4)));
        harness.watermark(at(6));
        harness.push(Record::at(2, at(8)));
        harness.advance(SECOND);
        let records = [Record::at(1, at(6)), Record::at(2, at(8))].map(Event::Record);
        assert_eq!(harness.events()[1..], records);
    }

    #[test]
    fn d9_no_more_is_held_than_there_is_room_for() {
        let mut harness = OperatorHarness::new(Delay::new(SECOND, 2));
        harness.push(1);
        assert!(!Operator::<i32>::pending(harness.operator()));
        harness.push(2);
        assert!(Operator::<i32>::pending(harness.operator()));
        assert!(Operator::<i32>::waiting(harness.operator()), "for time, and not for room");
        harness.advance(SECOND);
        assert_eq!(harness.values(), [1, 2]);
        assert!(!Operator::<i32>::pending(harness.operator()));
    }

    #[test]
    fn d9_the_end_waits_for_what_is_held() {
        let mut harness = OperatorHarness::new(Delay::new(SECOND, 9));
        harness.push(1);
        harness.end();
        assert!(Operator::<i32>::waiting(harness.operator()));
        harness.advance(SECOND);
        assert!(!Operator::<i32>::pending(harness.operator()));
    }

    #[test]
    fn d9_only_the_beginning_is_delayed() {
        let mut harness = OperatorHarness::new(InitialDelay::new(SECOND));
        harness.advance(SECOND / 2);
        harness.push(1);
        assert!(Operator::<i32>::waiting(harness.operator()));
        harness.advance(SECOND / 2);
        assert_eq!(harness.values(), [1]);
        harness.push(2);
        assert_eq!(harness.values(), [2]);
        let mut later = OperatorHarness::new(harness.operator().clone());
        later.advance(SECOND * 2);
        later.push(3);
        assert_eq!(later.values(), [3], "who comes later does not wait");
    }

    #[test]
    #[should_panic(expected = "a delay of no records")]
    fn d9_no_buffer_is_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter([1])).delay(SECOND, 0).ignore();
    }
}
