//! Windows that are spans of event time, and which of them are open.

use std::time::Duration;

use millstream_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AlignedWindows, TimeWindow};

/// A kind of windows that are spans of event time: what lies in one can be found again by its time
/// alone. Windows that records are joined by are of such a kind: aligned ones (tumbling, those of a
/// calendar, your own), sliding ones and sessions; those that count records are not, nor are those
/// by the clock.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no windows of event time",
    note = "records are joined by `Tumbling`, `Sliding`, `Session`, `Calendar` and windows of your \
        own that implement `AlignedWindows`"
)]
pub trait TimeWindows<T>: Clone + Send + 'static {
    /// Opens the windows that a record lies in, as far as they are not final. Of windows that
    /// overlap, the first of them is enough: the others are opened when it
    /// [has been told of](TimeWindows::next).
    fn open(
        &self,
        value: &T,
        time: Timestamp,
        finality: Finality,
        open: &mut OpenWindows,
    ) -> Opened;

    /// What comes behind a window that has been told of: records that lie before that time are in
    /// no window any more.
    fn next(&self, told: TimeWindow) -> Timestamp {
        told.end
    }

    /// Opens the first window behind one that has been told of, for the first record that is left.
    fn reopen(&self, told: TimeWindow, first: Timestamp, open: &mut OpenWindows) {
        let _ = (told, first, open);
    }
}

/// What has become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It lies in a window that is open.
    In,
    /// All windows that it would lie in are final.
    Late,
    /// It lies in no window.
    Outside,
}

/// Which windows are final: those that the watermark has passed by the allowed lateness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finality {
    /// How far event time has come.
    pub watermark: Timestamp,
    /// How far it has to be beyond the end of a window.
    pub lateness: Duration,
}

impl Finality {
    /// Whether a window is final.
    #[must_use]
    pub fn is_final(self, window: TimeWindow) -> bool {
        window.end.saturating_add(self.lateness) <= self.watermark
    }

    /// Windows that end by then are final.
    #[must_use]
    pub fn reached(self) -> Timestamp {
        self.watermark.saturating_sub(self.lateness)
    }
}

/// The windows of a key that are to be told of, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpenWindows(Vec<TimeWindow>);

impl OpenWindows {
    /// The one that is final first.
    #[must_use]
    pub fn first(&self) -> Option<TimeWindow> {
        self.0.first().copied()
    }

    /// Opens a window, unless it is open.
    pub fn insert(&mut self, window: TimeWindow) {
        if let Err(place) = self.0.binary_search(&window) {
            self.0.insert(place, window);
        }
    }

    /// Opens a window if none is open that ends as early, in place of the one that is.
    pub fn bring_forward(&mut self, window: TimeWindow) {
        if self.first().is_none_or(|first| window.end < first.end) {
            self.0.clear();
            self.0.push(window);
        }
    }

    /// Makes one window of this one and all that it overlaps.
    pub fn join(&mut self, window: TimeWindow) {
        let joined = self.0.extract_if(.., |one| one.overlaps(window));
        let joined = joined.fold(window, TimeWindow::cover);
        self.insert(joined);
    }

    /// Whether a window overlaps one that is open.
    #[must_use]
    pub fn overlap(&self, window: TimeWindow) -> bool {
        self.0.iter().any(|one| one.overlaps(window))
    }

    /// Closes the first one.
    pub fn close_first(&mut self) {
        if !self.0.is_empty() {
            self.0.remove(0);
        }
    }
}

impl<T, W: AlignedWindows> TimeWindows<T> for W {
    fn open(
        &self,
        _value: &T,
        time: Timestamp,
        finality: Finality,
        open: &mut OpenWindows,
    ) -> Opened {
        const {
            assert!(!W::BY_CLOCK, "windows by the clock have no event time to join records by");
        }
        let window = self.window_of(time);
        if finality.is_final(window) {
            return Opened::Late;
        }
        open.insert(window);
        Opened::In
    }
}
