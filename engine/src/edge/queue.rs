//! What waits in a channel, and how much of it there is.

use std::collections::VecDeque;

use super::Capacity;
use super::policy::WhenFull;
use super::sorted::Sorted;
use crate::batch::Batch;
use crate::record::Record;

/// How many emptied buffers wait for reuse: as many as an edge of default capacity holds, or each
/// time it fills up some are allocated.
const SPARE_BUFFERS_MAX: usize = 16;

/// What waits in a channel.
pub(super) struct Queue<T> {
    line: Line<T>,
    spare: Vec<Vec<Record<T>>>,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) dropped: u64,
    /// Records that have ever waited in it.
    pub(super) entered: u64,
    /// Of those, the ones that wait no more, whatever became of them.
    pub(super) gone: u64,
}

enum Line<T> {
    InOrder(InOrder<T>),
    Sorted(Sorted<T>),
}

/// Batches, oldest first.
struct InOrder<T> {
    batches: VecDeque<(Batch<T>, usize)>,
    /// Records in the queue, a batch without any counting as one.
    load: usize,
    bytes: usize,
}

fn load<T>(batch: &Batch<T>) -> usize {
    batch.records.len().max(1)
}

impl<T> Queue<T> {
    pub(super) const fn in_order() -> Self {
        let in_order = InOrder { batches: VecDeque::new(), load: 0, bytes: 0 };
        Self::new(Line::InOrder(in_order))
    }

    pub(super) fn sorted(newest_first: bool) -> Self {
        Self::new(Line::Sorted(Sorted::new(newest_first)))
    }

