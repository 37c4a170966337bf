//! A value for each key, in memory, and how all of them are written down.

use std::borrow::Borrow;
use std::hash::Hash;
use std::hint::black_box;

use hashbrown::HashTable;
use hashbrown::hash_table::IntoIter;
use millstream_engine::key::stable_hash;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;

use super::recency::Recency;
pub(crate) use crate::state::without_uid;
use crate::state::{ByGroup, Codec, State, check_group};

/// How many bytes of slots are in the cache anyway: half of what the second level of a core has
/// these days.
const CACHED_MAX: usize = 512 * 1024;

/// How many slots are waited for at the same time. With 8 or 32 it takes as long.
const PREFETCHED: usize = 16;

/// What is kept for one key.
pub(crate) struct Slot<K, A> {
    /// Kept, so that the table can grow without hashing a key again.
    hash: u64,
    pub(crate) key: K,
    pub(crate) value: A,
    /// The latest event time of the key's records.
    pub(crate) time: Timestamp,
}

/// The slots of a table that is being emptied.
pub(crate) type Leaving<K, A> = IntoIter<Slot<K, A>>;

/// A value for each key, found by the hash that travelled with the record.
pub(crate) struct KeyedTable<K, A> {
    slots: HashTable<Slot<K, A>>,
    /// Which have been used lately, where that counts.
    recency: Option<Recency>,
}

impl<K, A> KeyedTable<K, A> {
    pub(crate) const fn new() -> Self {
        Self { slots: HashTable::new(), recency: None }
    }

    /// An empty one that knows which keys have been used lately.
    pub(crate) fn by_recency() -> Self {
        Self { slots: HashTable::new(), recency: Some(Recency::default()) }
    }

    /// An empty one of the same kind.
    pub(crate) fn blank(&self) -> Self {
        if self.recency.is_some() { Self::by_recency() } else { Self::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot of a key; where there is none, the key, made its own.
    #[inline]
    pub(crate) fn find<Q>(&mut self, hash: u64, key: &Q) -> Result<&mut Slot<K, A>, K>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let same = |slot: &Slot<K, A>| slot.hash == hash && slot.key.borrow() == key;
        let found = if let Some(recency) = &mut self.recency {
            let bucket = self.slots.find_bucket_index(hash, same);
            bucket.inspect(|bucket| recency.touch(*bucket));
            bucket.and_then(|bucket| self.slots.get_bucket_mut(bucket))
        } else {
            self.slots.find_mut(hash, same)
        };
        found.ok_or_else(|| key.to_owned())
    }

    /// Brings the slots of the first of these hashes into the CPU's cache, if they may be anywhere
    /// else, and tells of how many: then one need not be waited for after the other.
    #[inline]
    pub(crate) fn prefetch(&self, hashes: impl ExactSizeIterator<Item = u64>) -> usize {
        let count = hashes.len();
        if self.slots.allocation_size() <= CACHED_MAX {
            return count;
        }
        let slot = |hash| self.slots.find(hash, |slot| slot.hash == hash);
        // What is read is used for nothing, and would not be read otherwise.
        black_box(hashes.take(PREFETCHED).filter_map(slot).count());
        count.min(PREFETCHED)
    }

    /// What is kept of a key. That it was looked at is no use of it.
    pub(crate) fn get<Q>(&self, hash: u64, key: &Q) -> Option<&A>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let same = |slot: &Slot<K, A>| slot.hash == hash && slot.key.borrow() == key;
        self.slots.find(hash, same).map(|slot| &slot.value)
    }

    /// Every slot, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot<K, A>> {
        self.slots.iter()
    }

    /// Adds the slot of a key that has none.
    pub(crate) fn insert(&mut self, hash: u64, key: K, value: A, time: Timestamp) {
        let slot = Slot { hash, key, value, time };
        if let Some(recency) = &mut self.recency {
            recency.make_room(&mut self.slots, |slot| slot.hash);
        }
        let entry = self.slots.insert_unique(hash, slot, |slot| slot.hash);
        if let Some(recency) = &mut self.recency {
            recency.enter(entry.bucket_index());
        }
    }

    /// Takes out a key that has not been used lately.
    pub(crate) fn evict(&mut self) -> Option<Slot<K, A>> {
        let bucket = self.recency.as_mut()?.oldest(&self.slots)?;
        let (slot, _) = self.slots.get_bucket_entry(bucket).ok()?.remove();
        Some(slot)
    }

    /// Empties the table.
    pub(crate) fn leave(&mut self) -> Leaving<K, A> {
        std::mem::replace(&mut self.slots, HashTable::new()).into_iter()
    }

    /// Writes every slot, by key group: the key, the time in milliseconds, the value. The order is
    /// that of the hashes, so that the same state is always the same bytes.
    pub(crate) fn snapshot(
        &self,
        codec: Option<TableCodec<K, A>>,
        state: &mut StateWriter,
    ) -> Result<(), StateError> {
        let codec = codec.ok_or_else(without_uid)?;
        let mut groups = ByGroup::default();
        for slot in &self.slots {
            let mut bytes = Vec::new();
            codec.key.write(&slot.key, &mut bytes)?;
            codec.time.write(&slot.time.as_millis(), &mut bytes)?;
            codec.value.write(&slot.value, &mut bytes)?;
            groups.add(slot.hash, bytes);
        }
        groups.write(state);
        Ok(())
    }

    /// Takes over what [`snapshot`](KeyedTable::snapshot) wrote.
    pub(crate) fn restore<Q>(
        &mut self,
        codec: Option<TableCodec<K, A>>,
        state: &StateReader<'_>,
    ) -> Result<(), StateError>
    where
        K: Borrow<Q>,
        Q: Hash + ?Sized,
    {
        let codec = codec.ok_or_else(without_uid)?;
        for (group, mut bytes) in state.key_groups() {
            while !bytes.is_empty() {
                let key = codec.key.read(&mut bytes)?;
                let time = Timestamp::from_millis(codec.time.read(&mut bytes)?);
                let value = codec.value.read(&mut bytes)?;
                let hash = stable_hash(key.borrow());
                check_group(hash, group)?;
                self.insert(hash, key, value, time);
            }
        }
        Ok(())
    }
}

/// How keys and values of a table are written.
pub(crate) struct TableCodec<K, A> {
    key: Codec<K>,
    time: Codec<i64>,
    value: Codec<A>,
}

impl<K: State, A: State> TableCodec<K, A> {
    pub(crate) const fn new() -> Self {
        Self { key: Codec::new(), time: Codec::new(), value: Codec::new() }
    }
}

impl<K, A> Clone for TableCodec<K, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, A> Copy for TableCodec<K, A> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_looked_at_ahead_where_they_are_too_many_for_the_cache() {
        let mut table = KeyedTable::<u64, u64>::new();
        let fill = |table: &mut KeyedTable<u64, u64>, keys: std::ops::Range<u64>| {
            for key in keys {
                table.insert(stable_hash(&key), key, key, Timestamp::MIN);
            }
        };
        let look = |table: &KeyedTable<u64, u64>, keys: std::ops::Range<usize>| {
            table.prefetch(keys.map(|key| stable_hash(&(key as u64))))
        };
        fill(&mut table, 0..100);
        assert_eq!(look(&table, 0..400), 400, "there is nothing to wait for");
        fill(&mut table, 100..100_000);
        assert_eq!(look(&table, 0..400), PREFETCHED);
        assert_eq!(look(&table, 0..7), 7);
        assert_eq!(look(&table, 99_990..100_010), PREFETCHED, "some have no slot yet");
        assert_eq!(look(&table, 0..0), 0);
    }
}
