//! `CircuitBreaker`: calls that fail too often are not made for a while.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_engine::time::Instant;

/// Keeps calls from being made to something that fails anyway.
///
/// It is *closed* as long as calls succeed, and opens when so many have failed in a row, or so
/// large a share of the last ones. While it is *open* no call is made. After a time it is *half
/// open* and lets a few probes through: if they all succeed it closes, and the first that fails
/// opens it again.
///
/// Clones are the same breaker, for every operator, instance and job that calls the same thing.
/// [`OnError::guarded_by`](crate::attempt::OnError::guarded_by) puts it in front of the `try_…`
/// words, which ask it with the time of their job's clock; whoever else makes calls asks
/// [`try_acquire`](CircuitBreaker::try_acquire) itself. Jobs that share one must share their
/// [`Clock`](millstream_engine::time::Clock), too.
///
/// ```
/// use millstream_engine::time::Instant;
/// use millstream_operators::recovery::{BreakerState, CircuitBreaker, Permission};
/// use std::time::Duration;
///
/// let breaker = CircuitBreaker::after_failures(2).with_open_for(Duration::from_secs(5));
/// let start = Instant::START;
/// for _ in 0..2 {
///     let Permission::Granted(permit) = breaker.try_acquire(start) else { unreachable!() };
///     permit.failure(start);
/// }
/// assert_eq!(breaker.state(start), BreakerState::Open);
/// let later = start + Duration::from_secs(5);
/// let Permission::Granted(probe) = breaker.try_acquire(later) else { unreachable!() };
/// probe.success(later);
/// assert_eq!(breaker.state(later), BreakerState::Closed);
/// ```
#[derive(Clone)]
pub struct CircuitBreaker(Arc<Mutex<Core>>);

/// What state a [`CircuitBreaker`] is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are made.
    Closed,
    /// No calls are made.
    Open,
    /// A few probes are let through.
    HalfOpen,
}

/// Whether a call may be made.
#[derive(Debug)]
#[must_use = "a permit that is dropped tells nothing of its call"]
pub enum Permission {
    /// It may; the permit is to be told how it went.
    Granted(Permit),
    /// It may not.
    Denied {
        /// When to ask again.
        until: Instant,
    },
}

/// Leave for one call. Dropped without a word, as when the call is given up, it counts neither as a
/// success nor as a failure.
#[must_use = "a permit that is dropped tells nothing of its call"]
pub struct Permit {
    core: Arc<Mutex<Core>>,
    /// The state in which it was given; what comes later in another counts no more.
    epoch: u64,
    told: bool,
}

/// What is done with a value while the breaker is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenOpen {
    /// It waits until the breaker lets it through, and everything before it comes to rest.
    #[default]
    Wait,
    /// It is treated as one that failed with [`CircuitOpen`] and is not tried again: skipped,
    /// dead-lettered or failing the job, as the policy says.
    Divert,
}

/// A call was not made, because the circuit breaker in front of it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub struct CircuitOpen;

#[derive(Debug)]
struct Core {
    /// Failures in a row that open it.
    in_row: u32,
    /// Or the share of failures among so many calls.
    rate: Option<(f64, usize)>,
    open_for: Duration,
    probes: u32,
    epoch: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Closed { failed: u32, last: VecDeque<bool>, failures: usize },
    Open { until: Instant },
    HalfOpen { running: u32, succeeded: u32 },
}

const CLOSED: State = State::Closed { failed: 0, last: VecDeque::new(), failures: 0 };

impl CircuitBreaker {
    /// One that opens after so many failures in a row, at least one.
    #[must_use]
    pub fn after_failures(failures: u32) -> Self {
        Self::of(failures.max(1), None)
    }

    /// One that opens when at least `share` of the last `calls` have failed. As long as there were
    /// fewer calls it stays closed.
    #[must_use]
    pub fn after_rate(share: f64, calls: usize) -> Self {
        let share = if share.is_nan() { 1.0 } else { share.clamp(0.0, 1.0) };
        Self::of(u32::MAX, Some((share, calls.max(1))))
    }

    fn of(in_row: u32, rate: Option<(f64, usize)>) -> Self {
        let open_for = Duration::from_secs(30);
        let core = Core { in_row, rate, open_for, probes: 1, epoch: 0, state: CLOSED };
        Self(Arc::new(Mutex::new(core)))
    }

