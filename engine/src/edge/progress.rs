//! How far the inputs of an instance have got, each and together: one watermark, one barrier, one
//! end. It knows no type of records.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::inputs::Discipline;
use crate::batch::{Barrier, Mark, add_mark};
use crate::metrics::InputGauge;
use crate::time::Timestamp;

/// What the inputs of an instance have said, and what everybody behind here has been told of it.
pub(super) struct Progress {
    inputs: Vec<InputProgress>,
    pub(super) discipline: Discipline,
    watermark: Timestamp,
}

/// What one input has said.
pub(super) struct InputProgress {
    watermark: Timestamp,
    idle: bool,
    barrier: Option<Barrier>,
    ended: bool,
    /// The producer it comes from; with `Concat` they are read in this order.
    pub(super) producer: usize,
    gauge: Arc<InputGauge>,
}

/// The control among and behind the records of a batch.
pub(super) struct Control {
    pub(super) marks: Vec<Mark>,
    pub(super) idle: bool,
    pub(super) barrier: Option<Barrier>,
    pub(super) end: bool,
}

impl InputProgress {
    pub(super) const fn new(producer: usize, gauge: Arc<InputGauge>) -> Self {
        let (watermark, idle, barrier, ended) = (Timestamp::MIN, false, None, false);
        Self { watermark, idle, barrier, ended, producer, gauge }
    }

    /// Whether it takes part in the watermark.
    const fn counts(&self) -> bool {
        !self.ended && !self.idle
    }
}

impl Progress {
    pub(super) const fn new(discipline: Discipline) -> Self {
        Self { inputs: Vec::new(), discipline, watermark: Timestamp::MIN }
    }

    pub(super) fn add(&mut self, input: InputProgress) {
        self.inputs.push(input);
    }

    pub(super) fn into_inputs(self) -> Vec<InputProgress> {
        self.inputs
    }

    /// The producers of the inputs, in the order in which those were connected.
    pub(super) fn producers(&self) -> Vec<usize> {
        let mut producers: Vec<usize> = self.inputs.iter().map(|input| input.producer).collect();
        producers.sort_unstable();
        producers.dedup();
        producers
    }

    pub(super) fn is_idle(&self, index: usize) -> bool {
        self.inputs.get(index).is_some_and(|input| input.idle)
    }

    /// Whether an input is to be read: it has not ended, waits for no other at a barrier, and it is
    /// its turn.
    pub(super) fn is_open(&self, index: usize) -> bool {
        let turn = self.turn();
        self.inputs.get(index).is_some_and(|input| {
            let its_turn = turn.is_none_or(|producer| input.producer == producer);
            !input.ended && input.barrier.is_none() && its_turn
        })
    }

    /// Takes the control of a batch of `records` from one input. What goes on is that of all.
    pub(super) fn merge(&mut self, index: usize, records: usize, control: Control) -> Control {
        let Some(input) = self.inputs.get_mut(index) else {
            return control;
        };
        let was_idle = std::mem::replace(&mut input.idle, false);
        // Records end idleness, before their watermark is looked at.
        if was_idle && records == 0 && control.marks.is_empty() {
            input.idle = true;
        }
        let mut marks = Vec::new();
        for mark in control.marks {
            if let Some(input) = self.inputs.get_mut(index) {
                input.watermark = input.watermark.max(mark.watermark);
            }
            if let Some(watermark) = self.advanced() {
                marks.push(Mark { position: mark.position, watermark });
            }
        }
        if let Some(input) = self.inputs.get_mut(index) {
            input.idle = control.idle;
            input.barrier = control.barrier;
            input.ended = control.end;
            input.gauge.watermark.set(input.watermark);
            input.gauge.idle.store(!input.counts(), Relaxed);
            input.gauge.ended.store(input.ended, Relaxed);
            input.gauge.held.store(input.barrier.is_some(), Relaxed);
        }
        // Without this input, the others may be further on.
        if let Some(watermark) = self.advanced() {
            add_mark(&mut marks, records, watermark);
        }
        let (idle, end) = (self.all_idle(), self.inputs.iter().all(|input| input.ended));
        Control { marks, idle, barrier: self.aligned(), end }
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

    pub(super) fn all_idle(&self) -> bool {
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
