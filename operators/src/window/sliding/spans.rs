//! Sliding windows as spans of event time: one of a key is open, and the next when that is told of.

use millstream_engine::time::Timestamp;

use super::Sliding;
use super::grid::Start;
use crate::window::TimeWindow;
use crate::window::time_windows::{Finality, OpenWindows, Opened, TimeWindows};

impl Sliding {
    /// The start of the window behind this one; none where windows reach beyond all of time.
    fn behind(&self, window: TimeWindow) -> Option<Start> {
        let Self(grid) = self;
        if window.start > Timestamp::MIN {
            return Some(Start::from(window.start.as_millis()) + grid.step());
        }
        // Its start may have been cut off.
        (window.end < Timestamp::MAX).then(|| grid.first_behind(window.end))
    }
}

impl<T> TimeWindows<T> for Sliding {
    fn open(
        &self,
        _value: &T,
        time: Timestamp,
        finality: Finality,
        open: &mut OpenWindows,
    ) -> Opened {
        let Self(grid) = self;
        if grid.pane(time).is_none() {
            return Opened::Outside;
        }
        let first = grid.first_behind(time).max(grid.first_behind(finality.reached()));
        let window = grid.window(first);
        if first > grid.last_from(time) || finality.is_final(window) {
            return Opened::Late;
        }
        open.bring_forward(window);
        Opened::In
    }

    fn next(&self, told: TimeWindow) -> Timestamp {
        self.behind(told).map_or(Timestamp::MAX, |start| self.0.window(start).start)
    }

    fn reopen(&self, told: TimeWindow, first: Timestamp, open: &mut OpenWindows) {
        let Self(grid) = self;
        let start = self.behind(told).map(|start| start.max(grid.first_behind(first)));
        // At the end of time, there is none that it lies in.
        if let Some(start) = start.filter(|start| *start <= grid.last_from(first)) {
            open.bring_forward(grid.window(start));
        }
    }
}
