//! `skip` and `skip_while`: a stream without its beginning.

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::{OperatorError, Record};

use crate::DataStream;
use crate::part::{read_count, write_count};
use crate::state::Checkpointed;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Leaves out the first `count` records, which count as delivered. Each instance of a parallel
    /// stream counts for itself.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("the rest");
    /// let rest = flow.source("numbers", source::from_iter(0..5)).skip(3).collect();
    /// assert_eq!(flow.run().await?.take(rest), Some(vec![3, 4]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn skip(self, count: u64) -> DataStream<T, Via<C, Skip>> {
        let left = count;
        self.via(Skip { count, left })
    }

    /// Leaves out records as long as `predicate` holds; they count as delivered. From the first for
    /// which it does not hold on, that one included, everything is let through.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("from nine on");
    /// let numbers = flow.source("numbers", source::from_iter([1, 2, 9, 1]));
    /// let rest = numbers.skip_while(|n| *n < 5).collect();
    /// assert_eq!(flow.run().await?.take(rest), Some(vec![9, 1]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn skip_while<F>(self, predicate: F) -> DataStream<T, Via<C, SkipWhile<F>>>
    where
        F: FnMut(&T) -> bool + Clone + Send + 'static,
    {
        let begun = false;
        self.via(SkipWhile { predicate, begun })
    }
}

/// The operator behind [`DataStream::skip`].
#[derive(Debug)]
pub struct Skip {
    count: u64,
    left: u64,
}

impl Checkpointed for Skip {}

impl Clone for Skip {
    fn clone(&self) -> Self {
        Self { count: self.count, left: self.count }
    }
}

impl<T: Send + 'static> Operator<T> for Skip {
    type Out = T;
    const NAME: &'static str = "skip";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if self.left > 0 {
            self.left -= 1;
        } else {
            out.push(record);
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_count(state, self.left);
        Ok(())
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.left = read_count(state)?.unwrap_or(self.count);
        Ok(())
    }
}

/// The operator behind [`DataStream::skip_while`].
#[derive(Debug)]
pub struct SkipWhile<F> {
    predicate: F,
    begun: bool,
}

impl<F> Checkpointed for SkipWhile<F> {}

impl<F: Clone> Clone for SkipWhile<F> {
    fn clone(&self) -> Self {
        Self { predicate: self.predicate.clone(), begun: false }
    }
}

impl<T, F> Operator<T> for SkipWhile<F>
where
    T: Send + 'static,
    F: FnMut(&T) -> bool + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "skip_while";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.begun = self.begun || !(self.predicate)(&record.value);
        if self.begun {
            out.push(record);
        }
        Ok(())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_count(state, u64::from(self.begun));
        Ok(())
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.begun = read_count(state)?.is_some_and(|begun| begun > 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{OperatorHarness, Step, assert_survives_crashes};

    fn check<O: Operator<u32, Out = u32>>(operator: &O, expected: &[u32]) {
        let mut used = OperatorHarness::new(operator.clone());
        for n in [1, 2, 3, 1] {
            used.push(n);
        }
        used.end();
        assert_eq!(used.values(), expected);
        // A clone of a used one starts afresh, and one with its state goes on.
        let mut fresh = OperatorHarness::new(used.operator().clone());
        fresh.push(1);
        assert!(fresh.values().is_empty());
        fresh.restore(used.snapshot().unwrap()).unwrap();
        fresh.push(1);
        assert_eq!(fresh.values(), [1]);
    }

    #[test]
    fn b4_skip_leaves_out_the_first_records() {
        check(&Skip { count: 2, left: 2 }, &[3, 1]);
    }

    #[test]
    fn l5_a_crash_anywhere_changes_nothing() {
        let script: Vec<_> = [1, 2, 3, 1].map(|n| Step::Record(Record::new(n))).into();
        assert_survives_crashes(&Skip { count: 2, left: 2 }, &script);
        let (predicate, begun) = (|n: &u32| *n < 3, false);
        assert_survives_crashes(&SkipWhile { predicate, begun }, &script);
    }

    #[test]
    fn b4_skip_while_lets_everything_through_once_it_has_begun() {
        let (predicate, begun) = (|n: &u32| *n < 3, false);
        check(&SkipWhile { predicate, begun }, &[3, 1]);
    }
}
