//! `map_async_keyed` and `map_async_keyed_unordered`: one value of a key at a time, many keys at
//! once.

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use millstream_engine::chain::Chain;
use millstream_engine::key::stable_hash;

use super::Concurrency;
use super::calls::{LaneOf, Order};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// As [`map_async`](DataStream::map_async), but for each key one future at a time: the next
    /// value of a key is begun when the one before it is done. Results leave in the order of the
    /// input.
    ///
    /// Values that wait for their key count as in flight. Each instance sees to its own values, so
    /// with several instances the values of a key have to come to one: behind a
    /// [`parallel`](DataStream::parallel) they don't.
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
    /// # async fn update((_user, amount): (&str, i64)) -> i64 { amount }
    /// let flow = Dataflow::new("accounts");
    /// let bookings = [("ann", 5), ("bob", 7), ("ann", -5)];
    /// let booked = flow
    ///     .source("bookings", source::from_iter(bookings))
    ///     .map_async_keyed(16, |(user, _)| *user, update)
    ///     .collect();
    /// assert_eq!(flow.run().await?.take(booked), Some(vec![5, 7, -5]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn map_async_keyed<K, U, R, F>(
        self,
        concurrency: impl Into<Concurrency>,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
        f: F,
    ) -> DataStream<U>
    where
        K: Hash,
        U: Send + 'static,
        R: Future<Output = U> + Send + 'static,
        F: FnMut(T) -> R + Clone + Send + 'static,
    {
        let lane = Some(lane(key));
        self.call("map_async_keyed", concurrency.into(), Order::AsAdmitted, lane, f)
    }

    /// As [`map_async_keyed`](DataStream::map_async_keyed), with results in the order in which they
    /// are there: order is kept within a key only.
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
    ///     .map_async_keyed_unordered(8, |n| n % 2, |n| async move { n * n })
    ///     .fold(0, |sum, n| *sum += n);
    /// assert_eq!(flow.run().await?.take(squares), Some(14));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn map_async_keyed_unordered<K, U, R, F>(
        self,
        concurrency: impl Into<Concurrency>,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
        f: F,
    ) -> DataStream<U>
    where
        K: Hash,
        U: Send + 'static,
        R: Future<Output = U> + Send + 'static,
        F: FnMut(T) -> R + Clone + Send + 'static,
    {
        let lane = Some(lane(key));
        self.call("map_async_keyed_unordered", concurrency.into(), Order::AsFinished, lane, f)
    }
}

pub(super) fn lane<T, K: Hash>(key: impl Fn(&T) -> K + Send + Sync + 'static) -> LaneOf<T> {
    Arc::new(move |value| stable_hash(&key(value)))
}
