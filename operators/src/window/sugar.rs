//! What is told of windows most often, in a word.

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;

use super::{Aggregated, Trigger, WindowedStream, Windows};
use crate::aggregate::{Count, Reduce};

impl<T, C, K, W, R> WindowedStream<T, C, K, W, R>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    K: KeyOf<T, Owned: Clone>,
    W: Windows<T>,
    R: Trigger,
{
    /// Counts the records of each key in each window.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("words by minute");
    /// let words = flow.source("words", source::from_iter([(1, "to"), (2, "be"), (3, "to")]));
    /// let most = words
    ///     .event_time(|word| Timestamp::from_millis(word.0 * 1000), Watermarks::monotonic())
    ///     .key_by(|(_, word)| *word)
    ///     .window(Tumbling::of(Duration::from_secs(60)))
    ///     .count()
    ///     .fold(0, |most, told| *most = told.value.max(*most));
    /// assert_eq!(flow.run().await?.take(most), Some(2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn count(self) -> Aggregated<T, C, K, W, Count, R> {
        self.aggregate(Count)
    }

    /// Makes one record of all records of a key in a window, two at a time. The closure gets the
    /// earlier one first, and has to be [associative](Reduce). What is told is always `Some`, for
    /// no window is told of that has no records.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("warmest of two");
    /// let degrees = flow.source("degrees", source::from_iter([20, 22, 21, 19, 24]));
    /// let warmest = degrees
    ///     .key_by(|_| "kitchen")
    ///     .window(CountWindows::of(2))
    ///     .reduce(|one: &i32, other: &i32| *one.max(other))
    ///     .map(|told| told.value)
    ///     .collect();
    /// assert_eq!(flow.run().await?.take(warmest), Some(vec![Some(22), Some(21)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn reduce<F>(self, f: F) -> Aggregated<T, C, K, W, Reduce<F>, R>
    where
        T: Clone,
        F: Fn(&T, &T) -> T + Clone + Send + 'static,
    {
        self.aggregate(Reduce::with(f))
    }
}
