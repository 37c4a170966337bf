//! What every head has that opens streams for its records: its input, taken record by record, the
//! streams, and how a batch of what they have ends.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use millstream_engine::batch::{Barrier, Batch};
use millstream_engine::edge::Inputs;
use millstream_engine::runtime::{Head as _, OperatorContext};
use millstream_engine::time::Timestamp;
use millstream_engine::{Error, OperatorError, Record};

use super::inner::InnerStreams;

/// The input of such a head, and the streams that it has opened.
pub(super) struct Opener<T, S, O> {
    hand: Hand<T>,
    streams: InnerStreams<S, O>,
    limit: usize,
    operator: Arc<str>,
    spare: Vec<Record<O>>,
    /// A barrier that waits until the streams before it have ended.
    barrier: Option<Barrier>,
    /// The input has ended, or nobody wants more of it.
    ending: bool,
    /// What the last batch said.
    idle: bool,
}

impl<T, S, O> Opener<T, S, O>
where
    T: Send,
    S: Stream<Item = Result<O, OperatorError>>,
{
    pub(super) fn new(in_order: bool, context: &OperatorContext<'_>, input: Inputs<T>) -> Self {
        Self {
            limit: input.batch_limit(),
            hand: Hand::new(input),
            streams: InnerStreams::new(in_order, context.counters()),
            operator: context.name(),
            spare: Vec::new(),
            barrier: None,
            ending: false,
            idle: false,
        }
    }

    /// How many records a batch has at most, and how many of the input are looked at before others
    /// have their turn.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// How many streams have not ended.
    pub(super) const fn open(&self) -> usize {
        self.streams.open()
    }

    /// Whether all that comes has to wait until the open streams have ended.
    pub(super) const fn waits(&self) -> bool {
        self.barrier.is_some() || self.ending
    }

    /// Ready if there is something to take.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.hand.poll_ready(cx)
    }

    /// Takes what comes next, if it is there and need not wait, and opens what `make` makes of a
    /// value. Answers whether it has taken something.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        make: impl FnOnce(&mut InnerStreams<S, O>, T) -> S,
    ) -> Result<bool, Error> {
        if self.waits() {
            return Ok(false);
        }
        let Poll::Ready(next) = self.hand.poll_next(cx)? else {
            return Ok(false);
        };
        match next {
            Next::Record(record) => {
                let stream = make(&mut self.streams, record.value);
                let pushed = self.streams.push(stream, record.time);
                pushed.map_err(|error| Error::operator(&self.operator, error))?;
            }
            Next::Watermark(watermark) => self.streams.fence(watermark),
            Next::Barrier(barrier) => self.barrier = Some(barrier),
            Next::End => self.ending = true,
        }
        Ok(true)
    }

    /// Polls the streams that have been woken.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        self.streams.poll(cx).map_err(|error| Error::operator(&self.operator, error))
    }

    /// An empty batch, to be [filled](Self::fill) and [finished](Self::finish_batch).
    pub(super) fn batch(&mut self) -> Batch<O> {
        Batch { records: std::mem::take(&mut self.spare), ..Batch::new() }
    }

    /// Moves what is ready into `batch`. Answers whether that is full.
    pub(super) fn fill(&mut self, batch: &mut Batch<O>) -> Result<bool, Error> {
        let filled = self.streams.fill(batch, self.limit);
        filled.map_err(|error| Error::operator(&self.operator, error))?;
        Ok(batch.records.len() >= self.limit)
    }

    /// Puts behind the records what has waited for the streams, and gives the batch if it says
    /// anything, or if there may be `more` without waiting for anybody.
    pub(super) fn finish_batch(&mut self, mut batch: Batch<O>, more: bool) -> Poll<Batch<O>> {
        let at_rest = self.open() == 0;
        if at_rest {
            batch.barrier = self.barrier.take();
            batch.end = self.ending;
        }
        batch.idle = at_rest && self.hand.idle && !batch.end;
        if more || !batch.is_empty() || batch.idle != self.idle {
            self.idle = batch.idle;
            return Poll::Ready(batch);
        }
        self.spare = batch.records;
        Poll::Pending
    }

    pub(super) fn recycle(&mut self, records: Vec<Record<O>>) {
        self.spare = records;
    }

    /// Wants no more of the input, nor of the streams.
    pub(super) fn finish(&mut self) {
        self.hand.finish();
        self.streams.drop_all();
        (self.barrier, self.ending) = (None, true);
    }
}

/// What a [`Hand`] gives, in the order of the stream.
enum Next<T> {
    Record(Record<T>),
    Watermark(Timestamp),
    Barrier(Barrier),
    End,
}

/// Takes batches apart.
struct Hand<T> {
    inputs: Inputs<T>,
    batch: Option<(std::vec::IntoIter<Record<T>>, usize, Batch<T>)>,
    /// Whether nothing may come for a while.
    idle: bool,
}

impl<T: Send> Hand<T> {
    const fn new(inputs: Inputs<T>) -> Self {
        Self { inputs, batch: None, idle: false }
    }

    /// Ready if there is something to take.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.batch.is_none() {
            let Poll::Ready(mut batch) = self.inputs.poll_next(cx)? else {
                return Poll::Pending;
            };
            let records = std::mem::take(&mut batch.records);
            self.batch = Some((records.into_iter(), 0, batch));
        }
        Poll::Ready(Ok(()))
    }

    /// The next of what has been read and what can be. Cancel safe.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next<T>, Error>> {
        loop {
            if self.poll_ready(cx)?.is_pending() {
                return Poll::Pending;
            }
            let Some((records, taken, control)) = &mut self.batch else {
                continue;
            };
            if control.marks.first().is_some_and(|mark| mark.position <= *taken) {
                return Poll::Ready(Ok(Next::Watermark(control.marks.remove(0).watermark)));
            }
            if let Some(record) = records.next() {
                *taken += 1;
                self.idle = false;
                return Poll::Ready(Ok(Next::Record(record)));
            }
            self.idle = control.idle;
            if let Some(barrier) = control.barrier.take() {
                return Poll::Ready(Ok(Next::Barrier(barrier)));
            }
            let end = control.end;
            self.batch = None;
            if end {
                return Poll::Ready(Ok(Next::End));
            }
        }
    }

    /// Wants no more.
    fn finish(&mut self) {
        self.batch = None;
        self.inputs.finish();
    }
}
