//! One window with the keys in it, and all windows that there are.

use std::collections::BTreeMap;
use std::ops::Bound;

use millstream_engine::time::Timestamp;

use super::slots::Slots;
use crate::window::TimeWindow;

/// One window with the keys in it.
pub(super) struct Pane<K, A, S> {
    pub(super) window: TimeWindow,
    /// When it is given up.
    pub(super) expiry: Timestamp,
    pub(super) slots: Slots<K, A, S>,
}

/// All windows that there are, in the order of their ends.
pub(super) struct Panes<K, A, S> {
    order: BTreeMap<Bounds, usize>,
    panes: Vec<Option<Pane<K, A, S>>>,
    /// The places of `panes` that are empty.
    free: Vec<usize>,
    /// The place that was last looked for, and its window: most records lie in it, too.
    last: usize,
    last_window: TimeWindow,
    /// Whether windows begin as those of whose keys nothing has been told.
    untold: bool,
    /// How many keys the window had that was given up last, if none has begun since: the next may
    /// have as many.
    expected: usize,
}

/// The end and the start of a window: windows that do not overlap are in the order of both.
type Bounds = (Timestamp, Timestamp);

/// One that nothing lies in.
const NO_WINDOW: TimeWindow = TimeWindow::new(Timestamp::MAX, Timestamp::MIN);

const fn bounds(window: TimeWindow) -> Bounds {
    (window.end, window.start)
}

impl<K, A, S> Panes<K, A, S> {
    pub(super) const fn new(untold: bool) -> Self {
        Self {
            order: BTreeMap::new(),
            panes: Vec::new(),
            free: Vec::new(),
            last: 0,
            last_window: NO_WINDOW,
            untold,
            expected: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// How many keys there is room for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.iter().map(|pane| pane.slots.capacity()).sum()
    }

    /// The windows, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pane<K, A, S>> {
        self.order.values().filter_map(|place| self.panes.get(*place)?.as_ref())
    }

    /// The place of the window that `time` lies in, if there is one.
    #[inline]
    pub(super) fn find(&mut self, time: Timestamp) -> Option<usize> {
        if self.last_window.contains(time) { Some(self.last) } else { self.find_other(time) }
    }

    fn find_other(&mut self, time: Timestamp) -> Option<usize> {
        let behind = Bound::Excluded((time, Timestamp::MAX));
        let (&(end, start), &place) = self.order.range((behind, Bound::Unbounded)).next()?;
        (start <= time).then(|| {
            (self.last, self.last_window) = (place, TimeWindow::new(start, end));
            place
        })
    }

    /// The place of this very window, if there is one.
    pub(super) fn place(&self, window: TimeWindow) -> Option<usize> {
        self.order.get(&bounds(window)).copied()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Pane<K, A, S>> {
        self.panes.get_mut(place)?.as_mut()
    }

    /// The place of this window, made where there is none.
    pub(super) fn open(&mut self, window: TimeWindow, expiry: Timestamp) -> usize {
        if let Some(place) = self.place(window) {
            return place;
        }
        let slots = Slots::with_capacity(std::mem::take(&mut self.expected), self.untold);
        let pane = Pane { window, expiry, slots };
        let place = self.free.pop().unwrap_or(self.panes.len());
        match self.panes.get_mut(place) {
            Some(free) => *free = Some(pane),
            None => self.panes.push(Some(pane)),
        }
        self.order.insert(bounds(window), place);
        (self.last, self.last_window) = (place, window);
        place
    }

    /// The first window, and when it is given up.
    pub(super) fn first_expiry(&self) -> Option<Timestamp> {
        self.iter().next().map(|pane| pane.expiry)
    }

    /// The first window that ends later than `time`: its place and its end.
    pub(super) fn first_behind(&self, time: Timestamp) -> Option<(usize, Timestamp)> {
        let behind = Bound::Excluded((time, Timestamp::MAX));
        let (&(end, _), &place) = self.order.range((behind, Bound::Unbounded)).next()?;
        Some((place, end))
    }

    /// Takes the first window out.
    pub(super) fn take_first(&mut self) -> Option<Pane<K, A, S>> {
        let (_, place) = self.order.pop_first()?;
        self.last_window = NO_WINDOW;
        let pane = self.panes.get_mut(place)?.take();
        self.expected = pane.as_ref().map_or(0, |pane| pane.slots.len());
        if self.order.is_empty() {
            self.panes = Vec::new();
            self.free = Vec::new();
        } else {
            self.free.push(place);
        }
        pane
    }
}
