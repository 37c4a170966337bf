//! What an edge promises, piece by piece and without a runtime.

mod broadcast;
mod channel;
mod inputs;
mod outbox;
mod policy;
mod select;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use super::channel::{Received, Receiver};
use crate::batch::Batch;
use crate::record::Record;
use crate::time::Timestamp;

/// A task that only counts how often it is woken.
#[derive(Default)]
pub(super) struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Task {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How often it was woken since the last call.
    pub(super) fn woken(&self) -> usize {
        self.0.swap(0, SeqCst)
    }

    pub(super) fn run<R>(self: &Arc<Self>, poll: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let waker = Waker::from(Arc::clone(self));
        poll(&mut Context::from_waker(&waker))
    }
}

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) fn batch(values: impl IntoIterator<Item = u32>) -> Batch<u32> {
    let records = values.into_iter().map(Record::new).collect();
    Batch { records, ..Batch::new() }
}

pub(super) fn end() -> Batch<u32> {
    Batch { end: true, ..Batch::new() }
}

pub(super) fn values(batch: &Batch<u32>) -> Vec<u32> {
    batch.records.iter().map(|record| record.value).collect()
}

/// The next batch, which has to be there.
pub(super) fn receive(receiver: &mut Receiver<u32>) -> Batch<u32> {
    match Task::new().run(|cx| receiver.poll_recv(cx)) {
        Poll::Ready(Received::Batch(batch)) => batch,
        other => panic!("a batch, not {other:?}"),
    }
}

/// Everything in the channel, by batch.
pub(super) fn drain(receiver: &mut Receiver<u32>) -> Vec<Vec<u32>> {
    let mut batches = Vec::new();
    while let Poll::Ready(Received::Batch(batch)) = Task::new().run(|cx| receiver.poll_recv(cx)) {
        batches.push(values(&batch));
    }
    batches
}
