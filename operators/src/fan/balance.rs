//! `balance` and `balance_to`: every record to whoever is ready for it.

use millstream_engine::chain::Chain;
use millstream_engine::edge::Balance;
use millstream_engine::graph::EdgeOptions;

use super::{array, branches};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Gives each record to one of `N` branches: to one that stands idle, and otherwise to the one
    /// with the fewest records waiting; among equals they take turns. Order is kept within a branch
    /// and not across them.
    ///
    /// Emits when some branch has room, backpressures when none has: nothing is given to a branch
    /// that could not take it, so one that is stuck holds only what it was given while it was not.
    /// By default that is one record waiting and one being worked on; more room for each branch is
    /// given by [`with_capacity`](DataStream::with_capacity), and lets a slow one hoard more. A
    /// branch that has had enough drops out; when all have, the input is cancelled. Ends with its
    /// input.
    ///
    /// Records cross one at a time, which costs more than a batch: this is for branches with real
    /// work to do. Where all are as fast as each other, [`parallel`](DataStream::parallel), which
    /// deals out in turn whatever the instances are doing, moves whole batches.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("workers");
    /// let [a, b, c] = flow.source("jobs", source::from_iter(0..90_u32)).balance();
    /// let all = a.map(|n| n + 1).boxed().merge_all([b, c]).count();
    /// assert_eq!(flow.run().await?.take(all), Some(90));
    /// # Ok(())
    /// # }
    /// ```
    pub fn balance<const N: usize>(self) -> [DataStream<T>; N] {
        array(self.balance_to(N))
    }

    /// As [`balance`](DataStream::balance), for a number of branches that is known when the graph
    /// is built.
    ///
    /// ```
    /// # use millstream_operators::prelude::*;
    /// let flow = Dataflow::new("workers");
    /// let workers = flow.source("jobs", source::from_iter(0..90_u32)).balance_to(4);
    /// assert_eq!(workers.len(), 4);
    /// # workers.into_iter().for_each(|worker| worker.ignore());
    /// # flow.validate().unwrap();
    /// ```
    #[must_use = "a stream that goes nowhere is a mistake: end it in a sink"]
    pub fn balance_to(self, count: usize) -> Vec<DataStream<T>> {
        let options = EdgeOptions { capacity: Some(1), batch: Some(1), ..EdgeOptions::default() };
        branches(self, count, "balance", options, Balance::default())
    }
}
