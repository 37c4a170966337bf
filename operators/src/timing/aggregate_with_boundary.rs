//! `aggregate_with_boundary`: groups that close by what is in them, or by time.

use std::fmt;
use std::time::Duration;

use super::run_clock::RunClock;
use crate::DataStream;
use crate::part::LatestTime;
use crate::state::{Checkpointed, Codec, Plain, State, read_parts, write_parts};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Adds records up to a value of their own for each group. `make` begins a group at its first
    /// record; `add` adds each record, and says whether that was the last one. A group is given up
    /// to `longest` after its first record. Its event time is the latest of its records', or the
    /// watermark if that has passed them all.
    ///
    /// Emits when a group is closed, by a record or by time, and the last one when the input ends;
    /// never an empty one. Backpressures when its output does. How much it holds is up to `add`.
    ///
    /// State: the group, and when its time is over: at once, if that was between two runs.
    ///
    /// # Panics
    ///
    /// If `longest` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("sentences");
    /// let words = flow.source("words", source::from_iter(["to", "be.", "or", "not."]));
    /// let add = |sentence: &mut Vec<_>, word: &'static str| {
    ///     sentence.push(word);
    ///     word.ends_with('.')
    /// };
    /// let longest = Duration::from_secs(1);
    /// let sentences = words.aggregate_with_boundary(Vec::new, add, longest).collect();
    /// let expected = vec![vec!["to", "be."], vec!["or", "not."]];
    /// assert_eq!(flow.run().await?.take(sentences), Some(expected));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn aggregate_with_boundary<A, M, F>(
        self,
        make: M,
        add: F,
        longest: Duration,
    ) -> DataStream<A, Via<C, AggregateWithBoundary<A, M, F>>>
    where
        A: Send + 'static,
        M: FnMut() -> A + Clone + Send + 'static,
        F: FnMut(&mut A, T) -> bool + Clone + Send + 'static,
    {
        assert!(!longest.is_zero(), "an aggregate in no time");
        self.via(AggregateWithBoundary::new(make, add, longest))
    }
}

/// The operator behind [`DataStream::aggregate_with_boundary`].
pub struct AggregateWithBoundary<A, M, F> {
    make: M,
    add: F,
    longest: Duration,
    clock: RunClock,
    group: Option<A>,
    due: Option<Instant>,
    time: LatestTime,
    codec: Option<Codec<A>>,
}

impl<A, M, F> AggregateWithBoundary<A, M, F> {
    fn new(make: M, add: F, longest: Duration) -> Self {
        let (clock, time) = (RunClock::default(), LatestTime::new());
        Self { make, add, longest, clock, group: None, due: None, time, codec: None }
    }

    fn close(&mut self, out: &mut impl Collector<A>) {
        self.due = None;
        if let Some(group) = self.group.take() {
            out.push(Record::at(group, self.time.take()));
        }
    }
}

impl<A: State, M, F> Checkpointed for AggregateWithBoundary<A, M, F> {
    fn checkpointed(self) -> Self {
        Self { codec: Some(Codec::new()), ..self }
    }
}

impl<A, M: Clone, F: Clone> Clone for AggregateWithBoundary<A, M, F> {
    fn clone(&self) -> Self {
        let blank = Self::new(self.make.clone(), self.add.clone(), self.longest);
        Self { codec: self.codec, ..blank }
    }
}

impl<A, M, F> fmt::Debug for AggregateWithBoundary<A, M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregateWithBoundary")
            .field("longest", &self.longest)
            .field("open", &self.group.is_some())
            .finish_non_exhaustive()
    }
}

impl<T, A, M, F> Operator<T> for AggregateWithBoundary<A, M, F>
where
    T: Send + 'static,
    A: Send + 'static,
    M: FnMut() -> A + Clone + Send + 'static,
    F: FnMut(&mut A, T) -> bool + Clone + Send + 'static,
{
    type Out = A;
    const NAME: &'static str = "aggregate_with_boundary";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<A>,
    ) -> Result<(), OperatorError> {
        self.time.add(record.time);
        let Self { make, longest, clock, group, due, .. } = self;
        let group = group.get_or_insert_with(|| {
            *due = Some(clock.now() + *longest);
            make()
        });
        if (self.add)(group, record.value) {
            self.close(out);
        }
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<A>,
    ) -> Result<(), OperatorError> {
        self.time.pass(watermark);
        Ok(())
    }

    fn on_timer(&mut self, now: Instant, out: &mut impl Collector<A>) -> Result<(), OperatorError> {
        if self.due.is_some_and(|due| due <= now) {
            self.close(out);
        }
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<A>) -> Result<(), OperatorError> {
        self.close(out);
        Ok(())
    }

    fn next_timer(&self) -> Option<Instant> {
        self.due
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let due = Plain(self.due.map(|due| self.clock.nanos(due)));
        write_parts(self.codec, state, &[&self.group, &self.time, &due])
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let mut due = Plain(None);
        read_parts(self.codec, state, &mut [&mut self.group, &mut self.time, &mut due])?;
        self.due = due.0.map(|due| self.clock.instant(due));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::OperatorHarness;

    #[test]
    fn d12_a_group_closes_by_a_record_by_time_and_at_the_end() {
        let second = Duration::from_secs(1);
        let add = |sum: &mut u32, n: u32| {
            *sum += n;
            *sum >= 10
        };
        let mut harness = OperatorHarness::new(AggregateWithBoundary::new(|| 0, add, second));
        [4, 7, 1].into_iter().for_each(|n| harness.push(n));
        assert_eq!(harness.values(), [11]);
        harness.advance(second / 2);
        harness.push(2);
        harness.advance(second / 2);
        assert_eq!(harness.values(), [3]);
        harness.push(5);
        harness.end();
        assert_eq!(harness.values(), [5]);
        let mut empty = OperatorHarness::<u32, _>::new(harness.operator().clone());
        empty.advance(second * 2);
        empty.end();
        assert!(empty.values().is_empty(), "no group without a record");
    }
}
