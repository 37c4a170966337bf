//! The parts of a chain, driven by hand: what a link holds back, what a boxed seam collects, and
//! what a map moves at once.

mod batcher;
mod link;
mod mapped;

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::OperatorError;
use crate::batch::Barrier;
use crate::error::Error;
use crate::operator::{Collector, Operator};
use crate::record::Record;
use crate::tail::{Flow, Flush, Tail};
use crate::time::{Instant, Timestamp};

/// What arrived at the end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Record(u32),
    Watermark(i64),
    Barrier(u64),
    Idle(bool),
    End,
}

use Seen::{End, Record as Value, Watermark as Mark};

/// The end of a chain: it has as much room as the test gives it.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<SlotState>>);

#[derive(Default)]
pub(super) struct SlotState {
    seen: Vec<Seen>,
    room: usize,
    done: bool,
}

impl Slot {
    fn with_room(room: usize) -> Self {
        let slot = Self::default();
        slot.lock().room = room;
        slot
    }

    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.0.lock().unwrap()
    }

    fn give(&self, room: usize) {
        self.lock().room += room;
    }

    fn finish(&self) {
        self.lock().done = true;
    }

    /// What arrived since the last call.
    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.lock().seen)
    }
}

impl SlotState {
    fn flow(&self) -> Flow {
        if self.room == 0 || self.done { Flow::Stop } else { Flow::More }
    }
}

impl Tail<u32> for Slot {
    fn push(&mut self, record: Record<u32>) -> Flow {
        let mut state = self.lock();
        if state.done {
            return Flow::Stop;
        }
        assert!(state.room > 0, "pushed behind a stop");
        state.room -= 1;
        state.seen.push(Value(record.value));
        state.flow()
    }

    fn resume(&mut self) -> Flow {
        let state = self.lock();
        if state.done { Flow::More } else { state.flow() }
    }

    fn watermark(&mut self, watermark: Timestamp) -> Flow {
        self.lock().seen.push(Mark(watermark.as_millis()));
        Flow::More
    }

    fn idle(&mut self, idle: bool) -> Flow {
        self.lock().seen.push(Seen::Idle(idle));
        Flow::More
    }

    fn timer(&mut self, _now: Instant) -> Flow {
        Flow::More
    }

    fn next_timer(&self) -> Option<Instant> {
        None
    }

    fn waiting(&self) -> bool {
        false
    }

    fn barrier(&mut self, barrier: Barrier) -> Flow {
        self.lock().seen.push(Seen::Barrier(barrier.0));
        Flow::More
    }

    fn end(&mut self) -> Flow {
        self.lock().seen.push(End);
        Flow::More
    }

    fn done(&self) -> bool {
        self.lock().done
    }

    fn take_error(&mut self) -> Option<Error> {
        None
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>, _flush: Flush) -> Poll<Result<(), Error>> {
        let state = self.lock();
        if state.done || state.room > 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_wanted(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn publish(&mut self) {}
}

/// Emits each value as often as it says, and one `99` at a watermark and at the end.
#[derive(Clone)]
pub(super) struct Repeat {
    /// Goes on although there is no room.
    floods: bool,
    left: Vec<u32>,
}

impl Repeat {
    const fn new(floods: bool) -> Self {
        let left = Vec::new();
        Self { floods, left }
    }

    fn emit(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        while !self.left.is_empty() && (self.floods || !out.is_full()) {
            out.push(self.left.remove(0).into());
        }
        Ok(())
    }
}

impl Operator<u32> for Repeat {
    type Out = u32;
    const NAME: &'static str = "repeat";

    fn process(
        &mut self,
        record: Record<u32>,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        assert!(self.left.is_empty(), "called while something is pending");
        let value = record.value;
        self.left.extend((0..value).map(|n| value * 10 + n));
        self.emit(out)
    }

    fn on_watermark(
        &mut self,
        _watermark: Timestamp,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        self.left.push(99);
        self.emit(out)
    }

    fn on_end(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        self.left.push(99);
        self.emit(out)
    }

    fn pending(&self) -> bool {
        !self.left.is_empty()
    }

    fn resume(&mut self, out: &mut impl Collector<u32>) -> Result<(), OperatorError> {
        self.emit(out)
    }
}

/// Holds each record for ten milliseconds of its own counting: until the timer it asked for.
#[derive(Clone, Default)]
pub(super) struct Hold {
    held: Option<u32>,
}

pub(super) const DUE: Instant = Instant::after_start(Duration::from_millis(10));

impl Operator<u32> for Hold {
    type Out = u32;
    const NAME: &'static str = "hold";

    fn process(
        &mut self,
        record: Record<u32>,
        _out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        self.held = Some(record.value);
        Ok(())
    }

    fn on_timer(
        &mut self,
        _now: Instant,
        out: &mut impl Collector<u32>,
    ) -> Result<(), OperatorError> {
        if let Some(value) = self.held.take() {
            out.push(value.into());
        }
        Ok(())
    }

    fn pending(&self) -> bool {
        self.held.is_some()
    }

    fn waiting(&self) -> bool {
        self.held.is_some()
    }

    fn next_timer(&self) -> Option<Instant> {
        self.held.map(|_| DUE)
    }
}

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) fn flush(tail: &mut impl Tail<u32>, flush: Flush) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    match tail.poll_flush(&mut cx, flush) {
        Poll::Ready(result) => result.map(|()| true).unwrap(),
        Poll::Pending => false,
    }
}
