//! `Interval`: which times belong together.

use std::time::Duration;

use millstream_engine::time::Timestamp;

/// How much earlier or later than a left record a right one may happen to belong to it.
///
/// Both bounds are part of it, unless they are [excluded](Interval::exclude_lower). Times are
/// whole milliseconds, and what is less of a `Duration` does not count.
///
/// ```
/// use millstream_operators::prelude::*;
/// use std::time::Duration;
///
/// // A click belongs to what was shown in the five seconds before it, or at the same time.
/// let shown = Interval::before(Duration::from_secs(5));
/// assert_eq!(shown, Interval::from_millis(-5_000, 0));
/// // An order is paid within an hour, but not in the moment at which it was made.
/// let paid = Interval::after(Duration::from_secs(3600)).exclude_lower();
/// assert_eq!(paid, Interval::from_millis(1, 3_600_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval {
    lower: i64,
    upper: i64,
}

impl Interval {
    /// From `lower` to `upper` milliseconds after the left record: before it, where negative.
    ///
    /// # Panics
    ///
    /// If nothing lies between the two: `lower` is more than `upper`.
    #[must_use]
    #[track_caller]
    pub const fn from_millis(lower: i64, upper: i64) -> Self {
        assert!(lower <= upper, "an interval that ends before it begins: no times belong together");
        Self { lower, upper }
    }

    /// At the time of the left record, or up to so long before it.
    #[must_use]
    pub fn before(span: Duration) -> Self {
        Self { lower: -millis(span), upper: 0 }
    }

    /// At the time of the left record, or up to so long after it.
    #[must_use]
    pub fn after(span: Duration) -> Self {
        Self { lower: 0, upper: millis(span) }
    }

    /// Up to so long before or after the left record.
    #[must_use]
    pub fn around(span: Duration) -> Self {
        Self { lower: -millis(span), upper: millis(span) }
    }

    /// Without the earliest time of it.
    ///
    /// # Panics
    ///
    /// If that is the only one.
    #[must_use]
    #[track_caller]
    pub const fn exclude_lower(self) -> Self {
        Self::from_millis(self.lower.saturating_add(1), self.upper)
    }

    /// Without the latest time of it.
    ///
    /// # Panics
    ///
    /// If that is the only one.
    #[must_use]
    #[track_caller]
    pub const fn exclude_upper(self) -> Self {
        Self::from_millis(self.lower, self.upper.saturating_sub(1))
    }

    /// The first and the last time of what belongs to a left record. A time beyond the end of time
    /// is that end, at which nothing happens.
    pub(super) const fn of_left(self, time: Timestamp) -> (Timestamp, Timestamp) {
        (later(time, self.lower), later(time, self.upper))
    }

    /// The first and the last time of what belongs to a right record.
    pub(super) const fn of_right(self, time: Timestamp) -> (Timestamp, Timestamp) {
        (earlier(time, self.upper), earlier(time, self.lower))
    }

    /// How long after a left record a right one may still come that belongs to it.
    pub(super) fn left_waits(self) -> Duration {
        Duration::from_millis(u64::try_from(self.upper).unwrap_or(0))
    }

    /// How long after a right record a left one may still come that belongs to it.
    pub(super) fn right_waits(self) -> Duration {
        Duration::from_millis(self.lower.unsigned_abs() * u64::from(self.lower < 0))
    }
}

const fn later(time: Timestamp, by: i64) -> Timestamp {
    Timestamp::from_millis(time.as_millis().saturating_add(by))
}

const fn earlier(time: Timestamp, by: i64) -> Timestamp {
    Timestamp::from_millis(time.as_millis().saturating_sub(by))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn i2_what_belongs_to_the_one_side_is_what_the_other_belongs_to() {
        let bounds = [i64::MIN, -7, -1, 0, 1, 5, i64::MAX];
        // Nothing happens at either end of time.
        let times = [i64::MIN + 1, -8, -3, 0, 4, 9, i64::MAX - 1];
        for (lower, upper) in bounds.iter().flat_map(|lower| bounds.map(|upper| (*lower, upper))) {
            if lower > upper {
                continue;
            }
            let interval = Interval::from_millis(lower, upper);
            for (left, right) in times.iter().flat_map(|left| times.map(|right| (*left, right))) {
                let apart = i128::from(right) - i128::from(left);
                let belong = (i128::from(lower)..=i128::from(upper)).contains(&apart);
                let (first, last) = interval.of_left(at(left));
                assert_eq!((first..=last).contains(&at(right)), belong, "{interval:?}");
                let (first, last) = interval.of_right(at(right));
                assert_eq!((first..=last).contains(&at(left)), belong, "{interval:?}");
            }
        }
    }

    #[test]
    fn i2_an_interval_of_nothing_is_refused() {
        let nothing: [fn() -> Interval; 3] = [
            || Interval::from_millis(5, 4),
            || Interval::before(Duration::ZERO).exclude_lower(),
            || Interval::from_millis(3, 3).exclude_upper(),
        ];
        for make in nothing {
            let panic = std::panic::catch_unwind(make).unwrap_err();
            let said = panic.downcast_ref::<&str>().copied().unwrap_or_default();
            assert!(said.contains("an interval that ends before it begins"), "{said}");
        }
    }
}
