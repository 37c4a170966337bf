//! What is kept by key, on its way into key groups and out of them.

use std::collections::BTreeMap;

use millstream_engine::key::key_group;
use millstream_engine::state::{StateError, StateWriter};

/// What was written of each key, gathered by key group.
#[derive(Debug, Default)]
pub(crate) struct ByGroup(BTreeMap<u8, Vec<(u64, Vec<u8>)>>);

impl ByGroup {
    /// Adds what was written of the key with this hash.
    pub(crate) fn add(&mut self, hash: u64, bytes: Vec<u8>) {
        self.0.entry(key_group(hash)).or_default().push((hash, bytes));
    }

    /// Writes each group, its keys in the order of their hashes, so that the same state is always
    /// the same bytes.
    pub(crate) fn write(self, state: &mut StateWriter) {
        for (group, mut keys) in self.0 {
            keys.sort_unstable();
            state.write_key_group(group, keys.into_iter().flat_map(|(_, bytes)| bytes).collect());
        }
    }
}

/// Sees to it that a key, by its hash, belongs into the group that it was read from.
pub(crate) fn check_group(hash: u64, group: u8) -> Result<(), StateError> {
    if key_group(hash) == group {
        return Ok(());
    }
    Err(StateError::new(
        "a key has another group than the one it was written in: its hash is not what it was",
    ))
}
