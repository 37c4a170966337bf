//! `OnEveryRecord`: a window is told of with every change.

use millstream_engine::time::Timestamp;

use super::{Moment, NextTime, Trigger, TriggerResult};
use crate::window::TimeWindow;

/// A window is told of whenever a record has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnEveryRecord;

impl Trigger for OnEveryRecord {
    type State = ();
    const BY_WINDOW: bool = true;
    const BY_CLOCK: bool = false;

    fn on_record(&self, (): &mut (), _record: Timestamp, _at: Moment) -> TriggerResult {
        TriggerResult::Fire
    }

    fn on_time(&self, (): &mut (), _at: Moment) -> TriggerResult {
        TriggerResult::Continue
    }

    fn next(&self, (): &(), _window: TimeWindow) -> NextTime {
        NextTime::default()
    }

    fn merge(&self, (): &mut (), (): ()) {}
}