    const fn new(line: Line<T>) -> Self {
        Self { line, spare: Vec::new(), sent: 0, received: 0, dropped: 0, entered: 0, gone: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        match &self.line {
            Line::InOrder(line) => line.batches.is_empty(),
            Line::Sorted(line) => line.ranking.is_empty(),
        }
    }

    /// The records in it.
    pub(super) fn depth(&self) -> usize {
        match &self.line {
            Line::InOrder(line) => line.batches.iter().map(|(batch, _)| batch.records.len()).sum(),
            Line::Sorted(line) => line.ranking.depth(),
        }
    }

    pub(super) fn load(&self) -> usize {
        match &self.line {
            Line::InOrder(line) => line.load,
            Line::Sorted(line) => line.ranking.depth(),
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        match &self.line {
            Line::InOrder(line) => line.bytes,
            Line::Sorted(line) => line.ranking.bytes,
        }
    }

    /// Whether what is behind a barrier has to wait outside.
    const fn is_sealed(&self) -> bool {
        match &self.line {
            Line::InOrder(_) => false,
            Line::Sorted(line) => line.ranking.is_sealed(),
        }
    }

    pub(super) fn has_room(&self, batch: &Batch<T>, bytes: usize, capacity: Capacity) -> bool {
        let fits = |held: usize, held_bytes: usize| {
            held + load(batch) <= capacity.records
                && held_bytes.saturating_add(bytes) <= capacity.bytes
        };
        match &self.line {
            Line::InOrder(line) => line.batches.is_empty() || fits(line.load, line.bytes),
            Line::Sorted(Sorted { ranking, .. }) => {
                let none = batch.records.is_empty() || ranking.depth() == 0;
                !ranking.is_sealed() && (none || fits(ranking.depth(), ranking.bytes))
            }
        }
    }

    /// Whether one more record of no great weight could come in.
    pub(super) fn has_room_for_one(&self, capacity: Capacity) -> bool {
        self.is_empty()
            || (!self.is_sealed()
                && self.load() < capacity.records
                && self.bytes() < capacity.bytes)
    }

    /// Takes the content of `batch`, and leaves it an empty buffer.
    pub(super) fn put(&mut self, batch: &mut Batch<T>, bytes: usize, ranks: &[i64], limit: usize) {
        self.sent += batch.records.len() as u64;
        self.entered += batch.records.len() as u64;
        match &mut self.line {
            Line::InOrder(line) => line.put(batch, bytes, &mut self.spare, limit),
            Line::Sorted(line) => line.put(batch, bytes, ranks),
        }
    }

    pub(super) fn take(&mut self) -> Option<Batch<T>> {
        let batch = match &mut self.line {
            Line::InOrder(line) => line.pop().map(|(batch, _)| batch),
            Line::Sorted(line) => line.take(&mut self.spare),
        }?;
        self.received += batch.records.len() as u64;
        self.gone += batch.records.len() as u64;
        Some(batch)
    }

    /// Takes the content of a `batch` for which there is no room, and gives up in `removed` as many
    /// records as `policy` says, be they new or have they waited. Control goes in whatever happens.
    pub(super) fn squeeze(
        &mut self,
        batch: &mut Batch<T>,
        mut bytes: usize,
        ranks: &[i64],
        capacity: Capacity,
        policy: WhenFull,
        removed: &mut Vec<Record<T>>,
    ) {
        let new = batch.records.len();
        self.sent += new as u64;
        if self.is_sealed() {
            batch.strip(&mut |_| false, removed);
        }
        match policy {
            _ if batch.records.is_empty() => {}
            WhenFull::DropNewest => {
                let light = self.bytes().saturating_add(bytes) <= capacity.bytes;
                let free = if light { capacity.records.saturating_sub(self.load()) } else { 0 };
                batch.strip(&mut |index| index < free, removed);
            }
            WhenFull::DropOldest => {
                while !self.has_room(batch, bytes, capacity) && self.depth() > 0 {
                    let over = (self.load() + new).saturating_sub(capacity.records);
                    self.strip(over.max(1), &mut |_| false, capacity.batch, removed);
                }
            }
            WhenFull::DropAll => self.strip(usize::MAX, &mut |_| false, capacity.batch, removed),
            WhenFull::Sample => {
                while !self.has_room(batch, bytes, capacity) && self.depth() > 0 {
                    let (depth, new) = (self.depth(), batch.records.len());
                    let last = depth + new - 1;
                    let every_second = |index: usize| (last - index).is_multiple_of(2);
                    self.strip(depth, &mut { every_second }, capacity.batch, removed);
                    batch.strip(&mut |index| every_second(depth + index), removed);
                }
            }
            _ => {}
        }
        if batch.records.is_empty() {
            bytes = 0;
        }
        self.dropped += removed.len() as u64;
        self.entered += batch.records.len() as u64;
        // What was removed of the new ones has never waited.
        self.gone += (removed.len() + batch.records.len()).saturating_sub(new) as u64;
        match &mut self.line {
            Line::InOrder(line) if batch.records.is_empty() => line.put_control(batch),
            Line::InOrder(line) => line.put(batch, bytes, &mut self.spare, capacity.batch),
            Line::Sorted(line) => line.put(batch, bytes, ranks),
        }
    }

    fn strip(
        &mut self,
        limit: usize,
        keep: &mut dyn FnMut(usize) -> bool,
        batch_limit: usize,
        removed: &mut Vec<Record<T>>,
    ) {
        match &mut self.line {
            Line::InOrder(line) => line.strip(limit, keep, batch_limit, removed),
            Line::Sorted(line) => line.strip(limit, keep, removed),
        }
    }

    /// Puts in the end of a producer that sends no more, whatever waits.
    pub(super) fn put_end(&mut self) {
        let mut end = Batch { end: true, ..Batch::new() };
        match &mut self.line {
            Line::InOrder(line) => line.put_control(&mut end),
            Line::Sorted(line) => line.put(&mut end, 0, &[]),
        }
    }

    /// Keeps an emptied buffer for [`put`](Queue::put) to hand out: the last one first, as it is
    /// the likeliest to be in a cache.
    pub(super) fn keep_buffer(&mut self, buffer: Vec<Record<T>>) {
        if self.spare.len() < SPARE_BUFFERS_MAX {
            self.spare.push(buffer);
        }
    }

    /// Empties it. What was in it is for the caller to drop, behind the lock.
    pub(super) fn clear(&mut self) -> impl Sized + use<T> {
        let empty = match &self.line {
            Line::InOrder(_) => Self::in_order().line,
            Line::Sorted(_) => Self::sorted(false).line,
        };
        self.gone = self.entered;
        std::mem::replace(&mut self.line, empty)
    }
}

impl<T> InOrder<T> {
    fn put(
        &mut self,
        batch: &mut Batch<T>,
        bytes: usize,
        spare: &mut Vec<Vec<Record<T>>>,
        limit: usize,
    ) {
        if self.absorb(batch, bytes, limit) {
            return;
        }
        let records = spare.pop().unwrap_or_default();
        let empty = Batch { records, idle: batch.idle, ..Batch::new() };
        self.push(std::mem::replace(batch, empty), bytes);
    }

    /// Adds to the last batch, if the two fit into one.
    fn absorb(&mut self, batch: &mut Batch<T>, bytes: usize, limit: usize) -> bool {
        let Some((last, weight)) = self.batches.back_mut() else {
            return false;
        };
        if !last.can_absorb(batch, limit) {
            return false;
        }
        self.load -= load(last);
        last.absorb(batch);
        self.load += load(last);
        self.bytes += bytes;
        *weight += bytes;
        true
    }

    fn push(&mut self, batch: Batch<T>, bytes: usize) {
        self.load += load(&batch);
        self.bytes += bytes;
        self.batches.push_back((batch, bytes));
    }

    fn pop(&mut self) -> Option<(Batch<T>, usize)> {
        let (batch, bytes) = self.batches.pop_front()?;
        self.load -= load(&batch);
        self.bytes -= bytes;
        Some((batch, bytes))
    }

    /// Takes control without records, for which there is always room: there are never more than
    /// three batches of it in a row.
    fn put_control(&mut self, batch: &mut Batch<T>) {
        if self.absorb(batch, 0, usize::MAX) {
            return;
        }
        // The last batch has a barrier. With another one right before it, only the newer of the
        // two can still be completed.
        let mut newest = self.batches.iter().rev().map(|(batch, _)| batch.records.is_empty());
        if newest.next() == Some(true)
            && newest.next() == Some(true)
            && let Some(mut last) = self.take_back()
            && let Some((before, _)) = self.batches.back_mut()
        {
            before.barrier = None;
            before.absorb(&mut last);
        }
        let idle = batch.idle;
        self.push(std::mem::replace(batch, Batch { idle, ..Batch::new() }), 0);
    }

    fn take_back(&mut self) -> Option<Batch<T>> {
        let (batch, bytes) = self.batches.pop_back()?;
        self.load -= load(&batch);
        self.bytes -= bytes;
        Some(batch)
    }

    /// Of the first `limit` records, removes those that are not to be kept. The control of a batch
    /// that has none left moves to the next.
    fn strip(
        &mut self,
        limit: usize,
        keep: &mut dyn FnMut(usize) -> bool,
        batch_limit: usize,
        removed: &mut Vec<Record<T>>,
    ) {
        let mut seen_through = Self { batches: VecDeque::new(), load: 0, bytes: 0 };
        let mut seen = 0;
        while seen < limit
            && let Some((mut batch, mut bytes)) = self.pop()
        {
            let looked = (limit - seen).min(batch.records.len());
            batch.strip(&mut |index| index >= looked || keep(seen + index), removed);
            seen += looked;
            if batch.records.is_empty() {
                bytes = 0;
            }
            if batch.is_empty() {
                // It says only how idle it was, and so does the next.
            } else if batch.records.is_empty() {
                seen_through.put_control(&mut batch);
            } else if !seen_through.absorb(&mut batch, bytes, batch_limit) {
                seen_through.push(batch, bytes);
            }
        }
        let ends_in_control =
            seen_through.batches.back().is_some_and(|(last, _)| last.records.is_empty());
        if ends_in_control
            && let Some((mut next, bytes)) = self.pop()
            && !seen_through.absorb(&mut next, bytes, batch_limit)
        {
            seen_through.push(next, bytes);
        }
        self.load += seen_through.load;
        self.bytes += seen_through.bytes;
        for entry in seen_through.batches.into_iter().rev() {
            self.batches.push_front(entry);
        }
    }
}
