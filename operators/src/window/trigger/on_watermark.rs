//! `OnWatermark`: a window is told of when it is complete.

use millstream_engine::time::Timestamp;

use super::{Moment, NextTime, Trigger, TriggerResult};
use crate::window::TimeWindow;

/// A window is told of when the watermark has reached its end, and again for each late record that
/// still counts. Where nothing else is said, this is the trigger of windows that are bounded by
/// event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnWatermark;

impl Trigger for OnWatermark {
    type State = ();
    const BY_WINDOW: bool = true;
    const BY_CLOCK: bool = false;

    #[inline]
    fn on_record(&self, (): &mut (), _record: Timestamp, at: Moment) -> TriggerResult {
        self.on_time(&mut (), at)
    }

    #[inline]
    fn on_time(&self, (): &mut (), at: Moment) -> TriggerResult {
        if at.window.is_complete(at.watermark) {
            TriggerResult::Fire
        } else {
            TriggerResult::Continue
        }
    }

    #[inline]
    fn next(&self, (): &(), window: TimeWindow) -> NextTime {
        NextTime { watermark: Some(window.end), clock: None }
    }

    fn merge(&self, (): &mut (), (): ()) {}
}
