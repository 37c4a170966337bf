//! `when_full` and `conflate_when_full`: what the edge before a stage does when it is full.

use millstream_engine::edge::WhenFull;

use crate::DataStream;

impl<T: Send + 'static> DataStream<T> {
    /// Says what happens when the edge that this stream comes out of is full. Said right behind the
    /// word that makes the edge: a branch of `broadcast`, `partition` or `balance`, a `boundary`, a
    /// side output. Default: [`WhenFull::Block`].
    ///
    /// A branch that does not wait costs its siblings nothing, however stuck it is. Every drop is
    /// counted, by branch and with its reason, as
    /// [`dropped`](millstream_engine::metrics::EdgeMetrics::dropped) of its edge.
    ///
    /// # Panics
    ///
    /// If the stream does not come right out of an edge.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("a dashboard on the side");
    /// let [all, dashboard] = flow.source("numbers", source::from_iter(0..100_u32)).broadcast();
    /// let count = all.count();
    /// dashboard.when_full(WhenFull::DropOldest).ignore();
    /// assert_eq!(flow.run().await?.take(count), Some(100));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn when_full(self, policy: WhenFull) -> Self {
        let (stream, edge) = self.edge();
        stream.flow().blueprint().configure_edge(edge, |options| options.when_full = policy);
        stream
    }

    /// Lets the edge that this stream comes out of merge what it has no room for: `merge` takes a
    /// later value up into the one that waits before the edge. Never backpressures. A merged record
    /// has the latest of the event times, and counts as dropped because it was superseded.
    ///
    /// [`conflate`](DataStream::conflate) is the word for an edge of its own, which merges
    /// everything that waits; this one merges only what a full edge could not take.
    ///
    /// # Panics
    ///
    /// If the stream does not come right out of an edge. A panic in `merge` fails the job with the
    /// name of the operator behind the edge.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("sums on the side");
    /// let [all, sums] = flow.source("numbers", source::from_iter(0..100_u32)).broadcast();
    /// let count = all.count();
    /// let sum = sums.conflate_when_full(|sum, n| *sum += n).fold(0, |sum, n| *sum += n);
    /// let report = flow.run().await?;
    /// assert_eq!((report.take(count), report.take(sum)), (Some(100), Some(4950)));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn conflate_when_full(self, merge: impl Fn(&mut T, T) + Send + Sync + 'static) -> Self {
        let (stream, edge) = self.edge();
        stream.flow().blueprint().conflate_edge(edge, usize::MAX, merge);
        stream
    }
}
