//! What is kept of all keys of one instance: their state, their timers, and when what has a time to
//! live has to be looked at.

use std::borrow::Borrow;

use hashbrown::HashTable;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;

use super::{StateTime, States, StoredStates, Timer};
use crate::keyed::recency::Recency;
use crate::keyed::timers::Timers;
use crate::state::{ByGroup, Bytes, Codec, State, check_group};

/// What is kept of one key.
pub(super) struct Kept<K, S> {
    pub(super) hash: u64,
    pub(super) key: K,
    pub(super) cells: S,
    /// Whether it is known when its state will have lived its time.
    swept: bool,
}

/// What is kept of all keys.
pub(super) struct KeyStore<K, S: States> {
    pub(super) keys: HashTable<Kept<K, S::Cells>>,
    pub(super) event: Timers<K>,
    pub(super) processing: Timers<K>,
    /// When the state of a key has to be looked at, because some of it may have lived its time.
    sweeps_event: Timers<K>,
    sweeps_processing: Timers<K>,
    /// Whether there is a limit of keys: then one that only has timers counts too.
    bounded: bool,
    /// Which have been used lately, where that counts.
    recency: Option<Recency>,
}

impl<K, S: States> KeyStore<K, S> {
    pub(super) const fn new() -> Self {
        Self {
            keys: HashTable::new(),
            event: Timers::new(),
            processing: Timers::new(),
            sweeps_event: Timers::new(),
            sweeps_processing: Timers::new(),
            bounded: false,
            recency: None,
        }
    }

    /// One for a limited number of keys, of which some may have to make room for others.
    pub(super) fn bounded(evicts: bool) -> Self {
        Self { bounded: true, recency: evicts.then(Recency::default), ..Self::new() }
    }

    pub(super) const fn timers(&self) -> usize {
        self.event.len() + self.processing.len()
    }

    /// The time of the first timer, or look, by the clock.
    pub(super) fn next_processing(&mut self) -> Option<Timestamp> {
        self.processing.next().into_iter().chain(self.sweeps_processing.next()).min()
    }
}