    /// How long it stays open before it lets probes through. Default: 30 s.
    #[must_use]
    pub fn with_open_for(self, open_for: Duration) -> Self {
        self.core().open_for = open_for;
        self
    }

    /// How many probes have to succeed, and how many run at once at most. Default: 1.
    #[must_use]
    pub fn with_probes(self, probes: u32) -> Self {
        self.core().probes = probes.max(1);
        self
    }

    /// Asks for leave to make a call.
    pub fn try_acquire(&self, now: Instant) -> Permission {
        let mut core = self.core();
        core.turn(now);
        let (probes, open_for) = (core.probes, core.open_for);
        match &mut core.state {
            State::Closed { .. } => {}
            State::Open { until } => return Permission::Denied { until: *until },
            State::HalfOpen { running, succeeded } => {
                if *running + *succeeded >= probes {
                    // The probes on their way decide, and nobody knows when.
                    let while_they_run = (open_for / 8).max(Duration::from_millis(1));
                    return Permission::Denied { until: now + while_they_run };
                }
                *running += 1;
            }
        }
        let epoch = core.epoch;
        drop(core);
        Permission::Granted(Permit { core: Arc::clone(&self.0), epoch, told: false })
    }

    /// What state it is in.
    #[must_use]
    pub fn state(&self, now: Instant) -> BreakerState {
        let mut core = self.core();
        core.turn(now);
        match core.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        lock(&self.0)
    }
}

fn lock(core: &Mutex<Core>) -> MutexGuard<'_, Core> {
    core.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    fn enter(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
    }

    /// Lets an open breaker whose time has come be half open.
    fn turn(&mut self, now: Instant) {
        if matches!(self.state, State::Open { until } if until <= now) {
            self.enter(State::HalfOpen { running: 0, succeeded: 0 });
        }
    }

    fn open(&mut self, now: Instant) {
        let until = now + self.open_for;
        tracing::warn!(open_for = ?self.open_for, "a circuit breaker opens");
        self.enter(State::Open { until });
    }

    fn record(&mut self, epoch: u64, success: bool, now: Instant) {
        if epoch != self.epoch {
            return;
        }
        let (in_row, rate, probes) = (self.in_row, self.rate, self.probes);
        match &mut self.state {
            State::Closed { failed, last, failures } => {
                *failed = if success { 0 } else { failed.saturating_add(1) };
                let mut opens = *failed >= in_row;
                if let Some((share, calls)) = rate {
                    last.push_back(success);
                    *failures += usize::from(!success);
                    if last.len() > calls && last.pop_front() == Some(false) {
                        *failures -= 1;
                    }
                    #[allow(clippy::cast_precision_loss, reason = "a share of some calls")]
                    let reached = *failures as f64 >= share * calls as f64;
                    opens = last.len() == calls && *failures > 0 && reached;
                }
                if opens {
                    self.open(now);
                }
            }
            State::Open { .. } => {}
            State::HalfOpen { running, succeeded } => {
                *running = running.saturating_sub(1);
                if !success {
                    self.open(now);
                    return;
                }
                *succeeded += 1;
                if *succeeded >= probes {
                    tracing::info!("a circuit breaker closes");
                    self.enter(CLOSED);
                }
            }
        }
    }
}

impl Permit {
    /// The call has succeeded.
    pub fn success(self, now: Instant) {
        self.tell(true, now);
    }

    /// The call has failed.
    pub fn failure(self, now: Instant) {
        self.tell(false, now);
    }

