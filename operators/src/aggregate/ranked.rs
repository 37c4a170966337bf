//! Records by rank: what `MinBy`, `MaxBy`, `TopN`, `BottomN` and `WithTies` keep.

use serde::{Deserialize, Serialize};

/// A record, and what it is compared by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked<R, T> {
    rank: R,
    record: T,
}

impl<R, T: Clone> Ranked<R, T> {
    pub(super) fn record(&self) -> T {
        self.record.clone()
    }
}

impl<R, T> Ranked<R, T> {
    pub(super) fn into_record(self) -> T {
        self.record
    }

    pub(super) const fn parts(&self) -> (&R, &T) {
        (&self.rank, &self.record)
    }
}

/// Puts a record in place of `best` if its rank is `better`, so that of equals the first stays. The
/// record is only cloned if it is put there.
#[inline]
pub(super) fn offer<R, T: Clone>(
    best: &mut Option<Ranked<R, T>>,
    (rank, record): (R, &T),
    better: fn(&R, &R) -> bool,
) {
    if best.as_ref().is_none_or(|best| better(&rank, &best.rank)) {
        *best = Some(Ranked { rank, record: record.clone() });
    }
}

/// The same for the best of another accumulator.
pub(super) fn offer_best<R: Clone, T: Clone>(
    best: &mut Option<Ranked<R, T>>,
    other: &Option<Ranked<R, T>>,
    better: fn(&R, &R) -> bool,
) {
    if let Some(other) = other {
        offer(best, (other.rank.clone(), &other.record), better);
    }
}

/// Puts a record at its place among the `most` best, which are sorted, behind its equals.
#[inline]
pub(super) fn insert<R, T: Clone>(
    best: &mut Vec<Ranked<R, T>>,
    most: usize,
    (rank, record): (R, &T),
    better: fn(&R, &R) -> bool,
) {
    let is_full = best.len() >= most;
    // Once the best are found most records end here.
    if is_full && best.last().is_none_or(|last| !better(&rank, &last.rank)) {
        return;
    }
    let place = best.partition_point(|held| !better(&rank, &held.rank));
    if is_full {
        best.pop();
    }
    best.insert(place, Ranked { rank, record: record.clone() });
}

/// The same for all of another accumulator.
pub(super) fn insert_all<R: Clone, T: Clone>(
    best: &mut Vec<Ranked<R, T>>,
    most: usize,
    others: &[Ranked<R, T>],
    better: fn(&R, &R) -> bool,
) {
    for other in others {
        insert(best, most, (other.rank.clone(), &other.record), better);
    }
}

/// Puts a record at its place among the `most` best and those that are equal to the last of them.
#[inline]
pub(super) fn insert_with_ties<R, T: Clone>(
    best: &mut Vec<Ranked<R, T>>,
    most: usize,
    (rank, record): (R, &T),
    better: fn(&R, &R) -> bool,
) {
    let Some(last) = most.checked_sub(1) else { return };
    // Once the best are found most records end here.
    if best.get(last).is_some_and(|last| better(&last.rank, &rank)) {
        return;
    }
    let place = best.partition_point(|held| !better(&rank, &held.rank));
    best.insert(place, Ranked { rank, record: record.clone() });
    if let Some(last) = best.get(last) {
        let ties = best.partition_point(|held| !better(&last.rank, &held.rank));
        best.truncate(ties);
    }
}
