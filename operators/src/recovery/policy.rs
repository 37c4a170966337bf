//! `RestartPolicy`: how often something that fails is started again, and when.

use std::time::Duration;

use millstream_engine::random::Random;
use millstream_engine::time::Instant;

use crate::attempt::Backoff;

/// How often something that fails is started again, how long it rests before that, and when the
/// counting begins anew.
///
/// The [`Backoff`]'s attempts are the most starts in a row, the first included: with five of them
/// the fifth failure is the last one. Whatever ran without a failure for as long as
/// [`with_reset_after`](RestartPolicy::with_reset_after) says has recovered, and its next failure
/// counts as the first.
///
/// ```
/// use millstream_operators::prelude::*;
/// use millstream_operators::recovery::RestartPolicy;
/// use std::time::Duration;
///
/// let patient = Backoff::default().with_attempts(u32::MAX);
/// let policy = RestartPolicy::new(patient).with_reset_after(Duration::from_secs(30));
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RestartPolicy {
    backoff: Backoff,
    reset_after: Duration,
    in_flight: usize,
}

impl RestartPolicy {
    /// Starts again as `backoff` says.
    #[must_use]
    pub const fn new(backoff: Backoff) -> Self {
        Self { backoff, reset_after: Duration::from_secs(60), in_flight: 16 }
    }

    /// How long it has to run without a failure for the counting to begin anew. Default: a minute.
    #[must_use]
    pub const fn with_reset_after(mut self, quiet: Duration) -> Self {
        self.reset_after = quiet;
        self
    }

    /// How many batches of input a [`restart_section`](crate::DataStream::restart_section) may have
    /// on their way at once, which is what it is given again after a failure. Zero counts as one.
    /// Default: 16.
    ///
    /// With one of them the section takes nothing more before everything that came of the last
    /// batch is out. Behind [`balance`](crate::DataStream::balance), and with a
    /// [`with_capacity`](crate::DataStream::with_capacity) of one, it then hoards next to no work
    /// that others could do while it rests.
    #[must_use]
    pub const fn with_in_flight(mut self, batches: usize) -> Self {
        self.in_flight = if batches == 0 { 1 } else { batches };
        self
    }

    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self::new(Backoff::default())
    }
}

impl From<Backoff> for RestartPolicy {
    fn from(backoff: Backoff) -> Self {
        Self::new(backoff)
    }
}

/// The failures of one thing that is started again.
#[derive(Clone, Debug)]
pub(crate) struct Restarts {
    policy: RestartPolicy,
    failed: u32,
    /// When it was started last.
    started: Option<Instant>,
}

impl Restarts {
    pub(crate) const fn new(policy: RestartPolicy) -> Self {
        Self { policy, failed: 0, started: None }
    }

    /// It has failed. Tells how long to wait before the next start; `None` if that was the last.
    pub(crate) fn fail(&mut self, now: Instant, random: &mut Random) -> Option<Duration> {
        let quiet = |started: Instant| now.saturating_since(started) >= self.policy.reset_after;
        if self.started.is_some_and(quiet) {
            self.failed = 0;
        }
        self.failed = self.failed.saturating_add(1);
        let delay = self.policy.backoff.delay(self.failed, random)?;
        self.started = Some(now + delay);
        Some(delay)
    }

    /// The failures in a row.
    pub(crate) const fn failed(&self) -> u32 {
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j3_the_counting_begins_anew_after_a_quiet_time() {
        let backoff = Backoff::default().with_initial(Duration::from_secs(1)).with_jitter(0.0);
        let policy = RestartPolicy::new(backoff.with_attempts(3));
        let mut restarts = Restarts::new(policy.with_reset_after(Duration::from_secs(10)));
        let mut random = Random::new(0);
        let mut fail = |at: u64| {
            let now = Instant::after_start(Duration::from_secs(at));
            restarts.fail(now, &mut random).map(|delay| delay.as_secs())
        };
        // Started again at 1, 3, and so on; eleven seconds after the second start all is well.
        assert_eq!([fail(0), fail(1), fail(14)], [Some(1), Some(2), Some(1)]);
        assert_eq!([fail(16), fail(20)], [Some(2), None], "in a row, and too often");
    }
}
