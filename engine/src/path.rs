//! The ways that a record takes from one link of a chain to the next, each compiled apart.

use crate::record::Record;
use crate::tail::{Flow, Tail};

/// The way that a record takes to the next link.
pub(crate) trait Path {
    /// Whether operators count what they filter out and what they add.
    const COUNTS: bool = true;

    /// Whether operators are asked if they are to say when they are at work.
    const ASKS: bool = false;

    fn push<T, N: Tail<T>>(next: &mut N, record: Record<T>) -> Flow;
}

/// What is emitted for a record: compiled into the loop.
pub(crate) struct Straight;

impl Path for Straight {
    const COUNTS: bool = false;

    #[inline]
    fn push<T, N: Tail<T>>(next: &mut N, record: Record<T>) -> Flow {
        next.push(record)
    }
}

/// The same in a run that counts by operator.
pub(crate) struct Counted;

impl Path for Counted {
    #[inline]
    fn push<T, N: Tail<T>>(next: &mut N, record: Record<T>) -> Flow {
        next.push_counted(record)
    }
}

/// What is emitted at another time, or while operators say when they are at work: seldom enough for
/// a call, where the rest of the chain would otherwise be compiled once more.
pub(crate) struct Apart;

impl Path for Apart {
    const ASKS: bool = true;

    #[inline]
    fn push<T, N: Tail<T>>(next: &mut N, record: Record<T>) -> Flow {
        next.push_apart(record)
    }
}
