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
    /// let evens = flow.source("numbers", source::from_iter(0..6)).filter(|n| n % 2 == 0).collect();
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
