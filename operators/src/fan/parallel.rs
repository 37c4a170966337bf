//! `parallel`, `rebalance`, `gather` and `boundary`: where a stage ends and another number of
//! instances begins.

use millstream_engine::chain::Chain;
use millstream_engine::edge::Rebalance;
use millstream_engine::graph::{Distribution, EdgeOptions};

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Ends the stage here: what follows is a stage of its own behind a bounded edge, and works at
    /// the same time on another worker once it has enough to do.
    ///
    /// Of stages in a row, every second begins in the task of the one before it, since to wake
    /// another worker takes longer than a batch of cheap records. When its records turn out to take
    /// more than some 5 ns each, it moves into a task of its own. Behind an edge that was given a
    /// size, as by [`with_capacity`](DataStream::with_capacity), it has one from the beginning.
    ///
    /// ```
    /// # use millstream_operators::prelude::*;
    /// let flow = Dataflow::new("two stages");
    /// flow.source("numbers", source::from_iter(0..9)).boundary().map(|n| n + 1).ignore();
    /// assert_eq!(flow.graph().unwrap().stages.len(), 2);
    /// ```
    pub fn boundary(self) -> DataStream<T> {
        let instances = self.parallelism();
        self.forward_to(instances, "boundary")
    }

    /// Runs what follows in `instances` instances, and gives each its records in turn. Order is
    /// kept within an instance only. Operators and their closures are cloned for each.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("parallel");
    /// let squares = flow
    ///     .source("numbers", source::from_iter(1..=3_u64))
    ///     .parallel(2)
    ///     .map(|n| n * n)
    ///     .fold(0, |sum, n| *sum += n);
    /// assert_eq!(flow.run().await?.take(squares), Some(14));
    /// # Ok(())
    /// # }
    /// ```
    pub fn parallel(self, instances: usize) -> DataStream<T> {
        self.redistribute(instances, "parallel")
    }

    /// Spreads the records evenly over the instances again, each in turn.
    ///
    /// ```
    /// # use millstream_operators::prelude::*;
    /// let flow = Dataflow::new("rebalanced");
    /// let spread = flow.source("numbers", source::from_iter(0..9)).parallel(2).rebalance();
    /// assert_eq!(spread.parallelism(), 2);
    /// # spread.ignore();
    /// ```
    pub fn rebalance(self) -> DataStream<T> {
        let instances = self.parallelism();
        self.redistribute(instances, "rebalance")
    }

    /// Brings all instances together into one, in no particular order between them.
    ///
    /// ```
    /// # use millstream_operators::prelude::*;
    /// let flow = Dataflow::new("gathered");
    /// let one = flow.source("numbers", source::from_iter(0..9)).parallel(2).gather();
    /// assert_eq!(one.parallelism(), 1);
    /// # one.ignore();
    /// ```
    pub fn gather(self) -> DataStream<T> {
        self.forward_to(1, "gather")
    }

    fn forward_to(self, instances: usize, kind: &'static str) -> DataStream<T> {
        let flow = self.flow().clone();
        let edge = flow.blueprint().add_edge::<T>(kind, EdgeOptions::default());
        self.forward(edge);
        DataStream::behind(flow, edge, instances, kind)
    }

    fn redistribute(self, instances: usize, kind: &'static str) -> DataStream<T> {
        let flow = self.flow().clone();
        let distribution = Distribution::Rebalance;
        let options = EdgeOptions { distribution, ..EdgeOptions::default() };
        let edge = flow.blueprint().add_edge::<T>(kind, options);
        self.route(&[edge], Rebalance::default());
        DataStream::behind(flow, edge, instances, kind)
    }
}
