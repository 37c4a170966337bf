//! How operators write their state down and take it over again.
//!
//! Keyed state is written by key group, state that has no key by instance, so that it can be moved
//! when the number of instances changes. The store behind it comes with checkpoints.

use std::collections::BTreeMap;

/// What a piece of state belongs to within its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateScope {
    /// One of the 128 key groups.
    KeyGroup(u8),
    /// One instance of the operator.
    Instance(usize),
}

/// Takes an operator's state at a barrier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateWriter {
    instance: usize,
    entries: BTreeMap<StateScope, Vec<u8>>,
}

impl StateWriter {
    /// A writer for the given instance of an operator.
    #[must_use]
    pub const fn new(instance: usize) -> Self {
        Self { instance, entries: BTreeMap::new() }
    }

    /// Writes state that has no key.
    pub fn write(&mut self, bytes: Vec<u8>) {
        self.entries.insert(StateScope::Instance(self.instance), bytes);
    }

    /// Writes the state of the keys of one group.
    pub fn write_key_group(&mut self, group: u8, bytes: Vec<u8>) {
        self.entries.insert(StateScope::KeyGroup(group), bytes);
    }

    /// What has been written.
    #[must_use]
    pub fn into_entries(self) -> BTreeMap<StateScope, Vec<u8>> {
        self.entries
    }
}

/// Gives an operator the state that its predecessor wrote.
#[derive(Clone, Copy, Debug)]
pub struct StateReader<'a> {
    instance: usize,
    entries: &'a BTreeMap<StateScope, Vec<u8>>,
}

impl<'a> StateReader<'a> {
    /// A reader for the given instance of an operator.
    #[must_use]
    pub const fn new(instance: usize, entries: &'a BTreeMap<StateScope, Vec<u8>>) -> Self {
        Self { instance, entries }
    }

    /// The state without a key of this instance, if there is any.
    #[must_use]
    pub fn read(&self) -> Option<&'a [u8]> {
        self.entries.get(&StateScope::Instance(self.instance)).map(Vec::as_slice)
    }

    /// The state of each key group, in the order of the groups.
    pub fn key_groups(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        self.entries.iter().filter_map(|(scope, bytes)| match scope {
            StateScope::KeyGroup(group) => Some((*group, bytes.as_slice())),
            StateScope::Instance(_) => None,
        })
    }
}

/// Why state could not be written or taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StateError(String);

impl StateError {
    /// An error with the given explanation.
    #[must_use]
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}
