//! `ListState`: a list for each key.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use millstream_engine::state::StateError;

use super::cell::Cell;
use super::states::{States, StoredStates, one};
use super::{StateTime, StateTtl};
use crate::state::{Codec, State};

/// A list for each key, to which is added without reading what is there.
pub struct ListState<V> {
    name: &'static str,
    ttl: Option<StateTtl>,
    marker: PhantomData<fn() -> V>,
}

impl<V> ListState<V> {
    /// State that is written, and found again, under `name`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, ttl: None, marker: PhantomData }
    }

    /// Forgets each element that has not been touched for so long.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: StateTtl) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

impl<V> Clone for ListState<V> {
    fn clone(&self) -> Self {
        Self { name: self.name, ttl: self.ttl, marker: PhantomData }
    }
}

impl<V> fmt::Debug for ListState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ListState").field(&self.name).finish()
    }
}

/// What is kept for one key.
#[derive(Debug)]
pub struct ListCell<V>(Vec<Cell<V>>);

impl<V> Default for ListCell<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// The list of the key at hand.
#[derive(Debug)]
pub struct ListView<'a, V> {
    cells: &'a mut Vec<Cell<V>>,
    ttl: Option<StateTtl>,
    now: StateTime,
}

impl<V> ListView<'_, V> {
    /// Adds an element at the end.
    pub fn push(&mut self, value: V) {
        self.cells.push(Cell::new(value, self.now));
    }

    fn live(&mut self) -> &mut Vec<Cell<V>> {
        if self.ttl.is_some() {
            let (ttl, now) = (self.ttl, self.now);
            self.cells.retain(|cell| !cell.is_over(ttl, now));
        }
        self.cells
    }

    /// The elements, in the order in which they were added.
    pub fn iter(&mut self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        let (ttl, now) = (self.ttl, self.now);
        self.live().iter_mut().map(move |cell| {
            cell.read(ttl, now);
            &cell.value
        })
    }

    /// How many there are.
    pub fn len(&mut self) -> usize {
        self.live().len()
    }

    /// Whether there are none.
    pub fn is_empty(&mut self) -> bool {
        self.live().is_empty()
    }

    /// Keeps only the elements that `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.live().retain(|cell| keep(&cell.value));
    }

    /// Takes all elements out.
    pub fn take(&mut self) -> Vec<V> {
        std::mem::take(self.live()).into_iter().map(|cell| cell.value).collect()
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self.cells = Vec::new();
    }
}

impl<V> Extend<V> for ListView<'_, V> {
    fn extend<I: IntoIterator<Item = V>>(&mut self, values: I) {
        let now = self.now;
        self.cells.extend(values.into_iter().map(|value| Cell::new(value, now)));
    }
}

impl<V: Send + 'static> States for ListState<V> {
    type Cells = ListCell<V>;
    type View<'a> = ListView<'a, V>;

    fn view<'a>(&'a self, cells: &'a mut ListCell<V>, now: StateTime) -> ListView<'a, V> {
        ListView { cells: &mut cells.0, ttl: self.ttl, now }
    }

    fn is_blank(&self, cells: &ListCell<V>) -> bool {
        cells.0.is_empty()
    }

    fn expire(&self, cells: &mut ListCell<V>, now: StateTime) -> StateTime {
        if self.ttl.is_none() {
            return StateTime::NEVER;
        }
        cells.0.retain(|cell| !cell.is_over(self.ttl, now));
        cells.0.shrink_to(cells.0.len() * 2);
        let ends = cells.0.iter().map(|cell| cell.end(self.ttl));
        ends.fold(StateTime::NEVER, StateTime::earlier)
    }

    fn shortest_life(&self) -> Option<Duration> {
        self.ttl.map(|ttl| ttl.life())
    }

    fn names(&self, names: &mut Vec<&'static str>) {
        names.push(self.name);
    }
}

impl<V: State> StoredStates for ListState<V> {
    fn write(
        &self,
        cells: &ListCell<V>,
        entry: &mut Vec<(&'static str, Vec<u8>)>,
    ) -> Result<(), StateError> {
        if cells.0.is_empty() {
            return Ok(());
        }
        let codec = Codec::new();
        one(self.name, entry, |bytes| cells.0.iter().try_for_each(|cell| codec.write(cell, bytes)))
    }

    fn read(
        &self,
        cells: &mut ListCell<V>,
        name: &str,
        mut bytes: &[u8],
    ) -> Result<bool, StateError> {
        if name != self.name {
            return Ok(false);
        }
        let codec = Codec::new();
        while !bytes.is_empty() {
            cells.0.push(codec.read(&mut bytes)?);
        }
        Ok(true)
    }
}
