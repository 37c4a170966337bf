//! The keys of one window.

use std::borrow::Borrow;
use std::hash::Hash;

use hashbrown::{HashTable, hash_table};
use millstream_engine::key::stable_hash;

use crate::window::kept::Kept;

/// The keys of one window, and what is kept of each. Their hashes are not kept: they are made anew
/// when a table grows, which one with room enough from the beginning does not.
pub(super) struct Slots<K, A, S> {
    /// Of those of which nothing has been told. So most windows are until they are given up, and a
    /// smaller slot is less memory to wait for.
    pub(super) untold: HashTable<Untold<K, A>>,
    /// Of the others. All are, once something has been told of one.
    kept: HashTable<Slot<K, A, S>>,
    is_untold: bool,
}

/// What is kept of a key of which nothing has been told.
pub(super) struct Untold<K, A> {
    pub(super) key: K,
    pub(super) accumulator: A,
}

/// What is kept of a key.
pub(super) struct Slot<K, A, S> {
    pub(super) key: K,
    pub(super) kept: Kept<A, S>,
}

/// What a table has for each key.
pub(super) trait OfKey {
    type Key;

    fn key(&self) -> &Self::Key;
}

impl<K, A> OfKey for Untold<K, A> {
    type Key = K;

    #[inline]
    fn key(&self) -> &K {
        &self.key
    }
}

impl<K, A, S> OfKey for Slot<K, A, S> {
    type Key = K;

    #[inline]
    fn key(&self) -> &K {
        &self.key
    }
}

/// The slot of a key, made where there is none. It takes the key as its own then.
#[inline]
pub(super) fn find_or_add<'a, E, Q>(
    table: &'a mut HashTable<E>,
    hash: u64,
    key: &Q,
    make: impl FnOnce(E::Key) -> E,
) -> &'a mut E
where
    E: OfKey<Key: Borrow<Q>>,
    Q: Hash + Eq + ToOwned<Owned = E::Key> + ?Sized,
{
    match table.find_entry(hash, |slot| slot.key().borrow() == key) {
        Ok(slot) => slot.into_mut(),
        Err(absent) => add(absent.into_table(), hash, make(key.to_owned())),
    }
}

/// Adds the slot of a key that has none: apart, so that the common way stays short.
#[cold]
#[inline(never)]
fn add<E, Q>(table: &mut HashTable<E>, hash: u64, slot: E) -> &mut E
where
    E: OfKey<Key: Borrow<Q>>,
    Q: Hash + ?Sized,
{
    table.insert_unique(hash, slot, |slot| stable_hash::<Q>(slot.key().borrow())).into_mut()
}

impl<K, A, S> Slots<K, A, S> {
    /// Those of a window that begins, with room for so many keys. It may begin `untold` if nothing
    /// is kept of a key besides its accumulator until something is told.
    pub(super) fn with_capacity(keys: usize, untold: bool) -> Self {
        let (of_untold, of_kept) = if untold { (keys, 0) } else { (0, keys) };
        Self {
            untold: HashTable::with_capacity(of_untold),
            kept: HashTable::with_capacity(of_kept),
            is_untold: untold,
        }
    }

    /// Whether nothing has been told of any of them.
    #[inline]
    pub(super) const fn is_untold(&self) -> bool {
        self.is_untold
    }

    pub(super) fn len(&self) -> usize {
        self.untold.len() + self.kept.len()
    }

    /// How many keys there is room for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.untold.capacity() + self.kept.capacity()
    }

    /// How many buckets there are for those that are kept.
    pub(super) fn kept_buckets(&self) -> usize {
        self.kept.num_buckets()
    }

    /// Those that are kept, if they are.
    pub(super) fn iter_kept(&self) -> impl Iterator<Item = &Slot<K, A, S>> {
        self.kept.iter()
    }
}

impl<K, A, S: Default> Slots<K, A, S> {
    /// The table of those of which something is told, which from here on are all.
    #[inline]
    pub(super) fn keep(&mut self, hash: impl Fn(&K) -> u64) -> &mut HashTable<Slot<K, A, S>> {
        if self.is_untold {
            self.begin_to_keep(hash);
        }
        &mut self.kept
    }

