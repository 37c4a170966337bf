//! `Sliding`: windows of one size that begin again and again, and overlap.

mod grid;
mod kept;
mod panes;
mod spans;

use std::time::Duration;

use millstream_engine::key::KeyOf;
use millstream_engine::time::Timestamp;

use grid::Grid;
pub use kept::Panorama;

use super::by_key::ByKey;
use super::{TimeWindow, Trigger, WindowRules, Windows};
use crate::aggregate::Aggregate;
use crate::combine::WindowPane;

/// Windows of one size, of which one begins with each step: the last hour, told every minute.
///
/// A window is a row of **panes**, and a record is added to the one pane that it lies in, however
/// many windows that is a part of. Each window that is told of costs a few merges, however long it
/// is. So the last day, told every second, is as cheap for each record as the last hour told every
/// hour.
///
/// Where the step is longer than the size, there are gaps between windows: a record there belongs
/// to none, and is counted as filtered, not as late.
///
/// # Late records
///
/// A record that comes late, within the [allowed
/// lateness](super::WindowedStream::allowed_lateness), has every window told of again that it lies
/// in, that is complete, and that is still kept: up to `size / step` of them. Those that have not
/// ended yet take it in without a word. It is too late if all its windows have been given up.
///
/// # State
///
/// For each key, one accumulator for each pane with records in it, and where that are more than
/// eight, the same again for putting windows together. A key goes with its last pane. A window of
/// a key without records is not told of, and costs nothing.
///
/// With another [trigger](super::WindowedStream::trigger) than the default, a record costs a little
/// for each window that it lies in: each has a state of its trigger then, and is asked.
///
/// ```
/// use std::time::Duration;
///
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let seconds = Duration::from_secs;
/// let flow = Dataflow::new("load");
/// let load = flow
///     .source("requests", source::from_iter([("a", 1), ("a", 5), ("a", 12), ("b", 14)]))
///     .event_time(|request| Timestamp::from_millis(request.1 * 1_000), Watermarks::monotonic())
///     .key_by(|request| request.0)
///     .window(Sliding::of(seconds(10), seconds(5)))
///     .count()
///     .map(|load| (load.key, load.window.end.as_millis() / 1_000, load.value))
///     .collect();
/// let mut load = flow.run().await?.take(load).unwrap_or_default();
/// load.sort();
/// let of_a = [("a", 5, 1), ("a", 10, 2), ("a", 15, 2), ("a", 20, 1)];
/// assert_eq!(load, [&of_a[..], &[("b", 15, 1), ("b", 20, 1)]].concat());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding(Grid);

impl Sliding {
    /// Windows of `size`, of which one begins with each `step`, counted from 1970. Both are at
    /// least a millisecond. The size need be no multiple of the step, nor longer.
    #[must_use]
    pub fn of(size: Duration, step: Duration) -> Self {
        Self(Grid::new(size, step))
    }

    /// Lets windows begin `offset` later: half past, with an offset of half an hour.
    #[must_use]
    pub fn offset(self, offset: Duration) -> Self {
        Self(self.0.with_offset(offset))
    }
}

impl Sliding {
    /// The pane that `time` lies in, and when the first of its windows is complete.
    pub(crate) fn pane(&self, time: Timestamp) -> Option<WindowPane> {
        let span = self.0.pane_span(time)?;
        let complete = self.0.window(self.0.first_behind(span.start)).end;
        Some(WindowPane { span, complete })
    }
}

impl<T: Send + 'static> Windows<T> for Sliding {
    type Window = TimeWindow;

    type Operator<K, G, R>
        = ByKey<T, K, G, R, Self>
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
        ByKey::new(self, key, aggregate, rules)
    }
}
