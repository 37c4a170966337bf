//! What waits in a channel, and how much of it there is.

use std::collections::VecDeque;

use super::Capacity;
use crate::batch::Batch;
use crate::record::Record;

/// How many emptied buffers wait for reuse.
const SPARE_BUFFERS_MAX: usize = 2;

/// The batches of a channel, oldest first.
pub(super) struct Queue<T> {
    batches: VecDeque<(Batch<T>, usize)>,
    /// Records in the queue, a batch without any counting as one.
    pub(super) load: usize,
    pub(super) bytes: usize,
    spare: Vec<Vec<Record<T>>>,
    pub(super) sent: u64,
    pub(super) received: u64,
}

fn load<T>(batch: &Batch<T>) -> usize {
    batch.records.len().max(1)
}

impl<T> Queue<T> {
    pub(super) const fn new() -> Self {
        Self {
            batches: VecDeque::new(),
            load: 0,
            bytes: 0,
            spare: Vec::new(),
            sent: 0,
            received: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The records in it.
    pub(super) fn depth(&self) -> usize {
        self.batches.iter().map(|(batch, _)| batch.records.len()).sum()
    }

    pub(super) fn has_room(&self, batch: &Batch<T>, bytes: usize, capacity: Capacity) -> bool {
        self.batches.is_empty()
            || (self.load + load(batch) <= capacity.records
                && self.bytes.saturating_add(bytes) <= capacity.bytes)
    }

    /// Takes the content of `batch`, and leaves it an empty buffer.
    pub(super) fn put(&mut self, batch: &mut Batch<T>, bytes: usize, limit: usize) {
        self.sent += batch.records.len() as u64;
        self.bytes += bytes;
        if let Some((last, weight)) = self.batches.back_mut()
            && last.can_absorb(batch, limit)
        {
            self.load -= load(last);
            last.absorb(batch);
            self.load += load(last);
            *weight += bytes;
            return;
        }
        self.load += load(batch);
        let empty = Batch {
            records: self.spare.pop().unwrap_or_default(),
            idle: batch.idle,
            ..Batch::new()
        };
        self.batches.push_back((std::mem::replace(batch, empty), bytes));
    }

    pub(super) fn take(&mut self) -> Option<Batch<T>> {
        let (batch, bytes) = self.batches.pop_front()?;
        self.load -= load(&batch);
        self.bytes -= bytes;
        self.received += batch.records.len() as u64;
        Some(batch)
    }

    /// Keeps an emptied buffer for [`put`](Queue::put) to hand out.
    pub(super) fn keep_buffer(&mut self, buffer: Vec<Record<T>>) {
        if self.spare.len() < SPARE_BUFFERS_MAX {
            self.spare.push(buffer);
        }
    }

    /// Empties it. What was in it is for the caller to drop, behind the lock.
    pub(super) fn clear(&mut self) -> impl Sized + use<T> {
        self.load = 0;
        self.bytes = 0;
        std::mem::take(&mut self.batches)
    }
}
