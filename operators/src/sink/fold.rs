//! `fold`: one result from all records, when the input has ended.

use millstream_engine::Record;
use millstream_engine::chain::Chain;
use millstream_engine::runtime::Output;

use super::result::Gather;
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Folds all records into one result, which the report of the run gives once the input has
    /// ended. The instances of a parallel stream are brought together first.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("longest");
    /// let longest = flow
    ///     .source("words", source::from_iter(["a", "to", "I"]))
    ///     .fold(0, |longest, word| *longest = word.len().max(*longest));
    /// assert_eq!(flow.run().await?.take(longest), Some(2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn fold<A, F>(self, initial: A, f: F) -> Output<A>
    where
        A: Clone + Send + 'static,
        F: FnMut(&mut A, T) + Clone + Send + 'static,
    {
        self.result("fold", Fold { accumulator: initial, f })
    }
}

#[derive(Clone)]
struct Fold<A, F> {
    accumulator: A,
    f: F,
}

impl<T, A, F> Gather<T> for Fold<A, F>
where
    A: Clone + Send + 'static,
    F: FnMut(&mut A, T) + Clone + Send + 'static,
{
    type Result = A;

    #[inline]
    fn take(&mut self, record: Record<T>) {
        (self.f)(&mut self.accumulator, record.value);
    }

    fn finish(self) -> A {
        self.accumulator
    }
}
