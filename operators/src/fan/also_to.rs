//! `also_to`: the stream goes on, and a second consumer gets every record too.

use millstream_engine::chain::Chain;
use millstream_engine::graph::EdgeOptions;

use super::OnCancel;
use super::tee::{Teed, Word, tee};
use crate::DataStream;

impl<T: Clone + Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Passes every record on, and gives a clone of it to a side branch, which is slower than the
    /// main line at its peril: the main line waits for it. First the stream as it was, then the
    /// branch.
    ///
    /// Emits when the branch has room, and backpressures when it or the main line has none. Ends
    /// with its input. `on_cancel` says what happens when the branch has had enough: the main line
    /// goes on without it, or it ends too. When the main line has had enough, the branch ends in
    /// either case; where it is to go on, [`broadcast`](DataStream::broadcast) is the word. A
    /// failure in the branch fails the job, as everywhere; where it must not,
    /// [`wire_tap`](DataStream::wire_tap) is the word.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("with an archive");
    /// let orders = flow.source("orders", source::from_iter(1..=3_u64));
    /// let (orders, archive) = orders.also_to(OnCancel::Continue);
    /// let archived = archive.collect();
    /// let total = orders.fold(0, |sum, n| *sum += n);
    ///
    /// let report = flow.run().await?;
    /// assert_eq!((report.take(total), report.take(archived)), (Some(6), Some(vec![1, 2, 3])));
    /// # Ok(())
    /// # }
    /// ```
    pub fn also_to(self, on_cancel: OnCancel) -> Teed<T, C, AlsoTo> {
        tee(self, AlsoTo, on_cancel, EdgeOptions::default())
    }
}

/// The name of [`DataStream::also_to`].
#[derive(Clone, Copy, Debug)]
pub struct AlsoTo;

impl Word for AlsoTo {
    const NAME: &'static str = "also_to";
}
