//! How many groups there may be, for how long, and what happens to one too many.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use millstream_engine::graph::{EdgeId, EdgeOptions};

use crate::{DataStream, Dataflow};

/// The limits of a [`group_by`](DataStream::group_by). None of them has a default.
pub struct Groups<T> {
    pub(super) max_open: usize,
    pub(super) idle_timeout: Duration,
    pub(super) at_limit: AtLimit<T>,
}

impl<T> Groups<T> {
    /// At most `max_open` substreams in an instance at once; each is closed when no record has come
    /// for it for `idle_timeout`, or up to an eighth more, of the job's clock. Time in which the
    /// stage as a whole stands still, because its output is full, does not count.
    ///
    /// # Panics
    ///
    /// If a limit is zero.
    #[must_use]
    #[track_caller]
    pub fn new(max_open: usize, idle_timeout: Duration, at_limit: AtLimit<T>) -> Self {
        assert!(max_open > 0, "at most zero groups");
        assert!(!idle_timeout.is_zero(), "groups that are idle at once");
        Self { max_open, idle_timeout, at_limit }
    }

    pub(super) const fn diverted(&self) -> Option<EdgeId> {
        match &self.at_limit {
            AtLimit::Divert(diverted) => Some(diverted.edge),
            AtLimit::Evict | AtLimit::Fail | AtLimit::Wait => None,
        }
    }
}

impl<T> Clone for Groups<T> {
    fn clone(&self) -> Self {
        Self { at_limit: self.at_limit.clone(), ..*self }
    }
}

impl<T> fmt::Debug for Groups<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups")
            .field("max_open", &self.max_open)
            .field("idle_timeout", &self.idle_timeout)
            .field("at_limit", &self.at_limit)
            .finish()
    }
}

/// What happens to the record of a new key when as many substreams are open as may be.
pub enum AtLimit<T> {
    /// The substream that has been unused for the longest is closed to make room.
    Evict,
    /// The record goes to a stream of its own, made by [`Dataflow::diverted`]. It counts as
    /// filtered.
    Divert(Diverted<T>),
    /// The record waits until a substream has been idle for long enough, and everything behind it
    /// waits with it: no order is given up, and no substream cut short.
    Wait,
    /// The job fails with [`TooManyGroups`].
    Fail,
}

impl<T> Clone for AtLimit<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Evict => Self::Evict,
            Self::Divert(diverted) => Self::Divert(diverted.clone()),
            Self::Wait => Self::Wait,
            Self::Fail => Self::Fail,
        }
    }
}

impl<T> fmt::Debug for AtLimit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Evict => "Evict",
            Self::Divert(_) => "Divert",
            Self::Wait => "Wait",
            Self::Fail => "Fail",
        })
    }
}

/// There were more keys than a [`group_by`](DataStream::group_by) may have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of a new key came while {max_open} groups were open, which is the limit")]
pub struct TooManyGroups {
    /// The limit.
    pub max_open: usize,
}

/// Where the records go that have found no group. Made by [`Dataflow::diverted`], and good for
/// operators of that dataflow only.
pub struct Diverted<T> {
    edge: EdgeId,
    marker: PhantomData<fn(T)>,
}

impl<T> Clone for Diverted<T> {
    fn clone(&self) -> Self {
        Self { edge: self.edge, marker: PhantomData }
    }
}

impl<T> fmt::Debug for Diverted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Diverted").field(&self.edge).finish()
    }
}

impl Dataflow {
    /// A stream of the records that find no room in a [`group_by`](DataStream::group_by), and the
    /// handle by which [`AtLimit::Divert`] sends them there. It is a bounded stream like every
    /// other, in one instance, and ends when the operators have that write to it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use millstream_operators::group::{AtLimit, Groups};
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("two groups");
    /// let (diverted, rest) = flow.diverted("too many");
    /// let groups = Groups::new(2, Duration::from_secs(60), AtLimit::Divert(diverted));
    /// let numbers = flow.source("numbers", source::from_iter([1, 2, 3, 1]));
    /// let taken = numbers.group_by(|n| *n, groups).each(|group| group.map(|n| n * 10)).collect();
    /// let rest = rest.collect();
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(taken), Some(vec![(1, 10), (2, 20), (1, 10)]));
    /// assert_eq!(report.take(rest), Some(vec![3]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn diverted<T: Send + 'static>(&self, name: &str) -> (Diverted<T>, DataStream<T>) {
        let edge = self.blueprint().add_edge::<T>(name, EdgeOptions::default());
        let stream = DataStream::behind(self.clone(), edge, 1, "diverted").named(name);
        (Diverted { edge, marker: PhantomData }, stream)
    }
}
