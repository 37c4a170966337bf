//! How operators write their state down and take it over again, and what a whole job's is.
//!
//! Keyed state is written by key group, state that has no key by instance, so that it can be moved
//! when the number of instances changes. What belongs to one operator is found again by its `uid`.
//! When snapshots are taken, and where they are kept, is the matter of checkpoints, which no job
//! takes by itself yet: so far it is the [test kit](crate::testing::TestDriver::snapshot) that
//! asks.

mod access;
mod collect;
mod snapshot;

pub use access::{StateReader, StateWriter};
pub use snapshot::{OperatorState, Snapshot};

pub(crate) use collect::Snapshots;

/// What a piece of state belongs to within its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateScope {
    /// One of the 128 key groups.
    KeyGroup(u8),
    /// One instance of the operator.
    Instance(usize),
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
