//! A value that knows when it was written.

use serde::{Deserialize, Serialize};

use millstream_engine::time::Timestamp;

use super::{StateTime, StateTtl};

/// A value, and when it was last touched: in state, the two clocks in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Cell<V> {
    pub(super) value: V,
    event: i64,
    processing: i64,
}

impl<V> Cell<V> {
    pub(super) const fn new(value: V, now: StateTime) -> Self {
        Self { value, event: now.event.as_millis(), processing: now.processing.as_millis() }
    }

    const fn touched(&self) -> StateTime {
        StateTime {
            event: Timestamp::from_millis(self.event),
            processing: Timestamp::from_millis(self.processing),
        }
    }

    /// Notes that it is written now.
    pub(super) fn touch(&mut self, now: StateTime) {
        self.event = self.event.max(now.event.as_millis());
        self.processing = self.processing.max(now.processing.as_millis());
    }

    /// Notes that it is read now, where that counts.
    pub(super) fn read(&mut self, ttl: Option<StateTtl>, now: StateTime) {
        if ttl.is_some_and(|ttl| ttl.is_refreshed_on_read()) {
            self.touch(now);
        }
    }

    pub(super) fn is_over(&self, ttl: Option<StateTtl>, now: StateTime) -> bool {
        ttl.is_some_and(|ttl| ttl.is_over(self.touched(), now))
    }

    /// When it will be gone.
    pub(super) fn end(&self, ttl: Option<StateTtl>) -> StateTime {
        ttl.map_or(StateTime::NEVER, |ttl| ttl.end(self.touched()))
    }
}
