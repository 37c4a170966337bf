//! `initial_timeout` and `completion_timeout`: for the first record, and for the whole stream.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Sleep};
use millstream_engine::{Error, OperatorError, Record};

use super::run_clock::RunClock;
use crate::DataStream;
use crate::state::{Checkpointed, PLAIN, read_parts, write_parts};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Fails the job with [`InitialTimedOut`] if no record has come within `limit` of the stream's
    /// beginning. A stream that ends without a record in time is in order.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// State: when the stream began, in its first run, and whether a record has come. The time
    /// between two runs counts.
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, timing::InitialTimedOut};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let flow = Dataflow::new("silent");
    /// let silent = flow.source("silent", source::never::<u32>());
    /// silent.initial_timeout(Duration::from_millis(5)).ignore();
    /// let error = flow.run().await.unwrap_err();
    /// assert!(error.cause().is_some_and(|cause| cause.is::<InitialTimedOut>()));
    /// # }
    /// ```
    #[track_caller]
    pub fn initial_timeout(self, limit: Duration) -> DataStream<T, Via<C, InitialTimeout>> {
        assert!(!limit.is_zero(), "an initial timeout of no time");
        self.via(InitialTimeout { limit, clock: RunClock::default(), over: false })
    }

    /// Fails the job with [`CompletionTimedOut`] if the input has not ended within `limit` of the
    /// stream's beginning: whatever the reason, and also while its output is full.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// State: when the stream began, in its first run. The time between two runs counts.
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, timing::CompletionTimedOut};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let flow = Dataflow::new("endless");
    /// let numbers = flow.source("numbers", source::from_iter(0_u64..));
    /// numbers.completion_timeout(Duration::from_millis(5)).ignore();
    /// let error = flow.run().await.unwrap_err();
    /// assert!(error.cause().is_some_and(|cause| cause.is::<CompletionTimedOut>()));
    /// # }
    /// ```
    #[track_caller]
    pub fn completion_timeout(self, limit: Duration) -> DataStream<T, Via<C, CompletionTimeout>> {
        assert!(!limit.is_zero(), "a completion timeout of no time");
        self.via(CompletionTimeout::new(limit))
    }
}

/// The first record did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no record came within {limit:?} of the beginning")]
pub struct InitialTimedOut {
    /// How long it may last.
    pub limit: Duration,
}

/// The stream did not end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream did not end within {limit:?} of its beginning")]
pub struct CompletionTimedOut {
    /// How long it may last.
    pub limit: Duration,
}

/// The operator behind [`DataStream::initial_timeout`].
#[derive(Debug)]
pub struct InitialTimeout {
    limit: Duration,
    clock: RunClock,
    over: bool,
}

impl Checkpointed for InitialTimeout {}

impl Clone for InitialTimeout {
    fn clone(&self) -> Self {
        Self { limit: self.limit, clock: RunClock::default(), over: false }
    }
}

impl<T: Send + 'static> Operator<T> for InitialTimeout {
    type Out = T;
    const NAME: &'static str = "initial_timeout";

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
        self.over = true;
        out.push(record);
        Ok(())
    }

    fn on_timer(
        &mut self,
        now: Instant,
        _out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if Operator::<T>::next_timer(self).is_some_and(|due| due <= now) {
            self.over = true;
            return Err(InitialTimedOut { limit: self.limit }.into());
        }
        Ok(())
    }

    fn on_end(&mut self, _out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.over = true;
        Ok(())
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        if self.over { None } else { self.clock.due(self.limit) }
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(PLAIN, state, &[&self.clock, &self.over])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(PLAIN, state, &mut [&mut self.clock, &mut self.over])
    }
}

/// The operator behind [`DataStream::completion_timeout`].
pub struct CompletionTimeout {
    limit: Duration,
    clock: RunClock,
    /// A timer of its own: the stage's do not fire while the output is full.
    alarm: Option<Sleep>,
    over: bool,
}

impl CompletionTimeout {
    fn new(limit: Duration) -> Self {
        Self { limit, clock: RunClock::default(), alarm: None, over: false }
    }

    fn due(&self) -> Option<Instant> {
        if self.over { None } else { self.clock.due(self.limit) }
    }

    fn check(&mut self, now: Instant) -> Result<(), OperatorError> {
        if self.due().is_some_and(|due| due <= now) {
            self.over = true;
            return Err(CompletionTimedOut { limit: self.limit }.into());
        }
        Ok(())
    }
}

impl Checkpointed for CompletionTimeout {}

impl Clone for CompletionTimeout {
    fn clone(&self) -> Self {
        Self::new(self.limit)
    }
}

impl fmt::Debug for CompletionTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionTimeout").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operator<T> for CompletionTimeout {
    type Out = T;
    const NAME: &'static str = "completion_timeout";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        Ok(())
    }

    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        self.clock.begin();
        if self.alarm.is_none() {
            let due = self.due();
            self.alarm = due.zip(self.clock.clock()).map(|(due, clock)| clock.sleep_until(due));
        }
        if let Some(alarm) = &mut self.alarm
            && Pin::new(alarm).poll(cx).is_ready()
        {
            self.alarm = None;
            self.check(self.clock.now())?;
        }
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }

    fn on_timer(
        &mut self,
        now: Instant,
        _out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.check(now)
    }

    fn on_end(&mut self, _out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.over = true;
        self.alarm = None;
        Ok(())
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.due()
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
    fn d16_only_the_first_record_is_waited_for() {
        let clock = RunClock::default();
        let operator = InitialTimeout { limit: SECOND, clock, over: false };
        let mut late = OperatorHarness::<u32, _>::new(operator.clone());
        late.advance(SECOND);
        let error = late.take_error().unwrap();
        let expected = InitialTimedOut { limit: SECOND };
        assert_eq!(error.cause().unwrap().downcast_ref(), Some(&expected));
        let mut harness = OperatorHarness::new(operator.clone());
        harness.advance(SECOND - Duration::from_nanos(1));
        harness.push(1);
        harness.advance(SECOND * 9);
        assert_eq!(harness.values(), [1]);
        assert!(harness.take_error().is_none());
        let mut empty = OperatorHarness::<u32, _>::new(operator);
        empty.end();
        empty.advance(SECOND * 9);
        assert!(empty.take_error().is_none());
    }

    #[test]
    fn d16_the_whole_stream_is_waited_for() {
        let mut harness = OperatorHarness::new(CompletionTimeout::new(SECOND));
        harness.advance(SECOND - Duration::from_nanos(1));
        harness.push(1);
        assert!(harness.take_error().is_none());
        harness.advance(Duration::from_nanos(1));
        let error = harness.take_error().unwrap();
        let expected = CompletionTimedOut { limit: SECOND };
        assert_eq!(error.cause().unwrap().downcast_ref(), Some(&expected));
        let mut ended = OperatorHarness::<u32, _>::new(harness.operator().clone());
        ended.end();
        ended.advance(SECOND * 9);
        assert!(ended.take_error().is_none());
    }

    #[test]
    #[should_panic(expected = "a completion timeout of no time")]
    fn d16_no_time_is_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter([1])).completion_timeout(Duration::ZERO).ignore();
    }
}
