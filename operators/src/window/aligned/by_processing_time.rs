//! Windows by the clock.

use millstream_engine::time::Timestamp;

use super::AlignedWindows;
use crate::window::TimeWindow;

/// Windows by the clock. Made by
/// [`by_processing_time`](AlignedWindows::by_processing_time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByProcessingTime<W>(pub(super) W);

impl<W: AlignedWindows> AlignedWindows for ByProcessingTime<W> {
    const BY_CLOCK: bool = true;

    fn window_of(&self, time: Timestamp) -> TimeWindow {
        self.0.window_of(time)
    }
}
