//! The groups that are open: found by key, by age and by timer.

use std::collections::BTreeSet;

use hashbrown::HashTable;
use millstream_engine::time::Instant;

/// How far a group has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Live,
    /// Its operator has been told of the end; then it goes, or only its operator does.
    Ending {
        leaves: bool,
    },
    /// Its operator had enough. What still comes is left out, as long as the group is open.
    Over,
}

pub(super) struct Slot<K, O> {
    pub(super) key: K,
    pub(super) operator: Option<O>,
    pub(super) stage: Stage,
    /// In which period the last record came.
    pub(super) period: u64,
    hash: u64,
    timer: Option<Instant>,
    older: Option<usize>,
    newer: Option<usize>,
}

/// A bounded number of groups.
pub(super) struct Open<K, O> {
    slots: Vec<Option<Slot<K, O>>>,
    free: Vec<usize>,
    by_key: HashTable<usize>,
    timers: BTreeSet<(Instant, usize)>,
    oldest: Option<usize>,
    newest: Option<usize>,
}

impl<K: Eq, O> Open<K, O> {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashTable::new(),
            timers: BTreeSet::new(),
            oldest: None,
            newest: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// How many places there are: no more than have ever been open at once.
    pub(super) fn places(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn find(&self, hash: u64, key: &K) -> Option<usize> {
        let same = |index: &usize| self.get(*index).is_some_and(|slot| slot.key == *key);
        self.by_key.find(hash, same).copied()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Slot<K, O>> {
        self.slots.get(index)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Slot<K, O>> {
        self.slots.get_mut(index)?.as_mut()
    }

    /// Opens a group, the newest.
    pub(super) fn insert(&mut self, hash: u64, key: K, operator: O, period: u64) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let (operator, stage) = (Some(operator), Stage::Live);
        let (timer, older, newer) = (None, None, None);
        let slot = Slot { key, operator, stage, period, hash, timer, older, newer };
        if let Some(place) = self.slots.get_mut(index) {
            *place = Some(slot);
        }
        let slots = &self.slots;
        let hash_of = |index: &usize| {
            let slot = slots.get(*index).and_then(Option::as_ref);
            slot.map_or(0, |slot| slot.hash)
        };
        self.by_key.insert_unique(hash, index, hash_of);
        self.append(index);
        index
    }

    /// A record has come for a group, in this period.
    pub(super) fn touch(&mut self, index: usize, period: u64) {
        if let Some(slot) = self.get_mut(index) {
            slot.period = period;
        }
        if self.newest != Some(index) {
            self.unlink(index);
            self.append(index);
        }
    }

    /// The group whose last record is the longest ago.
    pub(super) const fn oldest(&self) -> Option<usize> {
        self.oldest
    }

    /// Frees everything that a group has.
    pub(super) fn remove(&mut self, index: usize) {
        self.set_timer(index, None);
        self.unlink(index);
        if let Some(slot) = self.slots.get_mut(index).and_then(Option::take) {
            if let Ok(entry) = self.by_key.find_entry(slot.hash, |other| *other == index) {
                entry.remove();
            }
            self.free.push(index);
        }
    }

    /// When a group is to be called next.
    pub(super) fn set_timer(&mut self, index: usize, due: Option<Instant>) {
        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        if slot.timer == due {
            return;
        }
        if let Some(before) = std::mem::replace(&mut slot.timer, due) {
            self.timers.remove(&(before, index));
        }
        if let Some(due) = due {
            self.timers.insert((due, index));
        }
    }

    /// The next group to be called, and when.
    pub(super) fn next_timer(&self) -> Option<(Instant, usize)> {
        self.timers.first().copied()
    }

    fn append(&mut self, index: usize) {
        let last = self.newest.replace(index);
        if let Some(slot) = self.get_mut(index) {
            (slot.older, slot.newer) = (last, None);
        }
        match last.and_then(|last| self.get_mut(last)) {
            Some(last) => last.newer = Some(index),
            None => self.oldest = Some(index),
        }
    }

    fn unlink(&mut self, index: usize) {
        let Some(slot) = self.get(index) else {
            return;
        };
        let (older, newer) = (slot.older, slot.newer);
        match older.and_then(|older| self.get_mut(older)) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match newer.and_then(|newer| self.get_mut(newer)) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
    }
}
