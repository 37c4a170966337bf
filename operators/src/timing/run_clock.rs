//! What timed words know of the time: the clock of their run, and since when it has been quiet.

use std::time::Duration;

use millstream_engine::runtime::{BlockedTime, OperatorContext};
use millstream_engine::state::StateError;
use millstream_engine::time::{Clock, Instant};

use crate::state::{Codec, Part, Plain};
use crate::time::ProcessingClock;

/// The clock of a run, and the time at which the stage began to read. A blueprint's has neither.
#[derive(Debug, Default)]
pub(crate) struct RunClock {
    time: ProcessingClock,
    started: Option<Instant>,
    /// How long the stream had been running before that, in other runs.
    before: Duration,
    begun: bool,
}

impl RunClock {
    pub(crate) fn open(&mut self, context: &OperatorContext<'_>) {
        let clock = context.clock();
        self.started = Some(clock.now());
        self.time = ProcessingClock::start(clock);
    }

    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.clock().map_or(Instant::START, Clock::now)
    }

    pub(crate) fn clock(&self) -> Option<&Clock> {
        self.time.clock()
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

    /// When the stream will have been running for `time`. `None` before it was opened.
    #[inline]
    pub(crate) fn due(&self, time: Duration) -> Option<Instant> {
        self.started.map(|started| started + time.saturating_sub(self.before))
    }

    /// How long the stream has been running.
    pub(crate) fn running(&self, now: Instant) -> Duration {
        let here = self.started.map_or(Duration::ZERO, |started| now.saturating_since(started));
        here.saturating_add(self.before)
    }

    /// A point in time as it is written in state: it means the same in another run.
    pub(crate) fn nanos(&self, instant: Instant) -> i64 {
        self.time.nanos(instant)
    }

    /// What [`nanos`](RunClock::nanos) wrote; the clock's beginning, if it was before that.
    pub(crate) fn instant(&self, nanos: i64) -> Instant {
        self.time.instant(nanos).0
    }

    /// When the stream began to run, for its state.
    pub(crate) fn beginning(&self) -> i64 {
        let before = i64::try_from(self.before.as_nanos()).unwrap_or(i64::MAX);
        self.started.map_or(i64::MIN, |started| self.nanos(started)).saturating_sub(before)
    }

    /// The stream began to run then, in another run.
    pub(crate) fn resume(&mut self, beginning: i64) {
        let (started, before) = self.time.instant(beginning);
        (self.started, self.before, self.begun) = (Some(started), before, true);
    }
}

/// When the stream began to run: the whole state of words that count from there.
impl<T> Part<T> for RunClock {
    fn write(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        Plain(self.beginning()).write(codec, bytes)
    }

    fn read(&mut self, codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
        let mut beginning = Plain(0);
        beginning.read(codec, bytes)?;
        self.resume(beginning.0);
        Ok(())
    }
}

/// Measures how long there has been no record, without the time in which none could have come:
/// because what comes behind was full, or waited.
#[derive(Debug)]
pub(crate) struct Quiet {
    limit: Duration,
    clock: RunClock,
    blocked: BlockedTime,
    /// How quiet it had been before that, in another run.
    already: Duration,
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
            already: Duration::ZERO,
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
        self.already = Duration::ZERO;
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

    /// How long it has been quiet.
    fn lasted(&self, now: Instant) -> Duration {
        let blocked = self.blocked.until(now).saturating_sub(self.blocked_before);
        let quiet = now.saturating_since(self.since).saturating_sub(blocked);
        quiet.saturating_add(self.already)
    }

    /// Whether it has been quiet for too long. If not, it sets the timer anew; if so, there is none
    /// until the next [`touch`](Quiet::touch).
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        if self.next_timer().is_none_or(|due| due > now) {
            return false;
        }
        let left = self.limit.saturating_sub(self.lasted(now));
        self.due = (!left.is_zero()).then(|| now + left);
        left.is_zero()
    }
}

/// How long it has been quiet, and not since when: no record could have come while no run was
/// there.
impl<T> Part<T> for Quiet {
    fn write(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        let lasted = self.due.map(|_| self.lasted(self.clock.now()));
        Plain(lasted).write(codec, bytes)
    }

    fn read(&mut self, codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
        let mut lasted = Plain(None::<Duration>);
        lasted.read(codec, bytes)?;
        self.clock.begin();
        self.touch();
        self.already = lasted.0.unwrap_or_default();
        self.due = lasted.0.map(|lasted| self.since + self.limit.saturating_sub(lasted));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use millstream_engine::time::{Timestamp, VirtualClock};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(wall: i64) -> (RunClock, VirtualClock) {
        let hand = VirtualClock::starting_at(Timestamp::from_millis(wall));
        let time = ProcessingClock::start(hand.clock());
        let clock = RunClock { time, started: Some(Instant::START), ..RunClock::default() };
        (clock, hand)
    }

    #[test]
    fn a_beginning_lies_before_the_clock_and_counts_all_the_same() {
        for wall in [-9_000, 0, 1_700_000_000_000] {
            let (first, hand) = at(wall);
            hand.advance(SECOND * 2);
            assert_eq!(first.running(first.now()), SECOND * 2);
            // A run that begins a minute later, and one that begins before: the date was set back.
            for (later, due) in
                [(3_000, SECOND * 2), (60_000, Duration::ZERO), (-1_000, SECOND * 6)]
            {
                let (mut second, hand) = at(wall + later);
                second.resume(first.beginning());
                assert!(!second.begin(), "it has begun");
                assert_eq!(second.due(SECOND * 5), Some(Instant::after_start(due)), "{later}");
                assert_eq!(second.beginning(), first.beginning());
                hand.advance(SECOND);
                let running = SECOND * u32::try_from((later / 1_000 + 1).max(0)).unwrap_or(0);
                assert_eq!(second.running(second.now()), running);
            }
        }
    }

    #[test]
    fn hostile_times_saturate() {
        for wall in [i64::MIN, -1, i64::MAX] {
            let (mut clock, _hand) = at(wall);
            for nanos in [i64::MIN, -1, 0, i64::MAX] {
                clock.resume(nanos);
                let due = clock.due(Duration::MAX);
                let (_, _) = (clock.running(clock.now()), clock.beginning());
                due.map(|due| clock.instant(clock.nanos(due)));
            }
        }
    }
}
