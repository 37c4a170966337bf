//! How long state is kept that nobody touches.

use std::time::Duration;

use millstream_engine::time::Timestamp;

/// How long a piece of state lives that is not written to, or not even read. What has lived for so
/// long is never seen again, and what it took in memory is given back soon after.
///
/// For a list and a map, each element and each entry has a life of its own. Every piece of state
/// notes when it was written whether or not it has a time to live, so one can be said, changed and
/// taken back between two versions of a program, and state that is already there keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateTtl {
    life: Duration,
    event_time: bool,
    on_read: bool,
}

impl StateTtl {
    /// By event time: state is gone when the watermark is `life` beyond the watermark, or the
    /// record if that was later, with which it was written. Which record finds it gone depends on
    /// the stream alone, and not on when it was processed.
    #[must_use]
    pub const fn event_time(life: Duration) -> Self {
        Self { life, event_time: true, on_read: false }
    }

    /// By the job's clock: state is gone `life` after it was written.
    #[must_use]
    pub const fn processing_time(life: Duration) -> Self {
        Self { life, event_time: false, on_read: false }
    }

    /// Reading counts as writing, too.
    #[must_use]
    pub const fn refreshed_on_read(mut self) -> Self {
        self.on_read = true;
        self
    }

    pub(super) const fn life(&self) -> Duration {
        self.life
    }

    pub(super) const fn is_refreshed_on_read(&self) -> bool {
        self.on_read
    }

    /// When what was written at `written` is gone.
    pub(super) fn end(&self, written: StateTime) -> StateTime {
        let never = StateTime { event: Timestamp::MAX, processing: Timestamp::MAX };
        if self.event_time {
            StateTime { event: written.event.saturating_add(self.life), ..never }
        } else {
            StateTime { processing: written.processing.saturating_add(self.life), ..never }
        }
    }

    pub(super) fn is_over(&self, written: StateTime, now: StateTime) -> bool {
        // What would live beyond the end of time lives for ever.
        let over = |end, now| end < Timestamp::MAX && end <= now;
        let end = self.end(written);
        over(end.event, now.event) || over(end.processing, now.processing)
    }
}

/// A point on both clocks: as far as event time has come, and what the job's clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateTime {
    /// Event time.
    pub event: Timestamp,
    /// Processing time.
    pub processing: Timestamp,
}

impl StateTime {
    /// Later than everything.
    pub const NEVER: Self = Self { event: Timestamp::MAX, processing: Timestamp::MAX };

    /// The earlier one, on each clock.
    pub(super) fn earlier(self, other: Self) -> Self {
        Self {
            event: self.event.min(other.event),
            processing: self.processing.min(other.processing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(event: i64, processing: i64) -> StateTime {
        let [event, processing] = [event, processing].map(Timestamp::from_millis);
        StateTime { event, processing }
    }

    #[test]
    fn g5_state_is_gone_when_its_life_is_over_on_its_own_clock() {
        let by_event = StateTtl::event_time(Duration::from_millis(10));
        assert!(!by_event.is_over(at(5, 0), at(14, 1_000)));
        assert!(by_event.is_over(at(5, 0), at(15, 0)));
        let by_clock = StateTtl::processing_time(Duration::from_millis(10));
        assert!(!by_clock.is_over(at(0, 5), at(1_000, 14)));
        assert!(by_clock.is_over(at(0, 5), at(0, 15)));
        let for_ever = StateTtl::event_time(Duration::MAX);
        assert!(!for_ever.is_over(at(5, 0), StateTime::NEVER), "the end of a stream ends no life");
    }
}
