//! `elapsed` and `timestamp`: when a record came.

use std::task::Context;
use std::time::Duration;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use crate::DataStream;
use crate::state::{Checkpointed, PLAIN, Plain, read_parts, write_parts};
use crate::timing::run_clock::RunClock;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Gives each value the time since the one before it, or since the beginning of the stream, by
    /// the job's clock. Order and event times stay.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input. Reads
    /// the clock once a record.
    ///
    /// State: when the last record came; the time between two runs counts.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("gaps");
    /// let gaps = flow.source("numbers", source::from_iter(0..3)).elapsed().count();
    /// assert_eq!(flow.run().await?.take(gaps), Some(3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn elapsed(self) -> DataStream<(T, Duration), Via<C, Elapsed>> {
        self.via(Elapsed { clock: RunClock::default(), last: None })
    }

    /// Gives each value the wall clock's time at which it came, by the job's clock. It is not its
    /// event time, which stays.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input. Reads
    /// the clock once a record.
    ///
    /// State: none.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("stamped");
    /// let stamped = flow.source("numbers", source::from_iter(0..3)).timestamp();
    /// let recent = stamped.filter(|(_, time)| time.as_millis() > 0).count();
    /// assert_eq!(flow.run().await?.take(recent), Some(3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn timestamp(self) -> DataStream<(T, Timestamp), Via<C, Stamped>> {
        self.via(Stamped { clock: RunClock::default() })
    }
}

/// The operator behind [`DataStream::elapsed`].
#[derive(Debug)]
pub struct Elapsed {
    clock: RunClock,
    last: Option<Instant>,
}

impl Checkpointed for Elapsed {}

impl Clone for Elapsed {
    fn clone(&self) -> Self {
        Self { clock: RunClock::default(), last: None }
    }
}

impl<T: Send + 'static> Operator<T> for Elapsed {
    type Out = (T, Duration);
    const NAME: &'static str = "elapsed";

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
        out: &mut impl Collector<(T, Duration)>,
    ) -> Result<(), OperatorError> {
        let now = self.clock.now();
        let last = self.last.replace(now);
        let elapsed =
            last.map_or_else(|| self.clock.running(now), |last| now.saturating_since(last));
        out.push(record.with(|value| (value, elapsed)));
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let last = self.last.map_or_else(|| self.clock.beginning(), |last| self.clock.nanos(last));
        write_parts(PLAIN, state, &[&Plain(last)])
    }

    /// What was the last record is the beginning here, however long ago.
    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let mut last = Plain(self.clock.beginning());
        read_parts(PLAIN, state, &mut [&mut last])?;
        self.clock.resume(last.0);
        Ok(())
    }
}

/// The operator behind [`DataStream::timestamp`].
#[derive(Debug)]
pub struct Stamped {
    clock: RunClock,
}

impl Clone for Stamped {
    fn clone(&self) -> Self {
        Self { clock: RunClock::default() }
    }
}

impl<T: Send + 'static> Operator<T> for Stamped {
    type Out = (T, Timestamp);
    const NAME: &'static str = "timestamp";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<(T, Timestamp)>,
    ) -> Result<(), OperatorError> {
        let clock = self.clock.clock();
        let now = clock.map_or(Timestamp::MIN, millstream_engine::time::Clock::timestamp);
        out.push(record.with(|value| (value, now)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::OperatorHarness;

    #[test]
    fn b34_the_time_is_that_of_the_jobs_clock() {
        let second = Duration::from_secs(1);
        let mut elapsed = OperatorHarness::new(Elapsed { clock: RunClock::default(), last: None });
        let mut stamped = OperatorHarness::new(Stamped { clock: RunClock::default() });
        for n in [1, 2] {
            elapsed.advance(second * n);
            stamped.advance(second * n);
            elapsed.push(n);
            stamped.push(n);
        }
        assert_eq!(elapsed.values(), [(1, second), (2, second * 2)]);
        let at = Timestamp::from_millis;
        assert_eq!(stamped.values(), [(1, at(1000)), (2, at(3000))]);
    }
}
