//! The consuming end of all channels into one instance: merging, alignment and the end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use super::channel::{Received, Receiver};
use crate::batch::{Barrier, Batch};
use crate::error::Error;
use crate::metrics::InputGauge;
use crate::record::Record;
use crate::runtime::Head;
use crate::time::Timestamp;

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
    inputs: Vec<Input<T>>,
    discipline: Discipline,
    operator: Arc<str>,
    /// The input to look at first, so that a busy one can't shut the others out.
    cursor: usize,
    /// Where the last batch came from, and where its buffer goes back to.
    last: usize,
    /// What everybody behind here has been told.
    watermark: Timestamp,
}

struct Input<T> {
    receiver: Receiver<T>,
    watermark: Timestamp,
    idle: bool,
    barrier: Option<Barrier>,
    ended: bool,
    /// The producer it comes from; with `Concat` they are read in this order.
    producer: usize,
    gauge: Arc<InputGauge>,
}

impl<T> Input<T> {
    /// Whether it takes part in the watermark.
    const fn counts(&self) -> bool {
        !self.ended && !self.idle
    }

    /// Whether `batch` is of records alone, from an input that counted before: then it goes on as
    /// it is, and nothing is to be merged.
    const fn is_plain(&self, batch: &Batch<T>) -> bool {
        let control = !batch.marks.is_empty() || batch.barrier.is_some() || batch.end;
        !self.idle && !batch.idle && !control && !batch.records.is_empty()
    }
}

impl<T> Inputs<T> {
    /// Joins channels, each with the number of the producer it comes from.
    pub(crate) fn new(
        receivers: impl IntoIterator<Item = (usize, Arc<InputGauge>, Receiver<T>)>,
        discipline: Discipline,
        operator: Arc<str>,
    ) -> Self {
        let inputs = receivers.into_iter().map(|(producer, gauge, receiver)| Input {
            receiver,
            watermark: Timestamp::MIN,
            idle: false,
            barrier: None,
            ended: false,
            producer,
            gauge,
        });
        let inputs = inputs.collect();
        let watermark = Timestamp::MIN;
        Self { inputs, discipline, operator, cursor: 0, last: 0, watermark }
    }

    /// The name of the operator that reads them.
    #[must_use]
    pub fn operator(&self) -> Arc<str> {
        Arc::clone(&self.operator)
    }

    /// The most records that a batch of them holds.
    #[must_use]
    pub fn batch_limit(&self) -> usize {
        self.inputs.iter().map(|input| input.receiver.batch_limit()).max().unwrap_or(1)
    }

    /// The same channels, apart for each producer, in the order in which those were connected.
    #[must_use]
    pub fn by_producer(self) -> Vec<Self> {
        let mut producers: BTreeMap<usize, Vec<Input<T>>> = BTreeMap::new();
        for input in self.inputs {
            producers.entry(input.producer).or_default().push(input);
        }
        let apart = |inputs| Self {
            inputs,
            discipline: Discipline::Merge,
            operator: Arc::clone(&self.operator),
            cursor: 0,
            last: 0,
            watermark: Timestamp::MIN,
        };
        producers.into_values().map(apart).collect()
    }

