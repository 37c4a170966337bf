//! What an operator sees of its state: a writer at a barrier, a reader when it begins again.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::{StateError, StateScope};
use crate::key::owner;

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

/// Gives an operator the state that its predecessors wrote.
#[derive(Clone, Debug)]
pub struct StateReader<'a> {
    instance: usize,
    instances: usize,
    entries: &'a BTreeMap<StateScope, Vec<u8>>,
    version: u32,
    /// Whether the operator has looked at what other instances wrote.
    looked_around: Cell<bool>,
}

impl<'a> StateReader<'a> {
    /// A reader for one of the `instances` of an operator.
    #[must_use]
    pub const fn new(
        instance: usize,
        instances: usize,
        entries: &'a BTreeMap<StateScope, Vec<u8>>,
    ) -> Self {
        Self { instance, instances, entries, version: 1, looked_around: Cell::new(false) }
    }

    /// The same, of state that was written in this version.
    #[must_use]
    pub const fn with_version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// The [version](crate::operator::Operator::STATE_VERSION) of how it was written.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The state without a key of this instance, if there is any.
    #[must_use]
    pub fn read(&self) -> Option<&'a [u8]> {
        self.entries.get(&StateScope::Instance(self.instance)).map(Vec::as_slice)
    }

    /// The state without a key of every instance that there was, in their order. There may have
    /// been more of them, or fewer. An operator that never asks is not restored with fewer
    /// instances than it had, for what the others knew would be lost.
    pub fn instances(&self) -> impl Iterator<Item = (usize, &'a [u8])> {
        self.looked_around.set(true);
        self.entries.iter().filter_map(|(scope, bytes)| match scope {
            StateScope::Instance(instance) => Some((*instance, bytes.as_slice())),
            StateScope::KeyGroup(_) => None,
        })
    }

    /// The state without a key that falls to this instance: its own, and that of instances which
    /// are no more, each of them to one of those that there are. For what may as well be elsewhere.
    pub fn inherited(&self) -> impl Iterator<Item = &'a [u8]> {
        let (own, instances) = (self.instance, self.instances.max(1));
        let falls_here = move |(instance, _): &(usize, _)| instance % instances == own;
        self.instances().filter(falls_here).map(|(_, bytes)| bytes)
    }

    /// The state of each key group that this instance owns, in the order of the groups.
    pub fn key_groups(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let (instance, instances) = (self.instance, self.instances);
        self.entries.iter().filter_map(move |(scope, bytes)| match scope {
            StateScope::KeyGroup(group) if owner(*group, instances) == instance => {
                Some((*group, bytes.as_slice()))
            }
            _ => None,
        })
    }

    /// Finds state that nobody would take over.
    pub(crate) fn finish(&self) -> Result<(), StateError> {
        let orphan = self.entries.keys().find_map(|scope| match scope {
            StateScope::Instance(instance) if *instance >= self.instances => Some(*instance),
            _ => None,
        });
        match orphan {
            Some(orphan) if !self.looked_around.get() => Err(StateError::new(format!(
                "there is state of instance {orphan}, which can't be moved, and now there are {} \
                 instances",
                self.instances
            ))),
            _ => Ok(()),
        }
    }
}
