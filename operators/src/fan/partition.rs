//! `partition`, `partition_to` and `split`: every record to one branch.

use millstream_engine::chain::Chain;
use millstream_engine::edge::PortRouter;
use millstream_engine::graph::EdgeOptions;

use super::{array, branches};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Gives each record to the branch whose number `choose` answers, counted from zero.
    ///
    /// Backpressures when a branch that is full gets a record: the others wait with it, unless
    /// [`when_full`](DataStream::when_full) says otherwise of that branch. A branch that has had
    /// enough drops out, and what is for it is dropped and counted; when all have, the input is
    /// cancelled. Ends with its input. Fails the job if `choose` answers `N` or more: where a
    /// record may belong nowhere, keep a branch for those.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("by remainder");
    /// let numbers = flow.source("numbers", source::from_iter(0..6_usize));
    /// let [zeros, ones, twos] = numbers.partition(|n| n % 3).map(DataStream::collect);
    ///
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(ones), Some(vec![1, 4]));
    /// # let _ = (zeros, twos);
    /// # Ok(())
    /// # }
    /// ```
    pub fn partition<const N: usize, F>(self, choose: F) -> [DataStream<T>; N]
    where
        F: FnMut(&T) -> usize + Clone + Send + 'static,
    {
        array(self.partition_to(N, choose))
    }

    /// As [`partition`](DataStream::partition), for a number of branches that is known when the
    /// graph is built.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("by remainder");
    /// let numbers = flow.source("numbers", source::from_iter(0..6_usize));
    /// let branches = numbers.partition_to(3, |n| n % 3);
    /// let counts: Vec<_> = branches.into_iter().map(|branch| branch.count()).collect();
    /// let report = flow.run().await?;
    /// assert!(counts.into_iter().all(|count| report.take(count) == Some(2)));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "a stream that goes nowhere is a mistake: end it in a sink"]
    pub fn partition_to<F>(self, count: usize, choose: F) -> Vec<DataStream<T>>
    where
        F: FnMut(&T) -> usize + Clone + Send + 'static,
    {
        branches(self, count, "partition", EdgeOptions::default(), PortRouter(choose))
    }

    /// Parts the records for which `predicate` holds from the rest: matching first, then the
    /// others. For more than one predicate there is [`routes`](DataStream::routes). Backpressures
    /// and ends as [`partition`](DataStream::partition) does.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("evens and odds");
    /// let (evens, odds) = flow.source("numbers", source::from_iter(0..5)).split(|n| n % 2 == 0);
    /// let (evens, odds) = (evens.collect(), odds.collect());
    ///
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(evens), Some(vec![0, 2, 4]));
    /// assert_eq!(report.take(odds), Some(vec![1, 3]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn split<F>(self, mut predicate: F) -> (DataStream<T>, DataStream<T>)
    where
        F: FnMut(&T) -> bool + Clone + Send + 'static,
    {
        let choose = move |value: &T| usize::from(!predicate(value));
        let options = EdgeOptions::default();
        let [matching, others] = array(branches(self, 2, "split", options, PortRouter(choose)));
        (matching, others)
    }
}
