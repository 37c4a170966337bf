//! Windows whose bounds depend on time alone, the same for all keys: tumbling, calendar.
//!
//! State is laid out by window and then by key. Records mostly hit the window that the one before
//! did, so finding a record's place is one look into one hash table; and a window that is complete
//! goes as a whole.

mod by_processing_time;
mod operator;
mod pane;
mod slots;
mod state;
mod tell;
#[cfg(test)]
mod tests;

pub use by_processing_time::ByProcessingTime;
pub use operator::Aligned;

use millstream_engine::key::KeyOf;
use millstream_engine::time::Timestamp;

use super::{TimeWindow, Trigger, WindowRules, Windows};
use crate::aggregate::Aggregate;

/// Windows whose bounds depend on time alone, one for each point in time. Implement it for a kind
/// of your own, and it can be given to [`window`](crate::KeyedStream::window):
///
/// ```
/// use std::time::Duration;
/// use millstream_operators::prelude::*;
/// use millstream_operators::window::{AlignedWindows, TimeWindow};
///
/// /// The first second, and everything after it.
/// #[derive(Clone)]
/// struct WarmUp;
///
/// impl AlignedWindows for WarmUp {
///     fn window_of(&self, time: Timestamp) -> TimeWindow {
///         let second = Timestamp::from_millis(1000);
///         if time < second {
///             return TimeWindow::new(Timestamp::MIN, second);
///         }
///         TimeWindow::new(second, Timestamp::MAX)
///     }
/// }
///
/// let flow = Dataflow::new("warm-up");
/// let times = flow.source("times", source::from_iter([300, 700, 5000]));
/// let times = times.event_time(|t| Timestamp::from_millis(*t), Watermarks::monotonic());
/// times.key_by(|_| ()).window(WarmUp);
/// ```
pub trait AlignedWindows: Clone + Send + 'static {
    /// Whether time is the clock's, and not that of the records.
    const BY_CLOCK: bool = false;

    /// The window that `time` lies in. No two of them overlap.
    fn window_of(&self, time: Timestamp) -> TimeWindow;

    /// The same windows by the clock: a record lies in the window in which it comes, whenever it
    /// happened. Nothing is late then, and no event time is needed; but a result depends on when
    /// the job ran, and reading the clock costs each record something.
    ///
    /// A window is told of by a timer when the clock reaches its end. The result's event time is
    /// the last point of the window, by the clock.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// let flow = Dataflow::new("requests");
    /// let requests = flow.source("requests", source::from_iter(["/", "/about"]));
    /// let by_second = Tumbling::of(Duration::from_secs(1)).by_processing_time();
    /// requests.key_by_ref(|path| *path).window(by_second);
    /// ```
    #[must_use]
    fn by_processing_time(self) -> ByProcessingTime<Self> {
        ByProcessingTime(self)
    }
}

impl<T: Send + 'static, W: AlignedWindows> Windows<T> for W {
    type Window = TimeWindow;
    type Operator<K, G, R>
        = Aligned<T, W, K, G, R>
    where
        K: KeyOf<T, Owned: Clone>,
        G: Aggregate<T>,
        R: Trigger;

    fn operator<K, G, R>(
        self,
        key: K,
        aggregate: G,
        rules: WindowRules<T, R>,
    ) -> Self::Operator<K, G, R>
    where
        K: KeyOf<T, Owned: Clone>,
        G: Aggregate<T>,
        R: Trigger,
    {
        Aligned::new(self, key, aggregate, rules)
    }
}
