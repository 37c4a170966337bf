//! Drives one operator by hand: no runtime, no clock but a virtual one.

use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::SideProbe;
use super::side_probe::side_probe;
use crate::error::Error;
use crate::graph::{EdgeId, GraphId, Port};
use crate::metrics::OperatorCounters;
use crate::operator::{Collector, Operator};
use crate::record::Record;
use crate::runtime::{OperatorContext, Seat};
use crate::state::{StateError, StateReader, StateWriter};
use crate::tail::Flush;
use crate::time::{Timestamp, VirtualClock};

/// What came out of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// A record.
    Record(Record<T>),
    /// A watermark, behind what the operator emitted for it.
    Watermark(Timestamp),
    /// The end, behind what the operator emitted for it.
    End,
}

/// One operator, driven by hand: records, watermarks, timers, the end, snapshot and restore.
///
/// ```
/// # use millstream_engine::operator::{Collector, Operator};
/// # use millstream_engine::{OperatorError, Record};
/// # #[derive(Clone)]
/// # struct Evens;
/// # impl Operator<u32> for Evens {
/// #     type Out = u32;
/// #     const NAME: &'static str = "evens";
/// #     fn process(&mut self, record: Record<u32>, out: &mut impl Collector<u32>) -> Result<(),
/// OperatorError> {
/// #         if record.value % 2 == 0 { out.push(record); }
/// #         Ok(())
/// #     }
/// # }
/// use millstream_engine::testing::OperatorHarness;
///
/// let mut harness = OperatorHarness::new(Evens);
/// harness.push(1);
/// harness.push(2);
/// harness.end();
/// assert_eq!(harness.values(), [2]);
/// ```
pub struct OperatorHarness<In, O: Operator<In>> {
    operator: O,
    seat: Seat,
    clock: VirtualClock,
    events: VecDeque<Event<O::Out>>,
    /// How many records may come out of one call before the operator is told that it is full.
    room: usize,
    error: Option<Error>,
    /// What has been handed in while the operator waits for a timer.
    held: VecDeque<Input<In>>,
    /// Control that waits until what the operator emits for it is out.
    control: Option<Event<O::Out>>,
    marker: std::marker::PhantomData<fn(In)>,
}

impl<In, O: Operator<In>> OperatorHarness<In, O> {
    /// A fresh instance of `operator`.
    #[must_use]
    pub fn new(operator: O) -> Self {
        Self::with_room(operator, usize::MAX)
    }

    /// A fresh instance that is told after every `room` records that it is full, and resumed.
    #[must_use]
    pub fn with_room(operator: O, room: usize) -> Self {
        Self::with_clock(operator, room, VirtualClock::new())
    }

    /// A fresh instance in a run that begins when the wall clock says `wall`: for an operator that
    /// takes over the state of an earlier run.
    #[must_use]
    pub fn starting_at(operator: O, wall: Timestamp) -> Self {
        Self::with_clock(operator, usize::MAX, VirtualClock::starting_at(wall))
    }

    fn with_clock(operator: O, room: usize, clock: VirtualClock) -> Self {
        let mut harness = Self {
            operator,
            seat: Seat::alone(O::NAME),
            clock,
            events: VecDeque::new(),
            room: room.max(1),
            error: None,
            held: VecDeque::new(),
            control: None,
            marker: std::marker::PhantomData,
        };
        let mut context = OperatorContext::alone(harness.clock.clock(), &harness.seat);
        harness.error = harness.operator.open(&mut context).err();
        harness
    }

