//! `merge`: several streams into one, in the order in which their records come.

use millstream_engine::chain::{Boundary, Chain};
use millstream_engine::edge::Discipline;
use millstream_engine::graph::{EdgeId, Role, StageDraft};

use super::{join, meet};
use crate::{DataStream, Dataflow};

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Joins another stream to this one. Each input keeps its own order; while both have something,
    /// they take turns, a batch each.
    ///
    /// Emits when any input does, ends with the last of them. Its watermark is the earliest of the
    /// inputs that are not idle. It has as many instances as the streams, if they agree, and one if
    /// they don't. Merges of merges are one, unless something has been said of the inner one: all
    /// their inputs take turns, and none costs another hop.
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
        match open(self, same) {
            Ok(merged) => merged.join(other).into_stream(),
            Err(stream) => match open(other, same) {
                Ok(merged) => merged.join(stream).into_stream(),
                Err(other) => begin(stream, same).join(other).into_stream(),
            },
        }
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
        let merged = open(self, same).unwrap_or_else(|stream| begin(stream, same));
        others.into_iter().fold(merged, Merged::join).into_stream()
    }
}

/// A merge that streams may still join.
struct Merged {
    flow: Dataflow,
    edge: EdgeId,
    /// Of the stage that reads it.
    draft: StageDraft,
}

/// The merge that a stream comes out of, if nothing has been said of it and it has the instances
/// that are wanted; otherwise the stream.
fn open<T: Send + 'static, C: Chain<Item = T>>(
    stream: DataStream<T, C>,
    same: bool,
) -> Result<Merged, DataStream<T, C>> {
    let (flow, chain, draft) = stream.into_parts();
    match (chain.edge(), draft.operators.as_slice()) {
        (Some(edge), &[operator])
            if same && flow.blueprint().is_as_made(edge, operator, "merge") =>
        {
            Ok(Merged { flow, edge, draft })
        }
        _ => Err(DataStream::from_parts(flow, chain, draft)),
    }
}

/// A merge of one stream so far.
fn begin<T: Send + 'static, C: Chain<Item = T>>(stream: DataStream<T, C>, same: bool) -> Merged {
    let parallelism = if same { stream.parallelism() } else { 1 };
    let (edge, flow) = meet(&stream, Discipline::Merge, "merge");
    stream.forward(edge);
    let operator = flow.blueprint().add_operator(Role::Operator, "merge", None);
    let draft = StageDraft { operators: vec![operator], input: Some(edge), parallelism };
    Merged { flow, edge, draft }
}

impl Merged {
    fn join<T: Send + 'static, C: Chain<Item = T>>(self, other: DataStream<T, C>) -> Self {
        join(other, self.edge, &self.flow);
        self
    }

    fn into_stream<T: Send + 'static>(self) -> DataStream<T> {
        DataStream::from_parts(self.flow, Boundary::edge(self.edge), self.draft)
    }
}
