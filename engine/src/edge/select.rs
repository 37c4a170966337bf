//! The head of a stage that chooses from which of its inputs the next record comes.

use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll};

use super::Inputs;
use crate::batch::{Barrier, Batch};
use crate::error::Error;
use crate::record::Record;
use crate::runtime::Head;
use crate::time::Timestamp;

/// How many batches of one input are kept while another waits at a barrier.
const AHEAD_MAX: usize = 16;

/// Chooses the next record from several inputs, which are numbered in the order in which their
/// producers were connected to the edge.
///
/// Whoever waits for a certain input can hang where the inputs part from one stage: an edge that is
/// read so has [`Discipline::Select`](super::Discipline::Select), and a graph in which it can hang
/// is refused.
pub trait Picker<T>: Send {
    /// What to do next. Asked again after everything it answers.
    fn pick(&mut self, ports: &Ports<'_, T>) -> Pick;
}

/// What a [`Picker`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Take one record of this input. Where that has none, it is waited for.
    Take(usize),
    /// Wait until more inputs have something, or one ends.
    Wait,
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
/// inputs that are neither idle nor over. While an input waits at a barrier the others are read on
/// to theirs, at most 16 batches each, and what has not been taken by then is held behind it.
pub struct Select<T, P> {
    ports: Vec<Port<T>>,
    picker: P,
    limit: usize,
    operator: std::sync::Arc<str>,
    watermark: Timestamp,
    idle: bool,
    over: bool,
}

impl<T: Send, P: Picker<T>> Select<T, P> {
    /// Reads `inputs`, one for each producer of their edge, as `picker` says.
    #[must_use]
    pub fn new(inputs: Inputs<T>, picker: P) -> Self {
        let operator = inputs.operator();
        let limit = inputs.batch_limit();
        let ports = inputs.by_producer().into_iter().map(Port::new).collect();
        let (watermark, idle, over) = (Timestamp::MIN, false, false);
        Self { ports, picker, limit, operator, watermark, idle, over }
    }

    /// Takes records until there is nothing to take, no more room, or it is over. Tells whether
    /// inputs are to be waited for.
    fn fill(&mut self, batch: &mut Batch<T>) -> bool {
        while batch.records.len() < self.limit {
            self.pass_control(batch);
            if batch.barrier.is_some() {
                return false;
            }
            let record = match self.picker.pick(&Ports(&self.ports)) {
                Pick::Take(port) => self.ports.get_mut(port).and_then(Port::take),
                Pick::Wait => None,
                Pick::End => {
                    batch.end = true;
                    self.finish();
                    return false;
                }
            };
            let Some(record) = record else {
                if self.ports.iter().all(Port::is_over) {
                    batch.end = true;
                    return false;
                }
                return true;
            };
            batch.records.push(record);
        }
        self.pass_control(batch);
        false
    }

    /// Passes on a watermark that has advanced, and a barrier that every input has come to.
    fn pass_control(&mut self, batch: &mut Batch<T>) {
        let counting = self.ports.iter().filter(|port| port.counts());
        if let Some(earliest) = counting.map(|port| port.watermark).min()
            && earliest > self.watermark
        {
            self.watermark = earliest;
            batch.mark(earliest);
        }
        let mut open = self.ports.iter().filter(|port| !port.ended).peekable();
        batch.idle = open.peek().is_some() && open.all(|port| !port.counts());
        let barriers = self.ports.iter().filter_map(|port| port.barrier);
        if let Some(newest) = barriers.max()
            && self.ports.iter().all(|port| port.barrier.is_some() || port.is_over())
        {
            batch.barrier = Some(newest);
            for port in &mut self.ports {
                port.barrier = None;
                port.settle();
            }
        }
    }

    /// Reads what is there of every input that has nothing. Tells whether anything came.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let aligning = self.ports.iter().any(|port| port.barrier.is_some());
        let mut came = false;
        for port in &mut self.ports {
            let at_barrier =
                port.barrier.is_some() || port.ahead.iter().any(|a| a.control.barrier.is_some());
            let ending = port.ended || port.ahead.iter().any(|ahead| ahead.control.end);
            if at_barrier || ending || !(port.ahead.is_empty() || aligning) {
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

impl<T: Send, P: Picker<T>> Head<T> for Select<T, P> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<T>, Error>> {
        let mut batch = Batch::new();
        if self.over {
            batch.end = true;
            return Poll::Ready(Ok(batch));
        }
        loop {
            let waits = self.fill(&mut batch);
            if !batch.is_empty() || batch.idle != self.idle {
                self.idle = batch.idle;
                return Poll::Ready(Ok(batch));
            }
            if waits && !self.read(cx)? {
                return Poll::Pending;
            }
        }
    }

    /// The buffers go back to the inputs when their records have been taken.
    fn recycle(&mut self, _records: Vec<Record<T>>) {}

    fn finish(&mut self) {
        self.over = true;
        for port in &mut self.ports {
            port.head.finish();
            port.ahead.clear();
        }
    }
}

impl<T, P> fmt::Debug for Select<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select").field("ports", &self.ports.len()).finish_non_exhaustive()
    }
}
