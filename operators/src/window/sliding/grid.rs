//! Where sliding windows begin, and the panes that their bounds cut time into.

use std::time::Duration;

use millstream_engine::time::Timestamp;

use crate::window::TimeWindow;

/// Windows of `size` that begin every `step` from `offset`, all in milliseconds.
///
/// A window is known by its start, which may lie before the beginning of time: wide enough numbers
/// save every special case but one, that bounds are clamped when they are shown.
///
/// The bounds of all windows cut time into **panes**, so that each window is a row of whole panes:
/// two to a step, or one where the size is a multiple of the step. (Panes as long as the greatest
/// common divisor of both would do too, and be many more.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    size: i64,
    step: i64,
    offset: i64,
}

/// The start of a window.
pub(super) type Start = i128;

impl Grid {
    pub(super) fn new(size: Duration, step: Duration) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX).max(1);
        Self { size: millis(size), step: millis(step), offset: 0 }
    }

    pub(super) fn with_offset(self, offset: Duration) -> Self {
        let offset = i64::try_from(offset.as_millis()).unwrap_or(i64::MAX);
        Self { offset: offset.rem_euclid(self.step), ..self }
    }

    pub(super) const fn step(self) -> Start {
        self.step as Start
    }

    /// How far a time is behind the start of the last window that has begun by then.
    #[inline]
    const fn phase(self, time: i64) -> i64 {
        let phase = time.rem_euclid(self.step) - self.offset;
        if phase < 0 { phase + self.step } else { phase }
    }

    /// Where the pane begins that a time lies in; `None` between windows.
    #[inline]
    pub(super) fn pane(self, time: Timestamp) -> Option<Timestamp> {
        let time = time.as_millis();
        let phase = self.phase(time);
        let cut = self.size % self.step;
        if self.size < self.step && phase >= self.size {
            return None;
        }
        let behind = if cut > 0 && phase >= cut { phase - cut } else { phase };
        Some(Timestamp::from_millis(time.saturating_sub(behind)))
    }

    /// From where to where the pane reaches that a time lies in; `None` between windows.
    pub(super) fn pane_span(self, time: Timestamp) -> Option<TimeWindow> {
        let start = self.pane(time)?;
        let cut = self.size % self.step;
        let long =
            if cut > 0 && self.phase(time.as_millis()) < cut { cut } else { self.step - cut };
        Some(TimeWindow::new(start, clamp(Start::from(start.as_millis()) + Start::from(long))))
    }

    /// The last window that has begun by a time.
    pub(super) fn last_from(self, time: Timestamp) -> Start {
        Start::from(time.as_millis()) - Start::from(self.phase(time.as_millis()))
    }

    /// The first window that ends behind a time: for one in a pane, the first that it lies in.
    #[inline]
    pub(super) fn first_behind(self, time: Timestamp) -> Start {
        let phase = self.phase(time.as_millis());
        // How far the last that has begun by then can be moved back and still ends behind the time.
        let room = self.size - 1 - phase;
        let back = room - room.rem_euclid(self.step);
        Start::from(time.as_millis()) - Start::from(phase) - Start::from(back)
    }

    /// The bounds of the window that starts there.
    pub(super) const fn bounds(self, start: Start) -> (Start, Start) {
        (start, start + self.size as Start)
    }

    /// The window that starts there.
    pub(super) fn window(self, start: Start) -> TimeWindow {
        TimeWindow::new(clamp(start), clamp(start + Start::from(self.size)))
    }

    /// When nothing will be told any more of a pane: the end of the last window that it lies in.
    pub(super) fn last_end(self, pane: Timestamp) -> Timestamp {
        clamp(self.last_from(pane) + Start::from(self.size))
    }
}

fn clamp(time: i128) -> Timestamp {
    Timestamp::from_millis(i64::try_from(time).unwrap_or(if time < 0 {
        i64::MIN
    } else {
        i64::MAX
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_engine::random::Random;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn h4_a_pane_lies_in_the_windows_that_any_of_its_points_lies_in() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut some = || i64::try_from(1 + random.below(20)).unwrap();
            let (size, step, offset) = (some(), some(), some());
            let millis = |n: i64| Duration::from_millis(n.unsigned_abs());
            let grid = Grid::new(millis(size), millis(step)).with_offset(millis(offset));
            for time in -50..50 {
                // From the definition.
                let starts = (-200..200).map(|n| n * step + offset);
                let of: Vec<i64> = starts.filter(|s| *s <= time && time < s + size).collect();
                let pane = grid.pane(at(time));
                assert_eq!(pane.is_some(), !of.is_empty(), "{grid:?} at {time}");
                let Some(pane) = pane else { continue };
                assert_eq!(grid.first_behind(pane), i128::from(of[0]), "{grid:?} at {time}");
                assert_eq!(grid.last_from(pane), i128::from(of[of.len() - 1]));
                assert_eq!(grid.last_end(pane), at(of[of.len() - 1] + size));
            }
        }
    }

    #[test]
    fn f16_the_ends_of_time_lie_in_panes_too() {
        for (size, step) in [(10, 3), (3, 10), (u64::MAX, 1), (u64::MAX, u64::MAX), (1, 1)] {
            let grid = Grid::new(Duration::from_millis(size), Duration::from_millis(step));
            for time in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX].map(at) {
                let Some(pane) = grid.pane(time) else { continue };
                assert!(pane <= time);
                let (first, last) = (grid.first_behind(pane), grid.last_from(pane));
                assert!(first <= last && grid.window(last).start <= pane, "{grid:?} at {time}");
            }
        }
    }
}
