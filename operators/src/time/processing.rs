//! Processing time: what the wall clock said when the run began, and how long ago that was.

use std::time::Duration;

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

    /// The clock it is read from, once it runs.
    pub(crate) fn clock(&self) -> Option<&Clock> {
        self.0.as_ref().map(|run| &run.clock)
    }

    /// What the time is, or was, at `instant`, in nanoseconds since the epoch.
    pub(crate) fn nanos(&self, instant: Instant) -> i64 {
        self.0.as_ref().map_or(i64::MIN, |run| {
            let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
            let wall = run.wall.as_millis().saturating_mul(1_000_000);
            let since = nanos(instant.saturating_since(run.at));
            wall.saturating_add(since).saturating_sub(nanos(run.at.saturating_since(instant)))
        })
    }

    /// When it is, or was, `nanos` since the epoch. If that was before the clock can tell, its
    /// beginning, and how long before.
    pub(crate) fn instant(&self, nanos: i64) -> (Instant, Duration) {
        let since = nanos.saturating_sub(self.nanos(Instant::START));
        let distance = Duration::from_nanos(since.unsigned_abs());
        if since < 0 {
            (Instant::START, distance)
        } else {
            (Instant::START + distance, Duration::ZERO)
        }
    }

    /// When it will be `time`; the beginning of the run, if that has passed before.
    pub(crate) fn when(&self, time: Timestamp) -> Option<Instant> {
        let run = self.0.as_ref()?;
        let millis = time.as_millis().saturating_sub(run.wall.as_millis());
        Some(run.at + Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
    }
}
