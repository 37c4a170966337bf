//! What windows know of the clock: what it says, and the one timer that they set.

use std::time::Duration;

use millstream_engine::runtime::OperatorContext;
use millstream_engine::time::{Clock, Instant, Timestamp};

/// The wall clock, clamped so that it never goes back, and a timer on it.
pub(super) struct WallClock {
    clock: Option<Clock>,
    /// The latest that it has said.
    reached: Timestamp,
    /// What the timer is set to, by the wall, and when that will be.
    timer: Option<(Timestamp, Instant)>,
}

impl WallClock {
    pub(super) const fn new() -> Self {
        Self { clock: None, reached: Timestamp::MIN, timer: None }
    }

    pub(super) fn open(&mut self, context: &OperatorContext<'_>) {
        self.clock = Some(context.clock());
    }

    /// What it says.
    #[inline]
    pub(super) fn read(&mut self) -> Timestamp {
        let says = self.clock.as_ref().map_or(Timestamp::MIN, Clock::timestamp);
        self.reached = self.reached.max(says);
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

    /// Sets the timer to when the wall clock will say `due`, which is at once if it has already.
    pub(super) fn set_timer(&mut self, due: Option<Timestamp>) {
        if self.timer.map(|(set, _)| set) == due {
            return;
        }
        self.timer = due.zip(self.clock.as_ref()).map(|(due, clock)| {
            let left = due.as_millis().saturating_sub(clock.timestamp().as_millis());
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            (due, clock.now() + left)
        });
    }

    /// The timer has fired: reads the clock, which may have been set back in between. Whoever calls
    /// this sets the timer anew.
    pub(super) fn on_timer(&mut self) -> Timestamp {
        self.timer = None;
        self.read()
    }

    #[inline]
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.timer.map(|(_, at)| at)
    }
}
