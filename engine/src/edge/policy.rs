//! What an edge does when it is full, and in which order it gives out what waits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::metrics::DropReason;
use crate::record::Record;

/// What an edge does with a record that it has no room for.
///
/// Policies drop records, never control: watermarks, barriers and the end of what was dropped go on
/// to the consumer at their time, and find room. So a branch with a policy that never waits costs
/// the stage before it nothing, however stuck it is. Every record that a policy drops is counted,
/// with its reason: [`EdgeMetrics::dropped`](crate::metrics::EdgeMetrics::dropped).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// Wait for room, and so hold up whoever is before it. Nothing is ever lost.
    #[default]
    Block,
    /// Drop what comes.
    DropNewest,
    /// Drop what has waited longest, as much as it takes.
    DropOldest,
    /// Drop everything that waits.
    DropAll,
    /// Keep every second record of what waits and what comes, the newest among them.
    Sample,
    /// Fail the job.
    Fail,
    /// Merge what comes into one record that waits before the edge, at most `max` into one. When
    /// that is reached it waits for room as `Block` does; `usize::MAX` never waits. How two records
    /// become one is said by [`Blueprint::conflate_edge`](crate::graph::Blueprint::conflate_edge).
    Conflate {
        /// The most records that become one.
        max: usize,
    },
    /// Wait, but not for ever: a branch that had no room for this long is cut off. It gets what was
    /// in its edge and then its end; what would have come is dropped and counted.
    Disconnect(Duration),
}

impl WhenFull {
    /// Whether a consumer that is stuck for ever holds its producer up for ever.
    #[must_use]
    pub const fn can_hold_up(self) -> bool {
        match self {
            Self::Block => true,
            Self::Conflate { max } => max < usize::MAX,
            _ => false,
        }
    }

    /// Whether it removes records one by one from what waits.
    pub(crate) const fn is_lossy(self) -> bool {
        matches!(self, Self::DropNewest | Self::DropOldest | Self::DropAll | Self::Sample)
    }

    pub(crate) const fn reason(self) -> DropReason {
        match self {
            Self::Sample => DropReason::Sampled,
            Self::Conflate { .. } => DropReason::Superseded,
            _ => DropReason::Overflow,
        }
    }
}

/// As a short phrase, for a picture of the graph.
impl fmt::Display for WhenFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block => f.write_str("block"),
            Self::DropNewest => f.write_str("drop newest"),
            Self::DropOldest => f.write_str("drop oldest"),
            Self::DropAll => f.write_str("drop all"),
            Self::Sample => f.write_str("sample"),
            Self::Fail => f.write_str("fail"),
            Self::Conflate { max: usize::MAX } => f.write_str("conflate"),
            Self::Conflate { max } => write!(f, "conflate up to {max}"),
            Self::Disconnect(after) => write!(f, "disconnect after {after:?}"),
        }
    }
}

/// In which order an edge gives out the records that wait in it.
///
/// Another order than the first concerns records that wait at the same time: with a consumer that
/// keeps up there are none. Such an edge hands out one record at a time, because what has been
/// handed out can't be overtaken any more. Control keeps its place: a watermark comes out when the
/// edge has run empty, so never before an earlier record, and a barrier or the end lets nothing
/// into the edge until everything before it is out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// First in, first out.
    #[default]
    Fifo,
    /// Last in, first out: the newest first.
    Lifo,
    /// The highest priority first, and first in, first out among equals. What the priority is, is
    /// said by [`Blueprint::prioritize_edge`](crate::graph::Blueprint::prioritize_edge).
    Priority,
}

/// As a short phrase, for a picture of the graph.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fifo => "first in first out",
            Self::Lifo => "newest first",
            Self::Priority => "by priority",
        })
    }
}

/// The priority of a record.
pub(crate) type Rank<T> = Arc<dyn Fn(&T) -> i64 + Send + Sync>;

/// How all records that wait become one.
pub(crate) type Merge<T> = Arc<dyn Fn(&mut Vec<Record<T>>) + Send + Sync>;

/// Makes one record of all that wait, by `merge` which takes a later value up into the one that
/// waits. Its event time is the latest of theirs.
pub(crate) fn merging<T>(merge: impl Fn(&mut T, T) + Send + Sync + 'static) -> Merge<T> {
    Arc::new(move |records| {
        let mut all = records.drain(..);
        let Some(mut waiting) = all.next() else {
            return;
        };
        for next in all {
            waiting.time = waiting.time.max(next.time);
            merge(&mut waiting.value, next.value);
        }
        records.push(waiting);
    })
}

/// An [`Order`], with what it takes.
pub(crate) enum Sorting<T> {
    Fifo,
    Lifo,
    Priority(Rank<T>),
}

/// An edge was full, and its policy is to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the edge before it is full: it holds {capacity} records")]
pub struct EdgeFull {
    /// The most records that the edge may hold.
    pub capacity: usize,
}
