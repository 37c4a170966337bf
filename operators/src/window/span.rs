//! A span of event time.

use std::fmt;
use std::time::Duration;

use millstream_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A window of event time: from `start`, inclusive, to `end`, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeWindow {
    /// The first point in it.
    pub start: Timestamp,
    /// The first point behind it.
    pub end: Timestamp,
}

impl TimeWindow {
    /// All of time. It is complete at the end of time only.
    pub const ALL: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    /// From `start` to `end`.
    #[must_use]
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// The last point in it, a millisecond before the end: the event time of what is told of it. So
    /// it belongs to the window of the same bounds in a later operator.
    #[must_use]
    pub fn last(self) -> Timestamp {
        self.end.saturating_sub(Duration::from_millis(1))
    }

    /// Whether `time` lies in it.
    #[must_use]
    pub fn contains(self, time: Timestamp) -> bool {
        self.start <= time && time < self.end
    }

    /// Whether it is complete: no record of it will follow behind this watermark.
    #[must_use]
    pub fn is_complete(self, watermark: Timestamp) -> bool {
        watermark >= self.end
    }

    /// Whether the two have a point in common: then as sessions they are one. So have two that end
    /// together, be it at the end of time, where nothing is longer than a point.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        (self.start < other.end && other.start < self.end) || self.end == other.end
    }

    /// The window from the earlier start to the later end.
    #[must_use]
    pub fn cover(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

/// In state, a window is its two bounds in milliseconds.
impl Serialize for TimeWindow {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.start.as_millis(), self.end.as_millis()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TimeWindow {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (start, end) = Deserialize::deserialize(deserializer)?;
        Ok(Self::new(Timestamp::from_millis(start), Timestamp::from_millis(end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: i64, end: i64) -> TimeWindow {
        TimeWindow::new(Timestamp::from_millis(start), Timestamp::from_millis(end))
    }

    #[test]
    fn h3_the_start_is_in_and_the_end_is_not() {
        let window = window(-10, 10);
        let inside = |millis| window.contains(Timestamp::from_millis(millis));
        assert_eq!([-11, -10, 9, 10].map(inside), [false, true, true, false]);
        assert_eq!(window.last(), Timestamp::from_millis(9));
        assert!(!window.is_complete(window.last()) && window.is_complete(window.end));
    }

    #[test]
    fn h5_windows_that_meet_do_not_overlap() {
        assert!(window(0, 10).overlaps(window(9, 12)) && window(9, 12).overlaps(window(0, 10)));
        assert!(!window(0, 10).overlaps(window(10, 12)), "its last point is 9");
        assert!(!window(10, 12).overlaps(window(0, 10)));
        assert!(window(i64::MAX - 1, i64::MAX).overlaps(window(i64::MAX, i64::MAX)));
        assert_eq!(window(0, 10).cover(window(5, 30)), window(0, 30));
    }
}
