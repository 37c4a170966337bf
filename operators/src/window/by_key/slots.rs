//! The keys that windows are kept of, and the order in which something is due of them.
//!
//! Each key stands in a heap with a *mark*, which need not be the time at which something is due,
//! only never later. So what moves it later, as each record of a session does, leaves the heap
//! alone: the mark is corrected when it is met. What moves it earlier puts up another mark, and the
//! one before counts for nothing.

use std::borrow::Borrow;

use hashbrown::HashTable;
use hashbrown::hash_table::OccupiedEntry;
use millstream_engine::time::Timestamp;

use super::marks::Marks;
use super::{NEVER, Placed, Plan};
use crate::waste::{FEW, is_wasteful};

pub(super) struct Slots<K, V> {
    table: HashTable<Slot<K, V>>,
    /// By the watermark: each key has one that counts.
    marks: Marks,
    /// By the clock: a key has one at most that counts.
    alarms: Marks,
}

struct Slot<K, V> {
    hash: u64,
    key: K,
    kept: V,
    mark: Timestamp,
    alarm: Timestamp,
}

impl<K, V> Default for Slots<K, V> {
    fn default() -> Self {
        Self { table: HashTable::new(), marks: Marks::default(), alarms: Marks::default() }
    }
}

impl<K, V> Slots<K, V> {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.table.capacity() + self.marks.capacity() + self.alarms.capacity()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &K, &V)> {
        self.table.iter().map(|slot| (slot.hash, &slot.key, &slot.kept))
    }

    /// Adds a record to what is kept of its key. A key that is new stays if there is something to
    /// keep.
    #[inline]
    pub(super) fn add<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        add: impl FnOnce(&mut V) -> Placed,
    ) -> Placed
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
        V: Default,
    {
        let same = |slot: &Slot<K, V>| slot.hash == hash && slot.key.borrow() == key;
        let Some(slot) = self.table.find_mut(hash, same) else {
            let mut kept = V::default();
            let placed = add(&mut kept);
            if let Placed::In(plan) = placed {
                self.insert(hash, key.to_owned(), kept, plan);
            }
            return placed;
        };
        let placed = add(&mut slot.kept);
        if let Placed::In(plan) = placed
            && (plan.due < slot.mark || plan.alarm < slot.alarm)
        {
            if plan.due < slot.mark {
                slot.mark = plan.due;
                self.marks.push((plan.due, hash));
            }
            if plan.alarm < slot.alarm {
                slot.alarm = plan.alarm;
                self.alarms.push((plan.alarm, hash));
            }
            self.tidy();
        }
        placed
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, hash: u64, key: K, kept: V, Plan { due, alarm }: Plan) {
        let slot = Slot { hash, key, kept, mark: due, alarm };
        self.table.insert_unique(hash, slot, |slot| slot.hash);
        self.marks.push((due, hash));
        if alarm < NEVER {
            self.alarms.push((alarm, hash));
        }
    }

    /// The first mark. What is due first may be later.
    pub(super) fn first_mark(&self) -> Option<Timestamp> {
        self.marks.first()
    }

    /// The first alarm. It may be for nothing.
    #[inline]
    pub(super) fn first_alarm(&self) -> Option<Timestamp> {
        self.alarms.first()
    }

    /// Takes the first mark that is not later than `watermark`, and the key it is of. To be put
    /// back, or removed.
    #[inline]
    pub(super) fn pop_mark(
        &mut self,
        watermark: Timestamp,
    ) -> Option<(Timestamp, Taken<'_, K, V>)> {
        loop {
            let (time, hash) = self.marks.pop(watermark)?;
            let here = |slot: &Slot<K, V>| slot.hash == hash && slot.mark == time;
            if let Some(bucket) = self.table.find_bucket_index(hash, here) {
                let slot = self.table.get_bucket_entry(bucket).ok()?;
                let taken = Taken { slot, marks: &mut self.marks, alarms: &mut self.alarms };
                return Some((time, taken));
            }
        }
    }

    /// Takes the key of the first alarm that the clock has reached. To be put back, or removed.
    pub(super) fn pop_alarm(&mut self, now: Timestamp) -> Option<Taken<'_, K, V>> {
        loop {
            let (time, hash) = self.alarms.pop(now)?;
            let here = |slot: &Slot<K, V>| slot.hash == hash && slot.alarm == time;
            if let Some(bucket) = self.table.find_bucket_index(hash, here) {
                let mut slot = self.table.get_bucket_entry(bucket).ok()?;
                slot.get_mut().alarm = NEVER;
                return Some(Taken { slot, marks: &mut self.marks, alarms: &mut self.alarms });
            }
        }
    }

    /// Drops the marks that count for nothing, once they outweigh the others, and gives memory back
    /// that is mostly unused.
    pub(super) fn tidy(&mut self) {
        let most = 2 * self.table.len() + FEW;
        let empty = self.table.is_empty();
        if self.marks.len() > most || empty {
            self.marks.replace(self.table.iter().map(|slot| (slot.mark, slot.hash)));
        }
        if self.alarms.len() > most || empty {
            let alarms = self.table.iter().filter(|slot| slot.alarm < NEVER);
            self.alarms.replace(alarms.map(|slot| (slot.alarm, slot.hash)));
        }
        if is_wasteful(self.table.capacity(), self.table.len()) {
            self.table.shrink_to(2 * self.table.len(), |slot| slot.hash);
        }
        self.marks.shrink();
        self.alarms.shrink();
    }
}

/// A key whose mark has been taken out.
pub(super) struct Taken<'a, K, V> {
    slot: OccupiedEntry<'a, Slot<K, V>>,
    marks: &'a mut Marks,
    alarms: &'a mut Marks,
}

impl<K, V> Taken<'_, K, V> {
    pub(super) fn key(&self) -> &K {
        &self.slot.get().key
    }

    pub(super) fn kept(&mut self) -> &mut V {
        &mut self.slot.get_mut().kept
    }

    /// Puts up the marks again, where they are due.
    pub(super) fn put_back(mut self, Plan { due, alarm }: Plan) {
        let slot = self.slot.get_mut();
        slot.mark = due;
        self.marks.push((due, slot.hash));
        if alarm < slot.alarm {
            slot.alarm = alarm;
            self.alarms.push((alarm, slot.hash));
        }
    }

    /// Removes the key.
    pub(super) fn remove(self) -> K {
        self.slot.remove().0.key
    }
}
