//! `AfterEventTime`: a window is told of some event time after its first record.

use std::time::Duration;

use millstream_engine::time::Timestamp;

use super::{Moment, NextTime, Trigger, TriggerResult};
use crate::window::TimeWindow;

/// A window is told of when the watermark is so much later than the first record that it has not
/// been told of: early results of long windows, at times that are the same in every run.
///
/// By itself it takes the place of the watermark at the end of the window, as
/// [`OnCount`](super::OnCount) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterEventTime {
    delay: Duration,
}

impl AfterEventTime {
    /// So long after the first record.
    #[must_use]
    pub const fn of(delay: Duration) -> Self {
        Self { delay }
    }
}

impl Trigger for AfterEventTime {
    /// When it is time, if something has come.
    type State = Option<i64>;
    const BY_CLOCK: bool = false;

    fn on_record(&self, due: &mut Option<i64>, record: Timestamp, _at: Moment) -> TriggerResult {
        due.get_or_insert_with(|| record.saturating_add(self.delay).as_millis());
        TriggerResult::Continue
    }

    fn on_time(&self, due: &mut Option<i64>, at: Moment) -> TriggerResult {
        match *due {
            Some(due) if due <= at.watermark.as_millis() => TriggerResult::Fire,
            _ => TriggerResult::Continue,
        }
    }

    fn next(&self, due: &Option<i64>, _window: TimeWindow) -> NextTime {
        NextTime { watermark: due.map(Timestamp::from_millis), clock: None }
    }

    fn on_fired(&self, due: &mut Option<i64>) {
        *due = None;
    }

    fn merge(&self, due: &mut Option<i64>, other: Option<i64>) {
        *due = due.iter().copied().chain(other).min();
    }
}
