//! A value for each key, in memory.

use std::borrow::Borrow;

use hashbrown::HashTable;
use hashbrown::hash_table::IntoIter;
use millstream_engine::time::Timestamp;

/// What is kept for one key.
pub(super) struct Slot<K, A> {
    /// Kept, so that the table can grow without hashing a key again.
    hash: u64,
    pub(super) key: K,
    pub(super) value: A,
    /// The latest event time of the key's records.
    pub(super) time: Timestamp,
}

/// The slots of a table that is being emptied.
pub(super) type Leaving<K, A> = IntoIter<Slot<K, A>>;

/// A value for each key, found by the hash that travelled with the record.
pub(super) struct KeyedState<K, A> {
    slots: HashTable<Slot<K, A>>,
}

impl<K, A> KeyedState<K, A> {
    pub(super) const fn new() -> Self {
        Self { slots: HashTable::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot of a key; where there is none, the key, made its own.
    #[inline]
    pub(super) fn find<Q>(&mut self, hash: u64, key: &Q) -> Result<&mut Slot<K, A>, K>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let same = |slot: &Slot<K, A>| slot.hash == hash && slot.key.borrow() == key;
        self.slots.find_mut(hash, same).ok_or_else(|| key.to_owned())
    }

    /// Adds the slot of a key that has none.
    pub(super) fn insert(&mut self, hash: u64, key: K, value: A, time: Timestamp) {
        let slot = Slot { hash, key, value, time };
        self.slots.insert_unique(hash, slot, |slot| slot.hash);
    }

    /// Empties the table.
    pub(super) fn leave(&mut self) -> Leaving<K, A> {
        std::mem::replace(&mut self.slots, HashTable::new()).into_iter()
    }
}
