//! The head of a stage that chooses from which of its inputs the next record comes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Inputs;
use crate::batch::{Barrier, Batch};
use crate::error::{Error, OperatorError};
use crate::metrics::OperatorCounters;
use crate::record::Record;
use crate::runtime::{Head, OperatorContext};
use crate::time::Timestamp;

/// How many batches of one input are kept while another waits at a barrier.
const AHEAD_MAX: usize = 16;

/// Chooses the next record from several inputs, which are numbered in the order in which their
/// producers were connected to the edge, and says what becomes of it.
///
/// Whoever waits for a certain input can hang where the inputs part from one stage: an edge that is
/// read so has [`Discipline::Select`](super::Discipline::Select), and a graph in which it can hang
/// is refused. One that takes whatever is there needs no more than
/// [`Discipline::Merge`](super::Discipline::Merge).
pub trait Picker<T>: Send {
    /// What comes out.
    type Out: Send + 'static;

    /// What to do next. Asked again after everything it answers. What it says must depend on
    /// nothing but the ports and its own state: it is asked as often as the batches happen to be
    /// cut.
    fn pick(&mut self, ports: &Ports<'_, T>) -> Pick;

    /// Handles the record that it has chosen. An error fails the job.
    fn take(
        &mut self,
        port: usize,
        record: Record<T>,
        out: &mut Vec<Record<Self::Out>>,
    ) -> Result<(), OperatorError>;

    /// No record earlier than `watermark` will be taken. It is passed on right behind this.
    fn on_watermark(&mut self, watermark: Timestamp) {
        let _ = watermark;
    }

    /// Every input has ended, or [`Pick::End`] was the answer: what is left goes out here.
    fn on_end(&mut self, out: &mut Vec<Record<Self::Out>>) -> Result<(), OperatorError> {
        let _ = out;
        Ok(())
    }
}

/// What a [`Picker`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Take one record of this input. Where that has none, it is waited for.
    Take(usize),
    /// Wait until more inputs have something, or one ends.
    Wait,
    /// Want no more of this input: it is cancelled, and counts as ended.
    Cancel(usize),
    /// It is over, whatever the inputs still have: they are cancelled.
    End,
}

/// What a [`Picker`] sees of the inputs.
pub struct Ports<'a, T>(&'a [Port<T>]);

impl<T: Send> Ports<'_, T> {
    /// How many inputs there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next record of an input, if it is there.
    #[must_use]
    pub fn peek(&self, port: usize) -> Option<&Record<T>> {
        self.0.get(port)?.front()
    }

    /// Whether an input has ended, and everything of it has been taken.
    #[must_use]
    pub fn is_ended(&self, port: usize) -> bool {
        self.0.get(port).is_none_or(Port::is_over)
    }

    /// Whether an input has said that nothing may come for a while, and nothing of it is left.
    #[must_use]
    pub fn is_idle(&self, port: usize) -> bool {
        self.0.get(port).is_some_and(|port| port.idle && port.ahead.is_empty())
    }

    /// The first input behind `last`, going round, that has a record: for one who takes turns.
    #[must_use]
    pub fn next_ready(&self, last: usize) -> Option<usize> {
        let (count, start) = (self.0.len(), last.saturating_add(1));
        let mut turn = (0..count).map(|offset| (start + offset) % count);
        turn.find(|&port| self.peek(port).is_some())
    }

    /// Whether every input has ended.
    #[must_use]
    pub fn all_ended(&self) -> bool {
        self.0.iter().all(Port::is_over)
    }
}

impl<T: Send> fmt::Debug for Ports<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").field("len", &self.len()).finish()
    }
}

/// One input, with what has been read of it and not been taken.
struct Port<T> {
    head: Inputs<T>,
    ahead: VecDeque<Ahead<T>>,
    /// The watermark behind everything taken.
    watermark: Timestamp,
    idle: bool,
    barrier: Option<Barrier>,
    ended: bool,
}

/// A batch that is being taken apart.
struct Ahead<T> {
    records: VecDeque<Record<T>>,
    taken: usize,
    control: Batch<T>,
}

impl<T: Send> Port<T> {
    const fn new(head: Inputs<T>) -> Self {
        let (watermark, idle, barrier, ended) = (Timestamp::MIN, false, None, false);
        Self { head, ahead: VecDeque::new(), watermark, idle, barrier, ended }
    }

    fn front(&self) -> Option<&Record<T>> {
        // Behind a barrier nothing is shown before the other inputs have got there.
        if self.barrier.is_some() {
            return None;
        }
        self.ahead.front()?.records.front()
    }

    fn is_over(&self) -> bool {
        self.ended && self.ahead.is_empty()
    }

