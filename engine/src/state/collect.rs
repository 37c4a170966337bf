//! Where the operators of a job leave what they write at a barrier.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Snapshot, StateScope};
use crate::batch::Barrier;
use crate::sync::{Mutex, lock};

/// How many barriers are kept apart: those of the newest.
const KEPT: usize = 4;

/// The snapshots of a job that are being put together. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshots(Arc<Mutex<BTreeMap<Barrier, Snapshot>>>);

impl Snapshots {
    /// Adds what one instance of an operator wrote.
    pub(crate) fn add(
        &self,
        barrier: Barrier,
        uid: &str,
        kind: &str,
        version: u32,
        entries: BTreeMap<StateScope, Vec<u8>>,
    ) {
        let mut snapshots = lock(&self.0);
        snapshots.entry(barrier).or_default().add(uid, kind, version, entries);
        while snapshots.len() > KEPT {
            snapshots.pop_first();
        }
    }

    /// What has been written at a barrier.
    pub(crate) fn take(&self, barrier: Barrier) -> Snapshot {
        lock(&self.0).remove(&barrier).unwrap_or_default()
    }
}
