//! `MapState`: a map for each key.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::time::Duration;

use millstream_engine::state::StateError;

use super::cell::Cell;
use super::states::{States, StoredStates, one};
use super::{StateTime, StateTtl};
use crate::state::{Codec, State};

/// A map for each key, in the order of its own keys.
pub struct MapState<K, V> {
    name: &'static str,
    ttl: Option<StateTtl>,
    marker: PhantomData<fn() -> (K, V)>,
}

impl<K, V> MapState<K, V> {
    /// State that is written, and found again, under `name`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, ttl: None, marker: PhantomData }
    }

    /// Forgets each entry that has not been touched for so long.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: StateTtl) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

impl<K, V> Clone for MapState<K, V> {
    fn clone(&self) -> Self {
        Self { name: self.name, ttl: self.ttl, marker: PhantomData }
    }
}

impl<K, V> fmt::Debug for MapState<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MapState").field(&self.name).finish()
    }
}

/// What is kept for one key.
#[derive(Debug)]
pub struct MapCell<K, V>(BTreeMap<K, Cell<V>>);

impl<K, V> Default for MapCell<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// The map of the key at hand.
#[derive(Debug)]
pub struct MapView<'a, K, V> {
    cells: &'a mut BTreeMap<K, Cell<V>>,
    ttl: Option<StateTtl>,
    now: StateTime,
}

impl<K: Ord, V> MapView<'_, K, V> {
    /// The value of an entry, if there is one.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        let (ttl, now) = (self.ttl, self.now);
        if self.cells.get(key)?.is_over(ttl, now) {
            self.cells.remove(key);
            return None;
        }
        let cell = self.cells.get_mut(key)?;
        cell.read(ttl, now);
        Some(&cell.value)
    }

    /// Whether there is such an entry. This is no reading of it.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.cells.get(key).is_some_and(|cell| !cell.is_over(self.ttl, self.now))
    }

    /// Puts an entry in the place of what is there.
    pub fn insert(&mut self, key: K, value: V) {
        self.cells.insert(key, Cell::new(value, self.now));
    }

    /// Changes an entry where it is, or `blank()` where there is none, and gives it.
    pub fn update(&mut self, key: K, blank: impl FnOnce() -> V, change: impl FnOnce(&mut V)) -> &V {
        let (ttl, now) = (self.ttl, self.now);
        if self.cells.get(&key).is_some_and(|cell| cell.is_over(ttl, now)) {
            self.cells.remove(&key);
        }
        let cell = self.cells.entry(key).or_insert_with(|| Cell::new(blank(), now));
        change(&mut cell.value);
        cell.touch(now);
        &cell.value
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (ttl, now) = (self.ttl, self.now);
        self.cells.remove(key).filter(|cell| !cell.is_over(ttl, now)).map(|cell| cell.value)
    }

    /// The entries, in the order of their keys.
    pub fn iter(&mut self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.range(..)
    }

    /// The entries whose keys lie in a range, in their order.
    pub fn range(
        &mut self,
        range: impl RangeBounds<K>,
    ) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        let (ttl, now) = (self.ttl, self.now);
        let live = self.cells.range_mut(range).filter(move |(_, cell)| !cell.is_over(ttl, now));
        live.map(move |(key, cell)| {
            cell.read(ttl, now);
            (key, &cell.value)
        })
    }

    /// Keeps only the entries that `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        let (ttl, now) = (self.ttl, self.now);
        self.cells.retain(|key, cell| !cell.is_over(ttl, now) && keep(key, &cell.value));
    }

    /// How many entries there are.
    pub fn len(&mut self) -> usize {
        let (ttl, now) = (self.ttl, self.now);
        self.cells.retain(|_, cell| !cell.is_over(ttl, now));
        self.cells.len()
    }

    /// Whether there are none.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.cells.clear();
    }
}

impl<K: Ord + Send + 'static, V: Send + 'static> States for MapState<K, V> {
    type Cells = MapCell<K, V>;
    type View<'a> = MapView<'a, K, V>;

    fn view<'a>(&'a self, cells: &'a mut MapCell<K, V>, now: StateTime) -> MapView<'a, K, V> {
        MapView { cells: &mut cells.0, ttl: self.ttl, now }
    }

    fn is_blank(&self, cells: &MapCell<K, V>) -> bool {
        cells.0.is_empty()
    }

    fn expire(&self, cells: &mut MapCell<K, V>, now: StateTime) -> StateTime {
        if self.ttl.is_none() {
            return StateTime::NEVER;
        }
        cells.0.retain(|_, cell| !cell.is_over(self.ttl, now));
        let ends = cells.0.values().map(|cell| cell.end(self.ttl));
        ends.fold(StateTime::NEVER, StateTime::earlier)
    }

    fn shortest_life(&self) -> Option<Duration> {
        self.ttl.map(|ttl| ttl.life())
    }

    fn names(&self, names: &mut Vec<&'static str>) {
        names.push(self.name);
    }
}

impl<K: State + Ord, V: State> StoredStates for MapState<K, V> {
    fn write(
        &self,
        cells: &MapCell<K, V>,
        entry: &mut Vec<(&'static str, Vec<u8>)>,
    ) -> Result<(), StateError> {
        if cells.0.is_empty() {
            return Ok(());
        }
        let (keys, values) = (Codec::new(), Codec::new());
        one(self.name, entry, |bytes| {
            cells.0.iter().try_for_each(|(key, cell)| {
                keys.write(key, bytes)?;
                values.write(cell, bytes)
            })
        })
    }

    fn read(
        &self,
        cells: &mut MapCell<K, V>,
        name: &str,
        mut bytes: &[u8],
    ) -> Result<bool, StateError> {
        if name != self.name {
            return Ok(false);
        }
        let (keys, values) = (Codec::new(), Codec::new());
        while !bytes.is_empty() {
            let key = keys.read(&mut bytes)?;
            cells.0.insert(key, values.read(&mut bytes)?);
        }
        Ok(true)
    }
}
