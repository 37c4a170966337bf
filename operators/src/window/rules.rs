//! What was said of windows beside their kind: when they are told of, and how long they wait.

use std::time::Duration;

use millstream_engine::time::Timestamp;

use super::LateRecords;
use super::trigger::OnWatermark;

/// What a window holds when it is told of a second time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Accumulation {
    /// Everything so far: a later result takes the place of an earlier one.
    #[default]
    Accumulating,
    /// Only what has come since: results are to be added up.
    Discarding,
}

/// What was said of windows beside their kind.
#[derive(Debug)]
pub struct WindowRules<T, R = OnWatermark> {
    /// When they are told of.
    pub trigger: R,
    /// What a second result holds.
    pub accumulation: Accumulation,
    /// How far the watermark may be beyond the end of a window whose late records still count.
    pub lateness: Duration,
    /// What becomes of later records.
    pub late: LateRecords<T>,
}

impl<T> WindowRules<T> {
    pub(crate) const fn new() -> Self {
        let (trigger, accumulation) = (OnWatermark, Accumulation::Accumulating);
        Self { trigger, accumulation, lateness: Duration::ZERO, late: LateRecords::dropped() }
    }
}

impl<T, R> WindowRules<T, R> {
    /// When what is kept of a window that ends at `end` is given up: a record of it that comes when
    /// the watermark has reached this is late.
    #[must_use]
    pub fn expiry(&self, end: Timestamp) -> Timestamp {
        end.saturating_add(self.lateness)
    }
}

/// As that of an operator: the configuration, with nothing of a run.
impl<T, R: Clone> Clone for WindowRules<T, R> {
    fn clone(&self) -> Self {
        Self {
            trigger: self.trigger.clone(),
            accumulation: self.accumulation,
            lateness: self.lateness,
            late: self.late.clone(),
        }
    }
}
