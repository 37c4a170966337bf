//! Which records of a key may become one: those that lie in the same windows.

use millstream_engine::time::Timestamp;

#[cfg(feature = "calendar")]
use crate::window::Calendar;
use crate::window::{AlignedWindows, Sliding, TimeWindow, Tumbling};

/// A stretch of event time whose records lie in the same windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPane {
    /// From where to where.
    pub span: TimeWindow,
    /// The end of the first of its windows: by this watermark, one of its records may be late.
    pub complete: Timestamp,
}

impl WindowPane {
    /// That of records which lie in one window and no other.
    #[must_use]
    pub const fn of(window: TimeWindow) -> Self {
        Self { span: window, complete: window.end }
    }
}

/// Windows that depend on the event time of a record and nothing else, so that records of one key
/// can be merged before they get there: `Tumbling`, `Calendar` and `Sliding`.
///
/// Sessions don't, because they depend on what else there is of the key; count windows have no
/// bounds in time; and windows by processing time go by when a record gets there.
///
/// For [`AlignedWindows`] of your own it is a line:
///
/// ```
/// use millstream_operators::combine::{PanedWindows, WindowPane};
/// use millstream_operators::prelude::*;
///
/// /// The time before and after the epoch.
/// #[derive(Clone)]
/// struct Eras;
///
/// impl AlignedWindows for Eras {
///     fn window_of(&self, time: Timestamp) -> TimeWindow {
///         let epoch = Timestamp::from_millis(0);
///         if time < epoch {
///             return TimeWindow::new(Timestamp::MIN, epoch);
///         }
///         TimeWindow::new(epoch, Timestamp::MAX)
///     }
/// }
///
/// impl PanedWindows for Eras {
///     fn pane_of(&self, time: Timestamp) -> Option<WindowPane> {
///         Some(WindowPane::of(self.window_of(time)))
///     }
/// }
///
/// let flow = Dataflow::new("eras");
/// let years = flow.source("years", source::from_iter([-44, 1969, 2000]));
/// let years = years.event_time(|year| Timestamp::from_millis(*year), Watermarks::monotonic());
/// years.parallel(2).key_by(|_| ()).combined(100).window(Eras).count().ignore();
/// flow.validate().unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "records of windows `{Self}` can't be merged before the shuffle",
    note = "`Tumbling`, `Calendar` and `Sliding` can; with others, leave `combined` out"
)]
pub trait PanedWindows: Clone + Send + 'static {
    /// The pane that `time` lies in; `None` between windows. No two of them overlap, and a later
    /// one is complete no earlier.
    fn pane_of(&self, time: Timestamp) -> Option<WindowPane>;
}

impl PanedWindows for Tumbling {
    fn pane_of(&self, time: Timestamp) -> Option<WindowPane> {
        Some(WindowPane::of(self.window_of(time)))
    }
}

#[cfg(feature = "calendar")]
impl PanedWindows for Calendar {
    fn pane_of(&self, time: Timestamp) -> Option<WindowPane> {
        Some(WindowPane::of(self.window_of(time)))
    }
}

impl PanedWindows for Sliding {
    fn pane_of(&self, time: Timestamp) -> Option<WindowPane> {
        self.pane(time)
    }
}

/// Which records of a key a [`Combine`](super::Combine) makes one of.
pub trait Panes: Clone + Send + 'static {
    /// Whether that depends on their event time.
    const BY_TIME: bool;

    /// The pane that `time` lies in.
    fn pane_of(&self, time: Timestamp) -> Option<WindowPane>;
}

/// All of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnePane;

impl Panes for OnePane {
    const BY_TIME: bool = false;

    fn pane_of(&self, _time: Timestamp) -> Option<WindowPane> {
        Some(WindowPane::of(TimeWindow::ALL))
    }
}

/// Those that lie in the same windows.
#[derive(Clone, Copy, Debug)]
pub struct PanesOf<W>(pub W);

impl<W: PanedWindows> Panes for PanesOf<W> {
    const BY_TIME: bool = true;

    fn pane_of(&self, time: Timestamp) -> Option<WindowPane> {
        self.0.pane_of(time)
    }
}
