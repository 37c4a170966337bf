//! `combined` without a key: windows of a stream, aggregated in two steps.

use std::fmt;

use millstream_engine::chain::Chain;
use millstream_engine::key::Made;

use super::{CombinedWindows, PanedWindows};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets each instance of the stream aggregate its own records, before those of all instances
    /// come together in windows without a key. So [`window_all`](DataStream::window_all) is no
    /// longer as fast as one core: what the one instance behind gets of a window is a partial
    /// accumulator from each of those before it, which hold `entries` at most, one a window.
    ///
    /// What is said of [`KeyedStream::combined`](crate::KeyedStream::combined) holds here, too.
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
    ///     .parallel(4)
    ///     .combined(100)
    ///     .window_all(Tumbling::of(Duration::from_secs(1)))
    ///     .count()
    ///     .map(|second| second.value)
    ///     .collect();
    /// assert_eq!(flow.run().await?.take(by_second), Some(vec![2, 1]));
    /// # Ok(())
    /// # }
    /// ```
    pub const fn combined(self, entries: usize) -> CombinedAll<T, C> {
        CombinedAll { stream: self, entries }
    }
}

/// Records without a key that are merged before they come together. What is said on it is into
/// which windows.
#[must_use = "a stream that goes nowhere is a mistake: say into which windows"]
pub struct CombinedAll<T, C> {
    stream: DataStream<T, C>,
    entries: usize,
}

/// Records that belong to windows and to no key but `()`, and are merged before they come together.
pub type CombinedWindowsAll<T, C, W> = CombinedWindows<T, C, Made<fn(&T)>, W>;

impl<T: Send + 'static, C: Chain<Item = T>> CombinedAll<T, C> {
    /// As [`DataStream::window_all`], of windows that depend on nothing but event time.
    pub fn window_all<W: PanedWindows>(self, windows: W) -> CombinedWindowsAll<T, C, W> {
        let keyed = self.stream.key_by((|_| ()) as fn(&T)).parallel(1);
        keyed.combined(self.entries).window(windows)
    }
}

impl<T, C> fmt::Debug for CombinedAll<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CombinedAll").field("entries", &self.entries).finish_non_exhaustive()
    }
}