    fn tell(mut self, success: bool, now: Instant) {
        self.told = true;
        lock(&self.core).record(self.epoch, success, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let mut core = lock(&self.core);
        if core.epoch == self.epoch
            && let State::HalfOpen { running, .. } = &mut core.state
        {
            *running = running.saturating_sub(1);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CircuitBreaker").field(&self.core().state).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::after_start(Duration::from_millis(millis))
    }

    fn call(breaker: &CircuitBreaker, now: Instant, success: bool) -> bool {
        match breaker.try_acquire(now) {
            Permission::Granted(permit) if success => permit.success(now),
            Permission::Granted(permit) => permit.failure(now),
            Permission::Denied { .. } => return false,
        }
        true
    }

    #[test]
    fn j7_it_opens_after_failures_in_a_row_and_not_before() {
        let breaker = CircuitBreaker::after_failures(3);
        for success in [false, false, true, false, false] {
            assert!(call(&breaker, at(0), success));
        }
        assert_eq!(breaker.state(at(0)), BreakerState::Closed);
        assert!(call(&breaker, at(0), false));
        assert_eq!(breaker.state(at(0)), BreakerState::Open);
        assert!(!call(&breaker, at(29_999), true));
        assert_eq!(breaker.state(at(30_000)), BreakerState::HalfOpen);
    }

    #[test]
    fn j7_it_opens_at_a_share_of_the_last_calls() {
        let breaker = CircuitBreaker::after_rate(0.5, 4);
        for success in [false, false, true] {
            assert!(call(&breaker, at(0), success));
            assert_eq!(breaker.state(at(0)), BreakerState::Closed, "too few calls");
        }
        for success in [true, true, true] {
            // The two failures leave the window before a third one comes.
            let breaker = CircuitBreaker::after_rate(0.5, 4);
            for before in [false, true, true, true, success, false] {
                assert!(call(&breaker, at(0), before));
            }
            assert_eq!(breaker.state(at(0)), BreakerState::Closed);
        }
        assert!(call(&breaker, at(0), true));
        assert_eq!(breaker.state(at(0)), BreakerState::Open);
    }

    #[test]
    fn j7_half_open_lets_as_many_probes_through_as_it_needs() {
        let breaker = CircuitBreaker::after_failures(1).with_probes(2);
        let breaker = breaker.with_open_for(Duration::from_millis(80));
        assert!(call(&breaker, at(0), false));
        let Permission::Granted(first) = breaker.try_acquire(at(80)) else { panic!() };
        let Permission::Granted(second) = breaker.try_acquire(at(80)) else { panic!() };
        let Permission::Denied { until } = breaker.try_acquire(at(80)) else { panic!() };
        assert_eq!(until, at(90));
        drop(second);
        first.success(at(81));
        let Permission::Granted(third) = breaker.try_acquire(at(82)) else { panic!() };
        third.success(at(82));
        assert_eq!(breaker.state(at(82)), BreakerState::Closed);
    }

    #[test]
    fn j7_what_was_called_before_it_opened_does_not_count_afterwards() {
        let breaker = CircuitBreaker::after_failures(1).with_open_for(Duration::from_millis(10));
        let Permission::Granted(old) = breaker.try_acquire(at(0)) else { panic!() };
        let Permission::Granted(older) = breaker.try_acquire(at(0)) else { panic!() };
        assert!(call(&breaker, at(0), false));
        assert_eq!(breaker.state(at(10)), BreakerState::HalfOpen);
        old.success(at(10));
        older.failure(at(10));
        assert_eq!(breaker.state(at(10)), BreakerState::HalfOpen);
    }

    /// The breaker as the book has it, with every call over at once.
    struct Model {
        in_row: u32,
        probes: u32,
        failed: u32,
        opened: Option<u64>,
        succeeded: u32,
    }

    impl Model {
        fn call(&mut self, now: u64, success: bool) -> bool {
            match self.opened {
                Some(opened) if now < opened + 10 => return false,
                Some(_) if success => {
                    self.succeeded += 1;
                    if self.succeeded == self.probes {
                        (self.opened, self.failed) = (None, 0);
                    }
                }
                Some(_) => (self.opened, self.succeeded) = (Some(now), 0),
                None => {
                    self.failed = if success { 0 } else { self.failed + 1 };
                    if self.failed == self.in_row {
                        (self.opened, self.succeeded) = (Some(now), 0);
                    }
                }
            }
            true
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn j7_it_does_what_its_model_does(
            in_row in 1..4_u32,
            probes in 1..4_u32,
            calls in prop::collection::vec((0..6_u64, any::<bool>()), 0..80),
        ) {
            let breaker = CircuitBreaker::after_failures(in_row).with_probes(probes);
            let breaker = breaker.with_open_for(Duration::from_millis(10));
            let mut model = Model { in_row, probes, failed: 0, opened: None, succeeded: 0 };
            let mut now = 0;
            for (passed, success) in calls {
                now += passed;
                prop_assert_eq!(call(&breaker, at(now), success), model.call(now, success));
            }
        }
    }
}
