//! A batch: what crosses an edge at once, the records and the control among and behind them.

use crate::record::Record;
use crate::time::Timestamp;

/// "Snapshot here": the in-band mark of a checkpoint, with the checkpoint's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Barrier(pub u64);

/// A watermark at its place among the records of a batch.
///
/// The place matters: a watermark that slid behind records pushed after it would change which of
/// them are late, and so would the size of the batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// How many records of the batch come before it.
    pub position: usize,
    /// No record earlier than this will follow.
    pub watermark: Timestamp,
}

/// Records, and the control among and behind them.
///
/// In the order in which a stage handles it: the records with the marks at their places, then
/// [`idle`](Batch::idle), then the barrier, then the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<T> {
    /// The records, oldest first.
    pub records: Vec<Record<T>>,
    /// The watermarks, by position, and ascending in time.
    pub marks: Vec<Mark>,
    /// Whether this input is idle from here on and holds no watermark back.
    pub idle: bool,
    /// The barrier behind the records.
    pub barrier: Option<Barrier>,
    /// Whether this is the last batch of a complete input.
    pub end: bool,
}

impl<T> Batch<T> {
    /// An empty batch.
    #[must_use]
    pub const fn new() -> Self {
        Self { records: Vec::new(), marks: Vec::new(), idle: false, barrier: None, end: false }
    }

    /// Whether there is neither a record nor a watermark, barrier or end. The idle flag alone
    /// does not count: it is a state, and whoever changes it has to say so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_spent() && self.barrier.is_none() && !self.end
    }

    /// Whether every record and watermark has been taken out.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.records.is_empty() && self.marks.is_empty()
    }

    /// Whether all of it has been dealt with by somebody who knows the input to be `idle` or not.
    pub(crate) fn is_used_up(&self, idle: bool) -> bool {
        self.is_spent() && self.barrier.is_none() && !self.end && self.idle == idle
    }

    /// Adds a watermark behind the records so far. One that does not advance is left out.
    pub fn mark(&mut self, watermark: Timestamp) {
        add_mark(&mut self.marks, self.records.len(), watermark);
    }

    /// Whether `later` can be appended without control being overtaken.
    pub(crate) fn can_absorb(&self, later: &Self, limit: usize) -> bool {
        self.barrier.is_none() && !self.end && self.records.len() + later.records.len() <= limit
    }

    /// Appends `later`, which is left empty but keeps its buffers.
    pub(crate) fn absorb(&mut self, later: &mut Self) {
        debug_assert!(self.can_absorb(later, usize::MAX), "nothing follows a barrier or the end");
        self.append(later);
        self.idle = later.idle;
        self.barrier = later.barrier.take();
        self.end = std::mem::take(&mut later.end);
    }

    /// Removes the records that are not to be kept, by their places. The watermarks keep theirs
    /// among the others.
    pub(crate) fn strip(
        &mut self,
        keep: &mut dyn FnMut(usize) -> bool,
        removed: &mut Vec<Record<T>>,
    ) {
        let records = std::mem::take(&mut self.records);
        let kept = strip_marks(&mut self.marks, records.len(), keep);
        for (record, kept) in records.into_iter().zip(kept) {
            if kept {
                self.records.push(record);
            } else {
                removed.push(record);
            }
        }
    }

    /// Appends the records of `later`, and the watermarks among them: as they are, where there are
    /// none before them.
    pub(crate) fn append(&mut self, later: &mut Self) {
        if self.is_spent() {
            std::mem::swap(&mut self.records, &mut later.records);
            std::mem::swap(&mut self.marks, &mut later.marks);
            return;
        }
        let before = self.records.len();
        self.records.append(&mut later.records);
        append_marks(&mut self.marks, before, &later.marks);
        later.marks.clear();
    }

    /// As [`append`](Batch::append), of clones.
    pub(crate) fn append_clone(&mut self, later: &Self)
    where
        T: Clone,
    {
        let before = self.records.len();
        self.records.extend_from_slice(&later.records);
        append_marks(&mut self.marks, before, &later.marks);
    }
}

/// Adds a watermark behind so many records, unless it does not advance.
pub(crate) fn add_mark(marks: &mut Vec<Mark>, position: usize, watermark: Timestamp) {
    match marks.last_mut() {
        Some(last) if last.watermark >= watermark => {}
        Some(last) if last.position == position => last.watermark = watermark,
        _ => marks.push(Mark { position, watermark }),
    }
}

/// Asks for each of `total` records whether it is kept, and moves the marks to the places that they
/// have among those that are.
fn strip_marks(
    marks: &mut Vec<Mark>,
    total: usize,
    keep: &mut dyn FnMut(usize) -> bool,
) -> Vec<bool> {
    let kept: Vec<bool> = (0..total).map(keep).collect();
    let mut old = std::mem::take(marks).into_iter().peekable();
    let mut position = 0;
    for (place, kept) in kept.iter().chain([&false]).enumerate() {
        while let Some(mark) = old.next_if(|mark| mark.position == place) {
            match marks.last_mut() {
                Some(last) if last.position == position => last.watermark = mark.watermark,
                _ => marks.push(Mark { position, ..mark }),
            }
        }
        position += usize::from(*kept);
    }
    kept
}

/// Puts the marks of a batch behind those of one with `before` records.
fn append_marks(marks: &mut Vec<Mark>, before: usize, later: &[Mark]) {
    for mark in later {
        add_mark(marks, before + mark.position, mark.watermark);
    }
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The largest batch an edge of `T` sends when nobody chose one: about 16 KiB of records, between
/// 64 and 1,024 of them.
#[must_use]
pub const fn default_batch<T>() -> usize {
    let size = size_of::<Record<T>>();
    match (16_usize * 1024).checked_div(size) {
        Some(records) if records < 64 => 64,
        Some(records) if records < 1024 => records,
        _ => 1024,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn marks_ascend_and_collapse_at_one_position() {
        let mut batch = Batch::new();
        batch.records.push(Record::new(1));
        batch.mark(at(5));
        batch.mark(at(3));
        batch.mark(at(7));
        batch.records.push(Record::new(2));
        batch.mark(at(7));
        batch.mark(at(9));
        let marks =
            [Mark { position: 1, watermark: at(7) }, Mark { position: 2, watermark: at(9) }];
        assert_eq!(batch.marks, marks);
    }

    #[test]
    fn absorbing_keeps_every_mark_at_its_record() {
        let mut first = Batch::new();
        first.records.push(Record::new(1));
        let mut second = Batch::new();
        second.mark(at(1));
        second.records.push(Record::new(2));
        second.mark(at(2));
        second.end = true;
        first.absorb(&mut second);
        assert!(second.is_empty());
        assert!(first.end);
        let marks =
            [Mark { position: 1, watermark: at(1) }, Mark { position: 2, watermark: at(2) }];
        assert_eq!(first.marks, marks);
    }

    #[test]
    fn default_batches_are_about_sixteen_kibibytes() {
        assert_eq!(default_batch::<u64>(), 1024);
        assert_eq!(default_batch::<[u64; 7]>(), 256);
        assert_eq!(default_batch::<[u8; 1000]>(), 64);
    }
}
