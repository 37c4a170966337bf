//! What waits in a channel that gives it out in another order than it came.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::batch::{Barrier, Batch};
use crate::record::Record;
use crate::time::Timestamp;

/// Records by rank, and the control behind all of them.
///
/// Behind a barrier or an end nothing more is let in until they are out. Control alone always is.
pub(super) struct Sorted<T> {
    newest_first: bool,
    waiting: BTreeMap<Place, Waiting<T>>,
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

struct Waiting<T> {
    record: Record<T>,
    bytes: usize,
    arrival: u64,
}

#[derive(Clone, Copy, Default)]
struct Control {
    watermark: Option<Timestamp>,
    idle: bool,
    barrier: Option<Barrier>,
    end: bool,
}

impl Control {
    fn add<T>(&mut self, batch: &mut Batch<T>) {
        let watermark = batch.marks.drain(..).map(|mark| mark.watermark).max();
        self.watermark = self.watermark.max(watermark);
        self.idle = batch.idle;
        // Of two barriers that meet here only the newer one can still be completed.
        self.barrier = self.barrier.max(batch.barrier.take());
        self.end |= std::mem::take(&mut batch.end);
    }

    const fn is_sealed(&self) -> bool {
        self.barrier.is_some() || self.end
    }
}

impl<T> Sorted<T> {
    pub(super) fn new(newest_first: bool) -> Self {
        Self {
            newest_first,
            waiting: BTreeMap::new(),
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

    /// Takes the content of `batch`; `ranks` are those of its records, none where all are equal.
    pub(super) fn put(&mut self, batch: &mut Batch<T>, bytes: usize, ranks: &[i64]) {
        debug_assert!(!self.is_sealed() || batch.records.is_empty(), "nothing gets past a barrier");
        let each = if batch.records.len() == 1 { bytes } else { 0 };
        let ranks = ranks.iter().copied().chain(std::iter::repeat(0));
        for (record, rank) in batch.records.drain(..).zip(ranks) {
            let arrival = self.arrivals;
            self.arrivals += 1;
            let turn = if self.newest_first { u64::MAX - arrival } else { arrival };
            let waiting = Waiting { record, bytes: each, arrival };
            self.waiting.insert((Reverse(rank), turn), waiting);
            self.bytes += each;
        }
        if self.is_sealed() {
            let later =
                self.later.get_or_insert(Control { idle: batch.idle, ..Control::default() });
            later.add(batch);
        } else {
            self.control.add(batch);
        }
    }

    /// The record whose turn it is, and behind the last one the control.
    pub(super) fn take(&mut self, buffer: impl FnOnce() -> Vec<Record<T>>) -> Option<Batch<T>> {
        if self.is_empty() {
            return None;
        }
        let mut batch = Batch::new();
        if let Some((_, waiting)) = self.waiting.pop_first() {
            self.bytes -= waiting.bytes;
            batch.records = buffer();
            batch.records.push(waiting.record);
        }
        if self.waiting.is_empty() {
            let idle = self.control.idle;
            let after = self.later.take().unwrap_or(Control { idle, ..Control::default() });
            let control = std::mem::replace(&mut self.control, after);
            if let Some(watermark) = control.watermark {
                batch.mark(watermark);
            }
            batch.idle = control.idle;
            batch.barrier = control.barrier;
            batch.end = control.end;
        }
        self.told = batch.idle;
        Some(batch)
    }

    /// Of the first `limit` records in the order in which they came, removes those that are not to
    /// be kept.
    pub(super) fn strip(
        &mut self,
        limit: usize,
        mut keep: impl FnMut(usize) -> bool,
        removed: &mut Vec<Record<T>>,
    ) {
        let places = self.waiting.iter().map(|(place, waiting)| (waiting.arrival, *place));
        let mut places: Vec<_> = places.collect();
        if limit > 0 && limit < places.len() {
            places.select_nth_unstable(limit);
            places.truncate(limit);
        }
        places.sort_unstable();
        for (index, (_, place)) in places.into_iter().take(limit).enumerate() {
            if !keep(index)
                && let Some(waiting) = self.waiting.remove(&place)
            {
                self.bytes -= waiting.bytes;
                removed.push(waiting.record);
            }
        }
    }
}
