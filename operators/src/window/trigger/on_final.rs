//! `OnFinal`: a window is told of once, when nothing can change it any more.

use millstream_engine::time::Timestamp;

use super::{Moment, NextTime, Trigger, TriggerResult};
use crate::window::TimeWindow;

/// A window is told of once, when it is given up: the watermark has passed its end and the allowed
/// lateness, or the input has ended. Each result is then the last word.
///
/// It comes when time gets on, so in a quiet stream it may take long: `idle_after` and a heartbeat
/// of the [watermarks](crate::time::Watermarks) see to it that time does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnFinal;

impl Trigger for OnFinal {
    type State = ();
    const BY_WINDOW: bool = true;
    const BY_CLOCK: bool = false;

    fn on_record(&self, (): &mut (), _record: Timestamp, _at: Moment) -> TriggerResult {
        TriggerResult::Continue
    }

    fn on_time(&self, (): &mut (), _at: Moment) -> TriggerResult {
        TriggerResult::Continue
    }

    fn next(&self, (): &(), _window: TimeWindow) -> NextTime {
        NextTime::default()
    }

    fn merge(&self, (): &mut (), (): ()) {}
}
