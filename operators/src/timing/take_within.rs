//! `take_within` and `skip_within`: the beginning of a stream by time.

use std::task::Context;
use std::time::Duration;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Instant;
use millstream_engine::{Error, OperatorError, Record};

use super::run_clock::RunClock;
use crate::DataStream;
use crate::state::{Checkpointed, PLAIN, read_parts, write_parts};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets through what comes before the stream has been running for `time`, then ends it and
    /// cancels its input: at that time, and not only when another record comes. One that comes just
    /// then is left out.
    ///
    /// Emits when its input does, backpressures when its output does; if it is full at that time,
    /// it ends as soon as there is room.
    ///
    /// State: when the stream began to run, in its first run. The time between two runs counts.
    ///
    /// # Panics
    ///
    /// If `time` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("a moment");
    /// let numbers = flow.source("numbers", source::from_iter(0_u64..));
    /// let count = numbers.take_within(Duration::from_millis(5)).count();
    /// assert!(flow.run().await?.take(count) > Some(0));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn take_within(self, time: Duration) -> DataStream<T, Via<C, TakeWithin>> {
        assert!(!time.is_zero(), "taken within no time");
        self.via(TakeWithin { time, clock: RunClock::default(), done: false })
    }

    /// Leaves out what comes before the stream has been running for `time`, and lets everything
    /// through from then on.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// State: when the stream began to run, in its first run. The time between two runs counts.
    ///
    /// # Panics
    ///
    /// If `time` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("warm");
    /// let numbers = flow.source("numbers", source::from_iter(0..9));
    /// let warm = numbers.skip_within(Duration::from_secs(60)).count();
    /// assert_eq!(flow.run().await?.take(warm), Some(0));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn skip_within(self, time: Duration) -> DataStream<T, Via<C, SkipWithin>> {
        assert!(!time.is_zero(), "skipped within no time");
        self.via(SkipWithin { time, clock: RunClock::default(), over: false })
    }
}

/// The operator behind [`DataStream::take_within`].
#[derive(Debug)]
pub struct TakeWithin {
    time: Duration,
    clock: RunClock,
    done: bool,
}

impl TakeWithin {
    fn due(&self) -> Option<Instant> {
        self.clock.due(self.time).filter(|_| !self.done)
    }
}

impl Checkpointed for TakeWithin {}

impl Clone for TakeWithin {
    fn clone(&self) -> Self {
        Self { time: self.time, clock: RunClock::default(), done: false }
    }
}

impl<T: Send + 'static> Operator<T> for TakeWithin {
    type Out = T;
    const NAME: &'static str = "take_within";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
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
        self.done |= self.due().is_some_and(|due| due <= self.clock.now());
        if !self.done {
            out.push(record);
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        now: Instant,
        _out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.done |= self.due().is_some_and(|due| due <= now);
        Ok(())
    }

    #[inline]
    fn done(&self) -> bool {
        self.done
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.due()
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(PLAIN, state, &[&self.clock, &self.done])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(PLAIN, state, &mut [&mut self.clock, &mut self.done])
    }
}

/// The operator behind [`DataStream::skip_within`].
#[derive(Debug)]
pub struct SkipWithin {
    time: Duration,
    clock: RunClock,
    over: bool,
}

impl Checkpointed for SkipWithin {}

impl Clone for SkipWithin {
    fn clone(&self) -> Self {
        Self { time: self.time, clock: RunClock::default(), over: false }
    }
}

impl<T: Send + 'static> Operator<T> for SkipWithin {
    type Out = T;
    const NAME: &'static str = "skip_within";

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
        if !self.over {
            let due = self.clock.due(self.time);
            self.over = due.is_none_or(|due| due <= self.clock.now());
        }
        if self.over {
            out.push(record);
        }
        Ok(())
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
    use millstream_engine::testing::OperatorHarness;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn d18_take_within_has_enough_when_its_time_is_over() {
        let clock = RunClock::default();
        let mut harness = OperatorHarness::new(TakeWithin { time: SECOND, clock, done: false });
        harness.advance(SECOND - Duration::from_nanos(1));
        harness.push(1);
        assert!(!Operator::<u32>::done(harness.operator()));
        harness.advance(Duration::from_nanos(1));
        assert!(Operator::<u32>::done(harness.operator()), "without another record");
        harness.push(2);
        assert_eq!(harness.values(), [1]);
        assert!(!Operator::<u32>::done(&harness.operator().clone()), "a clone is blank");
    }

    #[test]
    fn d18_skip_within_leaves_out_the_beginning() {
        let clock = RunClock::default();
        let mut harness = OperatorHarness::new(SkipWithin { time: SECOND, clock, over: false });
        harness.advance(SECOND - Duration::from_nanos(1));
        harness.push(1);
        harness.advance(Duration::from_nanos(1));
        harness.push(2);
        assert_eq!(harness.values(), [2]);
    }

    #[test]
    #[should_panic(expected = "taken within no time")]
    fn d18_no_time_is_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter([1])).take_within(Duration::ZERO).ignore();
    }
}
