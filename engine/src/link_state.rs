//! The part of a link that knows none of its types, and so is compiled once and not once a link.

use crate::batch::Barrier;
use crate::error::{Error, OperatorError};
use crate::runtime::Seat;
use crate::time::Timestamp;

/// What a link has besides its operator and what comes after it.
#[derive(Debug)]
pub(crate) struct LinkState {
    pub(crate) held: Box<Held>,
    /// Of an operator that sets the time: nobody is idle, and no watermark is held. What is asked
    /// for each record.
    pub(crate) calm: bool,
    /// Whether to count what is filtered out and added.
    pub(crate) counts: bool,
    /// Whether to say who is at work.
    pub(crate) watched: bool,
    pub(crate) rejected: u64,
    pub(crate) added: u64,
}

/// What is seldom looked at. It has a place of its own, for a link is moved with all that is behind
/// it whenever one more is put before it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) seat: Seat,
    pub(crate) watermark: Option<Timestamp>,
    pub(crate) idle: bool,
    pub(crate) barrier: Option<Barrier>,
    pub(crate) end: bool,
    /// Of an operator that sets the time: whether its input is idle, and what everybody behind it
    /// has been told.
    pub(crate) input_idle: bool,
    pub(crate) idle_told: bool,
    pub(crate) error: Option<Error>,
}

impl LinkState {
    pub(crate) fn new(seat: Seat, counts: bool) -> Self {
        let held = Box::new(Held {
            seat,
            watermark: None,
            idle: false,
            barrier: None,
            end: false,
            input_idle: false,
            idle_told: false,
            error: None,
        });
        Self { held, calm: true, counts, watched: false, rejected: 0, added: 0 }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn fail(&mut self, error: OperatorError) {
        self.held.seat.counters().errors.add(1);
        self.held.error = Some(Error::operator(self.held.seat.name(), error));
    }

    pub(crate) const fn has_failed(&self) -> bool {
        self.held.error.is_some()
    }

    #[cold]
    #[inline(never)]
    pub(crate) const fn take_error(&mut self) -> Option<Error> {
        self.held.error.take()
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn begin_work(&self) {
        self.held.seat.begin_work();
    }

    pub(crate) fn note_calm(&mut self) {
        self.calm = self.held.watermark.is_none() && !self.held.input_idle && !self.held.idle_told;
    }

    /// Counts what a hook has made of the records it was given, and still owes for.
    #[inline]
    pub(crate) fn count(&mut self, owed: i64) {
        // Tested rather than always added, so that the common way through stays free of stores.
        if owed > 0 {
            self.rejected += owed.unsigned_abs();
        } else if owed < 0 {
            self.added += owed.unsigned_abs();
        }
    }

    /// Only while unwinding from a hook, which counts all the same.
    #[cold]
    #[inline(never)]
    pub(crate) fn abandon(&mut self, owed: i64) {
        self.count(owed);
        self.held.seat.blame();
    }

    pub(crate) fn publish(&mut self) {
        let counters = self.held.seat.counters();
        counters.filtered.add(std::mem::take(&mut self.rejected));
        counters.added.add(std::mem::take(&mut self.added));
    }
}
