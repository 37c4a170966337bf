//! What waits in a channel that gives it out in another order than it came.

use super::ranking::{Control, Ranking};
use crate::batch::Batch;
use crate::record::Record;

/// Records in slots, and the order in which they are due.
pub(super) struct Sorted<T> {
    slots: Vec<Option<Record<T>>>,
    pub(super) ranking: Ranking,
}

impl<T> Sorted<T> {
    pub(super) fn new(newest_first: bool) -> Self {
        Self { slots: Vec::new(), ranking: Ranking::new(newest_first) }
    }

    /// Takes the content of `batch`; `ranks` are those of its records, none where all are equal.
    pub(super) fn put(&mut self, batch: &mut Batch<T>, bytes: usize, ranks: &[i64]) {
        debug_assert!(
            !self.ranking.is_sealed() || batch.records.is_empty(),
            "nothing gets past a barrier"
        );
        let each = if batch.records.len() == 1 { bytes } else { 0 };
        let mut ranks = ranks.iter();
        for record in batch.records.drain(..) {
            let slot = self.ranking.enter(ranks.next().copied().unwrap_or(0), each);
            match self.slots.get_mut(slot) {
                Some(empty) => *empty = Some(record),
                None => self.slots.push(Some(record)),
            }
        }
        self.ranking.follow(Control {
            watermark: Control::last(&mut batch.marks),
            idle: batch.idle,
            barrier: batch.barrier.take(),
            end: std::mem::take(&mut batch.end),
        });
    }

    /// The record whose turn it is, and behind the last one the control.
    pub(super) fn take(&mut self, spare: &mut Vec<Vec<Record<T>>>) -> Option<Batch<T>> {
        if self.ranking.is_empty() {
            return None;
        }
        let mut batch = Batch::new();
        if let Some(slot) = self.ranking.leave()
            && let Some(record) = self.slots.get_mut(slot).and_then(Option::take)
        {
            batch.records = spare.pop().unwrap_or_default();
            batch.records.push(record);
        }
        let control = self.ranking.control();
        if let Some(watermark) = control.watermark {
            batch.mark(watermark);
        }
        batch.idle = control.idle;
        batch.barrier = control.barrier;
        batch.end = control.end;
        Some(batch)
    }

    /// Of the first `limit` records in the order in which they came, removes those that are not to
    /// be kept.
    pub(super) fn strip(
        &mut self,
        limit: usize,
        keep: &mut dyn FnMut(usize) -> bool,
        removed: &mut Vec<Record<T>>,
    ) {
        for slot in self.ranking.strip(limit, keep) {
            removed.extend(self.slots.get_mut(slot).and_then(Option::take));
        }
    }
}
