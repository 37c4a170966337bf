//! `idle_timeout`: fails when there is no record for too long.

use std::task::Context;
use std::time::Duration;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Instant;
use millstream_engine::{Error, OperatorError, Record};

use super::run_clock::Quiet;
use crate::DataStream;
use crate::state::{Checkpointed, PLAIN, read_parts, write_parts};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Fails the job with [`IdleTimedOut`] when no record comes for as long as `limit`: before the
    /// first, between two, or after the last one.
    ///
    /// Time spent backpressured does not count: while what comes behind was full, had not taken all
    /// that it was given, or waited as [`throttle`](DataStream::throttle) does with a record that
    /// came through here. (Where a word between the two emits by a timer of its own, as
    /// [`chunks_timeout`](DataStream::chunks_timeout) does, the wait with that does count.) A
    /// record that is due at that very time is too late.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input. Reads
    /// the clock once a record.
    ///
    /// State: how long it has been quiet. The time between two runs does not count either: nothing
    /// could have come, and a job that was down for longer could never start again.
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, timing::IdleTimedOut};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let flow = Dataflow::new("silent");
    /// let silent = flow.source("silent", source::never::<u32>());
    /// silent.idle_timeout(Duration::from_millis(5)).ignore();
    /// let error = flow.run().await.unwrap_err();
    /// assert!(error.cause().is_some_and(|cause| cause.is::<IdleTimedOut>()));
    /// # }
    /// ```
    #[track_caller]
    pub fn idle_timeout(self, limit: Duration) -> DataStream<T, Via<C, IdleTimeout>> {
        assert!(!limit.is_zero(), "an idle timeout of no time");
        self.via(IdleTimeout { quiet: Quiet::new(limit) })
    }
}

/// No record came for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no record came for {limit:?}")]
pub struct IdleTimedOut {
    /// How long it may last.
    pub limit: Duration,
}

/// The operator behind [`DataStream::idle_timeout`].
#[derive(Debug)]
pub struct IdleTimeout {
    quiet: Quiet,
}

impl Checkpointed for IdleTimeout {}

impl Clone for IdleTimeout {
    fn clone(&self) -> Self {
        Self { quiet: Quiet::new(self.quiet.limit()) }
    }
}

impl<T: Send + 'static> Operator<T> for IdleTimeout {
    type Out = T;
    const NAME: &'static str = "idle_timeout";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.quiet.open(context);
        Ok(())
    }

    fn poll_outside(&mut self, _cx: &mut Context<'_>) -> Result<(), OperatorError> {
        self.quiet.begin();
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.quiet.touch();
        out.push(record);
        self.quiet.stall(out.is_full());
        Ok(())
    }

    fn on_timer(
        &mut self,
        now: Instant,
        _out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if self.quiet.is_over(now) {
            return Err(IdleTimedOut { limit: self.quiet.limit() }.into());
        }
        Ok(())
    }

    fn on_end(&mut self, _out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.quiet.end();
        Ok(())
    }

    /// Not that anything is left: it wants to be told when there is room again.
    #[inline]
    fn pending(&self) -> bool {
        self.quiet.is_stalled()
    }

    fn resume(&mut self, _out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        self.quiet.resume();
        Ok(())
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.quiet.next_timer()
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_parts(PLAIN, state, &[&self.quiet])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(PLAIN, state, &mut [&mut self.quiet])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Dataflow, source};
    use millstream_engine::testing::OperatorHarness;

    const SECOND: Duration = Duration::from_secs(1);

    fn idle_timeout() -> IdleTimeout {
        IdleTimeout { quiet: Quiet::new(SECOND) }
    }

    #[test]
    fn d4_a_record_in_time_begins_the_time_anew() {
        let mut harness = OperatorHarness::new(idle_timeout());
        for n in 0..3 {
            harness.advance(SECOND - Duration::from_nanos(1));
            harness.push(n);
        }
        assert!(harness.take_error().is_none());
        harness.advance(SECOND);
        let error = harness.take_error().unwrap();
        assert_eq!(error.cause().unwrap().downcast_ref(), Some(&IdleTimedOut { limit: SECOND }));
        assert_eq!(harness.values(), [0, 1, 2]);
    }

    #[test]
    fn d4_there_is_a_first_record_to_wait_for_and_none_behind_the_end() {
        let mut harness = OperatorHarness::<u32, _>::new(idle_timeout());
        harness.advance(SECOND);
        assert!(harness.take_error().is_some());
        let mut harness = OperatorHarness::<u32, _>::new(idle_timeout());
        harness.end();
        harness.advance(SECOND * 9);
        assert!(harness.take_error().is_none());
    }

    #[test]
    #[should_panic(expected = "an idle timeout of no time")]
    fn d4_no_time_is_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter([1])).idle_timeout(Duration::ZERO).ignore();
    }
}
