//! The timers of keys: a set of `(time, key)` that gives what is due in the order of time.
//!
//! A key has one timer at a time, however often it is registered. Timers fire in the order of
//! `(time, hash of the key)`; keys whose hashes collide, in the order in which they came to have
//! timers. None of it depends on what happened before a restore, if the timers are
//! [registered again](Timers::by_key) in the order they were written down in.
//!
//! **How it works.** Each key keeps its own times, sorted, and stands in one heap of keys with a
//! *mark*, which need not be its first time, only never later. So a timer that is moved later,
//! which is what a session does with every record, costs a look at the key and leaves the heap
//! alone: the mark is corrected when it is met. A key that gets an earlier timer puts up another
//! mark, and the one before counts for nothing. Deleting all timers of a key leaves no more than
//! its mark behind.
//!
//! **Memory** goes with the keys that have timers now: what is idle or counts for nothing is kept
//! to about as much as what is live, and tables that are mostly empty shrink.
//!
//! **Why this.** One million steps over 10,000 keys, nanoseconds a step, medians of five
//! interleaved rounds on two virtual cores, all with equal checksums of what fired. The others kept
//! the times of a key at hand too.
//!
//! | | this | heap, lazily deleted | tree of timers | tree of lists | wheel |
//! |---|---|---|---|---|---|
//! | sessions: register, delete the old | 27 | 69 | 205 | 158 | 54 |
//! | the same, next time asked for | 38 | 77 | 212 | 160 | 284 |
//! | the same, short, fired at each step | 108 | 137 | 202 | 146 | 97 |
//! | random times, then all fire | 134 | 574 | 576 | 1,011 | 363 |
//! | one time for all keys, three records each | 109 | 150 | 187 | 123 | 214 |
//! | register and fire | 65 | 75 | 97 | 68 | 66 |
//!
//! Only where nearly every step fires something is a wheel a little quicker, and it has to search
//! for the next time.

#[cfg(test)]
mod tests;
mod times;

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use hashbrown::HashTable;
use millstream_engine::key::key_group;
use millstream_engine::time::Timestamp;

use times::Times;

use crate::waste::{FEW, is_wasteful};

/// The timers of all keys of one instance, in one notion of time: event time and processing time
/// take a set each.
pub(crate) struct Timers<K> {
    /// The keys with timers, and idle ones, whose last was deleted and whose mark is not yet met.
    slots: HashTable<Slot<K>>,
    marks: BinaryHeap<Reverse<Mark>>,
    /// How many timers there are.
    len: usize,
    /// How many slots are idle.
    idle: usize,
    /// How many serials have been given away.
    serials: u64,
}

/// A key, and its times.
struct Slot<K> {
    key: K,
    /// Given anew whenever the first timer of a key without any is registered.
    serial: u64,
    times: Times,
    /// The one mark that counts for this slot: not later than its first timer. Has the key's hash.
    mark: Mark,
}

/// Where a key stands in the order of firing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    time: Timestamp,
    hash: u64,
    serial: u64,
}

impl<K> Slot<K> {
    /// Where the key stands by its first timer; nowhere without one.
    fn place(&self) -> Option<Mark> {
        let place = |time| Mark { time, hash: self.mark.hash, serial: self.serial };
        self.times.first().map(place)
    }

    fn is<Q>(&self, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.mark.hash == hash && self.key.borrow() == key
    }
}

impl<K> Timers<K> {
    pub(crate) const fn new() -> Self {
        Self { slots: HashTable::new(), marks: BinaryHeap::new(), len: 0, idle: 0, serials: 0 }
    }

    /// How many timers there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Registers a timer; `false` if the key has one at that time, which then stays the only one.
    #[inline]
    pub(crate) fn register<Q>(&mut self, time: Timestamp, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let serial = self.serials;
        let place = Mark { time, hash, serial };
        let Some(slot) = self.slots.find_mut(hash, |slot| slot.is(hash, key)) else {
            let (key, times) = (key.to_owned(), Times::of(time));
            let slot = Slot { key, serial, times, mark: place };
            self.slots.insert_unique(hash, slot, |slot| slot.mark.hash);
            self.serials += 1;
            self.len += 1;
            self.push(place);
            return true;
        };
        if slot.times.is_empty() {
            slot.serial = serial;
            self.serials += 1;
            self.idle -= 1;
        }
        let place = Mark { time, hash, serial: slot.serial };
        let new = slot.times.insert(time);
        self.len += usize::from(new);
        if place < slot.mark {
            slot.mark = place;
            self.push(place);
        }
        new
    }

    /// Deletes a timer; `false` if there is none.
    #[inline]
    pub(crate) fn delete<Q>(&mut self, time: Timestamp, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(slot) = self.slots.find_mut(hash, |slot| slot.is(hash, key)) else {
            return false;
        };
        if !slot.times.remove(time) {
            return false;
        }
        self.len -= 1;
        if slot.times.is_empty() {
            self.idle += 1;
            self.tidy();
        }
        true
    }

