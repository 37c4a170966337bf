//! `collect`: every record, in memory.

use millstream_engine::Record;
use millstream_engine::chain::Chain;
use millstream_engine::runtime::Output;

use super::result::Gather;
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Keeps every value, and gives all of them in the report of the run once the input has ended.
    /// For bounded streams that fit into memory.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("all");
    /// let all = flow.source("numbers", source::from_iter(0..3)).collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec![0, 1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn collect(self) -> Output<Vec<T>> {
        self.result("collect", Collect { values: Vec::new() })
    }
}

struct Collect<T> {
    values: Vec<T>,
}

impl<T> Clone for Collect<T> {
    fn clone(&self) -> Self {
        Self { values: Vec::new() }
    }
}

impl<T: Send + 'static> Gather<T> for Collect<T> {
    type Result = Vec<T>;

    #[inline]
    fn take(&mut self, record: Record<T>) {
        self.values.push(record.value);
    }

    fn finish(self) -> Vec<T> {
        self.values
    }
}
