//! `keep_alive`: something to send where there is nothing to say.

use std::task::Context;
use std::time::Duration;

use super::run_clock::Quiet;
use crate::DataStream;
use crate::part::LatestTime;
use crate::state::{Checkpointed, PLAIN, read_parts, write_parts};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Adds what `make` gives whenever no record has come for `period`, and again after each
    /// further `period`. Its event time is the latest of the records before it, or the watermark if
    /// that has passed them.
    ///
    /// It is not added while what comes behind is full or waits, and that time does not count.
    ///
    /// Emits when its input does, and when that is idle. Backpressures when its output does, ends
    /// with its input. Reads the clock once a record.
    ///
    /// State: how long it has been quiet. The time between two runs does not count.
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
    /// let flow = Dataflow::new("silent");
    /// let silent = flow.source("silent", source::never());
    /// let beats = silent.keep_alive(Duration::from_millis(1), || "beat").take(2).collect();
    /// assert_eq!(flow.run().await?.take(beats), Some(vec!["beat", "beat"]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn keep_alive<F>(self, period: Duration, make: F) -> DataStream<T, Via<C, KeepAlive<F>>>
    where
        F: FnMut() -> T + Clone + Send + 'static,
    {
        assert!(!period.is_zero(), "kept alive at every instant");
        self.via(KeepAlive { quiet: Quiet::new(period), make, time: LatestTime::new() })
    }
}

/// The operator behind [`DataStream::keep_alive`].
#[derive(Debug)]
pub struct KeepAlive<F> {
    quiet: Quiet,
    make: F,
    time: LatestTime,
}

impl<F> Checkpointed for KeepAlive<F> {}

impl<F: Clone> Clone for KeepAlive<F> {
    fn clone(&self) -> Self {
        let quiet = Quiet::new(self.quiet.limit());
        Self { quiet, make: self.make.clone(), time: LatestTime::new() }
    }
}

impl<T, F> Operator<T> for KeepAlive<F>
where
    T: Send + 'static,
    F: FnMut() -> T + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "keep_alive";

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
        self.time.add(record.time);
        out.push(record);
        self.quiet.stall(out.is_full());
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
        if self.quiet.is_over(now) {
            let time = self.time.take();
            self.time.add(time);
            out.push(Record::at((self.make)(), time));
            self.quiet.touch();
            self.quiet.stall(out.is_full());
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
        write_parts(PLAIN, state, &[&self.quiet, &self.time])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        read_parts(PLAIN, state, &mut [&mut self.quiet, &mut self.time])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Dataflow, source};
    use millstream_engine::testing::{Event, OperatorHarness};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn d15_something_is_added_only_where_there_is_nothing() {
        let at = Timestamp::from_millis;
        let (quiet, time) = (Quiet::new(SECOND), LatestTime::new());
        let mut harness = OperatorHarness::new(KeepAlive { quiet, make: || 0, time });
        harness.advance(SECOND / 2);
        harness.push(Record::at(1, at(3)));
        harness.advance(SECOND - Duration::from_nanos(1));
        assert_eq!(harness.values(), [1]);
        harness.advance(SECOND);
        assert_eq!(harness.events(), [Event::Record(Record::at(0, at(3)))]);
        harness.watermark(at(9));
        harness.advance(SECOND);
        assert_eq!(harness.events()[1..], [Event::Record(Record::at(0, at(9)))]);
        harness.end();
        harness.advance(SECOND * 9);
        assert!(harness.values().is_empty(), "nothing behind the end");
    }

    #[test]
    #[should_panic(expected = "kept alive at every instant")]
    fn d15_no_time_is_a_building_mistake() {
        let flow = Dataflow::new("wrong");
        flow.source("numbers", source::from_iter([1])).keep_alive(Duration::ZERO, || 0).ignore();
    }
}
