//! `take`, `take_while` and `take_until`: the beginning of a stream.

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::{OperatorError, Record};

use crate::DataStream;
use crate::part::{read_count, write_count};
use crate::state::Checkpointed;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets the first `count` records through, then ends the stream and cancels its input: right
    /// after the last of them, not when another one comes. `take(0)` ends at once. Each instance of
    /// a parallel stream counts for itself.
    ///
    /// Emits when its input does, backpressures when its output does.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("three");
    /// let three = flow.source("numbers", source::from_iter(0..)).take(3).collect();
    /// assert_eq!(flow.run().await?.take(three), Some(vec![0, 1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn take(self, count: u64) -> DataStream<T, Via<C, Take>> {
        let left = count;
        self.via(Take { count, left })
    }

    /// Lets records through as long as `predicate` holds. The first for which it does not hold is
    /// left out, ends the stream and cancels its input.
    ///
    /// Emits when its input does, backpressures when its output does. Ends with its input, if the
    /// predicate always holds.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("small");
    /// let numbers = flow.source("numbers", source::from_iter([1, 2, 9, 1]));
    /// let small = numbers.take_while(|n| *n < 5).collect();
    /// assert_eq!(flow.run().await?.take(small), Some(vec![1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_while<F>(self, predicate: F) -> DataStream<T, Via<C, TakeWhile<F>>>
    where
        F: FnMut(&T) -> bool + Clone + Send + 'static,
    {
        let done = false;
        self.via(TakeWhile { predicate, done })
    }

    /// Lets records through up to the first for which `predicate` holds, that one included. It ends
    /// the stream and cancels its input.
    ///
    /// Emits when its input does, backpressures when its output does. Ends with its input, if the
    /// predicate never holds.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("until nine");
    /// let numbers = flow.source("numbers", source::from_iter([1, 2, 9, 1]));
    /// let found = numbers.take_until(|n| *n == 9).collect();
    /// assert_eq!(flow.run().await?.take(found), Some(vec![1, 2, 9]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_until<F>(self, predicate: F) -> DataStream<T, Via<C, TakeUntil<F>>>
    where
        F: FnMut(&T) -> bool + Clone + Send + 'static,
    {
        let done = false;
        self.via(TakeUntil { predicate, done })
    }
}

/// The operator behind [`DataStream::take`].
#[derive(Debug)]
pub struct Take {
    count: u64,
    left: u64,
}

impl Checkpointed for Take {}

impl Clone for Take {
    fn clone(&self) -> Self {
        Self { count: self.count, left: self.count }
    }
}

impl<T: Send + 'static> Operator<T> for Take {
    type Out = T;
    const NAME: &'static str = "take";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if self.left > 0 {
            self.left -= 1;
            out.push(record);
        }
        Ok(())
    }

    #[inline]
    fn done(&self) -> bool {
        self.left == 0
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

/// The operator behind [`DataStream::take_while`].
#[derive(Debug)]
pub struct TakeWhile<F> {
    predicate: F,
    done: bool,
}

impl<F> Checkpointed for TakeWhile<F> {}

impl<F: Clone> Clone for TakeWhile<F> {
    fn clone(&self) -> Self {
        Self { predicate: self.predicate.clone(), done: false }
    }
}

impl<T, F> Operator<T> for TakeWhile<F>
where
    T: Send + 'static,
    F: FnMut(&T) -> bool + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "take_while";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if !self.done && (self.predicate)(&record.value) {
            out.push(record);
        } else {
            self.done = true;
        }
        Ok(())
    }

    #[inline]
    fn done(&self) -> bool {
        self.done
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_count(state, u64::from(self.done));
        Ok(())
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.done = read_count(state)?.is_some_and(|done| done > 0);
        Ok(())
    }
}

/// The operator behind [`DataStream::take_until`].
#[derive(Debug)]
pub struct TakeUntil<F> {
    predicate: F,
    done: bool,
}

impl<F> Checkpointed for TakeUntil<F> {}

