//! `broadcast`: every record to every branch.

use millstream_engine::chain::Chain;
use millstream_engine::edge::Broadcast;

use super::branches;
use crate::DataStream;

impl<T: Clone + Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Gives each of `N` branches every record: a clone for all but one, so records that are costly
    /// to clone belong in an `Arc`.
    ///
    /// Emits when every branch has room, and so runs at the speed of the slowest. A branch that has
    /// had enough drops out; when all have, the input is cancelled. Ends with its input.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("two views");
    /// let [left, right] = flow.source("numbers", source::from_iter(1..=3_u64)).broadcast();
    /// let sum = left.fold(0, |sum, n| *sum += n);
    /// let all = right.collect();
    ///
    /// let report = flow.run().await?;
    /// assert_eq!((report.take(sum), report.take(all)), (Some(6), Some(vec![1, 2, 3])));
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast<const N: usize>(self) -> [DataStream<T>; N] {
        branches(self, "broadcast", Broadcast)
    }
}
