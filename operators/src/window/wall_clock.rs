//! What windows know of the clock: what it says, and the one timer that they set.

use millstream_engine::runtime::OperatorContext;
use millstream_engine::time::{Instant, Timestamp};

use crate::time::ProcessingClock;

/// Processing time, which does not go back behind what it was before a restore either, and a timer.
pub(super) struct WallClock {
    clock: ProcessingClock,
    /// The latest that it has said.
    reached: Timestamp,
    /// What the timer is set to.
    due: Option<Timestamp>,
    timer: Option<Instant>,
}

impl WallClock {
    pub(super) fn new() -> Self {
        Self { clock: ProcessingClock::default(), reached: Timestamp::MIN, due: None, timer: None }
    }

    pub(super) fn open(&mut self, context: &OperatorContext<'_>) {
        self.clock = ProcessingClock::start(context.clock());
    }

    /// What it says.
    #[inline]
    pub(super) fn read(&mut self) -> Timestamp {
        self.reached = self.reached.max(self.clock.now());
        self.reached
    }

    /// The latest that it has said.
    #[inline]
    pub(super) const fn reached(&self) -> Timestamp {
        self.reached
    }

    /// Takes note that it had come so far before.
    pub(super) fn restore(&mut self, reached: Timestamp) {
        self.reached = self.reached.max(reached);
    }

    /// Sets the timer to when it will be `due`, which is at once if that has passed.
    pub(super) fn set_timer(&mut self, due: Option<Timestamp>) {
        if self.due != due {
            self.due = due;
            self.timer = due.and_then(|due| self.clock.when(due));
        }
    }

    /// The timer has fired. Whoever calls this sets it anew.
    pub(super) fn on_timer(&mut self) -> Timestamp {
        (self.due, self.timer) = (None, None);
        self.read()
    }

    #[inline]
    pub(super) const fn next_timer(&self) -> Option<Instant> {
        self.timer
    }
}
