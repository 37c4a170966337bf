//! `Session`: windows that end when nothing has come for a while.

mod kept;
mod spans;

use std::fmt;
use std::time::Duration;

use millstream_engine::key::KeyOf;
use millstream_engine::time::Timestamp;

pub use kept::Sessions;

use super::by_key::ByKey;
use super::{TimeWindow, Trigger, WindowRules, Windows};
use crate::aggregate::Aggregate;

/// Windows that end when nothing has come for a while: the visits of a user, the trips of a car.
///
/// A record at `t` is a window from `t` to `t + gap`, and windows of one key that overlap are one
/// session. So it begins with its first record and ends a gap after the last, and its records are
/// less than a gap apart: one that comes exactly a gap behind the last begins another. (With Flink
/// it belongs to the session if that is still there, which depends on how far other partitions
/// have come. Here it never does.)
///
/// # Late records
///
/// A record that comes late, within the
/// [allowed lateness](super::WindowedStream::allowed_lateness), may lengthen a session that has
/// been told of, or **join two to one**. The session is then told of again,
/// [late](super::Firing::Late), under its new bounds, or when it is complete, if it no longer is.
/// What was told of its parts is not taken back one by one. The rule for whoever keeps results: *a
/// result takes the place of all earlier ones of its key whose windows lie within its own*.
///
/// A record is too late only if it overlaps no session that is still kept, and as a session of its
/// own would have been given up already.
///
/// # State
///
/// One accumulator for each session, of which most keys have one. A key goes with its last.
///
/// ```
/// use std::time::Duration;
///
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("visits");
/// let clicks = [("ann", 0), ("bob", 3), ("ann", 8), ("ann", 60)];
/// let visits = flow
///     .source("clicks", source::from_iter(clicks))
///     .event_time(|click| Timestamp::from_millis(click.1 * 60_000), Watermarks::monotonic())
///     .key_by(|click| click.0)
///     .window(Session::with_gap(Duration::from_secs(30 * 60)))
///     .count()
///     .map(|visit| (visit.key, visit.value))
///     .collect();
/// let visits = flow.run().await?.take(visits);
/// assert_eq!(visits, Some(vec![("bob", 1), ("ann", 2), ("ann", 1)]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Session<S = Duration> {
    gap: S,
}

impl Session {
    /// Sessions whose records are no more than `gap` apart, which is at least a millisecond.
    #[must_use]
    pub const fn with_gap(gap: Duration) -> Self {
        Self { gap }
    }

    /// Sessions that wait behind each record as long as it says itself: long for a purchase, short
    /// for a glance.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use millstream_operators::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct Click {
    ///     user: u32,
    ///     minutes: u64,
    /// }
    /// # let flow = Dataflow::new("doc");
    /// # let clicks = flow.source("clicks", source::from_iter([Click { user: 1, minutes: 5 }]));
    /// let gap = |click: &Click| Duration::from_secs(60 * click.minutes);
    /// clicks.key_by(|click| click.user).window(Session::with_gap_of(gap));
    /// ```
    #[must_use]
    pub const fn with_gap_of<T, F: Fn(&T) -> Duration>(gap: F) -> Session<F> {
        Session { gap }
    }
}

impl<S: fmt::Debug> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("gap", &self.gap).finish()
    }
}

/// How long a session waits behind a record: the same always, or as a closure says of each.
pub trait SessionGap<T>: Clone + Send + 'static {
    /// How long behind this one.
    fn gap(&self, value: &T) -> Duration;
}

impl<T> SessionGap<T> for Duration {
    #[inline]
    fn gap(&self, _value: &T) -> Duration {
        *self
    }
}

impl<T, F: Fn(&T) -> Duration + Clone + Send + 'static> SessionGap<T> for F {
    #[inline]
    fn gap(&self, value: &T) -> Duration {
        self(value)
    }
}

impl<S> Session<S> {
    /// The window that a record is by itself.
    #[inline]
    fn window<T>(&self, value: &T, time: Timestamp) -> TimeWindow
    where
        S: SessionGap<T>,
    {
        let gap = self.gap.gap(value).max(Duration::from_millis(1));
        TimeWindow::new(time, time.saturating_add(gap))
    }
}

impl<T: Send + 'static, S: SessionGap<T>> Windows<T> for Session<S> {
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