impl<K: Eq + Clone, S: States> KeyStore<K, S> {
    /// The place of a key; where it has none, the key, made its own.
    #[inline]
    pub(super) fn find<Q>(&mut self, hash: u64, key: &Q) -> Result<usize, K>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let found =
            self.keys.find_bucket_index(hash, |kept| kept.hash == hash && kept.key.borrow() == key);
        if let (Some(recency), Some(place)) = (&mut self.recency, found) {
            recency.touch(place);
        }
        found.ok_or_else(|| key.to_owned())
    }

    /// The place of a key that has not been used lately.
    pub(super) fn oldest(&mut self) -> Option<usize> {
        self.recency.as_mut()?.oldest(&self.keys)
    }

    /// Forgets a key, and its timers.
    pub(super) fn forget(&mut self, place: usize) {
        let Ok(entry) = self.keys.get_bucket_entry(place) else {
            return;
        };
        let (kept, _) = entry.remove();
        let KeyStore { event, processing, sweeps_event, sweeps_processing, .. } = self;
        for timers in [event, processing, sweeps_event, sweeps_processing] {
            timers.delete_key(kept.hash, &kept.key);
        }
    }

    /// The place of a key, which it is given if it has none.
    #[inline]
    pub(super) fn place<Q>(&mut self, hash: u64, key: &Q) -> usize
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let found =
            self.keys.find_bucket_index(hash, |kept| kept.hash == hash && kept.key.borrow() == key);
        found.unwrap_or_else(|| self.insert(hash, key.to_owned()))
    }

    #[cold]
    pub(super) fn insert(&mut self, hash: u64, key: K) -> usize {
        let kept = Kept { hash, key, cells: S::Cells::default(), swept: false };
        if let Some(recency) = &mut self.recency {
            recency.make_room(&mut self.keys, |kept| kept.hash);
        }
        let place = self.keys.insert_unique(hash, kept, |kept| kept.hash).bucket_index();
        if let Some(recency) = &mut self.recency {
            recency.enter(place);
        }
        place
    }

    /// The place of a key that is owned already.
    pub(super) fn place_of(&mut self, hash: u64, key: K) -> usize {
        let found = self.keys.find_bucket_index(hash, |kept| kept.hash == hash && kept.key == key);
        found.unwrap_or_else(|| self.insert(hash, key))
    }

    /// The places of all keys, in the order of their hashes. They hold until a key is added, or
    /// memory is given back.
    pub(super) fn places(&self) -> Vec<usize> {
        let buckets = 0..self.keys.num_buckets();
        let hash = |place| self.keys.get_bucket(place).map(|kept| kept.hash);
        let mut places: Vec<_> = buckets.filter(|place| hash(*place).is_some()).collect();
        places.sort_by_key(|place| hash(*place));
        places
    }

    /// After the key in `place` was at hand: forgets it if nothing is kept of it, and sees to it
    /// that what has a time to live is looked at.
    #[inline]
    pub(super) fn leave(&mut self, place: usize, states: &S, now: StateTime) {
        if self.look_after(place, states, now) {
            self.give_back();
        }
    }

    /// The same, and moves no other key; tells whether this one is forgotten.
    #[inline]
    pub(super) fn look_after(&mut self, place: usize, states: &S, now: StateTime) -> bool {
        let Some(kept) = self.keys.get_bucket_mut(place) else {
            return false;
        };
        if states.is_blank(&kept.cells) {
            if std::mem::take(&mut kept.swept) {
                // Or else a key that comes and goes would leave a look behind each time.
                self.sweeps_event.delete_key(kept.hash, &kept.key);
                self.sweeps_processing.delete_key(kept.hash, &kept.key);
            }
            let has = |timers: &Timers<K>| timers.has(kept.hash, &kept.key);
            if self.bounded && (has(&self.event) || has(&self.processing)) {
                return false;
            }
            if let Ok(entry) = self.keys.get_bucket_entry(place) {
                entry.remove();
            }
            return true;
        }
        if !kept.swept && states.shortest_life().is_some() {
            kept.swept = true;
            let next = states.expire(&mut kept.cells, now);
            let (hash, key) = (kept.hash, kept.key.clone());
            self.look_at(next, hash, &key, states, now);
        }
        false
    }

    /// Looks at a key again when the first of its state will have lived its time; but not too often
    /// at one of which much is kept, each piece with a time of its own.
    fn look_at(&mut self, next: StateTime, hash: u64, key: &K, states: &S, now: StateTime) {
        let apart = states.shortest_life().unwrap_or_default() / 8;
        if next.event < Timestamp::MAX {
            let time = next.event.max(now.event.saturating_add(apart));
            self.sweeps_event.register(time, hash, key);
        }
        if next.processing < Timestamp::MAX {
            let time = next.processing.max(now.processing.saturating_add(apart));
            self.sweeps_processing.register(time, hash, key);
        }
    }

    /// Takes out the next timer that is due: those by event time first.
    pub(super) fn pop_due(&mut self, now: StateTime) -> Option<(Timer, u64, K)> {
        if let Some((time, hash, key)) = self.event.pop_event_time(now.event) {
            return Some((Timer::EventTime(time), hash, key));
        }
        let (time, hash, key) = self.processing.pop_processing_time(now.processing)?;
        Some((Timer::ProcessingTime(time), hash, key))
    }

    /// Forgets what has lived its time.
    pub(super) fn sweep(&mut self, states: &S, now: StateTime) {
        // State dies *at* the end of its life, as the clock's timers fire at their time.
        while let Some((_, hash, key)) = self.pop_sweep(now) {
            let is = |kept: &Kept<K, S::Cells>| kept.hash == hash && kept.key == key;
            let Ok(mut entry) = self.keys.find_entry(hash, is) else {
                continue;
            };
            let next = states.expire(&mut entry.get_mut().cells, now);
            if states.is_blank(&entry.get().cells) {
                let place = entry.bucket_index();
                self.look_after(place, states, now);
            } else {
                self.look_at(next, hash, &key, states, now);
            }
        }
        self.give_back();
    }

    fn pop_sweep(&mut self, now: StateTime) -> Option<(Timestamp, u64, K)> {
        let by_event_time = self.sweeps_event.pop_processing_time(now.event);
        by_event_time.or_else(|| self.sweeps_processing.pop_processing_time(now.processing))
    }

    /// Gives memory back that is mostly unused.
    pub(super) fn give_back(&mut self) {
        if self.keys.capacity() > 64 && self.keys.len() < self.keys.capacity() / 8 {
            let room = self.keys.len() * 2;
            let shrink =
                |keys: &mut HashTable<Kept<K, S::Cells>>| keys.shrink_to(room, |kept| kept.hash);
            match &mut self.recency {
                Some(recency) => recency.across(&mut self.keys, |kept| kept.hash, shrink),
                None => shrink(&mut self.keys),
            }
        }
    }
}

/// How what is kept of a key is written: the key; each piece of its state by its name; its timers
/// by event time and by the clock, in milliseconds.
pub(super) struct StoreCodec<K, S: States> {
    key: Codec<K>,
    pieces: Codec<Vec<(String, Bytes)>>,
    timers: Codec<Vec<i64>>,
    write: WritePieces<S>,
    read: ReadPiece<S>,
}

