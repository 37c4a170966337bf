//! The clock seam: every reading of time and every timer of the engine goes through a [`Clock`].

use std::fmt;
use std::future::Future;
use std::ops::Add;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Timestamp;
use super::virtual_clock::{VirtualSleep, VirtualState};

/// A monotonic point in time, counted from the moment its clock was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The moment the clock was made.
    pub const START: Self = Self(Duration::ZERO);

    /// The point `elapsed` after the clock was made.
    #[must_use]
    pub const fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after the clock was made this point lies.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this point lies; zero if it lies before.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

/// Where a job reads time and waits for it.
///
/// [`Clock::system`] follows tokio's clock, so a runtime whose time is paused pauses the job's
/// timers too. A clock that moves only by hand comes from
/// [`VirtualClock`](super::VirtualClock).
#[derive(Clone)]
pub struct Clock(Kind);

#[derive(Clone)]
enum Kind {
    System { start: tokio::time::Instant },
    Virtual(Arc<VirtualState>),
}

impl Clock {
    /// The machine's clock, by way of tokio's.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn system() -> Self {
        Self(Kind::System { start: tokio::time::Instant::now() })
    }

    pub(super) fn from_virtual(state: Arc<VirtualState>) -> Self {
        Self(Kind::Virtual(state))
    }

    /// The monotonic time. It never goes back.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Kind::System { start } => Instant(tokio::time::Instant::now() - *start),
            Kind::Virtual(state) => Instant(state.now()),
        }
    }

    /// The wall clock's time. It may jump when the machine's clock is set; never use it for
    /// measuring how long something took.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn timestamp(&self) -> Timestamp {
        let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        match &self.0 {
            Kind::System { .. } => {
                Timestamp::from_millis(match SystemTime::now().duration_since(UNIX_EPOCH) {
                    Ok(after) => millis(after),
                    Err(before) => -millis(before.duration()),
                })
            }
            Kind::Virtual(state) => state.timestamp(),
        }
    }

    /// A future that is ready once the clock has reached `deadline`. Dropping it cancels the wait.
    ///
    /// # Panics
    ///
    /// The system clock's needs a tokio runtime with time enabled, and panics without one.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that waits for the machine's clock"
    )]
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep(match &self.0 {
            Kind::System { start } => match start.checked_add(deadline.0) {
                Some(deadline) => SleepKind::System(Box::pin(tokio::time::sleep_until(deadline))),
                // Later than the machine can count: a limit of `Duration::MAX` is none.
                None => SleepKind::Never,
            },
            Kind::Virtual(state) => {
                SleepKind::Virtual(VirtualSleep::new(Arc::clone(state), deadline.0))
            }
        })
    }

    /// A future that is ready after `duration`.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::System { .. } => f.write_str("Clock::system"),
            Kind::Virtual(_) => f.write_str("Clock::virtual"),
        }
    }
}

/// A wait for a [`Clock`] to reach a point.
#[must_use = "futures do nothing unless polled"]
pub struct Sleep(SleepKind);

enum SleepKind {
    System(Pin<Box<tokio::time::Sleep>>),
    Virtual(VirtualSleep),
    Never,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            SleepKind::System(sleep) => sleep.as_mut().poll(cx),
            SleepKind::Virtual(sleep) => sleep.poll(cx),
            SleepKind::Never => Poll::Pending,
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sleep")
    }
}
