//! The times of one key: a sorted set that costs no allocation while it holds a single one.

use std::collections::{BTreeSet, VecDeque};

use millstream_engine::time::Timestamp;

/// From how many further times on a tree is faster than moving them about; and at how many of them
/// it is left again.
const MANY: usize = 512;
const FEW: usize = MANY / 4;

/// A set of times, the earliest at hand.
///
/// Most keys have one timer at a time (a window's end, a session's gap, a time to live), which is
/// kept in place. The next one usually comes behind all others, and the first goes first: that is
/// what a ring is quick at. A tree keeps keys with very many from becoming slow.
pub(super) struct Times {
    first: Option<Timestamp>,
    /// All later than the first; empty where there is no first.
    later: Later,
}

enum Later {
    /// In order.
    Few(VecDeque<Timestamp>),
    Many(BTreeSet<Timestamp>),
}

impl Times {
    pub(super) const fn of(time: Timestamp) -> Self {
        Self { first: Some(time), later: Later::Few(VecDeque::new()) }
    }

    #[inline]
    pub(super) const fn first(&self) -> Option<Timestamp> {
        self.first
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn len(&self) -> usize {
        let later = match &self.later {
            Later::Few(times) => times.len(),
            Later::Many(times) => times.len(),
        };
        usize::from(self.first.is_some()) + later
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Timestamp> {
        let (few, many) = match &self.later {
            Later::Few(times) => (Some(times), None),
            Later::Many(times) => (None, Some(times)),
        };
        let later = few.into_iter().flatten().chain(many.into_iter().flatten());
        self.first.into_iter().chain(later.copied())
    }

    /// Whether the time is new.
    #[inline]
    pub(super) fn insert(&mut self, time: Timestamp) -> bool {
        match self.first {
            Some(first) if time == first => false,
            Some(first) if time > first => self.later.insert(time),
            Some(first) => {
                self.first = Some(time);
                self.later.insert(first)
            }
            None => {
                self.first = Some(time);
                true
            }
        }
    }

    /// Whether the time was there.
    #[inline]
    pub(super) fn remove(&mut self, time: Timestamp) -> bool {
        if self.first == Some(time) {
            self.pop_first();
            return true;
        }
        self.later.remove(time)
    }

    /// Removes the earliest time.
    #[inline]
    pub(super) fn pop_first(&mut self) {
        self.first = self.later.pop_first();
    }
}

impl Later {
    #[inline]
    fn insert(&mut self, time: Timestamp) -> bool {
        let times = match self {
            Self::Few(times) if times.len() < MANY => times,
            Self::Few(times) => {
                let mut many: BTreeSet<_> = times.drain(..).collect();
                let new = many.insert(time);
                *self = Self::Many(many);
                return new;
            }
            Self::Many(times) => return times.insert(time),
        };
        if times.back().is_none_or(|last| *last < time) {
            times.push_back(time);
            return true;
        }
        let place = times.binary_search(&time);
        place.map_err(|place| times.insert(place, time)).is_err()
    }

    #[inline]
    fn remove(&mut self, time: Timestamp) -> bool {
        let removed = match self {
            Self::Few(times) => {
                times.binary_search(&time).is_ok_and(|at| times.remove(at).is_some())
            }
            Self::Many(times) => times.remove(&time),
        };
        self.shrink();
        removed
    }

    #[inline]
    fn pop_first(&mut self) -> Option<Timestamp> {
        let first = match self {
            Self::Few(times) => times.pop_front(),
            Self::Many(times) => times.pop_first(),
        };
        self.shrink();
        first
    }

    /// Gives memory back that is mostly unused, but what a handful of times takes.
    #[inline]
    fn shrink(&mut self) {
        match self {
            Self::Few(times) if times.capacity() > 8 && times.len() < times.capacity() / 4 => {
                times.shrink_to(2 * times.len());
            }
            Self::Few(_) => {}
            Self::Many(times) if times.len() > FEW => {}
            Self::Many(times) => *self = Self::Few(times.iter().copied().collect()),
        }
    }
}