type Pieces = Vec<(&'static str, Vec<u8>)>;
type WritePieces<S> = fn(&S, &<S as States>::Cells, &mut Pieces) -> Result<(), StateError>;
type ReadPiece<S> = fn(&S, &mut <S as States>::Cells, &str, &[u8]) -> Result<bool, StateError>;

impl<K: State, S: StoredStates> StoreCodec<K, S> {
    pub(super) const fn new() -> Self {
        let (key, pieces, timers) = (Codec::new(), Codec::new(), Codec::new());
        Self { key, pieces, timers, write: S::write, read: S::read }
    }
}

impl<K, S: States> Clone for StoreCodec<K, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, S: States> Copy for StoreCodec<K, S> {}

/// What is written of one key.
struct Written<'a, K> {
    key: &'a K,
    pieces: Pieces,
    event: Vec<i64>,
    processing: Vec<i64>,
}

impl<'a, K> Written<'a, K> {
    const fn of(key: &'a K) -> Self {
        Self { key, pieces: Vec::new(), event: Vec::new(), processing: Vec::new() }
    }
}

impl<K: Eq + Clone, S: States> KeyStore<K, S> {
    /// Writes everything by key group; within it in the order of the hashes, so that the same state
    /// is always the same bytes.
    pub(super) fn snapshot(
        &self,
        states: &S,
        codec: &StoreCodec<K, S>,
        state: &mut StateWriter,
    ) -> Result<(), StateError> {
        let mut keys: HashTable<(u64, Written<'_, K>)> = HashTable::new();
        for kept in &self.keys {
            let mut written = Written::of(&kept.key);
            (codec.write)(states, &kept.cells, &mut written.pieces)?;
            keys.insert_unique(kept.hash, (kept.hash, written), |(hash, _)| *hash);
        }
        for (timers, by_clock) in [(&self.event, false), (&self.processing, true)] {
            for (hash, key, times) in timers.by_key() {
                let entry = keys.entry(
                    hash,
                    |(other, written)| *other == hash && written.key == key,
                    |(hash, _)| *hash,
                );
                let mut entry = entry.or_insert_with(|| (hash, Written::of(key)));
                let (_, written) = entry.get_mut();
                let list = if by_clock { &mut written.processing } else { &mut written.event };
                list.extend(times.map(Timestamp::as_millis));
            }
        }
        let mut groups = ByGroup::default();
        for (hash, written) in keys {
            let pieces =
                written.pieces.into_iter().map(|(name, piece)| (name.to_owned(), Bytes(piece)));
            let mut bytes = Vec::new();
            codec.key.write(written.key, &mut bytes)?;
            codec.pieces.write(&pieces.collect(), &mut bytes)?;
            codec.timers.write(&written.event, &mut bytes)?;
            codec.timers.write(&written.processing, &mut bytes)?;
            groups.add(hash, bytes);
        }
        groups.write(state);
        Ok(())
    }

    /// Takes over what [`snapshot`](KeyStore::snapshot) wrote.
    pub(super) fn restore(
        &mut self,
        states: &S,
        codec: &StoreCodec<K, S>,
        state: &StateReader<'_>,
        now: StateTime,
        hash: impl Fn(&K) -> u64,
    ) -> Result<(), StateError> {
        for (group, mut bytes) in state.key_groups() {
            while !bytes.is_empty() {
                let key = codec.key.read(&mut bytes)?;
                let hash = hash(&key);
                check_group(hash, group)?;
                let mut cells = S::Cells::default();
                for (name, Bytes(piece)) in codec.pieces.read(&mut bytes)? {
                    if !(codec.read)(states, &mut cells, &name, &piece)? {
                        let why =
                            format!("there is state called `{name}`, and nobody who keeps it");
                        return Err(StateError::new(why));
                    }
                }
                let times = |millis: Vec<i64>| millis.into_iter().map(Timestamp::from_millis);
                for time in times(codec.timers.read(&mut bytes)?) {
                    self.event.register(time, hash, &key);
                }
                for time in times(codec.timers.read(&mut bytes)?) {
                    self.processing.register(time, hash, &key);
                }
                let waits =
                    self.bounded && (self.event.has(hash, &key) || self.processing.has(hash, &key));
                if waits || !states.is_blank(&cells) {
                    let place = self.insert(hash, key);
                    if let Some(kept) = self.keys.get_bucket_mut(place) {
                        kept.cells = cells;
                    }
                    self.leave(place, states, now);
                }
            }
        }
        Ok(())
    }
}
