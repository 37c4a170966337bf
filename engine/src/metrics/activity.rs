//! What an instance of a stage is doing, since when, and how it has spent its time.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::counters::UNCOUNTED;
use crate::graph::OperatorId;
use crate::time::Instant;

/// What an instance of a stage is doing at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Doing {
    /// Nothing: it has not been polled yet, or is over.
    #[default]
    Nothing,
    /// It is at work, or about to be.
    Working,
    /// It waits for records: from the edge before it, or from its source.
    AwaitsInput,
    /// It waits until somebody takes what it has: a stage behind it, or its sink.
    AwaitsRoom,
    /// One of its operators waits for something of its own: a time that it has set, or futures.
    AwaitsItself,
    /// It has not begun, because nobody behind it has asked yet.
    AwaitsDemand,
    /// It is a source, and the job is paused.
    Paused,
}

impl Doing {
    /// Where the time goes: busy, idle and blocked are 0, 1 and 2.
    const fn share(self) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::Working => Some(0),
            Self::AwaitsInput | Self::AwaitsItself | Self::AwaitsDemand | Self::Paused => Some(1),
            Self::AwaitsRoom => Some(2),
        }
    }

    const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Working,
            2 => Self::AwaitsInput,
            3 => Self::AwaitsRoom,
            4 => Self::AwaitsItself,
            5 => Self::AwaitsDemand,
            6 => Self::Paused,
            _ => Self::Nothing,
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Working => 1,
            Self::AwaitsInput => 2,
            Self::AwaitsRoom => 3,
            Self::AwaitsItself => 4,
            Self::AwaitsDemand => 5,
            Self::Paused => 6,
        }
    }
}

/// How an instance spends its time. Written by it when that changes, and readable meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    doing: AtomicU8,
    since: AtomicU64,
    /// When the poll began that it is in: a stage that is polled gets on.
    polled: AtomicU64,
    spent: [AtomicU64; 3],
    /// The wait before this one, and since when it has lasted without any progress.
    waited: AtomicU8,
    stuck_since: AtomicU64,
    progress: AtomicU64,
    /// The operator that is at work, where that is known; one more than its number.
    at: AtomicUsize,
}

fn nanos(at: Instant) -> u64 {
    u64::try_from(at.since_start().as_nanos()).unwrap_or(u64::MAX)
}

impl Activity {
    pub(crate) fn enter(&self, doing: Doing, now: Instant) {
        if UNCOUNTED {
            return;
        }
        let before = Doing::from_code(self.doing.load(Relaxed));
        if before == doing {
            return;
        }
        let now = nanos(now);
        let spent = now.saturating_sub(self.since.load(Relaxed));
        if let Some(total) = before.share().and_then(|share| self.spent.get(share)) {
            total.store(total.load(Relaxed).wrapping_add(spent), Relaxed);
        }
        self.since.store(now, Relaxed);
        self.doing.store(doing.code(), Relaxed);
    }

    /// Begins a poll.
    pub(crate) fn work(&self, now: Instant) {
        if UNCOUNTED {
            return;
        }
        self.polled.store(nanos(now), Relaxed);
        self.at.store(0, Relaxed);
        self.enter(Doing::Working, now);
    }

    /// Enters a wait. Having been woken in between does not make it a new one, unless `progress`,
    /// which counts whatever moves, has grown.
    pub(crate) fn wait(&self, doing: Doing, now: Instant, progress: u64) {
        if UNCOUNTED {
            return;
        }
        let same = self.waited.load(Relaxed) == doing.code();
        if !same || self.progress.load(Relaxed) != progress {
            self.waited.store(doing.code(), Relaxed);
            self.progress.store(progress, Relaxed);
            self.stuck_since.store(nanos(now), Relaxed);
        }
        self.enter(doing, now);
    }

    /// Says which operator is at work, or that this is not known.
    pub(crate) fn work_at(&self, operator: Option<OperatorId>) {
        self.at.store(operator.map_or(0, |id| id.0 + 1), Relaxed);
    }

    pub(crate) fn at(&self) -> Option<usize> {
        self.at.load(Relaxed).checked_sub(1)
    }

    pub(crate) fn doing(&self) -> Doing {
        Doing::from_code(self.doing.load(Relaxed))
    }

    /// For how long it has been doing the same without getting anywhere.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        let since = match self.doing() {
            Doing::Nothing => return Duration::ZERO,
            Doing::Working => &self.polled,
            _ => &self.stuck_since,
        };
        Duration::from_nanos(nanos(now).saturating_sub(since.load(Relaxed)))
    }

    /// Time spent busy, idle and blocked, up to `now`.
    pub(crate) fn read(&self, now: Instant) -> [Duration; 3] {
        let current = self.doing().share();
        let running = nanos(now).saturating_sub(self.since.load(Relaxed));
        let mut shares = [Duration::ZERO; 3];
        for (index, (share, total)) in shares.iter_mut().zip(&self.spent).enumerate() {
            let running = if current == Some(index) { running } else { 0 };
            *share = Duration::from_nanos(total.load(Relaxed).wrapping_add(running));
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn m6_a_wait_goes_on_over_a_vain_wake_up_and_not_over_progress() {
        let activity = Activity::default();
        activity.work(at(0));
        activity.wait(Doing::AwaitsRoom, at(1), 7);
        activity.work(at(5));
        activity.wait(Doing::AwaitsRoom, at(5), 7);
        assert_eq!(activity.age(at(9)), Duration::from_secs(8));
        activity.work(at(9));
        activity.wait(Doing::AwaitsRoom, at(9), 8);
        assert_eq!(activity.age(at(10)), Duration::from_secs(1));
        let spent = activity.read(at(10)).map(|share| share.as_secs());
        assert_eq!(spent, [1, 0, 9]);
    }
}
