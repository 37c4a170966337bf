//! The far end of a side output, for an operator that is driven by hand.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::edge::{Capacity, Outbox, Received, Receiver, channel};
use crate::record::Record;

/// What comes out of the side output of an operator: see
/// [`OperatorHarness::with_side`](super::OperatorHarness::with_side).
pub struct SideProbe<T> {
    receiver: Receiver<T>,
    ended: bool,
}

/// A side output with room for so many records, and its far end.
pub(super) fn side_probe<T: Send + 'static>(room: usize) -> (Outbox<T>, SideProbe<T>) {
    // Batches of one record, so that none waits for another.
    let (sender, receiver) = channel(Capacity::records(room, 1));
    let outbox = Outbox::to(sender, Arc::from("side output"));
    (outbox, SideProbe { receiver, ended: false })
}

impl<T> SideProbe<T> {
    /// The records that have come since the last call. They make room for others, which come with
    /// the harness's next step.
    pub fn records(&mut self) -> Vec<Record<T>> {
        let mut records = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Received::Batch(mut batch)) = self.receiver.poll_recv(&mut cx) {
            records.append(&mut batch.records);
            self.ended |= batch.end;
            if batch.end {
                break;
            }
        }
        records
    }

    /// The values that have come since the last call.
    pub fn values(&mut self) -> Vec<T> {
        self.records().into_iter().map(|record| record.value).collect()
    }

    /// Whether the end has come, behind everything else.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Wants no more.
    pub fn finish(&mut self) {
        self.receiver.finish();
    }
}

impl<T> fmt::Debug for SideProbe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SideProbe").field("ended", &self.ended).finish_non_exhaustive()
    }
}
