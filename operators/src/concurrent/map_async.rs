//! `map_async` and `map_async_unordered`: a future for each value, a bounded number at a time.

use std::future::Future;

use millstream_engine::chain::Chain;

use super::Concurrency;
use super::calls::{Caller, Calls, LaneOf, Order};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Calls a closure with each value, drives the futures it returns, at most `concurrency` at a
    /// time in each instance, and emits their results in the order of the input.
    ///
    /// One that is slow holds back the results behind it, and these count as in flight as long as
    /// they wait. Backpressures when as many as allowed are in flight; whether or not its output is
    /// taken, what is in flight moves on. Ends when its input has ended and every result is out.
    /// When the output is cancelled, or the job fails or is aborted, futures in flight are dropped.
    /// A result has the event time of its value; a watermark waits for the results of the values
    /// before it. A future that panics fails the job.
    ///
    /// # Panics
    ///
    /// If `concurrency` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// async fn length_of(page: &str) -> usize {
    ///     tokio::task::yield_now().await;
    ///     page.len()
    /// }
    ///
    /// let flow = Dataflow::new("lengths");
    /// let pages = flow.source("pages", source::from_iter(["/", "/about"]));
    /// let lengths = pages.map_async(8, length_of).collect();
    /// assert_eq!(flow.run().await?.take(lengths), Some(vec![1, 6]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn map_async<U, R, F>(self, concurrency: impl Into<Concurrency>, f: F) -> DataStream<U>
    where
        U: Send + 'static,
        R: Future<Output = U> + Send + 'static,
        F: FnMut(T) -> R + Clone + Send + 'static,
    {
        self.call("map_async", concurrency.into(), Order::AsAdmitted, None, f)
    }

    /// As [`map_async`](DataStream::map_async), with results in the order in which they are there.
    /// None crosses a watermark, in either direction.
    ///
    /// # Panics
    ///
    /// If `concurrency` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("squares");
    /// let squares = flow
    ///     .source("numbers", source::from_iter(1..=3_u64))
    ///     .map_async_unordered(8, |n| async move { n * n })
    ///     .fold(0, |sum, n| *sum += n);
    /// assert_eq!(flow.run().await?.take(squares), Some(14));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn map_async_unordered<U, R, F>(
        self,
        concurrency: impl Into<Concurrency>,
        f: F,
    ) -> DataStream<U>
    where
        U: Send + 'static,
        R: Future<Output = U> + Send + 'static,
        F: FnMut(T) -> R + Clone + Send + 'static,
    {
        self.call("map_async_unordered", concurrency.into(), Order::AsFinished, None, f)
    }

    /// Begins a stage whose head calls.
    pub(super) fn call<K: Caller<T>>(
        self,
        kind: &'static str,
        concurrency: Concurrency,
        order: Order,
        lane: Option<LaneOf<T>>,
        caller: K,
    ) -> DataStream<K::Out> {
        let instances = self.parallelism();
        let buffer = concurrency.buffer();
        self.through(kind, instances, buffer, Calls { concurrency, order, lane, caller })
    }
}
