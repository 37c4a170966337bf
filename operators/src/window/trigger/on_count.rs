//! `OnCount`: a window is told of when so many records have come.

use millstream_engine::time::Timestamp;

use super::{Moment, NextTime, Trigger, TriggerResult};
use crate::window::TimeWindow;

/// A window is told of when so many records have come since it was last told of. What is left at
/// the end is told when the window is given up.
///
/// By itself it takes the place of the watermark: the last result of a window may then be told
/// early. To have early results beside the one on time, say
/// [`OnWatermark.with_early(OnCount::of(100))`](super::OnWatermark::with_early).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnCount {
    records: u64,
}

impl OnCount {
    /// As often as `records` records have come, one at least.
    #[must_use]
    pub const fn of(records: u64) -> Self {
        Self { records: if records == 0 { 1 } else { records } }
    }
}

impl Trigger for OnCount {
    /// How many there have been.
    type State = u64;
    const BY_CLOCK: bool = false;

    fn on_record(&self, count: &mut u64, _record: Timestamp, _at: Moment) -> TriggerResult {
        *count = count.saturating_add(1);
        if *count >= self.records { TriggerResult::Fire } else { TriggerResult::Continue }
    }

    fn on_time(&self, _count: &mut u64, _at: Moment) -> TriggerResult {
        TriggerResult::Continue
    }

    fn next(&self, _count: &u64, _window: TimeWindow) -> NextTime {
        NextTime::default()
    }

    fn on_fired(&self, count: &mut u64) {
        *count = 0;
    }

    fn merge(&self, count: &mut u64, other: u64) {
        *count = count.saturating_add(other);
    }
}
