//! What timed words know of the time: the clock of their run, and since when it has been quiet.

use std::time::Duration;

use millstream_engine::runtime::{BlockedTime, OperatorContext};
use millstream_engine::time::{Clock, Instant};

/// The clock of a run, and the time at which the stage began to read. A blueprint's has neither.
#[derive(Debug, Default)]
pub(crate) struct RunClock {
    clock: Option<Clock>,
    started: Option<Instant>,
    begun: bool,
}

impl RunClock {
    pub(crate) fn open(&mut self, context: &OperatorContext<'_>) {
        let clock = context.clock();
        self.started = Some(clock.now());
        self.clock = Some(clock);
    }

    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.clock.as_ref().map_or(Instant::START, Clock::now)
    }

    pub(crate) const fn clock(&self) -> Option<&Clock> {
        self.clock.as_ref()
    }

    /// The stage begins, which may be long after it was opened: the second input of a `concat` is
    /// not read before the first has ended. Tells whether it does so for the first time.
    #[inline]
    pub(crate) fn begin(&mut self) -> bool {
        if self.begun {
            return false;
        }
        self.begun = true;
        self.started = Some(self.now());
        true
    }

    /// When the stage began. `None` before it was opened.
    #[inline]
    pub(crate) const fn started(&self) -> Option<Instant> {
        self.started
    }
}

/// Measures how long there has been no record, without the time in which none could have come:
/// because what comes behind was full, or waited.
#[derive(Debug)]
pub(crate) struct Quiet {
    limit: Duration,
    clock: RunClock,
    blocked: BlockedTime,
    /// The last record, or the begin, and how long the stage had been blocked until then.
    since: Instant,
    blocked_before: Duration,
    due: Option<Instant>,
    /// The last record made the rest of the chain stop.
    stalled: bool,
}

impl Quiet {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            clock: RunClock::default(),
            blocked: BlockedTime::default(),
            since: Instant::START,
            blocked_before: Duration::ZERO,
            due: None,
            stalled: false,
        }
    }

    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    pub(crate) fn open(&mut self, context: &OperatorContext<'_>) {
        self.clock.open(context);
        self.blocked = context.blocked_time();
        self.touch();
    }

    pub(crate) fn begin(&mut self) {
        if self.clock.begin() {
            self.touch();
        }
    }

    /// It is not quiet now.
    #[inline]
    pub(crate) fn touch(&mut self) {
        self.since = self.clock.now();
        self.blocked_before = self.blocked.until(self.since);
        self.due = Some(self.since + self.limit);
    }

    /// What was emitted has filled the rest of the chain up.
    #[inline]
    pub(crate) const fn stall(&mut self, full: bool) {
        self.stalled = full;
    }

    #[inline]
    pub(crate) const fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// There is room again, and whoever is behind it could not have had another record earlier.
    pub(crate) fn resume(&mut self) {
        self.stalled = false;
        if self.due.is_some() {
            self.touch();
        }
    }

    pub(crate) const fn end(&mut self) {
        self.due = None;
    }

    #[inline]
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.due.filter(|_| !self.stalled)
    }

    /// Whether it has been quiet for too long. If not, it sets the timer anew; if so, there is none
    /// until the next [`touch`](Quiet::touch).
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        if self.next_timer().is_none_or(|due| due > now) {
            return false;
        }
        let blocked = self.blocked.until(now).saturating_sub(self.blocked_before);
        let quiet = now.saturating_since(self.since).saturating_sub(blocked);
        let left = self.limit.saturating_sub(quiet);
        self.due = (!left.is_zero()).then(|| now + left);
        left.is_zero()
    }
}