    /// Whether it takes part in the watermark.
    fn counts(&self) -> bool {
        !(self.is_over() || (self.idle && self.ahead.is_empty()))
    }

    fn put(&mut self, mut batch: Batch<T>) {
        let records = VecDeque::from(std::mem::take(&mut batch.records));
        self.ahead.push_back(Ahead { records, taken: 0, control: batch });
        self.settle();
    }

    fn take(&mut self) -> Option<Record<T>> {
        if self.barrier.is_some() {
            return None;
        }
        let ahead = self.ahead.front_mut()?;
        let record = ahead.records.pop_front()?;
        ahead.taken += 1;
        self.settle();
        Some(record)
    }

    /// Whether all that is before a barrier, or the end, has been read.
    fn is_read_to_barrier(&self) -> bool {
        let closes = |ahead: &Ahead<T>| ahead.control.barrier.is_some() || ahead.control.end;
        self.barrier.is_some() || self.ended || self.ahead.back().is_some_and(closes)
    }

    /// Lets the barrier that it has come to go on.
    fn take_barrier(&mut self) -> Option<Barrier> {
        if let Some(barrier) = self.barrier.take() {
            self.settle();
            return Some(barrier);
        }
        self.ahead.back_mut()?.control.barrier.take()
    }

    /// Wants no more, and drops what it has.
    fn cancel(&mut self) {
        self.head.finish();
        self.ahead.clear();
        self.barrier = None;
        self.ended = true;
    }

    /// Handles the control that has nothing before it.
    fn settle(&mut self) {
        while self.barrier.is_none()
            && let Some(ahead) = self.ahead.front_mut()
        {
            let passed = ahead.control.marks.iter().take_while(|mark| mark.position <= ahead.taken);
            let passed = passed.count();
            for mark in ahead.control.marks.drain(..passed) {
                self.watermark = self.watermark.max(mark.watermark);
            }
            if !ahead.records.is_empty() {
                self.idle = false;
                return;
            }
            self.idle = ahead.control.idle;
            self.barrier = ahead.control.barrier.take();
            self.ended = ahead.control.end;
            if let Some(spent) = self.ahead.pop_front() {
                self.head.recycle(Vec::from(spent.records));
            }
        }
    }
}

/// Reads several inputs in the order that a [`Picker`] chooses.
///
/// Of each input it holds one batch. Its watermark is the earliest of what has been taken of the
/// inputs that are neither idle nor over. What it has not taken when it is over is nobody's: it
/// counts as abandoned on its edge.
///
/// While an input waits at a barrier the others are read on to theirs, at most 16 batches each. A
/// picker that could go on without the first one takes what is before the others' barriers; what
/// one that can't has not taken by then is held behind the barrier, and belongs to the head's
/// state.
pub struct Select<T, P: Picker<T>> {
    ports: Vec<Port<T>>,
    pub(super) picker: P,
    limit: usize,
    operator: Arc<str>,
    counters: Arc<OperatorCounters>,
    spare: Vec<Record<P::Out>>,
    watermark: Timestamp,
    idle: bool,
    over: bool,
}

impl<T: Send, P: Picker<T>> Select<T, P> {
    /// Reads `inputs`, one for each producer of their edge, as `picker` says.
    #[must_use]
    pub fn new(context: &OperatorContext<'_>, inputs: Inputs<T>, picker: P) -> Self {
        let (operator, counters) = (context.name(), context.counters());
        let limit = inputs.batch_limit();
        let ports = inputs.by_producer().into_iter().map(Port::new).collect();
        let (watermark, idle, over, spare) = (Timestamp::MIN, false, false, Vec::new());
        Self { ports, picker, limit, operator, counters, spare, watermark, idle, over }
    }

    /// Takes records until there is nothing to take, no more room, or it is over. Tells whether
    /// inputs are to be waited for.
    fn fill(&mut self, batch: &mut Batch<P::Out>) -> Result<bool, Error> {
        loop {
            self.pass_watermark(batch);
            if self.pass_barrier(batch, false) || batch.records.len() >= self.limit {
                return Ok(false);
            }
            match self.picker.pick(&Ports(&self.ports)) {
                Pick::Take(port) => {
                    if let Some(record) = self.ports.get_mut(port).and_then(Port::take) {
                        let out = &mut batch.records;
                        self.emit(1, out, |picker, out| picker.take(port, record, out))?;
                        continue;
                    }
                }
                Pick::Cancel(port) => {
                    if let Some(port) = self.ports.get_mut(port).filter(|port| !port.is_over()) {
                        port.cancel();
                        continue;
                    }
                }
                Pick::Wait => {}
                Pick::End => {
                    self.end(batch)?;
                    return Ok(false);
                }
            }
            if self.ports.iter().all(Port::is_over) {
                self.end(batch)?;
                return Ok(false);
            }
            return Ok(!self.pass_barrier(batch, true));
        }
    }

