//! Event time: when something happened, in milliseconds since the Unix epoch.

use std::fmt;
use std::time::Duration;

/// A point in event time: milliseconds since 1970-01-01T00:00:00 UTC, negative before it.
///
/// Arithmetic saturates, so that hostile times can't panic. [`Timestamp::MIN`] doubles as "no
/// event time yet", as Flink's `Long.MIN_VALUE` does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Earlier than every record: what a record without an event time carries.
    pub const MIN: Self = Self(i64::MIN);
    /// Later than every record: the watermark that says "nothing more will come".
    pub const MAX: Self = Self(i64::MAX);

    /// The point `millis` milliseconds after the epoch (before it, if negative).
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This point moved later by `by`, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(millis(by)))
    }

    /// This point moved earlier by `by`, at least [`Timestamp::MIN`].
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(millis(by)))
    }
}

/// From one end of time to the other it is as many as a `u64` holds.
fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MIN => f.write_str("none"),
            Self::MAX => f.write_str("end of time"),
            Self(millis) => write!(f, "{millis} ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let long = Duration::from_secs(u64::MAX);
        assert_eq!(Timestamp::from_millis(5).saturating_add(long), Timestamp::MAX);
        assert_eq!(Timestamp::from_millis(-5).saturating_sub(long), Timestamp::MIN);
        assert_eq!(Timestamp::MAX.saturating_add(Duration::from_millis(1)), Timestamp::MAX);
        // All of time is longer than an `i64` says.
        assert_eq!(Timestamp::MIN.saturating_add(long), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.saturating_sub(long), Timestamp::MIN);
        let all = Duration::from_millis(u64::MAX);
        assert_eq!(Timestamp::MIN.saturating_add(all), Timestamp::MAX);
    }
}