    /// Whether a key has timers.
    pub(crate) fn has<Q>(&self, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let slot = self.slots.find(hash, |slot| slot.is(hash, key));
        slot.is_some_and(|slot| !slot.times.is_empty())
    }

    /// Deletes all timers of a key, and says how many there were.
    pub(crate) fn delete_key<Q>(&mut self, hash: u64, key: &Q) -> usize
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Ok(slot) = self.slots.find_entry(hash, |slot| slot.is(hash, key)) else {
            return 0;
        };
        let (slot, _) = slot.remove();
        self.idle -= usize::from(slot.times.is_empty());
        self.len -= slot.times.len();
        self.tidy();
        slot.times.len()
    }

    /// The time of the first timer.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Timestamp> {
        self.settle(|_| true).map(|(first, _)| first.time)
    }

    /// Takes out the first timer that a watermark fires: one *before* it, and at the end of time
    /// every one. A watermark of `w` says that no record before `w` follows, and one at `w` itself
    /// may; a timer at `t` is to see all records up to and at `t`, so it waits for `t + 1`.
    #[inline]
    pub(crate) fn pop_event_time<Q>(&mut self, watermark: Timestamp) -> Option<(Timestamp, u64, K)>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + ?Sized,
    {
        self.pop(|time| time < watermark || watermark == Timestamp::MAX)
    }

    /// Takes out the first timer that the clock has reached: one *at* `now` or before.
    #[inline]
    pub(crate) fn pop_processing_time<Q>(&mut self, now: Timestamp) -> Option<(Timestamp, u64, K)>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + ?Sized,
    {
        self.pop(|time| time <= now)
    }

    fn pop<Q>(&mut self, due: impl Fn(Timestamp) -> bool) -> Option<(Timestamp, u64, K)>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + ?Sized,
    {
        let (first, bucket) = self.settle(due)?;
        let mut slot = self.slots.get_bucket_entry(bucket).ok()?;
        self.len -= 1;
        slot.get_mut().times.pop_first();
        if let Some(next) = slot.get().place() {
            slot.get_mut().mark = next;
            let key = slot.get().key.borrow().to_owned();
            *self.marks.peek_mut()? = Reverse(next);
            return Some((first.time, first.hash, key));
        }
        let (slot, _) = slot.remove();
        self.marks.pop();
        self.tidy();
        Some((first.time, first.hash, slot.key))
    }

    /// Corrects the first marks, as far as they are due, until one stands where its key does: that
    /// mark, and the bucket of its slot.
    fn settle(&mut self, due: impl Fn(Timestamp) -> bool) -> Option<(Mark, usize)> {
        while let Some(mut top) = self.marks.peek_mut().filter(|top| due(top.0.time)) {
            let Reverse(mark) = *top;
            let Ok(mut slot) = self.slots.find_entry(mark.hash, |slot| slot.mark == mark) else {
                PeekMut::pop(top);
                continue;
            };
            match slot.get().place() {
                Some(place) if place == mark => return Some((mark, slot.bucket_index())),
                Some(place) => {
                    slot.get_mut().mark = place;
                    *top = Reverse(place);
                }
                None => {
                    slot.remove();
                    self.idle -= 1;
                    PeekMut::pop(top);
                }
            }
        }
        self.tidy();
        None
    }

    /// Every key with timers, and their times: for a snapshot, key group by key group. Registered
    /// again in this order, they fire in the order they would have.
    pub(crate) fn by_key(
        &self,
    ) -> impl Iterator<Item = (u64, &K, impl Iterator<Item = Timestamp>)> {
        let mut slots: Vec<_> = self.slots.iter().filter(|slot| !slot.times.is_empty()).collect();
        slots.sort_unstable_by_key(|slot| (key_group(slot.mark.hash), slot.mark.hash, slot.serial));
        slots.into_iter().map(|slot| (slot.mark.hash, &slot.key, slot.times.iter()))
    }

    fn push(&mut self, mark: Mark) {
        self.marks.push(Reverse(mark));
        self.tidy();
    }

    /// Drops the idle slots and the marks that count for nothing, once they outweigh the others:
    /// each takes part in so many registrations and deletions that it costs them next to nothing.
    fn tidy(&mut self) {
        let live = self.slots.len() - self.idle;
        let crowded = self.idle > live + FEW || self.marks.len() > 2 * self.slots.len() + FEW;
        if crowded || self.len == 0 {
            self.slots.retain(|slot| slot.place().inspect(|place| slot.mark = *place).is_some());
            self.idle = 0;
            self.marks.clear();
            self.marks.extend(self.slots.iter().map(|slot| Reverse(slot.mark)));
        }
        self.shrink();
    }

    /// Gives memory back that is mostly unused.
    fn shrink(&mut self) {
        if is_wasteful(self.slots.num_buckets(), self.slots.len()) {
            self.slots.shrink_to(2 * self.slots.len(), |slot| slot.mark.hash);
        }
        if is_wasteful(self.marks.capacity(), self.marks.len()) {
            self.marks.shrink_to(2 * self.marks.len());
        }
    }
}
