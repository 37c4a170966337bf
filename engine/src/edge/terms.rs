//! What an outbox needs to know where its edge is not an ordinary one.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::policy::{EdgeFull, WhenFull};
use crate::error::Error;
use crate::runtime::Seat;
use crate::time::{Clock, Sleep};

/// The terms on which one outbox sends: what happens when the edge is full, and who is to blame.
pub(crate) struct Terms {
    pub(super) when_full: WhenFull,
    /// The operator behind the edge: it is its closures that run here.
    seat: Seat,
    clock: Clock,
    /// How many records the one that waits is made of; zero if none had to wait.
    merged: usize,
    /// When a consumer without room is cut off.
    patience: Option<Sleep>,
    /// The consumer was cut off.
    pub(super) cut: bool,
    failure: Option<Error>,
}

impl Terms {
    pub(crate) const fn new(when_full: WhenFull, seat: Seat, clock: Clock) -> Self {
        let (merged, patience, cut, failure) = (0, None, false, None);
        Self { when_full, seat, clock, merged, patience, cut, failure }
    }

    /// Runs what may be users' code, and names the operator behind the edge if it panics.
    pub(super) fn guarded<R>(&self, act: impl FnOnce() -> R) -> R {
        let guard = self.seat.guard();
        let result = act();
        guard.disarm();
        result
    }

    /// Whether records wait in one for room, and more can join them.
    pub(super) const fn is_merging(&self) -> bool {
        self.merged > 0 && !self.is_at_most()
    }

    /// Whether no more can join the record that waits.
    pub(super) const fn is_at_most(&self) -> bool {
        matches!(self.when_full, WhenFull::Conflate { max } if self.merged >= max)
    }

    /// What was waiting has been sent.
    pub(super) fn sent(&mut self) {
        self.merged = 0;
        self.patience = None;
    }

    /// So many records become one. Tells how many of them are absorbed.
    pub(super) fn merged(&mut self, records: usize) -> usize {
        self.merged += records - usize::from(self.merged > 0 && records > 0);
        records.saturating_sub(1)
    }

    pub(super) fn fail(&mut self, capacity: usize) {
        self.failure = Some(Error::operator(self.seat.name(), EdgeFull { capacity }.into()));
    }

    pub(super) const fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    pub(super) const fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// Ready when there has been no room for too long.
    pub(super) fn poll_patience(&mut self, cx: &mut Context<'_>, after: Duration) -> Poll<()> {
        let (clock, patience) = (&self.clock, &mut self.patience);
        let sleep = patience.get_or_insert_with(|| clock.sleep(after));
        Pin::new(sleep).poll(cx)
    }

    pub(super) fn say_cut(&self, after: Duration) {
        tracing::warn!(operator = %self.seat.name(), ?after, "cut off, having had no room");
    }
}
