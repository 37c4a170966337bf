//! `prioritized` and `last_in_first_out`: what waits, in another order than it came.

use millstream_engine::chain::Chain;
use millstream_engine::edge::Order;
use millstream_engine::graph::EdgeOptions;

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Ends the stage here; of the records that wait before the next, the one with the highest
    /// `priority` goes first, and among equals the one that came first.
    ///
    /// Emits one record at a time, whenever the next stage asks: how much is reordered depends on
    /// how much has to wait, and nothing is where the next stage keeps up. A low priority may wait
    /// for ever while higher ones keep coming. Backpressures when the edge is full: how much can
    /// wait, and so be overtaken, is said by [`with_capacity`](DataStream::with_capacity) behind
    /// this word, and what else may happen by [`when_full`](DataStream::when_full).
    ///
    /// Control is not overtaken: a watermark comes out when nothing waits any more, since only then
    /// no earlier record can follow it, and a barrier or the end lets nothing in until everything
    /// before it is out. Ends with its input. A panic in `priority` fails the job with this
    /// operator's name.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("urgent first");
    /// let tasks = [("write", 1), ("fire", 9), ("eat", 5)];
    /// let tasks = flow.source("tasks", source::from_iter(tasks));
    /// let done = tasks.prioritized(|(_, urgency)| *urgency).map(|(task, _)| task).collect();
    /// // All of them were there before the first was asked for.
    /// assert_eq!(flow.run().await?.take(done), Some(vec!["fire", "eat", "write"]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn prioritized(
        self,
        priority: impl Fn(&T) -> i64 + Send + Sync + 'static,
    ) -> DataStream<T> {
        let (flow, instances) = (self.flow().clone(), self.parallelism());
        let edge = flow.blueprint().add_edge::<T>("prioritized", EdgeOptions::default());
        flow.blueprint().prioritize_edge(edge, priority);
        self.forward(edge);
        DataStream::behind(flow, edge, instances, "prioritized")
    }

    /// Ends the stage here; of the records that wait before the next, the newest goes first.
    ///
    /// As with [`prioritized`](DataStream::prioritized), one record is emitted at a time, only what
    /// waits is reordered, the oldest may wait for ever, and control is not overtaken.
    /// Backpressures when the edge is full, unless [`when_full`](DataStream::when_full) says
    /// otherwise: [`WhenFull::DropOldest`](millstream_engine::edge::WhenFull::DropOldest) makes it
    /// a stack of the newest. Ends with its input.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("newest first");
    /// let positions = flow.source("positions", source::from_iter(1..=3));
    /// let seen = positions.last_in_first_out().collect();
    /// // All of them were there before the first was asked for.
    /// assert_eq!(flow.run().await?.take(seen), Some(vec![3, 2, 1]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn last_in_first_out(self) -> DataStream<T> {
        let options = EdgeOptions { order: Order::Lifo, ..EdgeOptions::default() };
        self.behind_edge("last_in_first_out", options)
    }
}
