//! `AfterProcessingTime`: a window is told of some time after its first record.

use std::time::Duration;

use millstream_engine::time::Timestamp;

use super::{Moment, NextTime, Trigger, TriggerResult};
use crate::window::TimeWindow;

/// A window is told of when so much time has passed, by the clock, since the first record that it
/// has not been told of. So there is a result at least so often while records come, and none while
/// there are none.
///
/// By itself it takes the place of the watermark, as [`OnCount`](super::OnCount) does. Results by
/// the clock differ from run to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterProcessingTime {
    delay: Duration,
}

impl AfterProcessingTime {
    /// So long after the first record.
    #[must_use]
    pub const fn of(delay: Duration) -> Self {
        Self { delay }
    }
}

impl Trigger for AfterProcessingTime {
    /// When it is time, if something has come.
    type State = Option<i64>;

    fn on_record(&self, due: &mut Option<i64>, _record: Timestamp, at: Moment) -> TriggerResult {
        due.get_or_insert_with(|| at.clock.saturating_add(self.delay).as_millis());
        TriggerResult::Continue
    }

    fn on_time(&self, due: &mut Option<i64>, at: Moment) -> TriggerResult {
        match *due {
            Some(due) if due <= at.clock.as_millis() => TriggerResult::Fire,
            _ => TriggerResult::Continue,
        }
    }

    fn next(&self, due: &Option<i64>, _window: TimeWindow) -> NextTime {
        NextTime { watermark: None, clock: due.map(Timestamp::from_millis) }
    }

    fn on_fired(&self, due: &mut Option<i64>) {
        *due = None;
    }

    fn merge(&self, due: &mut Option<i64>, other: Option<i64>) {
        *due = due.iter().copied().chain(other).min();
    }
}
