//! `last`: the last record.

use millstream_engine::Record;
use millstream_engine::chain::Chain;
use millstream_engine::runtime::Output;

use super::result::Gather;
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Keeps the last value. The report of the run gives it once the input has ended, or `None` if
    /// there was no record. Of a parallel stream it is whichever comes last.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("last");
    /// let last = flow.source("numbers", source::from_iter(0..7)).last();
    /// assert_eq!(flow.run().await?.take(last), Some(Some(6)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn last(self) -> Output<Option<T>> {
        self.result("last", Last { value: None })
    }
}

struct Last<T> {
    value: Option<T>,
}

impl<T> Clone for Last<T> {
    fn clone(&self) -> Self {
        Self { value: None }
    }
}

impl<T: Send + 'static> Gather<T> for Last<T> {
    type Result = Option<T>;

    #[inline]
    fn take(&mut self, record: Record<T>) {
        self.value = Some(record.value);
    }

    fn finish(self) -> Option<T> {
        self.value
    }
}
