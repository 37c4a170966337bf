//! `wire_tap`: a look at the stream that it never notices.

use millstream_engine::chain::Chain;
use millstream_engine::edge::WhenFull;
use millstream_engine::graph::EdgeOptions;

use super::OnCancel;
use super::tee::{Teed, Word, tee};
use crate::DataStream;

impl<T: Clone + Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Passes every record on, and gives a clone of it to a tap, which never slows or fails the
    /// main line. First the stream as it was, then the tap.
    ///
    /// Emits and backpressures as the main line does. When the tap's edge is full, what comes is
    /// dropped there and counted as
    /// [`dropped`](millstream_engine::metrics::EdgeMetrics::dropped) of the edge;
    /// [`when_full`](DataStream::when_full) behind the tap chooses another policy, and with one
    /// that waits it is no tap any more. Ends with its input; so does the tap, and the job waits at
    /// its end for what the tap still has. A tap that has had enough is left alone.
    ///
    /// A failure or a panic behind the tap, in its own stage or in one that is fed by taps only,
    /// cuts that stage off: it is logged and counted as
    /// [`failed`](millstream_engine::metrics::StageMetrics::failed), what comes for it is dropped
    /// and counted, sinks behind it commit nothing, and the job goes on. Where such a stage feeds
    /// one that is no tap, that one sees the end of this input. What fails while the job is being
    /// started still keeps it from starting.
    ///
    /// The clone is made on the main line, so records that are costly to clone belong in an `Arc`.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("watched");
    /// let (numbers, tap) = flow.source("numbers", source::from_iter(1..=3_u64)).wire_tap();
    /// tap.map(|n| assert!(n < 3, "a tap that breaks")).ignore();
    /// let sum = numbers.fold(0, |sum, n| *sum += n);
    /// assert_eq!(flow.run().await?.take(sum), Some(6));
    /// # Ok(())
    /// # }
    /// ```
    pub fn wire_tap(self) -> Teed<T, C, WireTap> {
        let when_full = WhenFull::DropNewest;
        let options = EdgeOptions { when_full, expendable: true, ..EdgeOptions::default() };
        tee(self, WireTap, OnCancel::Continue, options)
    }
}

/// The name of [`DataStream::wire_tap`].
#[derive(Clone, Copy, Debug)]
pub struct WireTap;

impl Word for WireTap {
    const NAME: &'static str = "wire_tap";
}
