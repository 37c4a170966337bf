//! How long a stream has been quiet, at no cost to a record.

use std::time::Duration;

use millstream_engine::runtime::{BlockedTime, OperatorContext};
use millstream_engine::time::Instant;

use crate::timing::run_clock::RunClock;

/// How often is looked in the time after which a stream is idle.
const LOOKS: u32 = 8;

/// Finds out that no record has come for a while, without the time in which none could have come:
/// because what comes behind was full, or waited.
///
/// A record leaves a mark and reads no clock; a timer looks at it eight times within the limit. So
/// the last record is known to an eighth of it, and quiet is found between the limit and nine
/// eighths of it, never earlier.
#[derive(Debug)]
pub(super) struct Quiet {
    limit: Duration,
    clock: RunClock,
    blocked: BlockedTime,
    /// From when on there was no record, and how long the stage had been blocked until then.
    since: Instant,
    blocked_before: Duration,
    /// When to look next. Not at all once it is idle.
    due: Option<Instant>,
}

impl Quiet {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            clock: RunClock::default(),
            blocked: BlockedTime::default(),
            since: Instant::START,
            blocked_before: Duration::ZERO,
            due: None,
        }
    }

    pub(super) fn open(&mut self, context: &OperatorContext<'_>) {
        self.clock.open(context);
        self.blocked = context.blocked_time();
        self.begin_at(self.clock.now());
    }

    /// The stage begins. Tells whether it does so for the first time.
    pub(super) fn begin(&mut self) -> bool {
        let begins = self.clock.begin();
        if begins {
            self.begin_at(self.clock.now());
        }
        begins
    }

    /// It is idle no longer.
    pub(super) fn begin_again(&mut self) {
        self.begin_at(self.clock.now());
    }

    fn begin_at(&mut self, now: Instant) {
        self.since = now;
        self.blocked_before = self.blocked.until(now);
        self.due = Some(now + self.limit / LOOKS);
    }

    /// It is idle, and looks again when it has been quiet for as long once more.
    pub(super) fn begin_idle(&mut self, now: Instant) {
        self.begin_at(now);
        self.due = Some(now + self.limit);
    }

    pub(super) const fn end(&mut self) {
        self.due = None;
    }

    #[inline]
    pub(super) const fn next_look(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it has been quiet for too long, and then for how long; `seen` is the mark of a
    /// record. Until the next one it is not looked again.
    pub(super) fn look(&mut self, now: Instant, seen: &mut bool) -> Option<Duration> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        if std::mem::take(seen) {
            self.begin_at(now);
            return None;
        }
        let blocked = self.blocked.until(now).saturating_sub(self.blocked_before);
        let quiet = now.saturating_since(self.since).saturating_sub(blocked);
        let left = self.limit.saturating_sub(quiet);
        self.due = (!left.is_zero()).then(|| now + left.min(self.limit / LOOKS));
        left.is_zero().then_some(quiet)
    }
}
