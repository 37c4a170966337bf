//! The time of a task that several stages share, which each of them need not read anew.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::time::Instant;

/// When a stage's poll begins, given by the task that polls it, and when it ended, left by the
/// stage: the two read the clock once between them. Each is good for one poll only, so that a stage
/// which has moved into a task of its own goes by nobody's time but the clock's.
#[derive(Debug)]
pub(super) struct Times {
    begins: AtomicU64,
    ended: AtomicU64,
}

/// Later than any clock gets.
const NONE: u64 = u64::MAX;

impl Times {
    pub(super) const fn new() -> Self {
        Self { begins: AtomicU64::new(NONE), ended: AtomicU64::new(NONE) }
    }

    /// For the task: the stage is about to be polled.
    pub(super) fn give(&self, now: Instant) {
        put(&self.begins, now);
    }

    /// For the stage: when its poll begins, if it is known.
    pub(super) fn begin(&self) -> Option<Instant> {
        take(&self.begins)
    }

    /// For the stage: its poll ends.
    pub(super) fn end(&self, now: Instant) {
        put(&self.ended, now);
    }

    /// For the task: when the poll ended, if the stage has said so. One that was not begun in it
    /// does not get the time any more.
    pub(super) fn take(&self) -> Option<Instant> {
        self.begins.store(NONE, Relaxed);
        take(&self.ended)
    }
}

fn put(time: &AtomicU64, now: Instant) {
    time.store(u64::try_from(now.since_start().as_nanos()).unwrap_or(NONE), Relaxed);
}

/// One task at a time does this, so it takes no exchange.
fn take(time: &AtomicU64) -> Option<Instant> {
    let nanos = time.load(Relaxed);
    time.store(NONE, Relaxed);
    (nanos != NONE).then(|| Instant::after_start(Duration::from_nanos(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_good_for_one_poll() {
        let (times, now) = (Times::new(), Instant::after_start(Duration::from_millis(7)));
        assert_eq!((times.begin(), times.take()), (None, None));
        times.give(now);
        assert_eq!((times.begin(), times.begin()), (Some(now), None));
        times.end(now);
        times.give(now);
        assert_eq!((times.take(), times.take(), times.begin()), (Some(now), None, None));
    }
}
