//! `count`: how many records there were.

use millstream_engine::Record;
use millstream_engine::chain::Chain;
use millstream_engine::runtime::Output;

use super::result::Gather;
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Counts the records. The report of the run gives the count once the input has ended. The
    /// instances of a parallel stream are brought together first.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("how many");
    /// let count = flow.source("words", source::from_iter(["a", "b"])).count();
    /// assert_eq!(flow.run().await?.take(count), Some(2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn count(self) -> Output<u64> {
        self.result("count", Count { count: 0 })
    }
}

#[derive(Clone)]
struct Count {
    count: u64,
}

impl<T> Gather<T> for Count {
    type Result = u64;

    #[inline]
    fn take(&mut self, _record: Record<T>) {
        self.count += 1;
    }

    fn finish(self) -> u64 {
        self.count
    }
}
