//! What is told of a window.

use serde::{Deserialize, Serialize};

/// What is told of one key in one window. Its event time is the last point of the window; of one
/// that is not bounded by time, the latest event time of its records.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Windowed<K, W, A> {
    /// Whose records they are.
    pub key: K,
    /// Of which window.
    pub window: W,
    /// What the aggregate says of them.
    pub value: A,
    /// The why and when.
    pub firing: Firing,
}

/// Why a window is told of, so that whoever is behind it knows a first result from its correction.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Firing {
    /// Before the window is complete: more may follow.
    Early,
    /// The watermark says that the window is complete, or it is closed for another reason that lies
    /// in itself, as its count. At most once for each key and window, but for sessions that a late
    /// record joins.
    #[default]
    OnTime,
    /// A late record has changed a window that had been told of on time: this takes its place.
    Late,
}
