//! `throttle` and `throttle_or_fail`: no faster than a rate, by waiting or by failing.

use std::fmt;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Instant;
use millstream_engine::{Error, OperatorError, Record};

use super::rate::{Gcra, Rate};
use super::run_clock::RunClock;
use crate::DataStream;
use crate::state::{Checkpointed, PLAIN, read_parts, write_parts};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets records through no faster than `rate`, and makes everything before it wait otherwise.
    /// Nothing is dropped, and order and event times stay. Each instance of a parallel stream has
    /// the whole rate; [`limited_by`](DataStream::limited_by) shares one.
    ///
    /// Emits a record as soon as the rate allows it; what one timer was late, by up to 10 ms, the
    /// next records make up for, so that inexact timers never make it slower than the rate.
    /// Backpressures while it waits, and when its output does. Ends with its input, behind the
    /// record that waits. Reads the clock once a record.
    ///
    /// State: how much of the rate has been used, and when. The record that waits goes out before a
    /// barrier.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, timing::Rate};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("calls");
    /// let calls = flow.source("numbers", source::from_iter(0..20));
    /// let calls = calls.throttle(Rate::per_second(1000).with_burst(5)).count();
    /// let report = flow.run().await?;
    /// assert!(report.elapsed().as_millis() >= 15);
    /// assert_eq!(report.take(calls), Some(20));
    /// # Ok(())
    /// # }
    /// ```
    #[allow(
        clippy::type_complexity,
        reason = "the type names the chain and the closure, as those of other operators do"
    )]
    pub fn throttle(self, rate: Rate) -> DataStream<T, Via<C, Throttle<T, fn(&T) -> u32>>> {
        self.throttle_weighted(rate, |_| 1)
    }

    /// As [`throttle`](DataStream::throttle), where a record costs as many units as `cost` says.
    /// One that costs nothing passes at once; one that costs more than a burst waits until the rate
    /// has made up for it, and so takes as long as its cost.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, timing::Rate};
    ///
    /// # let flow = Dataflow::new("doc");
    /// let bodies = flow.source("bodies", source::from_iter(["a body", "a longer body"]));
    /// let rate = Rate::per_second(1 << 20).with_burst(1 << 16);
    /// bodies.throttle_weighted(rate, |body| body.len() as u32).ignore();
    /// # flow.validate().unwrap();
    /// ```
    pub fn throttle_weighted<F>(self, rate: Rate, cost: F) -> DataStream<T, Via<C, Throttle<T, F>>>
    where
        F: FnMut(&T) -> u32 + Clone + Send + 'static,
    {
        self.via(Throttle::new(rate, cost))
    }

    /// Fails the job with [`RateExceeded`] at the first record that comes faster than `rate`
    /// allows.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input. What its
    /// output holds up arrives in a burst afterwards, and counts as that.
    ///
    /// State: how much of the rate has been used, and when.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, timing::{Rate, RateExceeded}};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let flow = Dataflow::new("at once");
    /// let numbers = flow.source("numbers", source::from_iter(0..20));
    /// numbers.throttle_or_fail(Rate::per_second(1).with_burst(5)).ignore();
    /// let error = flow.run().await.unwrap_err();
    /// assert!(error.cause().is_some_and(|cause| cause.is::<RateExceeded>()));
    /// # }
    /// ```
    #[allow(
        clippy::type_complexity,
        reason = "the type names the chain and the closure, as those of other operators do"
    )]
    pub fn throttle_or_fail(
        self,
        rate: Rate,
    ) -> DataStream<T, Via<C, ThrottleOrFail<fn(&T) -> u32>>> {
        self.throttle_or_fail_weighted(rate, |_| 1)
    }

    /// As [`throttle_or_fail`](DataStream::throttle_or_fail), where a record costs as many units as
    /// `cost` says. One that costs more than a burst always fails.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, timing::Rate};
    ///
    /// # let flow = Dataflow::new("doc");
    /// let bodies = flow.source("bodies", source::from_iter(["a body", "a longer body"]));
    /// let rate = Rate::per_second(1 << 20).with_burst(1 << 16);
    /// bodies.throttle_or_fail_weighted(rate, |body| body.len() as u32).ignore();
    /// # flow.validate().unwrap();
    /// ```
    pub fn throttle_or_fail_weighted<F>(
        self,
        rate: Rate,
        cost: F,
    ) -> DataStream<T, Via<C, ThrottleOrFail<F>>>
    where
        F: FnMut(&T) -> u32 + Clone + Send + 'static,
    {
        self.via(ThrottleOrFail::new(rate, cost))
    }
}

/// Records came faster than a rate that they must not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record came faster than the rate of {rate:?} allows")]
pub struct RateExceeded {
    /// The rate.
    pub rate: Rate,
}

/// The operator behind [`DataStream::throttle`].
pub struct Throttle<T, F> {
    rate: Rate,
    cost: F,
    bucket: Gcra,
    clock: RunClock,
    held: Option<(Record<T>, Instant)>,
}

impl<T, F> Throttle<T, F> {
    fn new(rate: Rate, cost: F) -> Self {
        let (bucket, clock) = (Gcra::new(rate), RunClock::default());
        Self { rate, cost, bucket, clock, held: None }
    }
}

