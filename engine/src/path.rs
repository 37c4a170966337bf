//! The two ways that a record takes from one link of a chain to the next, each compiled apart.

use crate::record::Record;
use crate::tail::{Flow, Tail};

/// The way that a record takes to the next link.
pub(crate) trait Path {
    /// Whether operators are asked if they are to say when they are at work.
    const ASKS: bool = false;

    fn push<T, N: Tail<T>>(next: &mut N, record: Record<T>) -> Flow;
}

/// What is emitted for a record: compiled into the loop.
pub(crate) struct Straight;

impl Path for Straight {
    #[inline]
    fn push<T, N: Tail<T>>(next: &mut N, record: Record<T>) -> Flow {
        next.push(record)
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
