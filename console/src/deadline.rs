//! A deadline that moves while it is waited for.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use millstream_engine::time::{Clock, Instant};

/// Passes when it has not been renewed for a while.
pub(crate) struct Deadline {
    clock: Clock,
    after: Duration,
    at: Mutex<Instant>,
}

impl Deadline {
    pub(crate) fn new(clock: Clock, after: Duration) -> Self {
        let at = Mutex::new(clock.now() + after);
        Self { clock, after, at }
    }

    pub(crate) fn renew(&self) {
        let at = self.clock.now() + self.after;
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    pub(crate) async fn passed(&self) {
        loop {
            let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
            if self.clock.now() >= at {
                return;
            }
            self.clock.sleep_until(at).await;
        }
    }
}
