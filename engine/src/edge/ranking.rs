//! The order in which the records of a sorted channel are due, and the control behind them. It
//! knows no type of records: each has a slot, and that is all it says of it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::batch::{Barrier, Mark};
use crate::time::Timestamp;

/// Slots by rank, and the control behind all of them.
///
/// Behind a barrier or an end nothing more is let in until they are out. Control alone always is.
pub(super) struct Ranking {
    newest_first: bool,
    waiting: BTreeMap<Place, Waiting>,
    /// Slots that are empty again.
    free: Vec<usize>,
    arrivals: u64,
    pub(super) bytes: usize,
    control: Control,
    /// What came behind a barrier that is not out yet: control without records.
    later: Option<Control>,
    /// The idle flag that the consumer knows of.
    told: bool,
}

/// Lower comes first.
type Place = (Reverse<i64>, u64);

struct Waiting {
    slot: usize,
    bytes: usize,
    arrival: u64,
}

/// The control of a batch, which is as good behind all of its records as among them.
#[derive(Clone, Copy, Default)]
pub(super) struct Control {
    pub(super) watermark: Option<Timestamp>,
    pub(super) idle: bool,
    pub(super) barrier: Option<Barrier>,
    pub(super) end: bool,
}

impl Control {
    /// The last of `marks`, which are ascending.
    pub(super) fn last(marks: &mut Vec<Mark>) -> Option<Timestamp> {
        let last = marks.last().map(|mark| mark.watermark);
        marks.clear();
        last
    }

    fn add(&mut self, later: Self) {
        self.watermark = self.watermark.max(later.watermark);
        self.idle = later.idle;
        // Of two barriers that meet here only the newer one can still be completed.
        self.barrier = self.barrier.max(later.barrier);
        self.end |= later.end;
    }

    const fn is_sealed(&self) -> bool {
        self.barrier.is_some() || self.end
    }
}

impl Ranking {
    pub(super) fn new(newest_first: bool) -> Self {
        Self {
            newest_first,
            waiting: BTreeMap::new(),
            free: Vec::new(),
            arrivals: 0,
            bytes: 0,
            control: Control::default(),
            later: None,
            told: false,
        }
    }

    pub(super) fn depth(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.has_control()
    }

    /// Whether nothing is let in before a barrier or the end is out.
    pub(super) const fn is_sealed(&self) -> bool {
        self.control.is_sealed()
    }

    fn has_control(&self) -> bool {
        self.control.watermark.is_some() || self.is_sealed() || self.control.idle != self.told
    }

    /// The slot for one more record, which is empty or the one behind all others.
    pub(super) fn enter(&mut self, rank: i64, bytes: usize) -> usize {
        let slot = self.free.pop().unwrap_or(self.waiting.len());
        let arrival = self.arrivals;
        self.arrivals += 1;
        let turn = if self.newest_first { u64::MAX - arrival } else { arrival };
        self.waiting.insert((Reverse(rank), turn), Waiting { slot, bytes, arrival });
        self.bytes += bytes;
        slot
    }

    /// Takes the control behind the records that have entered.
    pub(super) fn follow(&mut self, control: Control) {
        if !self.is_sealed() {
            return self.control.add(control);
        }
        let later = Control { idle: control.idle, ..Control::default() };
        self.later.get_or_insert(later).add(control);
    }

    /// The slot whose turn it is, which is empty from here on.
    pub(super) fn leave(&mut self) -> Option<usize> {
        let (_, waiting) = self.waiting.pop_first()?;
        Some(self.release(&waiting))
    }

    fn release(&mut self, waiting: &Waiting) -> usize {
        self.bytes -= waiting.bytes;
        self.free.push(waiting.slot);
        waiting.slot
    }

    /// The control that goes with the record that has just left: all of it behind the last one.
    pub(super) fn control(&mut self) -> Control {
        let mut control = Control::default();
        if self.waiting.is_empty() {
            let idle = self.control.idle;
            let after = self.later.take().unwrap_or(Control { idle, ..Control::default() });
            control = std::mem::replace(&mut self.control, after);
        }
        self.told = control.idle;
        control
    }

    /// Of the first `limit` records in the order in which they came, the slots of those that are
    /// not to be kept, which are empty from here on.
    pub(super) fn strip(
        &mut self,
        limit: usize,
        keep: &mut dyn FnMut(usize) -> bool,
    ) -> Vec<usize> {
        let places = self.waiting.iter().map(|(place, waiting)| (waiting.arrival, *place));
        let mut places: Vec<_> = places.collect();
        if limit > 0 && limit < places.len() {
            places.select_nth_unstable(limit);
            places.truncate(limit);
        }
        places.sort_unstable();
        let mut slots = Vec::new();
        for (index, (_, place)) in places.into_iter().take(limit).enumerate() {
            if !keep(index)
                && let Some(waiting) = self.waiting.remove(&place)
            {
                slots.push(self.release(&waiting));
            }
        }
        slots
    }
}