impl<T, F> Checkpointed for Throttle<T, F> {}

impl<T, F: Clone> Clone for Throttle<T, F> {
    fn clone(&self) -> Self {
        Self::new(self.rate, self.cost.clone())
    }
}

impl<T, F> fmt::Debug for Throttle<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("rate", &self.rate)
            .field("waiting", &self.held.is_some())
            .finish_non_exhaustive()
    }
}

impl<T, F> Operator<T> for Throttle<T, F>
where
    T: Send + 'static,
    F: FnMut(&T) -> u32 + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "throttle";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        let cost = (self.cost)(&record.value);
        if cost == 0 {
            out.push(record);
            return Ok(());
        }
        let now = self.clock.now();
        match self.bucket.try_take(now, cost) {
            Ok(()) => out.push(record),
            Err(due) => {
                let asked = self.bucket.asked(now);
                self.bucket.take(asked, cost);
                self.held = Some((record, due));
            }
        }
        Ok(())
    }

    fn on_timer(&mut self, now: Instant, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        if let Some((record, due)) = self.held.take_if(|(_, due)| *due <= now) {
            self.bucket.went(now, due);
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
        self.held.as_ref().map(|(_, due)| *due)
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(PLAIN, state, &[&self.bucket.state(&self.clock)])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let mut bucket = self.bucket.state(&self.clock);
        read_parts(PLAIN, state, &mut [&mut bucket])?;
        self.bucket.resume(&bucket, &self.clock);
        Ok(())
    }
}

/// The operator behind [`DataStream::throttle_or_fail`].
pub struct ThrottleOrFail<F> {
    rate: Rate,
    cost: F,
    bucket: Gcra,
    clock: RunClock,
}

impl<F> ThrottleOrFail<F> {
    fn new(rate: Rate, cost: F) -> Self {
        Self { rate, cost, bucket: Gcra::new(rate), clock: RunClock::default() }
    }
}

impl<F> Checkpointed for ThrottleOrFail<F> {}

impl<F: Clone> Clone for ThrottleOrFail<F> {
    fn clone(&self) -> Self {
        Self::new(self.rate, self.cost.clone())
    }
}

impl<F> fmt::Debug for ThrottleOrFail<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleOrFail").field("rate", &self.rate).finish_non_exhaustive()
    }
}

impl<T, F> Operator<T> for ThrottleOrFail<F>
where
    T: Send + 'static,
    F: FnMut(&T) -> u32 + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "throttle_or_fail";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        let cost = (self.cost)(&record.value);
        let taken = self.bucket.try_take(self.clock.now(), cost);
        taken.map_err(|_| RateExceeded { rate: self.rate })?;
        out.push(record);
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(PLAIN, state, &[&self.bucket.state(&self.clock)])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let mut bucket = self.bucket.state(&self.clock);
        read_parts(PLAIN, state, &mut [&mut bucket])?;
        self.bucket.resume(&bucket, &self.clock);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use millstream_engine::testing::OperatorHarness;

    const MILLI: Duration = Duration::from_millis(1);

    fn each_milli() -> Rate {
        Rate::new(1, MILLI)
    }

    #[test]
    fn d1_throttle_lets_a_burst_through_and_then_the_rate() {
        let rate = each_milli().with_burst(2);
        let mut harness = OperatorHarness::new(Throttle::new(rate, |_: &u32| 1));
        (0..3).for_each(|n| harness.push(n));
        assert_eq!(harness.values(), [0, 1]);
        harness.advance(MILLI - Duration::from_nanos(1));
        assert!(harness.values().is_empty());
        harness.advance(Duration::from_nanos(1));
        assert_eq!(harness.values(), [2]);
    }

    #[test]
    fn d1_throttle_charges_what_a_record_costs() {
        let rate = each_milli().with_burst(4);
        let mut harness = OperatorHarness::new(Throttle::new(rate, |n: &u32| *n));
        harness.push(4);
        harness.push(0);
        assert_eq!(harness.values(), [4, 0], "what costs nothing passes");
        harness.push(6);
        harness.advance(MILLI * 6 - Duration::from_nanos(1));
        assert!(harness.values().is_empty(), "heavier than a burst, it takes the time of its cost");
        harness.advance(Duration::from_nanos(1));
        assert_eq!(harness.values(), [6]);
        let clone = harness.operator().clone();
        let mut fresh = OperatorHarness::new(clone);
        fresh.push(4);
        assert_eq!(fresh.values(), [4], "a clone has a full bucket");
    }

    #[test]
    fn d1_throttle_or_fail_fails_what_comes_too_fast() {
        let rate = each_milli().with_burst(2);
        let mut harness = OperatorHarness::new(ThrottleOrFail::new(rate, |n: &u32| *n));
        harness.push(1);
        harness.push(1);
        harness.advance(MILLI * 2);
        harness.push(2);
        assert_eq!(harness.values(), [1, 1, 2]);
        assert!(harness.take_error().is_none());
        harness.advance(MILLI - Duration::from_nanos(1));
        harness.push(1);
        let error = harness.take_error().unwrap();
        assert_eq!(error.cause().unwrap().downcast_ref(), Some(&RateExceeded { rate }));
    }
}