impl<F: Clone> Clone for TakeUntil<F> {
    fn clone(&self) -> Self {
        Self { predicate: self.predicate.clone(), done: false }
    }
}

impl<T, F> Operator<T> for TakeUntil<F>
where
    T: Send + 'static,
    F: FnMut(&T) -> bool + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "take_until";

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if !self.done {
            self.done = (self.predicate)(&record.value);
            out.push(record);
        }
        Ok(())
    }

    #[inline]
    fn done(&self) -> bool {
        self.done
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        write_count(state, u64::from(self.done));
        Ok(())
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.done = read_count(state)?.is_some_and(|done| done > 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{OperatorHarness, Step, assert_survives_crashes};

    /// Pushes 1 to 5 and tells what came out, and after how many the operator had enough.
    fn check<O: Operator<u32, Out = u32>>(operator: &O, expected: &[u32], done_after: Option<u32>) {
        let mut harness = OperatorHarness::new(operator.clone());
        let mut enough = harness.operator().done().then_some(0);
        for n in 1..=5 {
            harness.push(n);
            enough = enough.or(harness.operator().done().then_some(n));
        }
        harness.end();
        assert_eq!(harness.values(), expected);
        assert_eq!(enough, done_after);
        assert_eq!(harness.operator().clone().done(), operator.done(), "a clone is blank");
    }

    const fn take(count: u64) -> Take {
        let left = count;
        Take { count, left }
    }

    #[test]
    fn b4_take_has_enough_right_after_the_last_record() {
        check(&take(3), &[1, 2, 3], Some(3));
        check(&take(9), &[1, 2, 3, 4, 5], None);
    }

    #[test]
    fn b4_take_of_none_has_enough_at_once() {
        check(&take(0), &[], Some(0));
    }

    #[test]
    fn b4_take_goes_on_counting_after_a_restore() {
        let mut first = OperatorHarness::new(take(3));
        first.push(1);
        first.push(2);
        let mut second = OperatorHarness::new(take(3));
        second.restore(first.snapshot().unwrap()).unwrap();
        second.push(3);
        second.push(4);
        assert_eq!(second.values(), [3]);
    }

    #[test]
    fn b4_take_while_leaves_out_the_record_that_ends_it() {
        let (predicate, done) = (|n: &u32| *n != 3, false);
        check(&TakeWhile { predicate, done }, &[1, 2], Some(3));
    }

    #[test]
    fn b4_take_until_includes_the_matching_record() {
        let (predicate, done) = (|n: &u32| *n == 3, false);
        check(&TakeUntil { predicate, done }, &[1, 2, 3], Some(3));
        let predicate = |n: &u32| *n > 5;
        check(&TakeUntil { predicate, done }, &[1, 2, 3, 4, 5], None);
    }

    #[test]
    fn l5_a_crash_anywhere_changes_nothing() {
        let script: Vec<_> = (1..=5).map(|n| Step::Record(Record::new(n))).collect();
        assert_survives_crashes(&take(3), &script);
        let (predicate, done) = (|n: &u32| *n != 3, false);
        assert_survives_crashes(&TakeWhile { predicate, done }, &script);
        let predicate = |n: &u32| *n == 3;
        assert_survives_crashes(&TakeUntil { predicate, done }, &script);
    }

    #[test]
    fn b4_what_has_enough_still_has_after_a_restore() {
        let (predicate, done) = (|n: &u32| *n == 1, false);
        let until = TakeUntil { predicate, done };
        let mut first = OperatorHarness::new(until.clone());
        first.push(1);
        let mut second = OperatorHarness::new(until);
        second.restore(first.snapshot().unwrap()).unwrap();
        second.push(2);
        assert!(second.values().is_empty());
        let (predicate, done) = (|n: &u32| *n < 1, false);
        let first_while = TakeWhile { predicate, done };
        let mut first = OperatorHarness::new(first_while.clone());
        first.push(1);
        let mut second = OperatorHarness::new(first_while);
        second.restore(first.snapshot().unwrap()).unwrap();
        second.push(0);
        assert!(second.values().is_empty());
    }
}