    /// Takes the batch of one input over into the merged stream.
    fn merge(&mut self, index: usize, mut batch: Batch<T>) -> Batch<T> {
        let marks = std::mem::take(&mut batch.marks);
        let Some(input) = self.inputs.get_mut(index) else {
            return batch;
        };
        let was_idle = std::mem::replace(&mut input.idle, false);
        let mut merged = Batch::new();
        // Records end idleness, before their watermark is looked at.
        if was_idle && batch.records.is_empty() && marks.is_empty() {
            input.idle = true;
        }
        for mark in marks {
            if let Some(input) = self.inputs.get_mut(index) {
                input.watermark = input.watermark.max(mark.watermark);
            }
            if let Some(watermark) = self.advanced() {
                merged.marks.push(crate::batch::Mark { position: mark.position, watermark });
            }
        }
        merged.records = batch.records;
        if let Some(input) = self.inputs.get_mut(index) {
            input.idle = batch.idle;
            input.barrier = batch.barrier;
            input.ended = batch.end;
            input.gauge.watermark.set(input.watermark);
            input.gauge.idle.store(!input.counts(), Relaxed);
            input.gauge.ended.store(input.ended, Relaxed);
            input.gauge.held.store(input.barrier.is_some(), Relaxed);
        }
        // Without this input, the others may be further on.
        if let Some(watermark) = self.advanced() {
            merged.mark(watermark);
        }
        merged.idle = self.all_idle();
        merged.end = self.inputs.iter().all(|input| input.ended);
        merged.barrier = self.aligned();
        merged
    }

    /// The minimum over the inputs that count, if it has advanced.
    ///
    /// When all are idle, none holds the others back, and it is the latest of them: so it is the
    /// same in whichever order they went quiet.
    fn advanced(&mut self) -> Option<Timestamp> {
        let counting = self.inputs.iter().filter(|input| input.counts());
        let minimum = counting.map(|input| input.watermark).min();
        let latest = || self.inputs.iter().map(|input| input.watermark).max();
        let watermark = if self.all_idle() { latest() } else { minimum }?;
        (watermark > self.watermark).then(|| {
            self.watermark = watermark;
            watermark
        })
    }

    fn all_idle(&self) -> bool {
        let mut open = self.inputs.iter().filter(|input| !input.ended).peekable();
        open.peek().is_some() && open.all(|input| input.idle)
    }

    /// The barrier, once every input that is being read has delivered it.
    fn aligned(&mut self) -> Option<Barrier> {
        let turn = self.turn();
        let mut newest = None;
        for input in self.inputs.iter().filter(|input| !input.ended) {
            match input.barrier {
                Some(barrier) => newest = newest.max(Some(barrier)),
                // A producer whose turn has not come has not started: there is nothing to align.
                None if turn.is_some_and(|producer| producer != input.producer) => {}
                None => return None,
            }
        }
        // An input may have ended behind its barrier, and been the only one.
        newest = newest.max(self.inputs.iter().filter_map(|input| input.barrier).max());
        for input in &mut self.inputs {
            input.barrier = None;
            input.gauge.held.store(false, Relaxed);
        }
        newest
    }

    /// With `Concat`, the producer whose turn it is.
    fn turn(&self) -> Option<usize> {
        match self.discipline {
            Discipline::Merge | Discipline::Select => None,
            Discipline::Concat => {
                self.inputs.iter().filter(|input| !input.ended).map(|input| input.producer).min()
            }
        }
    }
}

impl<T: Send> Head<T> for Inputs<T> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<T>, Error>> {
        let count = self.inputs.len();
        let mut looked = 0;
        while looked < count {
            let place = self.cursor + looked;
            let index = if place < count { place } else { place - count };
            looked += 1;
            let turn = self.turn();
            let Some(input) = self.inputs.get_mut(index) else {
                break;
            };
            let waits_its_turn = turn.is_some_and(|producer| input.producer != producer);
            if input.ended || input.barrier.is_some() || waits_its_turn {
                continue;
            }
            match input.receiver.poll_recv(cx) {
                Poll::Ready(Received::Batch(batch)) => {
                    self.cursor = if index + 1 < count { index + 1 } else { 0 };
                    if input.is_plain(&batch) {
                        self.last = index;
                        return Poll::Ready(Ok(batch));
                    }
                    let idle_before = self.all_idle();
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
        if let Some(input) = self.inputs.get_mut(self.last) {
            input.receiver.recycle(records);
        }
    }

    fn finish(&mut self) {
        for input in &mut self.inputs {
            input.receiver.finish();
        }
    }
}

impl<T> fmt::Debug for Inputs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("inputs", &self.inputs.len()).finish_non_exhaustive()
    }
}
