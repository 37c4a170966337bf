//! `Rate`, and the arithmetic of the token bucket behind every word that limits one.

use std::time::Duration;

use millstream_engine::time::Instant;

use super::run_clock::RunClock;
use crate::state::Plain;

/// How late a timer may be without costing throughput.
const TIMER_ERROR_MAX: Duration = Duration::from_millis(10);

/// A rate, and how much of it may be used at once: `units` in each `per`, spread evenly, after a
/// burst of up to [`with_burst`](Rate::with_burst) units that were not used before.
///
/// A unit is a record, unless a word asks for the cost of each.
///
/// ```
/// use millstream_operators::timing::Rate;
/// use std::time::Duration;
///
/// let rate = Rate::new(300, Duration::from_secs(60)).with_burst(20);
/// assert_eq!(Rate::per_second(5), Rate::new(5, Duration::from_secs(1)));
/// # let _ = rate;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    units: u32,
    per: Duration,
    burst: u32,
}

impl Rate {
    /// `units` in each `per`, without bursts: a unit every `per / units`.
    ///
    /// # Panics
    ///
    /// If either is zero.
    #[must_use]
    #[track_caller]
    pub const fn new(units: u32, per: Duration) -> Self {
        assert!(units > 0, "a rate of no units");
        assert!(!per.is_zero(), "a rate in no time");
        Self { units, per, burst: 1 }
    }

    /// `units` in each second, without bursts.
    ///
    /// # Panics
    ///
    /// If `units` is zero.
    #[must_use]
    #[track_caller]
    pub const fn per_second(units: u32) -> Self {
        Self::new(units, Duration::from_secs(1))
    }

    /// How many units may go at once, after a time in which they were not used. Default: 1.
    ///
    /// # Panics
    ///
    /// If `burst` is zero.
    #[must_use]
    #[track_caller]
    pub const fn with_burst(mut self, burst: u32) -> Self {
        assert!(burst > 0, "a burst of no units");
        self.burst = burst;
        self
    }
}

/// A token bucket as the generic cell rate algorithm keeps it: not the tokens, but the time at
/// which the bucket will be full again. Nothing ticks, and nothing is rounded that could add up:
/// that time is kept in fractions of a nanosecond, `1 / units` each.
///
/// Whoever has to wait is told when, and its unit is charged as of that time, however late the
/// timer was. What was due meanwhile may follow at once, if the timer was not later than
/// [`TIMER_ERROR_MAX`]: so a rate above the resolution of timers is kept, without a burst.
#[derive(Clone, Debug)]
pub(super) struct Gcra {
    rate: Rate,
    full_at: u128,
    late: Duration,
    last: Instant,
}

impl Gcra {
    pub(super) const fn new(rate: Rate) -> Self {
        Self { rate, full_at: 0, late: Duration::ZERO, last: Instant::START }
    }