    /// A fresh instance of an operator that has a side output of `S`, and what comes out there. It
    /// is told that the side output is full when more than `room` records wait there, until the
    /// probe has taken some.
    #[must_use]
    pub fn with_side<S: Send + 'static>(
        room: usize,
        make: impl FnOnce(Port) -> O,
    ) -> (Self, SideProbe<S>) {
        let (outbox, probe) = side_probe::<S>(room);
        let mut harness = Self {
            operator: make(Port { edge: EdgeId(0, GraphId::NONE), index: 0 }),
            seat: Seat::alone(O::NAME),
            clock: VirtualClock::new(),
            events: VecDeque::new(),
            room: usize::MAX,
            error: None,
            held: VecDeque::new(),
            control: None,
            marker: std::marker::PhantomData,
        };
        let mut context = OperatorContext::alone(harness.clock.clock(), &harness.seat);
        context.offer_side(outbox);
        harness.error = harness.operator.open(&mut context).err();
        (harness, probe)
    }

    /// Hands in a record. As in a job, the operator gets it when it waits for no timer.
    pub fn push(&mut self, record: impl Into<Record<In>>) {
        self.hand_in(Input::Record(record.into()));
    }

    /// Hands in a watermark, which waits as a record does.
    pub fn watermark(&mut self, watermark: Timestamp) {
        self.hand_in(Input::Watermark(watermark));
    }

    /// Lets the operator emit what must not be overtaken by a barrier. The barrier waits as a
    /// record does, and leaves no event.
    pub fn barrier(&mut self) {
        self.hand_in(Input::Barrier);
    }

    /// Lets the operator emit what must not be overtaken by the news that its input is idle, which
    /// waits as a record does, and leaves no event.
    pub fn idle(&mut self) {
        self.hand_in(Input::Idle);
    }

    /// Moves the clock, letting timers fire on the way, each at its time.
    pub fn advance(&mut self, by: Duration) {
        let target = self.clock.clock().now() + by;
        while let Some(due) = self.operator.next_timer().filter(|due| *due <= target) {
            self.clock.advance(due.saturating_since(self.clock.clock().now()));
            let now = self.clock.clock().now();
            self.call(|operator, out| operator.on_timer(now, out));
            self.go_on();
        }
        self.advance_clock(target.saturating_since(self.clock.clock().now()));
    }

    /// Moves the clock, and lets no timer fire: for an operator that takes over another's state.
    pub fn advance_clock(&mut self, by: Duration) {
        self.clock.advance(by);
    }

    /// Sets the wall clock, which no timer notices.
    pub fn set_wall_clock(&mut self, to: Timestamp) {
        self.clock.set_wall_clock(to);
    }

    /// Ends the input. The end waits as a record does.
    pub fn end(&mut self) {
        self.hand_in(Input::End);
    }

    fn hand_in(&mut self, input: Input<In>) {
        self.held.push_back(input);
        self.go_on();
    }

    /// Whether the operator has to be left alone: a timer, or room in its side output, comes first.
    fn is_held_up(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let operator = &mut self.operator;
        if let Some(side) = operator.side() {
            // Into a channel of the test kit's own, which does not fail.
            let (Poll::Ready(_) | Poll::Pending) = side.poll_flush(&mut cx, Flush::All);
        }
        let full = operator.side().is_some_and(|side| side.is_full());
        full || operator.waiting()
    }

    /// Gives the operator what it was handed, as long as it takes it.
    fn go_on(&mut self) {
        while !self.is_held_up() {
            self.call(|_, _| Ok(()));
            if self.is_held_up() {
                return;
            }
            if let Some(event) = self.control.take() {
                self.pass_on(event);
                continue;
            }
            match self.held.pop_front() {
                None => return,
                Some(Input::Record(record)) => {
                    self.call(|operator, out| operator.process(record, out));
                }
                Some(Input::Watermark(watermark)) => {
                    self.call(|operator, out| operator.on_watermark(watermark, out));
                    // Of one that sets the time, none goes on but its own.
                    self.control = (!O::SETS_TIME).then_some(Event::Watermark(watermark));
                }
                Some(Input::Barrier) => self.call(|operator, out| operator.before_barrier(out)),
                Some(Input::Idle) => self.call(|operator, out| operator.before_idle(out)),
                Some(Input::End) => {
                    self.call(|operator, out| operator.on_end(out));
                    self.control = Some(Event::End);
                }
            }
        }
    }

    /// Control goes on behind what was emitted for it, and into the side output too.
    fn pass_on(&mut self, event: Event<O::Out>) {
        if let Some(side) = self.operator.side() {
            match &event {
                Event::Watermark(watermark) => side.watermark(*watermark),
                Event::End => side.end(),
                Event::Record(_) => {}
            }
        }
        self.events.push_back(event);
    }

    /// What has come out since the last call.
    pub fn events(&mut self) -> Vec<Event<O::Out>> {
        std::mem::take(&mut self.events).into()
    }

    /// The values that have come out since the last call, without times and control.
    pub fn values(&mut self) -> Vec<O::Out> {
        let value = |event| match event {
            Event::Record(record) => Some(record.value),
            Event::Watermark(_) | Event::End => None,
        };
        std::mem::take(&mut self.events).into_iter().filter_map(value).collect()
    }

    /// The first error that a hook returned.
    pub fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    /// Whether it wants no more input.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.operator.done()
    }

    /// Whether it holds output back until a timer fires.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.operator.waiting()
    }

    /// How long until its next timer.
    #[must_use]
    pub fn next_timer(&self) -> Option<Duration> {
        Some(self.operator.next_timer()?.saturating_since(self.clock.clock().now()))
    }

    /// What it counts by itself: errors of users' code, retries, drops.
    #[must_use]
    pub fn counters(&self) -> &OperatorCounters {
        self.seat.counters()
    }

    /// The operator itself.
    #[must_use]
    pub const fn operator(&self) -> &O {
        &self.operator
    }

    /// Writes the operator's state down.
    ///
    /// # Errors
    ///
    /// What the operator returns.
    pub fn snapshot(&self) -> Result<StateWriter, StateError> {
        let mut state = StateWriter::new(0);
        self.operator.snapshot(&mut state)?;
        Ok(state)
    }

    /// Gives the operator the state that another instance of it wrote.
    ///
    /// # Errors
    ///
    /// What the operator returns.
    pub fn restore(&mut self, state: StateWriter) -> Result<(), StateError> {
        let entries = state.into_entries();
        self.operator.restore(&mut StateReader::new(0, 1, &entries))
    }

    fn call(
        &mut self,
        hook: impl FnOnce(&mut O, &mut Collected<'_, O::Out>) -> Result<(), crate::OperatorError>,
    ) {
        let mut out = Collected { events: &mut self.events, room: self.room };
        let mut result = hook(&mut self.operator, &mut out);
        while result.is_ok() && self.operator.pending() && !self.is_held_up() {
            let mut out = Collected { events: &mut self.events, room: self.room };
            result = self.operator.resume(&mut out);
        }
        if let Err(error) = result {
            self.error.get_or_insert(Error::operator(self.seat.name(), error));
        }
        if O::SETS_TIME
            && let Some(watermark) = self.operator.watermark()
        {
            self.events.push_back(Event::Watermark(watermark));
        }
    }
}

impl<In, O: Operator<In>> fmt::Debug for OperatorHarness<In, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorHarness")
            .field("events", &self.events.len())
            .finish_non_exhaustive()
    }
}

/// What an operator is handed.
enum Input<T> {
    Record(Record<T>),
    Watermark(Timestamp),
    Barrier,
    Idle,
    End,
}

struct Collected<'a, T> {
    events: &'a mut VecDeque<Event<T>>,
    room: usize,
}

impl<T> Collector<T> for Collected<'_, T> {
    fn push(&mut self, record: Record<T>) {
        self.events.push_back(Event::Record(record));
        self.room = self.room.saturating_sub(1);
    }

    fn is_full(&self) -> bool {
        self.room == 0
    }
}
