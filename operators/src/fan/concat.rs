//! `concat`: one stream, and when it has ended, another.

use millstream_engine::chain::Chain;
use millstream_engine::edge::Discipline;

use super::{join, meet};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Appends another stream, whose source is not started before this one has ended.
    ///
    /// Emits what the current input does, ends with the second. Runs in one instance, which keeps
    /// the order. Two branches of one stream can't be concatenated: while the first is read, the
    /// second would fill up and stop both, so the graph is refused.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("history, then news");
    /// let history = flow.source("history", source::from_iter([1, 2]));
    /// let news = flow.source("news", source::from_iter([3]));
    /// let all = history.concat(news).collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec![1, 2, 3]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn concat<D: Chain<Item = T>>(self, other: DataStream<T, D>) -> DataStream<T> {
        let (edge, flow) = meet(&self, Discipline::Concat, "concat");
        self.forward(edge);
        join(other, edge, &flow);
        DataStream::behind(flow, edge, 1, "concat")
    }
}
