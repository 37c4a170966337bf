//! `first`: the first record, and no more.

use millstream_engine::Record;
use millstream_engine::chain::Chain;
use millstream_engine::runtime::Output;

use super::result::Gather;
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Keeps the first value, and cancels the input right after it. The report of the run gives it,
    /// or `None` if there was no record. Of a parallel stream it is whichever comes first.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("first");
    /// let first = flow.source("numbers", source::from_iter(7..)).first();
    /// assert_eq!(flow.run().await?.take(first), Some(Some(7)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn first(self) -> Output<Option<T>> {
        self.result("first", First { value: None })
    }
}

struct First<T> {
    value: Option<T>,
}

impl<T> Clone for First<T> {
    fn clone(&self) -> Self {
        Self { value: None }
    }
}

impl<T: Send + 'static> Gather<T> for First<T> {
    type Result = Option<T>;

    #[inline]
    fn take(&mut self, record: Record<T>) {
        self.value.get_or_insert(record.value);
    }

    #[inline]
    fn is_complete(&self) -> bool {
        self.value.is_some()
    }

    fn finish(self) -> Option<T> {
        self.value
    }
}
