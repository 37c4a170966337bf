//! `flat_map_merge` and `try_flat_map_merge`: several streams at once, as their items come.

use futures_core::Stream;
use futures_util::TryStream;
use millstream_engine::OperatorError;
use millstream_engine::chain::Chain;

use super::flat_map::{Width, flat_mapped, try_flat_mapped};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns each value into a futures [`Stream`], of which at most `most` are open at once, and
    /// emits their items as they come. Every item has the event time of its value.
    ///
    /// The items of one stream stay in order, and nothing is promised between them; those that have
    /// something take turns. With `most` streams open, nothing more is taken from the input. While
    /// its output is full every stream is polled on until it is one item ahead. Ends when its input
    /// has ended, and all streams. When its output has enough, the open streams are dropped.
    ///
    /// A watermark goes on when the streams of all values before it have ended, and items of later
    /// values may come before it meanwhile: it is never early. A panic in `f` or in a stream fails
    /// the job. It begins a stage of its own, with as many instances as before,
    /// each with `most` streams.
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
    /// let flow = Dataflow::new("feeds");
    /// let feeds = flow.source("feeds", source::from_iter([1, 2]));
    /// let items = feeds.flat_map_merge(2, |feed| stream::iter([feed, feed * 10]));
    /// let sum = items.fold(0, |sum, n| *sum += n);
    /// assert_eq!(flow.run().await?.take(sum), Some(33));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn flat_map_merge<S, F>(self, most: usize, f: F) -> DataStream<S::Item>
    where
        S: Stream<Item: Send + 'static> + Send + 'static,
        F: FnMut(T) -> S + Clone + Send + 'static,
    {
        flat_mapped(self, "flat_map_merge", width(most), f)
    }

    /// As [`flat_map_merge`](DataStream::flat_map_merge), of streams of results: the first error
    /// fails the job.
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
    /// # async fn main() {
    /// let flow = Dataflow::new("pages");
    /// let pages = flow.source("pages", source::from_iter(["1 2", "3 x"]));
    /// let parsed = |page: &'static str| stream::iter(page.split(' ').map(str::parse::<u32>));
    /// let numbers = pages.try_flat_map_merge(2, parsed);
    /// numbers.named("parse").ignore();
    /// assert_eq!(flow.run().await.unwrap_err().operator_name(), Some("parse"));
    /// # }
    /// ```
    #[track_caller]
    pub fn try_flat_map_merge<S, F>(self, most: usize, f: F) -> DataStream<S::Ok>
    where
        S: TryStream<Ok: Send + 'static, Error: Into<OperatorError>> + Send + 'static,
        F: FnMut(T) -> S + Clone + Send + 'static,
    {
        try_flat_mapped(self, "try_flat_map_merge", width(most), f)
    }
}

#[track_caller]
fn width(most: usize) -> Width {
    assert!(most > 0, "a merge of zero streams");
    Width { most, in_order: false }
}