    #[cold]
    #[inline(never)]
    fn begin_to_keep(&mut self, hash: impl Fn(&K) -> u64) {
        self.is_untold = false;
        let hash = |slot: &Slot<K, A, S>| hash(&slot.key);
        self.kept.reserve(self.untold.len(), hash);
        for slot in std::mem::take(&mut self.untold) {
            let slot = Slot::from(slot);
            self.kept.insert_unique(hash(&slot), slot, hash);
        }
    }

    /// Adds a key that is not among them.
    pub(super) fn insert(&mut self, slot: Slot<K, A, S>, hash: impl Fn(&K) -> u64) {
        if self.is_untold && slot.kept.is_untold() {
            let slot = Untold { key: slot.key, accumulator: slot.kept.into_accumulator() };
            self.untold.insert_unique(hash(&slot.key), slot, |slot| hash(&slot.key));
        } else {
            let kept = self.keep(&hash);
            kept.insert_unique(hash(&slot.key), slot, |slot| hash(&slot.key));
        }
    }
}

impl<K, A, S: Default> IntoIterator for Slots<K, A, S> {
    type Item = Slot<K, A, S>;
    type IntoIter = IntoIter<K, A, S>;

    fn into_iter(self) -> Self::IntoIter {
        if self.is_untold {
            IntoIter::Untold(self.untold.into_iter())
        } else {
            IntoIter::Kept(self.kept.into_iter())
        }
    }
}

/// The keys of a window that is given up, one after the other.
pub(super) enum IntoIter<K, A, S> {
    Untold(hash_table::IntoIter<Untold<K, A>>),
    Kept(hash_table::IntoIter<Slot<K, A, S>>),
}

impl<K, A, S: Default> Iterator for IntoIter<K, A, S> {
    type Item = Slot<K, A, S>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Untold(slots) => slots.next().map(Slot::from),
            Self::Kept(slots) => slots.next(),
        }
    }
}

impl<K, A, S: Default> From<Untold<K, A>> for Slot<K, A, S> {
    #[inline]
    fn from(Untold { key, accumulator }: Untold<K, A>) -> Self {
        Self { key, kept: Kept::untold(accumulator) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(key: &u64) -> u64 {
        stable_hash(key)
    }

    fn untold(keys: u64) -> Slots<u64, u64, ()> {
        let mut slots = Slots::with_capacity(0, true);
        for key in 0..keys {
            let make = |key| Untold { key, accumulator: 0 };
            find_or_add(&mut slots.untold, hash(&key), &key, make).accumulator += key;
        }
        slots
    }

    fn taken(slots: Slots<u64, u64, ()>) -> Vec<(u64, u64)> {
        let pairs = slots.into_iter().map(|slot| (slot.key, slot.kept.into_accumulator()));
        let mut taken: Vec<_> = pairs.collect();
        taken.sort_unstable();
        taken
    }

    #[test]
    fn of_a_key_that_is_untold_nothing_is_kept_but_what_it_needs() {
        assert_eq!(size_of::<Untold<u64, u64>>(), 16);
        assert_eq!(size_of::<Slot<u64, u64, ()>>(), 24);
    }

    #[test]
    fn when_something_is_told_of_one_all_are_kept() {
        let expected: Vec<_> = (0..1_000).map(|key| (key, key)).collect();
        assert_eq!(taken(untold(1_000)), expected);

        let mut slots = untold(1_000);
        let kept = slots.keep(hash);
        assert!((0..1_000).all(|key| kept.find(hash(&key), |slot| slot.key == key).is_some()));
        assert!(!slots.is_untold() && slots.untold.is_empty());
        assert_eq!(slots.len(), 1_000);
        assert!(slots.iter_kept().all(|slot| slot.kept.is_untold()));
        assert_eq!(taken(slots), expected);
    }

    #[test]
    fn what_is_put_back_is_untold_until_one_is_not() {
        let mut slots = Slots::<u64, u64, ()>::with_capacity(0, true);
        slots.insert(Slot { key: 1, kept: Kept::untold(1) }, hash);
        assert!(slots.is_untold());
        slots.insert(Slot { key: 2, kept: Kept::new(2) }, hash);
        assert!(!slots.is_untold());
        slots.insert(Slot { key: 3, kept: Kept::untold(3) }, hash);
        assert_eq!(taken(slots), [(1, 1), (2, 2), (3, 3)]);
    }
}
