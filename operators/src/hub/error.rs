//! `HubError`: why a hub takes somebody no more, or no longer.

use std::time::Duration;

/// Why a hub refuses somebody, or has let somebody go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// As many subscribers as the hub allows are there already.
    #[error("the hub has {limit} subscribers, and allows no more")]
    TooManySubscribers {
        /// How many it allows.
        limit: usize,
    },
    /// As many producers as the hub allows are there already.
    #[error("the hub has {limit} producers, and allows no more")]
    TooManyProducers {
        /// How many it allows.
        limit: usize,
    },
    /// A job that published to the hub failed or was aborted.
    #[error("a job that published to the hub did not come to its end")]
    PublisherFailed,
    /// The hub was dropped, and nobody can publish to it any more.
    #[error("the hub was dropped before anybody had published to it to the end")]
    Abandoned,
    /// The subscriber held the publishers back for too long.
    #[error("the subscriber held the hub back for {0:?}, and was let go")]
    Evicted(Duration),
    /// The hub has ended or was closed.
    #[error("the hub is closed")]
    Closed,
}
