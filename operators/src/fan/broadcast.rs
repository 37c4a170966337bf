//! `broadcast`, `broadcast_with` and `broadcast_to`: every record to every branch.

use millstream_engine::chain::Chain;
use millstream_engine::edge::{Broadcast, Eager};
use millstream_engine::graph::EdgeOptions;

use super::{OnCancel, array, branches};
use crate::DataStream;

impl<T: Clone + Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Gives each of `N` branches every record: a clone for all but one, so records that are costly
    /// to clone belong in an `Arc`.
    ///
    /// Emits when every branch has room, and so runs at the speed of the slowest; a branch of which
    /// [`when_full`](DataStream::when_full) says that it does not wait always has. A branch that
    /// has had enough drops out; when all have, the input is cancelled. Ends with its input.
    ///
    /// Branches that meet again in a [`merge`](DataStream::merge) share a task with it and with
    /// what is before them for as long as they are cheap: one that turns out to be slow moves into
    /// a task of its own. With a [`buffer`](DataStream::buffer) it has one from the beginning.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("two views");
    /// let [left, right] = flow.source("numbers", source::from_iter(1..=3_u64)).broadcast();
    /// let sum = left.fold(0, |sum, n| *sum += n);
    /// let all = right.collect();
    ///
    /// let report = flow.run().await?;
    /// assert_eq!((report.take(sum), report.take(all)), (Some(6), Some(vec![1, 2, 3])));
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast<const N: usize>(self) -> [DataStream<T>; N] {
        self.broadcast_with(OnCancel::Continue)
    }

    /// As [`broadcast`](DataStream::broadcast), where `on_cancel` says whether the first branch
    /// that has had enough ends it for all.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("until the first has enough");
    /// let numbers = flow.source("numbers", source::from_iter(0_u64..));
    /// let [some, all] = numbers.broadcast_with(OnCancel::CancelAll);
    /// let first = some.take(3).collect();
    /// all.ignore();
    /// assert_eq!(flow.run().await?.take(first), Some(vec![0, 1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast_with<const N: usize>(self, on_cancel: OnCancel) -> [DataStream<T>; N] {
        array(self.broadcast_to(N, on_cancel))
    }

    /// As [`broadcast_with`](DataStream::broadcast_with), for a number of branches that is known
    /// when the graph is built. With none the stream goes nowhere, which is a mistake.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("as many as configured");
    /// let branches = flow
    ///     .source("numbers", source::from_iter(1..=3_u64))
    ///     .broadcast_to(4, OnCancel::Continue);
    /// let counts: Vec<_> = branches.into_iter().map(|branch| branch.count()).collect();
    /// let report = flow.run().await?;
    /// assert!(counts.into_iter().all(|count| report.take(count) == Some(3)));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "a stream that goes nowhere is a mistake: end it in a sink"]
    pub fn broadcast_to(self, count: usize, on_cancel: OnCancel) -> Vec<DataStream<T>> {
        let options = EdgeOptions::default();
        match on_cancel {
            OnCancel::Continue => branches(self, count, "broadcast", options, Broadcast::new()),
            OnCancel::CancelAll => {
                branches(self, count, "broadcast", options, Eager(Broadcast::new()))
            }
        }
    }
}
