//! `limit` and `limit_weighted`: a stream that must not be longer.

use crate::DataStream;
use crate::part::{read_count, write_count};
use crate::state::Checkpointed;
use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::{OperatorError, Record};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Fails the job with [`LimitExceeded`] at the first record beyond `max`. Where the rest is not
    /// wanted, rather than wrong, it is [`take`](DataStream::take). Each instance of a parallel
    /// stream counts for itself.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// State: how many have passed.
    ///
    /// ```
    /// use millstream_operators::{linear::limit::LimitExceeded, prelude::*};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let flow = Dataflow::new("too long");
    /// flow.source("numbers", source::from_iter(0..)).limit(5).ignore();
    /// let error = flow.run().await.unwrap_err();
    /// assert!(error.cause().is_some_and(|cause| cause.is::<LimitExceeded>()));
    /// # }
    /// ```
    #[allow(
        clippy::type_complexity,
        reason = "the type names the chain and the closure, as those of other operators do"
    )]
    pub fn limit(self, max: u64) -> DataStream<T, Via<C, Limit<fn(&T) -> u64>>> {
        self.limit_weighted(max, |_| 1)
    }

    /// As [`limit`](DataStream::limit), for the sum of what `weight` says of each record.
    ///
    /// ```
    /// # use millstream_operators::prelude::*;
    /// # let flow = Dataflow::new("doc");
    /// let lines = flow.source("lines", source::from_iter(["a line", "another"]));
    /// lines.limit_weighted(1 << 20, |line| line.len() as u64).ignore();
    /// # flow.validate().unwrap();
    /// ```
    pub fn limit_weighted<F>(self, max: u64, weight: F) -> DataStream<T, Via<C, Limit<F>>>
    where
        F: FnMut(&T) -> u64 + Clone + Send + 'static,
    {
        self.via(Limit { max, weight, passed: 0 })
    }
}

/// A stream was longer, or heavier, than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream exceeds its limit of {max}")]
pub struct LimitExceeded {
    /// The limit.
    pub max: u64,
}

/// The operator behind [`DataStream::limit`].
#[derive(Debug)]
pub struct Limit<F> {
    max: u64,
    weight: F,
    passed: u64,
}

impl<F> Checkpointed for Limit<F> {}

impl<F: Clone> Clone for Limit<F> {
    fn clone(&self) -> Self {
        Self { max: self.max, weight: self.weight.clone(), passed: 0 }
    }
}

impl<T, F> Operator<T> for Limit<F>
where
    T: Send + 'static,
    F: FnMut(&T) -> u64 + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "limit";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.passed = self.passed.saturating_add((self.weight)(&record.value));
        if self.passed > self.max {
            return Err(LimitExceeded { max: self.max }.into());
        }
        out.push(record);
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_count(state, self.passed);
        Ok(())
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.passed = read_count(state)?.unwrap_or(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::OperatorHarness;

    #[test]
    fn b18_limit_fails_at_the_first_record_beyond_it() {
        let operator = Limit { max: 5, weight: |n: &u64| *n, passed: 0 };
        let mut harness = OperatorHarness::new(operator);
        harness.push(2);
        harness.push(3);
        assert!(harness.take_error().is_none());
        harness.push(1);
        assert_eq!(harness.values(), [2, 3]);
        let error = harness.take_error().unwrap();
        assert_eq!(error.cause().unwrap().downcast_ref(), Some(&LimitExceeded { max: 5 }));
        let mut fresh = OperatorHarness::new(harness.operator().clone());
        fresh.push(5);
        assert!(fresh.take_error().is_none(), "a clone is blank");
    }
}
