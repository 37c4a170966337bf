//! `flat_map_sequential`: several streams at once, one after another.

use futures_core::Stream;
use millstream_engine::chain::Chain;

use super::flat_map::{Width, flat_mapped};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns each value into a futures [`Stream`] and emits what these have, one after another, as
    /// [`flat_map_concat`](DataStream::flat_map_concat) does; but up to `most` of them are open at
    /// once, each at most one item ahead, so that the next has begun when its turn comes.
    ///
    /// # Panics
    ///
    /// If `most` is zero.
    ///
    /// ```
    /// use futures_util::stream;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("pages");
    /// let pages = flow.source("pages", source::from_iter([1, 2]));
    /// let rows = pages.flat_map_sequential(2, |page| stream::iter([page * 10, page * 10 + 1]));
    /// let rows = rows.collect();
    /// assert_eq!(flow.run().await?.take(rows), Some(vec![10, 11, 20, 21]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn flat_map_sequential<S, F>(self, most: usize, f: F) -> DataStream<S::Item>
    where
        S: Stream<Item: Send + 'static> + Send + 'static,
        F: FnMut(T) -> S + Clone + Send + 'static,
    {
        assert!(most > 0, "a sequence of zero streams");
        flat_mapped(self, "flat_map_sequential", Width { most, in_order: true }, f)
    }
}
