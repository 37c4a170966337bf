//! `map`: one record in, one record out.

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::{OperatorError, Record};

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns each value into another one. Order and event times stay.
    ///
    /// Emits when its input does, backpressures when its output does, ends with its input. Each
    /// instance has its own clone of the closure.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("lengths");
    /// let lengths = flow.source("words", source::from_iter(["a", "to"])).map(str::len).collect();
    /// assert_eq!(flow.run().await?.take(lengths), Some(vec![1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<U, F>(self, f: F) -> DataStream<U, Via<C, Map<F>>>
    where
        U: Send + 'static,
        F: FnMut(T) -> U + Clone + Send + 'static,
    {
        self.via(Map { f })
    }
}

/// The operator behind [`DataStream::map`].
#[derive(Clone, Debug)]
pub struct Map<F> {
    f: F,
}

impl<T, U, F> Operator<T> for Map<F>
where
    U: Send + 'static,
    F: FnMut(T) -> U + Clone + Send + 'static,
{
    type Out = U;
    const NAME: &'static str = "map";
    const STATELESS: bool = true;
    const MAPS: bool = true;

    #[inline]
    fn map_all(&mut self, records: impl Iterator<Item = Record<T>>, out: &mut Vec<Record<U>>) {
        out.extend(records.map(|record| record.with(&mut self.f)));
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<U>,
    ) -> Result<(), OperatorError> {
        out.push(record.with(&mut self.f));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::testing::{Event, OperatorHarness};
    use millstream_engine::time::Timestamp;

    #[test]
    fn b1_map_keeps_order_and_event_time() {
        let mut harness = OperatorHarness::new(Map { f: |n: u32| n + 1 });
        let at = Timestamp::from_millis;
        harness.push(Record::at(1, at(10)));
        harness.push(Record::at(2, at(5)));
        let expected = [Record::at(2, at(10)), Record::at(3, at(5))].map(Event::Record);
        assert_eq!(harness.events(), expected);
    }
}