    /// Whose bucket, as far as anybody can tell, has never been used.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_at <= self.scaled(now)
    }

    pub(super) fn full_at(&self) -> Instant {
        self.instant(self.full_at)
    }

    /// When it will be full again, as it is written in state. How late the last timer was is not:
    /// that is over when another run begins.
    pub(super) fn state(&self, clock: &RunClock) -> Plain<i64> {
        Plain(clock.nanos(self.full_at()))
    }

    /// Goes on from what [`state`](Gcra::state) told: to the nanosecond, and whatever the rate then
    /// was.
    pub(super) fn resume(&mut self, state: &Plain<i64>, clock: &RunClock) {
        self.full_at = self.scaled(clock.instant(state.0));
    }

    fn scaled(&self, at: Instant) -> u128 {
        at.since_start().as_nanos().saturating_mul(u128::from(self.rate.units))
    }

    /// The first instant that is not before a scaled time.
    fn instant(&self, scaled: u128) -> Instant {
        let nanos = scaled.div_ceil(u128::from(self.rate.units));
        Instant::after_start(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    fn time_of(&self, units: u32) -> u128 {
        self.rate.per.as_nanos().saturating_mul(u128::from(units))
    }

    /// As of when somebody asks who asks at `now`: earlier by what the last timer was late, as long
    /// as that has not been made up for.
    pub(super) fn asked(&mut self, now: Instant) -> Instant {
        if now.saturating_since(self.last) > self.late {
            self.late = Duration::ZERO;
        }
        Instant::after_start(now.since_start().saturating_sub(self.late))
    }

    fn full_again(&self, asked: Instant, cost: u32) -> u128 {
        self.full_at.max(self.scaled(asked)).saturating_add(self.time_of(cost))
    }

    /// When `cost` units may go. One that costs more than a burst waits for what is missing.
    pub(super) fn due(&self, asked: Instant, cost: u32) -> Instant {
        let burst = self.time_of(self.rate.burst);
        self.instant(self.full_again(asked, cost).saturating_sub(burst))
    }

    /// Uses up `cost` units.
    pub(super) fn take(&mut self, asked: Instant, cost: u32) {
        self.full_at = self.full_again(asked, cost);
    }

    /// Remembers how late it is that what was due then goes out now.
    pub(super) fn went(&mut self, now: Instant, due: Instant) {
        self.late = now.saturating_since(due).min(TIMER_ERROR_MAX);
        self.last = now;
    }

    /// Lets `cost` units go at once, if they may.
    pub(super) fn try_take(&mut self, now: Instant, cost: u32) -> Result<(), Instant> {
        let asked = self.asked(now);
        let due = self.due(asked, cost);
        if due > now {
            return Err(due);
        }
        self.take(asked, cost);
        self.went(now, due.max(asked));
        Ok(())
    }

    /// Another rate from now on. What has been used of the bucket stays used.
    pub(super) fn change(&mut self, now: Instant, rate: Rate) {
        let owed = self.full_at.saturating_sub(self.scaled(now));
        let owed = owed.saturating_mul(rate.per.as_nanos()).div_ceil(self.rate.per.as_nanos());
        self.rate = rate;
        self.full_at = self.scaled(now).saturating_add(owed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(nanos: u64) -> Instant {
        Instant::after_start(Duration::from_nanos(nanos))
    }

    #[test]
    fn d1_fractions_of_a_nanosecond_do_not_add_up() {
        let mut bucket = Gcra::new(Rate::per_second(3));
        let mut now = at(0);
        for _ in 0..3_000_000 {
            if let Err(due) = bucket.try_take(now, 1) {
                let asked = bucket.asked(now);
                bucket.take(asked, 1);
                bucket.went(due, due);
                now = due;
            }
        }
        // The first one goes at once, so the last of three million is a third of a second early.
        assert_eq!(now, at(999_999_666_666_667));
    }

    #[test]
    fn d1_a_burst_is_what_was_not_used() {
        fn burst(bucket: &mut Gcra, now: Instant) -> usize {
            (0..9).take_while(|_| bucket.try_take(now, 1).is_ok()).count()
        }
        let mut bucket = Gcra::new(Rate::new(1, Duration::from_nanos(10)).with_burst(3));
        assert_eq!(burst(&mut bucket, at(0)), 3);
        assert_eq!(burst(&mut bucket, at(19)), 1);
        assert_eq!(burst(&mut bucket, at(20)), 1);
        assert_eq!(burst(&mut bucket, at(500)), 3, "and no more than that");
        assert_eq!(bucket.try_take(at(500), 7), Err(at(570)), "seven units owed, none left");
    }

    #[test]
    fn d1_another_rate_forgets_nothing() {
        let mut bucket = Gcra::new(Rate::new(1, Duration::from_nanos(1000)).with_burst(2));
        bucket.try_take(at(0), 2).unwrap();
        assert_eq!(bucket.try_take(at(0), 1), Err(at(1000)));
        bucket.change(at(500), Rate::new(1, Duration::from_nanos(10)).with_burst(2));
        // Half a unit had come back: half a unit is missing, at the new rate.
        assert_eq!(bucket.try_take(at(500), 1), Err(at(505)));
    }

    #[test]
    #[should_panic(expected = "a rate of no units")]
    fn d1_a_rate_of_nothing_is_a_building_mistake() {
        std::hint::black_box(Rate::per_second(0));
    }

    #[test]
    fn d1_hostile_numbers_do_no_harm() {
        let mut bucket = Gcra::new(Rate::new(u32::MAX, Duration::MAX).with_burst(u32::MAX));
        let far = Instant::after_start(Duration::MAX);
        for now in [at(0), far, at(1)] {
            for cost in [0, 1, u32::MAX] {
                bucket.try_take(now, cost).ok();
                bucket.change(now, Rate::new(1, Duration::from_nanos(1)));
                bucket.change(now, Rate::new(u32::MAX, Duration::MAX));
            }
        }
    }
}
