//! `window_all`: windows of a stream without keys.

use millstream_engine::chain::Chain;
use millstream_engine::key::Made;

use super::{WindowedStream, Windows};
use crate::DataStream;

/// Records that belong to windows, and to no key but `()`.
pub type WindowedAll<T, C, W> = WindowedStream<T, C, Made<fn(&T)>, W>;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Cuts the records into windows, without a key: all of them go to one instance, however many
    /// the stream has. What is told has the key `()`.
    ///
    /// One instance is as fast as one core. Where that is not enough, let all instances aggregate
    /// their own records first: [`combined`](DataStream::combined) does that.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("visitors");
    /// let visits = flow.source("visits", source::from_iter([100, 900, 1500]));
    /// let by_second = visits
    ///     .event_time(|millis| Timestamp::from_millis(*millis), Watermarks::monotonic())
    ///     .window_all(Tumbling::of(Duration::from_secs(1)))
    ///     .count()
    ///     .map(|second| second.value)
    ///     .collect();
    /// assert_eq!(flow.run().await?.take(by_second), Some(vec![2, 1]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn window_all<W: Windows<T>>(self, windows: W) -> WindowedAll<T, C, W> {
        self.key_by((|_| ()) as fn(&T)).parallel(1).window(windows)
    }
}
