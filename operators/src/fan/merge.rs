//! `merge`: several streams into one, in the order in which their records come.

use millstream_engine::chain::Chain;
use millstream_engine::edge::Discipline;

use super::{join, meet};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Joins another stream to this one. Each input keeps its own order; while both have something,
    /// they take turns, a batch each.
    ///
    /// Emits when any input does, ends with the last of them. Its watermark is the earliest of the
    /// inputs that are not idle. It has as many instances as the streams, if they agree, and one if
    /// they don't. For more than two streams, [`merge_all`](DataStream::merge_all) saves hops.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("merged");
    /// let left = flow.source("left", source::from_iter([1, 2]));
    /// let right = flow.source("right", source::from_iter([3, 4]));
    /// let sum = left.merge(right).fold(0, |sum, n| *sum += n);
    /// assert_eq!(flow.run().await?.take(sum), Some(10));
    /// # Ok(())
    /// # }
    /// ```
    pub fn merge<D: Chain<Item = T>>(self, other: DataStream<T, D>) -> DataStream<T> {
        let same = self.parallelism() == other.parallelism();
        let instances = if same { self.parallelism() } else { 1 };
        let (edge, flow) = meet(&self, Discipline::Merge, "merge");
        self.forward(edge);
        join(other, edge, &flow);
        DataStream::behind(flow, edge, instances, "merge")
    }
}

impl<T: Send + 'static> DataStream<T> {
    /// Joins any number of streams to this one, as [`merge`](DataStream::merge) does two. Streams
    /// with operators behind them become [`boxed`](DataStream::boxed) to fit into one list.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("merged");
    /// let [a, b, c] = flow.source("numbers", source::from_iter(0..3)).broadcast();
    /// let thrice = a.merge_all([b, c.map(|n| n * 10).boxed()]).fold(0, |sum, n| *sum += n);
    /// assert_eq!(flow.run().await?.take(thrice), Some(3 + 3 + 30));
    /// # Ok(())
    /// # }
    /// ```
    pub fn merge_all(self, others: impl IntoIterator<Item = Self>) -> Self {
        let others: Vec<_> = others.into_iter().collect();
        let same = others.iter().all(|other| other.parallelism() == self.parallelism());
        let instances = if same { self.parallelism() } else { 1 };
        let (edge, flow) = meet(&self, Discipline::Merge, "merge");
        self.forward(edge);
        for other in others {
            join(other, edge, &flow);
        }
        DataStream::behind(flow, edge, instances, "merge")
    }
}
