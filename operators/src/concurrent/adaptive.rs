//! A limit on concurrent calls that follows what whoever is called bears.

use std::time::Duration;

/// By how much a round may be slower than usual without being taken for a sign of overload.
const TOLERANCE: f64 = 1.5;
/// What is left of the limit after a round with errors or slow answers.
const DECREASE: f64 = 0.75;
/// How quickly the usual latency follows slower rounds: hardly, because what it has been under too
/// many calls is not what it should be.
const SMOOTHING: f64 = 0.005;

/// Additive increase, multiplicative decrease, once a round: after as many answers as were allowed
/// in flight when it began.
#[derive(Clone, Debug)]
pub(super) struct Adaptive {
    min: usize,
    max: usize,
    calls: usize,
    /// The usual latency, in seconds.
    usual: Option<f64>,
    round: Round,
}

#[derive(Clone, Debug, Default)]
struct Round {
    answers: usize,
    failures: usize,
    seconds: f64,
    /// Whether the limit was reached: only then can it have been too low.
    reached: bool,
}

impl Adaptive {
    pub(super) fn new(min: usize, max: usize) -> Self {
        Self { min, max, calls: min, usual: None, round: Round::default() }
    }

    pub(super) const fn calls(&self) -> usize {
        self.calls
    }

    /// A call has begun, and so many are in flight.
    pub(super) const fn started(&mut self, in_flight: usize) {
        self.round.reached |= in_flight >= self.calls;
    }

    /// A call has been answered.
    pub(super) fn answered(&mut self, latency: Duration, failed: bool) {
        self.round.answers += 1;
        self.round.failures += usize::from(failed);
        self.round.seconds += latency.as_secs_f64();
        if self.round.answers >= self.calls {
            self.end_round();
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "numbers of calls are small")]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to a share")]
    fn end_round(&mut self) {
        let round = std::mem::take(&mut self.round);
        let mean = round.seconds / round.answers as f64;
        let usual = *self.usual.get_or_insert(mean);
        if round.failures > 0 || mean > usual * TOLERANCE {
            let fewer = (self.calls as f64 * DECREASE) as usize;
            self.calls = fewer.clamp(self.min, self.calls);
        } else if round.reached {
            self.calls = (self.calls + 1).min(self.max);
        }
        self.usual = Some(mean.min((mean - usual).mul_add(SMOOTHING, usual)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs rounds against a service that answers in 10 ms as long as it has no more than
    /// `capacity` calls, and proportionally slower beyond.
    fn settle(adaptive: &mut Adaptive, capacity: usize, rounds: usize) {
        for _ in 0..rounds {
            let calls = adaptive.calls();
            let slowdown = (calls as f64 / capacity as f64).max(1.0);
            adaptive.started(calls);
            for _ in 0..calls {
                adaptive.answered(Duration::from_secs_f64(0.01 * slowdown), false);
            }
        }
    }

    #[test]
    fn c11_it_grows_to_what_is_borne_and_not_much_beyond() {
        let mut adaptive = Adaptive::new(1, 64);
        settle(&mut adaptive, 20, 200);
        assert!((15..=40).contains(&adaptive.calls()), "{}", adaptive.calls());
    }

    #[test]
    fn c11_errors_bring_it_down_to_the_least() {
        let mut adaptive = Adaptive::new(2, 64);
        settle(&mut adaptive, 100, 60);
        assert!(adaptive.calls() > 40);
        for _ in 0..500 {
            adaptive.started(adaptive.calls());
            adaptive.answered(Duration::from_millis(10), true);
        }
        assert_eq!(adaptive.calls(), 2);
    }

    #[test]
    fn c11_a_limit_that_is_not_reached_does_not_grow() {
        let mut adaptive = Adaptive::new(4, 64);
        for _ in 0..1000 {
            adaptive.started(1);
            adaptive.answered(Duration::from_millis(10), false);
        }
        assert_eq!(adaptive.calls(), 4);
    }
}
