//! `filter`, `filter_not` and `filter_map`: records that are let through.

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::{OperatorError, Record};

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets through the records for which `predicate` holds. The others count as delivered.
    ///
    /// Emits when its input does and the predicate holds, backpressures when its output does, ends
    /// with its input.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("evens");
    /// let numbers = flow.source("numbers", source::from_iter(0..6));
    /// let evens = numbers.filter(|n| n % 2 == 0).collect();
    /// assert_eq!(flow.run().await?.take(evens), Some(vec![0, 2, 4]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn filter<F>(self, predicate: F) -> DataStream<T, Via<C, Filter<F>>>
    where
        F: FnMut(&T) -> bool + Clone + Send + 'static,
    {
        self.via(Filter { predicate })
    }

    /// Lets through the records for which `predicate` does not hold. The others count as delivered.
    ///
    /// Emits when its input does and the predicate does not hold, backpressures when its output
    /// does, ends with its input.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("odds");
    /// let numbers = flow.source("numbers", source::from_iter(0..6));
    /// let odds = numbers.filter_not(|n| n % 2 == 0).collect();
    /// assert_eq!(flow.run().await?.take(odds), Some(vec![1, 3, 5]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn filter_not<F>(self, predicate: F) -> DataStream<T, Via<C, FilterNot<F>>>
    where
        F: FnMut(&T) -> bool + Clone + Send + 'static,
    {
        self.via(FilterNot { predicate })
    }

    /// Turns each value into another one or into none. Order and event times stay.
    ///
    /// Emits when its input does and the closure gives a value, backpressures when its output does,
    /// ends with its input.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("numbers");
    /// let words = flow.source("words", source::from_iter(["1", "one", "2"]));
    /// let numbers = words.filter_map(|word| word.parse::<u32>().ok()).collect();
    /// assert_eq!(flow.run().await?.take(numbers), Some(vec![1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn filter_map<U, F>(self, f: F) -> DataStream<U, Via<C, FilterMap<F>>>
    where
        U: Send + 'static,
        F: FnMut(T) -> Option<U> + Clone + Send + 'static,
    {
        self.via(FilterMap { f })
    }
}

/// The operator behind [`DataStream::filter`].
#[derive(Clone, Debug)]
pub struct Filter<F> {
    predicate: F,
}

impl<T, F> Operator<T> for Filter<F>
where
    T: Send + 'static,
    F: FnMut(&T) -> bool + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "filter";
    const STATELESS: bool = true;

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if (self.predicate)(&record.value) {
            out.push(record);
        }
        Ok(())
    }
}

/// The operator behind [`DataStream::filter_not`].
#[derive(Clone, Debug)]
pub struct FilterNot<F> {
    predicate: F,
}

impl<T, F> Operator<T> for FilterNot<F>
where
    T: Send + 'static,
    F: FnMut(&T) -> bool + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "filter_not";
    const STATELESS: bool = true;

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if !(self.predicate)(&record.value) {
            out.push(record);
        }
        Ok(())
    }
}

/// The operator behind [`DataStream::filter_map`].
#[derive(Clone, Debug)]
pub struct FilterMap<F> {
    f: F,
}

impl<T, U, F> Operator<T> for FilterMap<F>
where
    U: Send + 'static,
    F: FnMut(T) -> Option<U> + Clone + Send + 'static,
{
    type Out = U;
    const NAME: &'static str = "filter_map";
    const STATELESS: bool = true;

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<U>,
    ) -> Result<(), OperatorError> {
        if let Some(value) = (self.f)(record.value) {
            out.push(Record::at(value, record.time));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness};
    use millstream_engine::time::Timestamp;

    fn check<O: Operator<u32, Out = u32>>(operator: O, expected: &[u32]) {
        let at = |n: u32| Timestamp::from_millis(i64::from(n) * 10);
        let mut harness = OperatorHarness::new(operator);
        for n in 1..=5 {
            harness.push(Record::at(n, at(n)));
        }
        let kept: Vec<_> = expected.iter().map(|&n| Event::Record(Record::at(n, at(n)))).collect();
        assert_eq!(harness.events(), kept);
    }

    #[test]
    fn b2_filter_keeps_order_and_event_time_of_what_it_lets_through() {
        let predicate = |n: &u32| n.is_multiple_of(2);
        check(Filter { predicate }, &[2, 4]);
    }

    #[test]
    fn b2_filter_not_lets_the_others_through() {
        let predicate = |n: &u32| n.is_multiple_of(2);
        check(FilterNot { predicate }, &[1, 3, 5]);
    }

    #[test]
    fn b2_filter_map_keeps_the_event_time_of_what_it_gives() {
        let f = |n: u32| (n > 3).then_some(n);
        check(FilterMap { f }, &[4, 5]);
    }
}
