//! A clock that moves only when it is told to: timers become data, and tests need no sleeps.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{Clock, Timestamp};

/// The hand that moves a virtual [`Clock`].
///
/// It works on every kind of runtime: nothing advances by itself, and a timer fires inside the
/// [`advance`](VirtualClock::advance) that reaches it.
///
/// ```
/// use millstream_engine::time::VirtualClock;
/// use std::time::Duration;
///
/// let hand = VirtualClock::new();
/// let clock = hand.clock();
/// hand.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now().since_start(), Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct VirtualClock(Arc<VirtualState>);

impl VirtualClock {
    /// A clock that stands at its start, with the wall clock at the Unix epoch.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(Timestamp::from_millis(0))
    }

    /// A clock that stands at its start, with the wall clock at `epoch`.
    #[must_use]
    pub fn starting_at(epoch: Timestamp) -> Self {
        let inner = Inner { epoch: epoch.as_millis(), ..Inner::default() };
        Self(Arc::new(VirtualState { inner: Mutex::new(inner) }))
    }

    /// The clock to give to a job.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock::from_virtual(Arc::clone(&self.0))
    }

    /// Moves the clock by `by` and wakes every timer that it passes, earliest first.
    pub fn advance(&self, by: Duration) {
        let due = {
            let mut inner = self.0.lock();
            inner.now = inner.now.saturating_add(by);
            let after_now = (inner.now + Duration::from_nanos(1), 0);
            let later = inner.sleepers.split_off(&after_now);
            std::mem::replace(&mut inner.sleepers, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }

    /// Sets the wall clock to `to`, as an administrator or a time server does. No timer notices.
    pub fn set_wall_clock(&self, to: Timestamp) {
        let mut inner = self.0.lock();
        let passed = i64::try_from(inner.now.as_millis()).unwrap_or(i64::MAX);
        inner.epoch = to.as_millis().saturating_sub(passed);
    }

    /// How many timers are waiting.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.0.lock().sleepers.len()
    }

    /// How far away the earliest waiting timer is, if there is one.
    #[must_use]
    pub fn next_timer(&self) -> Option<Duration> {
        let inner = self.0.lock();
        let (&(deadline, _), _) = inner.sleepers.first_key_value()?;
        Some(deadline.saturating_sub(inner.now))
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualClock").field("now", &self.0.now()).finish_non_exhaustive()
    }
}

pub(super) struct VirtualState {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    now: Duration,
    /// What the wall clock showed at the start, in milliseconds.
    epoch: i64,
    next_id: u64,
    sleepers: BTreeMap<(Duration, u64), Waker>,
}

impl VirtualState {
    pub(super) fn now(&self) -> Duration {
        self.lock().now
    }

    pub(super) fn timestamp(&self) -> Timestamp {
        let inner = self.lock();
        Timestamp::from_millis(inner.epoch).saturating_add(inner.now)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct VirtualSleep {
    state: Arc<VirtualState>,
    deadline: Duration,
    id: Option<u64>,
}

impl VirtualSleep {
    pub(super) fn new(state: Arc<VirtualState>, deadline: Duration) -> Self {
        Self { state, deadline, id: None }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.state.lock();
        if inner.now >= self.deadline {
            return Poll::Ready(());
        }
        let id = *self.id.get_or_insert_with(|| {
            inner.next_id += 1;
            inner.next_id
        });
        inner.sleepers.insert((self.deadline, id), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for VirtualSleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.state.lock().sleepers.remove(&(self.deadline, id));
        }
    }
}
