//! `ValueState`: one value for each key.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use millstream_engine::state::StateError;

use super::cell::Cell;
use super::states::{States, StoredStates, one};
use super::{StateTime, StateTtl};
use crate::state::{Codec, State};

/// One value for each key.
pub struct ValueState<V> {
    name: &'static str,
    ttl: Option<StateTtl>,
    marker: PhantomData<fn() -> V>,
}

impl<V> ValueState<V> {
    /// State that is written, and found again, under `name`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, ttl: None, marker: PhantomData }
    }

    /// Forgets a value that has not been touched for so long.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: StateTtl) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The value in a cell, if there is one and it has not lived its time. That it was looked at
    /// is not noted.
    pub fn peek<'a>(&self, cell: &'a ValueCell<V>, now: StateTime) -> Option<&'a V> {
        let cell = cell.0.as_ref().filter(|cell| !cell.is_over(self.ttl, now));
        cell.map(|cell| &cell.value)
    }
}

impl<V> Clone for ValueState<V> {
    fn clone(&self) -> Self {
        Self { name: self.name, ttl: self.ttl, marker: PhantomData }
    }
}

impl<V> fmt::Debug for ValueState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ValueState").field(&self.name).finish()
    }
}

/// What is kept for one key.
#[derive(Debug)]
pub struct ValueCell<V>(Option<Cell<V>>);

impl<V> Default for ValueCell<V> {
    fn default() -> Self {
        Self(None)
    }
}

/// The value of the key at hand.
#[derive(Debug)]
pub struct ValueView<'a, V> {
    cell: &'a mut Option<Cell<V>>,
    ttl: Option<StateTtl>,
    now: StateTime,
}

impl<V> ValueView<'_, V> {
    /// The value, if there is one.
    pub fn get(&mut self) -> Option<&V> {
        self.get_mut().map(|value| &*value)
    }

    fn get_mut(&mut self) -> Option<&mut V> {
        let (ttl, now) = (self.ttl, self.now);
        if self.cell.as_ref().is_some_and(|cell| cell.is_over(ttl, now)) {
            *self.cell = None;
        }
        let cell = self.cell.as_mut()?;
        cell.read(ttl, now);
        Some(&mut cell.value)
    }

    /// Puts a value in the place of what is there.
    pub fn set(&mut self, value: V) {
        *self.cell = Some(Cell::new(value, self.now));
    }

    /// Changes the value where it is, or `blank()` where there is none, and gives it.
    pub fn update(&mut self, blank: impl FnOnce() -> V, change: impl FnOnce(&mut V)) -> &V {
        let (ttl, now) = (self.ttl, self.now);
        let kept = self.cell.take().filter(|cell| !cell.is_over(ttl, now));
        let cell = self.cell.insert(kept.unwrap_or_else(|| Cell::new(blank(), now)));
        change(&mut cell.value);
        cell.touch(now);
        &cell.value
    }

    /// Takes the value out.
    pub fn take(&mut self) -> Option<V> {
        let (ttl, now) = (self.ttl, self.now);
        self.cell.take().filter(|cell| !cell.is_over(ttl, now)).map(|cell| cell.value)
    }

    /// Forgets the value.
    pub fn clear(&mut self) {
        *self.cell = None;
    }
}

impl<V: Send + 'static> States for ValueState<V> {
    type Cells = ValueCell<V>;
    type View<'a> = ValueView<'a, V>;

    fn view<'a>(&'a self, cells: &'a mut ValueCell<V>, now: StateTime) -> ValueView<'a, V> {
        ValueView { cell: &mut cells.0, ttl: self.ttl, now }
    }

    fn is_blank(&self, cells: &ValueCell<V>) -> bool {
        cells.0.is_none()
    }

    fn expire(&self, cells: &mut ValueCell<V>, now: StateTime) -> StateTime {
        cells.0.take_if(|cell| cell.is_over(self.ttl, now));
        cells.0.as_ref().map_or(StateTime::NEVER, |cell| cell.end(self.ttl))
    }

    fn shortest_life(&self) -> Option<Duration> {
        self.ttl.map(|ttl| ttl.life())
    }

    fn names(&self, names: &mut Vec<&'static str>) {
        names.push(self.name);
    }
}

impl<V: State> StoredStates for ValueState<V> {
    fn write(
        &self,
        cells: &ValueCell<V>,
        entry: &mut Vec<(&'static str, Vec<u8>)>,
    ) -> Result<(), StateError> {
        let Some(cell) = &cells.0 else {
            return Ok(());
        };
        one(self.name, entry, |bytes| Codec::new().write(cell, bytes))
    }

    fn read(
        &self,
        cells: &mut ValueCell<V>,
        name: &str,
        mut bytes: &[u8],
    ) -> Result<bool, StateError> {
        if name == self.name {
            cells.0 = Some(Codec::new().read(&mut bytes)?);
        }
        Ok(name == self.name)
    }
}