    /// Lets the picker emit what comes of so many records, and counts it.
    fn emit(
        &mut self,
        taken: usize,
        out: &mut Vec<Record<P::Out>>,
        hook: impl FnOnce(&mut P, &mut Vec<Record<P::Out>>) -> Result<(), OperatorError>,
    ) -> Result<(), Error> {
        let before = out.len();
        hook(&mut self.picker, out).map_err(|error| Error::operator(&self.operator, error))?;
        let emitted = out.len().saturating_sub(before);
        if emitted < taken {
            self.counters.filtered.add((taken - emitted) as u64);
        } else if emitted > taken {
            self.counters.added.add((emitted - taken) as u64);
        }
        Ok(())
    }

    fn end(&mut self, batch: &mut Batch<P::Out>) -> Result<(), Error> {
        self.emit(0, &mut batch.records, |picker, out| picker.on_end(out))?;
        batch.end = true;
        batch.idle = false;
        self.finish();
        Ok(())
    }

    /// Passes on a watermark that has advanced.
    fn pass_watermark(&mut self, batch: &mut Batch<P::Out>) {
        let mut open = self.ports.iter().filter(|port| !port.is_over()).peekable();
        batch.idle = open.peek().is_some() && open.all(|port| !port.counts());
        let counting = self.ports.iter().filter(|port| port.counts());
        let earliest = counting.map(|port| port.watermark).min();
        // As where inputs are merged: the latest, if all of them are idle.
        let latest = || self.ports.iter().map(|port| port.watermark).max();
        let watermark = if batch.idle { latest() } else { earliest };
        if let Some(watermark) = watermark.filter(|watermark| *watermark > self.watermark) {
            self.watermark = watermark;
            self.picker.on_watermark(watermark);
            batch.mark(watermark);
        }
    }

    /// Passes on a barrier that every input has come to; if nothing more can be taken before it,
    /// also past what has not been taken.
    fn pass_barrier(&mut self, batch: &mut Batch<P::Out>, stuck: bool) -> bool {
        if self.ports.iter().all(|port| port.barrier.is_none()) {
            return false;
        }
        let there = |port: &Port<T>| {
            port.barrier.is_some() || port.is_over() || (stuck && port.is_read_to_barrier())
        };
        if !self.ports.iter().all(there) {
            return false;
        }
        batch.barrier = self.ports.iter_mut().filter_map(Port::take_barrier).max();
        true
    }

    /// Reads what is there of every input that has nothing; if nothing more can be taken before a
    /// barrier, of every input that has not come to it. Tells whether anything came.
    fn read(&mut self, cx: &mut Context<'_>, stuck: bool) -> Result<bool, Error> {
        let aligning = stuck && self.ports.iter().any(|port| port.barrier.is_some());
        let mut came = false;
        for port in &mut self.ports {
            if port.is_read_to_barrier() || !(port.ahead.is_empty() || aligning) {
                continue;
            }
            if port.ahead.len() >= AHEAD_MAX {
                return Err(Error::operator(&self.operator, NotAligned.into()));
            }
            if let Poll::Ready(batch) = port.head.poll_next(cx)? {
                port.put(batch);
                came = true;
            }
        }
        Ok(came)
    }
}

/// Inputs that are read in a certain order could not be brought to one barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one input waits at a barrier, and another has sent 16 batches without coming to it")]
struct NotAligned;

impl<T: Send, P: Picker<T>> Head<P::Out> for Select<T, P> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<P::Out>, Error>> {
        let mut batch = Batch { records: std::mem::take(&mut self.spare), ..Batch::new() };
        if self.over {
            batch.end = true;
            return Poll::Ready(Ok(batch));
        }
        // First, so that one input can't keep the others from being seen.
        self.read(cx, false)?;
        loop {
            let waits = self.fill(&mut batch)?;
            if !batch.is_empty() || batch.idle != self.idle {
                self.idle = batch.idle;
                return Poll::Ready(Ok(batch));
            }
            if waits && !self.read(cx, true)? {
                self.spare = batch.records;
                return Poll::Pending;
            }
        }
    }

    fn recycle(&mut self, records: Vec<Record<P::Out>>) {
        self.spare = records;
    }

    fn finish(&mut self) {
        self.over = true;
        for port in &mut self.ports {
            port.cancel();
        }
    }
}

impl<T, P: Picker<T>> fmt::Debug for Select<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select").field("ports", &self.ports.len()).finish_non_exhaustive()
    }
}
