//! `flat_map_concat` and `try_flat_map_concat`: one stream after another.

use futures_core::Stream;
use futures_util::TryStream;
use millstream_engine::OperatorError;
use millstream_engine::chain::Chain;

use super::flat_map::{Width, flat_mapped, try_flat_mapped};
use crate::DataStream;

const ONE: Width = Width { most: 1, in_order: true };

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns each value into a futures [`Stream`], and emits what these have, one after another:
    /// the next one is not made before the last has ended. Every item has the value's event time.
    ///
    /// Emits when the open stream has an item, and takes nothing more from its input while one is
    /// open. While its output is full the stream is polled on until it is one item ahead, so that
    /// what it waits for goes on. Ends when its input has ended, and the last stream. When its
    /// output has enough, the open stream is dropped.
    ///
    /// A watermark goes on when the streams of all values before it have ended: one that never ends
    /// holds time back behind it. A panic in `f` or in a stream fails the job. It begins a stage of
    /// its own, with as many instances as before.
    ///
    /// ```
    /// use futures_util::stream;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("pages");
    /// let pages = flow.source("pages", source::from_iter([1, 2]));
    /// let rows = pages.flat_map_concat(|page| stream::iter([page * 10, page * 10 + 1])).collect();
    /// assert_eq!(flow.run().await?.take(rows), Some(vec![10, 11, 20, 21]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn flat_map_concat<S, F>(self, f: F) -> DataStream<S::Item>
    where
        S: Stream<Item: Send + 'static> + Send + 'static,
        F: FnMut(T) -> S + Clone + Send + 'static,
    {
        flat_mapped(self, "flat_map_concat", ONE, f)
    }

    /// As [`flat_map_concat`](DataStream::flat_map_concat), of streams of results: the first error
    /// fails the job.
    ///
    /// ```
    /// use std::num::ParseIntError;
    ///
    /// use futures_util::stream;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let flow = Dataflow::new("pages");
    /// let pages = flow.source("pages", source::from_iter(["1 2", "3 x"]));
    /// pages
    ///     .try_flat_map_concat(|page| stream::iter(page.split(' ').map(str::parse::<u32>)))
    ///     .named("parse")
    ///     .ignore();
    /// let error = flow.run().await.unwrap_err();
    /// assert_eq!(error.operator_name(), Some("parse"));
    /// assert!(error.cause().unwrap().is::<ParseIntError>());
    /// # }
    /// ```
    pub fn try_flat_map_concat<S, F>(self, f: F) -> DataStream<S::Ok>
    where
        S: TryStream<Ok: Send + 'static, Error: Into<OperatorError>> + Send + 'static,
        F: FnMut(T) -> S + Clone + Send + 'static,
    {
        try_flat_mapped(self, "try_flat_map_concat", ONE, f)
    }
}
