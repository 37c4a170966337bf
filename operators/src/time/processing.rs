//! Processing time: what the wall clock said when the run began, and how long ago that was.

use millstream_engine::time::{Clock, Instant, Timestamp};

/// The wall clock's time as a run sees it: read once, and from there on as the monotonic clock
/// goes. So it never jumps while the job runs, whatever becomes of the machine's clock; and a time
/// that was written in state means the same in a later run.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessingClock(Option<Started>);

#[derive(Clone, Debug)]
struct Started {
    clock: Clock,
    wall: Timestamp,
    at: Instant,
}

impl ProcessingClock {
    pub(crate) fn start(clock: Clock) -> Self {
        let (wall, at) = (clock.timestamp(), clock.now());
        Self(Some(Started { clock, wall, at }))
    }

    /// The time. The earliest there is, before the run.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.as_ref().map_or(Timestamp::MIN, |run| self.at(run.clock.now()))
    }

    /// What the time is, or was, at `instant`.
    pub(crate) fn at(&self, instant: Instant) -> Timestamp {
        self.0
            .as_ref()
            .map_or(Timestamp::MIN, |run| run.wall.saturating_add(instant.saturating_since(run.at)))
    }

    /// When it will be `time`; the beginning of the run, if that has passed before.
    pub(crate) fn when(&self, time: Timestamp) -> Option<Instant> {
        let run = self.0.as_ref()?;
        let millis = time.as_millis().saturating_sub(run.wall.as_millis());
        Some(run.at + std::time::Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
    }
}
