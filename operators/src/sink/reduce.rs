//! `reduce`: records combined into one of their own kind.

use millstream_engine::Record;
use millstream_engine::chain::Chain;
use millstream_engine::runtime::Output;

use super::result::Gather;
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Folds all values into the first of them, from left to right. The report of the run gives the
    /// result once the input has ended, or `None` if there was no record. The instances of a
    /// parallel stream are brought together first.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("largest");
    /// let numbers = flow.source("numbers", source::from_iter([3, 9, 4]));
    /// let largest = numbers.reduce(|best, n| *best = n.max(*best));
    /// assert_eq!(flow.run().await?.take(largest), Some(Some(9)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn reduce<F>(self, f: F) -> Output<Option<T>>
    where
        F: FnMut(&mut T, T) + Clone + Send + 'static,
    {
        let value = None;
        self.result("reduce", Reduce { value, f })
    }
}

struct Reduce<T, F> {
    value: Option<T>,
    f: F,
}

impl<T, F: Clone> Clone for Reduce<T, F> {
    fn clone(&self) -> Self {
        Self { value: None, f: self.f.clone() }
    }
}

impl<T, F> Gather<T> for Reduce<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut T, T) + Clone + Send + 'static,
{
    type Result = Option<T>;

    #[inline]
    fn take(&mut self, record: Record<T>) {
        match &mut self.value {
            Some(value) => (self.f)(value, record.value),
            None => self.value = Some(record.value),
        }
    }

    fn finish(self) -> Option<T> {
        self.value
    }
}
