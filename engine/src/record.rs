//! A record: a value and when it happened.

use crate::time::Timestamp;

/// A value and its event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<T> {
    /// What happened.
    pub value: T,
    /// When it happened; [`Timestamp::MIN`] if nobody has said.
    pub time: Timestamp,
}

impl<T> Record<T> {
    /// A record without an event time.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { value, time: Timestamp::MIN }
    }

    /// A record of something that happened at `time`.
    #[must_use]
    pub const fn at(value: T, time: Timestamp) -> Self {
        Self { value, time }
    }

    /// The same event time around another value.
    #[inline]
    #[must_use]
    pub fn with<U>(self, value: impl FnOnce(T) -> U) -> Record<U> {
        Record { value: value(self.value), time: self.time }
    }
}

impl<T> From<T> for Record<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}
