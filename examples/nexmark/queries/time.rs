//! Days and minutes of the calendar in UTC, as `DATE_FORMAT` writes them.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A day, by its number since 1970: `yyyy-MM-dd`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(i64);

impl Day {
    pub(crate) const fn of(time: i64) -> Self {
        Self(time.div_euclid(DAY))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let midnight = jiff::Timestamp::from_millisecond(self.0.saturating_mul(DAY));
        write!(f, "{}", midnight.unwrap_or_default().strftime("%Y-%m-%d"))
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A minute of any day, by its number since midnight: `HH:mm`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Minute(i64);

impl Minute {
    pub(crate) const fn of(time: i64) -> Self {
        Self(time.rem_euclid(DAY) / MINUTE)
    }

    pub(crate) const fn hour(self) -> i64 {
        self.0 / 60
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for Minute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
