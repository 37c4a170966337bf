//! The partial accumulators that one instance holds: by pane, and in it by key.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::hash::Hash;

use hashbrown::HashTable;
use millstream_engine::key::stable_hash;
use millstream_engine::time::Timestamp;

use super::WindowPane;
use crate::window::TimeWindow;

/// What is held of one key. Its hash is not: a table of many keys is as fast as it is small.
pub(super) struct Slot<K, A> {
    pub(super) key: K,
    pub(super) accumulator: A,
    /// The latest event time of its records.
    pub(super) time: Timestamp,
    pub(super) records: u64,
}

type Slots<K, A> = HashTable<Slot<K, A>>;

/// The keys of one pane. There is one at least.
pub(super) struct HeldPane<K, A> {
    pub(super) pane: WindowPane,
    slots: Slots<K, A>,
}

impl<K, A> HeldPane<K, A> {
    /// The slot of a key; where there is none, the key, made its own.
    #[inline]
    pub(super) fn find<Q>(&mut self, hash: u64, key: &Q) -> Result<&mut Slot<K, A>, K>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let found = self.slots.find_mut(hash, |slot| slot.key.borrow() == key);
        found.ok_or_else(|| key.to_owned())
    }
}

/// All that is held, the panes in the order of time.
pub(super) struct Held<K, A> {
    panes: VecDeque<HeldPane<K, A>>,
    /// How many keys there are in all of them.
    keys: usize,
    /// The place of the pane that was last looked for, and its span: most records lie in it, too.
    last: usize,
    last_span: TimeWindow,
    /// A table that is not in use.
    spare: Slots<K, A>,
}

/// One that nothing lies in.
const NO_SPAN: TimeWindow = TimeWindow::new(Timestamp::MAX, Timestamp::MIN);

impl<K, A> Held<K, A> {
    pub(super) const fn new() -> Self {
        Self {
            panes: VecDeque::new(),
            keys: 0,
            last: 0,
            last_span: NO_SPAN,
            spare: HashTable::new(),
        }
    }

    pub(super) const fn keys(&self) -> usize {
        self.keys
    }

    /// For how many keys there is memory.
    pub(super) fn capacity(&self) -> usize {
        self.panes.iter().map(|pane| pane.slots.capacity()).sum::<usize>() + self.spare.capacity()
    }

    /// The first pane.
    #[inline]
    pub(super) fn first(&mut self) -> Option<&mut HeldPane<K, A>> {
        self.panes.front_mut()
    }

    /// The pane that `time` lies in.
    #[inline]
    pub(super) fn at(&mut self, time: Timestamp) -> Option<&mut HeldPane<K, A>> {
        if !self.last_span.contains(time) {
            self.look_for(time)?;
        }
        self.panes.get_mut(self.last)
    }

    #[inline(never)]
    fn look_for(&mut self, time: Timestamp) -> Option<()> {
        let behind = self.panes.partition_point(|held| held.pane.span.start <= time);
        let place = behind.checked_sub(1)?;
        let span = self.panes.get(place)?.pane.span;
        span.contains(time).then(|| (self.last, self.last_span) = (place, span))
    }

    /// Adds the slot of a key that has none in its pane.
    pub(super) fn insert<Q>(&mut self, pane: WindowPane, hash: u64, slot: Slot<K, A>)
    where
        K: Borrow<Q>,
        Q: Hash + ?Sized,
    {
        let start = pane.span.start;
        let place = self.panes.partition_point(|held| held.pane.span.start < start);
        if self.panes.get(place).is_none_or(|held| held.pane.span.start != start) {
            let slots = std::mem::take(&mut self.spare);
            self.panes.insert(place, HeldPane { pane, slots });
            (self.last, self.last_span) = (place, pane.span);
        }
        if let Some(held) = self.panes.get_mut(place) {
            let rehash = |slot: &Slot<K, A>| stable_hash::<Q>(slot.key.borrow());
            held.slots.insert_unique(hash, slot, rehash);
            self.keys += 1;
        }
    }

    /// By when the first pane has to go.
    #[inline]
    pub(super) fn first_complete(&self) -> Option<Timestamp> {
        self.panes.front().map(|held| held.pane.complete)
    }

    /// Takes the first pane out, and gives its keys to `take` in no particular order.
    pub(super) fn take_first(&mut self, take: impl FnMut(Slot<K, A>)) {
        let Some(HeldPane { mut slots, .. }) = self.panes.pop_front() else {
            return;
        };
        self.last_span = NO_SPAN;
        self.keys -= slots.len();
        slots.drain().for_each(take);
        if slots.capacity() > self.spare.capacity() {
            self.spare = slots;
        }
    }
}
