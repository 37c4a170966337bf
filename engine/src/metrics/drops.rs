//! Why records are dropped: one set of reasons for everybody, so that a dashboard knows them all.

use super::Counter;

/// Why a record was taken and goes no further. The set is closed, so a label's values never come
/// from the data.
///
/// Every drop has one. An operator that drops on purpose says so where it does:
///
/// ```
/// use millstream_engine::metrics::{DropReason, OperatorCounters};
///
/// let counters = OperatorCounters::default();
/// counters.dropped(DropReason::Late, 1);
/// assert_eq!(counters.drops().of(DropReason::Late), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// User code returned an error for it, and the policy is to go on without it.
    Skipped,
    /// It went to the dead letters.
    DeadLetter,
    /// Its time was behind the watermark.
    Late,
    /// A buffer or an edge was full, and its policy gives something up rather than wait.
    Overflow,
    /// It was beyond a rate.
    Throttled,
    /// It was not among those that a sample keeps.
    Sampled,
    /// A newer value took its place.
    Superseded,
    /// It, or the state that it belonged to, was too old.
    Expired,
    /// An answer for it did not come in time.
    TimedOut,
    /// No branch, no subscriber and no partner was there for it.
    Unmatched,
    /// It was written to disk, and could not be read back.
    Damaged,
    /// Whoever it was for had enough.
    Cancelled,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::Skipped,
        Self::DeadLetter,
        Self::Late,
        Self::Overflow,
        Self::Throttled,
        Self::Sampled,
        Self::Superseded,
        Self::Expired,
        Self::TimedOut,
        Self::Unmatched,
        Self::Damaged,
        Self::Cancelled,
    ];

    /// As a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::DeadLetter => "dead_letter",
            Self::Late => "late",
            Self::Overflow => "overflow",
            Self::Throttled => "throttled",
            Self::Sampled => "sampled",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::TimedOut => "timed_out",
            Self::Unmatched => "unmatched",
            Self::Damaged => "damaged",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Counts of dropped records, by reason. One task writes, anybody reads.
#[derive(Debug, Default)]
pub(crate) struct DropCounters([Counter; DropReason::ALL.len()]);

impl DropCounters {
    pub(crate) fn add(&self, reason: DropReason, records: u64) {
        if let Some(counter) = self.0.get(reason as usize) {
            counter.add(records);
        }
    }

    pub(crate) fn read(&self) -> Drops {
        let mut drops = Drops::default();
        for (total, counter) in drops.0.iter_mut().zip(&self.0) {
            *total = counter.get();
        }
        drops
    }
}

/// How many records were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    /// Records dropped for one reason.
    pub(crate) fn one(reason: DropReason, records: u64) -> Self {
        let mut drops = Self::default();
        if let Some(count) = drops.0.get_mut(reason as usize) {
            *count = records;
        }
        drops
    }

    /// How many for this reason.
    #[must_use]
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// How many for all reasons together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons for which anything was dropped, with how much.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.into_iter().zip(self.0).filter(|(_, records)| *records > 0)
    }
}

impl std::ops::AddAssign for Drops {
    fn add_assign(&mut self, other: Self) {
        for (total, more) in self.0.iter_mut().zip(other.0) {
            *total += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m1_every_reason_has_a_place_and_a_label_of_its_own() {
        let counters = DropCounters::default();
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            counters.add(reason, index as u64 + 1);
        }
        let drops = counters.read();
        let read: Vec<_> = drops.iter().collect();
        let expected: Vec<_> = DropReason::ALL.into_iter().zip(1..).collect();
        assert_eq!(read, expected);
        let labels: std::collections::BTreeSet<_> =
            DropReason::ALL.into_iter().map(DropReason::label).collect();
        assert_eq!(labels.len(), DropReason::ALL.len());
    }
}
