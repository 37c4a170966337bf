//! The consuming end of all channels into one instance.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::channel::{Received, Receiver};
use super::progress::{Control, InputProgress, Progress};
use crate::batch::Batch;
use crate::error::Error;
use crate::metrics::InputGauge;
use crate::record::Record;
use crate::runtime::Head;

/// In which order several inputs are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discipline {
    /// Whichever has something, in turn.
    #[default]
    Merge,
    /// One producer to its end, then the next.
    Concat,
    /// As a head of its own making chooses, which may wait for a certain one of them.
    Select,
}

/// All channels into one instance of a stage.
pub struct Inputs<T> {
    receivers: Vec<Receiver<T>>,
    progress: Progress,
    operator: Arc<str>,
    /// The input to look at first, so that a busy one can't shut the others out.
    cursor: usize,
    /// Where the last batch came from, and where its buffer goes back to.
    last: usize,
}

impl<T> Inputs<T> {
    /// Joins channels, each with the number of the producer it comes from.
    pub(crate) fn new(
        receivers: impl IntoIterator<Item = (usize, Arc<InputGauge>, Receiver<T>)>,
        discipline: Discipline,
        operator: Arc<str>,
    ) -> Self {
        let mut inputs = Self::none(discipline, operator);
        for (producer, gauge, receiver) in receivers {
            inputs.add(InputProgress::new(producer, gauge), receiver);
        }
        inputs
    }

    const fn none(discipline: Discipline, operator: Arc<str>) -> Self {
        let progress = Progress::new(discipline);
        Self { receivers: Vec::new(), progress, operator, cursor: 0, last: 0 }
    }

    fn add(&mut self, input: InputProgress, receiver: Receiver<T>) {
        self.progress.add(input);
        self.receivers.push(receiver);
    }

    /// The name of the operator that reads them.
    #[must_use]
    pub fn operator(&self) -> Arc<str> {
        Arc::clone(&self.operator)
    }

    /// The most records that a batch of them holds.
    #[must_use]
    pub fn batch_limit(&self) -> usize {
        self.receivers.iter().map(Receiver::batch_limit).max().unwrap_or(1)
    }

    /// The same channels, apart for each producer, in the order in which those were connected.
    #[must_use]
    pub fn by_producer(self) -> Vec<Self> {
        let producers = self.progress.producers();
        let none = |_: &usize| Self::none(Discipline::Merge, Arc::clone(&self.operator));
        let mut apart: Vec<Self> = producers.iter().map(none).collect();
        for (input, receiver) in self.progress.into_inputs().into_iter().zip(self.receivers) {
            let place = producers.iter().position(|&producer| producer == input.producer);
            if let Some(inputs) = place.and_then(|place| apart.get_mut(place)) {
                inputs.add(input, receiver);
            }
        }
        apart
    }

    /// Whether `batch` is of records alone, from an input that counted before: then it goes on as
    /// it is, and nothing is to be merged.
    fn is_plain(&self, index: usize, batch: &Batch<T>) -> bool {
        let control = !batch.marks.is_empty() || batch.barrier.is_some() || batch.end;
        !self.progress.is_idle(index) && !batch.idle && !control && !batch.records.is_empty()
    }

    /// Takes the batch of one input over into the merged stream.
    fn merge(&mut self, index: usize, batch: Batch<T>) -> Batch<T> {
        let Batch { records, marks, idle, barrier, end } = batch;
        let control = Control { marks, idle, barrier, end };
        let Control { marks, idle, barrier, end } =
            self.progress.merge(index, records.len(), control);
        Batch { records, marks, idle, barrier, end }
    }
}

impl<T: Send> Head<T> for Inputs<T> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<T>, Error>> {
        let count = self.receivers.len();
        let mut looked = 0;
        while looked < count {
            let place = self.cursor + looked;
            let index = if place < count { place } else { place - count };
            looked += 1;
            if !self.progress.is_open(index) {
                continue;
            }
            let Some(receiver) = self.receivers.get_mut(index) else {
                break;
            };
            match receiver.poll_recv(cx) {
                Poll::Ready(Received::Batch(batch)) => {
                    self.cursor = if index + 1 < count { index + 1 } else { 0 };
                    if self.is_plain(index, &batch) {
                        self.last = index;
                        return Poll::Ready(Ok(batch));
                    }
                    let idle_before = self.progress.all_idle();
                    let merged = self.merge(index, batch);
                    if merged.is_empty() && merged.idle == idle_before {
                        // Control that concerns nobody yet: look at all inputs once more.
                        looked = 0;
                        continue;
                    }
                    self.last = index;
                    return Poll::Ready(Ok(merged));
                }
                Poll::Ready(Received::Failed) => {
                    return Poll::Ready(Err(Error::disconnected(&self.operator)));
                }
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    fn is_quick(&self) -> bool {
        true
    }

    fn recycle(&mut self, records: Vec<Record<T>>) {
        if let Some(receiver) = self.receivers.get_mut(self.last) {
            receiver.recycle(records);
        }
    }

    fn finish(&mut self) {
        for receiver in &mut self.receivers {
            receiver.finish();
        }
    }
}

impl<T> fmt::Debug for Inputs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("inputs", &self.receivers.len()).finish_non_exhaustive()
    }
}
