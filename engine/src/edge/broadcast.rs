//! Every record to every branch.

use std::fmt;
use std::task::{Context, Poll};

use super::{Outbox, Router};
use crate::batch::Batch;
use crate::error::OperatorError;
use crate::record::Record;
use crate::tail::{Flow, Tail as _};
use crate::time::Timestamp;

/// To every branch, each with a clone of its own.
///
/// Records are collected once, and cloned for the branches many at a time: as many as the fullest
/// outbox would take before it had to be asked. So every outbox is as full as if each record had
/// been pushed into it at once, and those that wait here are no more than it has room for.
pub struct Broadcast<T> {
    batch: Batch<T>,
    /// How many records it may collect.
    room: usize,
}

impl<T> Broadcast<T> {
    /// One that has collected nothing.
    #[must_use]
    pub const fn new() -> Self {
        // Who is asked for the first record says how many there may be.
        Self { batch: Batch::new(), room: 1 }
    }
}

impl<T: Clone + Send> Broadcast<T> {
    fn measure(&mut self, outboxes: &[Outbox<T>]) {
        let open = outboxes.iter().filter(|outbox| !outbox.done());
        self.room = open.map(Outbox::room).min().unwrap_or(1);
    }

    #[inline]
    fn share_when_full(&mut self, outboxes: &mut [Outbox<T>]) -> Flow {
        if self.batch.records.len() < self.room { Flow::More } else { self.share(outboxes) }
    }

    #[inline(never)]
    fn share(&mut self, outboxes: &mut [Outbox<T>]) -> Flow {
        let records = self.batch.records.len();
        let mut flow = Flow::More;
        // The last one that wants them gets the records themselves.
        let last = outboxes.iter().rposition(|outbox| !outbox.done());
        for (index, outbox) in outboxes.iter_mut().enumerate() {
            if outbox.done() {
                outbox.cancel(records);
                continue;
            }
            let taken = if Some(index) == last {
                outbox.take(&mut self.batch)
            } else {
                outbox.take_clone(&self.batch)
            };
            if taken == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        self.batch.records.clear();
        self.batch.marks.clear();
        self.measure(outboxes);
        flow
    }
}

impl<T: Clone + Send> Router<T> for Broadcast<T> {
    type Out = T;

    #[inline]
    fn route(
        &mut self,
        record: Record<T>,
        outboxes: &mut [Outbox<T>],
    ) -> Result<Flow, OperatorError> {
        self.batch.records.push(record);
        Ok(self.share_when_full(outboxes))
    }

    fn route_batch(&mut self, batch: &mut Batch<T>, outboxes: &mut [Outbox<T>]) -> Option<Flow> {
        // An outbox that has to be asked for each record gets them one by one. And behind one that
        // there is no room for, no watermark is let in.
        if self.room == 1 {
            return None;
        }
        let full = self.batch.records.len() + batch.records.len() >= self.room;
        if full && !batch.marks.is_empty() {
            return None;
        }
        while self.batch.records.len() + batch.records.len() > self.room {
            let free = self.room.saturating_sub(self.batch.records.len());
            self.batch.records.extend(batch.records.drain(..free));
            if self.share(outboxes) == Flow::Stop {
                return Some(Flow::Stop);
            }
            if self.room == 1 {
                return None;
            }
        }
        self.batch.append(batch);
        Some(self.share_when_full(outboxes))
    }

    fn collecting(&mut self) -> Option<(&mut Vec<Record<T>>, usize)> {
        let room = self.room.checked_sub(self.batch.records.len()).filter(|room| *room > 0)?;
        (self.room > 1).then_some((&mut self.batch.records, room))
    }

    fn collected(&mut self, outboxes: &mut [Outbox<T>]) -> Flow {
        self.share_when_full(outboxes)
    }

    fn watermark(&mut self, watermark: Timestamp, _outboxes: &mut [Outbox<T>]) -> Flow {
        self.batch.mark(watermark);
        Flow::More
    }

    fn hand_out(&mut self, outboxes: &mut [Outbox<T>]) -> Flow {
        if self.batch.is_spent() { Flow::More } else { self.share(outboxes) }
    }

    /// It waits for nothing of its own. Who asks has made room.
    fn poll_room(&mut self, _cx: Option<&Context<'_>>, outboxes: &mut [Outbox<T>]) -> Poll<()> {
        self.measure(outboxes);
        Poll::Ready(())
    }
}

impl<T> Default for Broadcast<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A clone has collected nothing.
impl<T> Clone for Broadcast<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Broadcast<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast").field("records", &self.batch.records.len()).finish()
    }
}
