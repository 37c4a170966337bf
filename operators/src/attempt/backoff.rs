//! `Backoff`: how long to wait before an attempt is made again, and how often.

use std::time::Duration;

use millstream_engine::random::Random;

/// Attempts, and growing delays between them. The first delay is `initial`, each further one
/// `factor` times as long, up to `max_delay`; each is shortened by chance by up to the share
/// `jitter`, so that those who failed together do not try again together.
///
/// ```
/// use millstream_operators::prelude::*;
/// use std::time::Duration;
///
/// let backoff = Backoff::default()
///     .with_initial(Duration::from_millis(20))
///     .with_max_delay(Duration::from_secs(1))
///     .with_attempts(8);
/// # let flow = Dataflow::new("doc");
/// # let words = flow.source("words", source::from_iter(["1"]));
/// words.try_map(OnError::retry(backoff).or_skip(), |word| word.parse::<u32>()).ignore();
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    initial: Duration,
    factor: f64,
    max_delay: Duration,
    attempts: u32,
    jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(100),
            factor: 2.0,
            max_delay: Duration::from_secs(10),
            attempts: 5,
            jitter: 0.5,
        }
    }
}

impl Backoff {
    /// The first delay. Default: 100 ms.
    #[must_use]
    pub const fn with_initial(mut self, initial: Duration) -> Self {
        self.initial = initial;
        self
    }

    /// How many times as long each further delay is, at least 1. Default: 2.
    #[must_use]
    pub const fn with_factor(mut self, factor: f64) -> Self {
        // Whatever is no number counts as 1, too.
        self.factor = if factor > 1.0 { factor } else { 1.0 };
        self
    }

    /// The longest delay. Default: 10 s.
    #[must_use]
    pub const fn with_max_delay(mut self, max_delay: Duration) -> Self {
        self.max_delay = max_delay;
        self
    }

    /// The most attempts, the first included; at least 1. Default: 5.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = if attempts > 0 { attempts } else { 1 };
        self
    }

    /// The share of a delay that is left to chance, between 0 and 1. Default: 0.5.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: f64) -> Self {
        self.jitter = match jitter {
            1.0.. => 1.0,
            0.0..1.0 => jitter,
            _ => 0.0,
        };
        self
    }

    /// How long to wait after so many failed attempts. `None` if that was the last one.
    #[must_use]
    pub fn delay(&self, failed: u32, random: &mut Random) -> Option<Duration> {
        if failed >= self.attempts {
            return None;
        }
        let growth = self.factor.powi(i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX));
        let seconds = self.initial.as_secs_f64() * growth;
        let whole = Duration::try_from_secs_f64(seconds).unwrap_or(self.max_delay);
        let share = random.ratio().mul_add(-self.jitter, 1.0);
        let whole = whole.min(self.max_delay);
        Some(Duration::try_from_secs_f64(whole.as_secs_f64() * share).unwrap_or(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Option<Duration> {
        Some(Duration::from_millis(millis))
    }

    #[test]
    fn j5_delays_grow_up_to_the_longest_and_the_attempts_run_out() {
        let backoff = Backoff::default()
            .with_initial(Duration::from_millis(10))
            .with_max_delay(Duration::from_millis(35))
            .with_attempts(5)
            .with_jitter(0.0);
        let mut random = Random::new(0);
        let delays = (1..=5).map(|failed| backoff.delay(failed, &mut random));
        let expected = [millis(10), millis(20), millis(35), millis(35), None];
        assert_eq!(delays.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn j5_jitter_only_shortens() {
        let backoff = Backoff::default().with_jitter(0.25).with_attempts(2);
        let mut random = Random::new(7);
        let delays: Vec<_> = (0..100).map(|_| backoff.delay(1, &mut random)).collect();
        assert!(delays.iter().all(|delay| (millis(75)..=millis(100)).contains(delay)));
        assert!(delays.iter().any(|delay| *delay != delays[0]), "by chance");
    }

    #[test]
    fn j5_hostile_numbers_do_no_harm() {
        let mut random = Random::new(7);
        for hostile in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300] {
            let backoff = Backoff::default().with_factor(hostile).with_jitter(hostile);
            let backoff = backoff.with_initial(Duration::MAX).with_attempts(u32::MAX);
            for failed in [1, 2, u32::MAX - 1] {
                let delay = backoff.delay(failed, &mut random);
                assert!(delay <= Some(Duration::from_secs(10)), "{hostile}");
            }
        }
        assert_eq!(Backoff::default().with_attempts(0).delay(1, &mut random), None);
        let longest = Backoff::default().with_initial(Duration::MAX).with_max_delay(Duration::MAX);
        assert_eq!(longest.with_jitter(0.0).delay(1, &mut random), Some(Duration::MAX));
    }
}
