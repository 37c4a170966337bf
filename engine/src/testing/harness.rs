//! Drives one operator by hand: no runtime, no clock but a virtual one.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::operator::{Collector, Operator};
use crate::record::Record;
use crate::runtime::{OperatorContext, Seat};
use crate::state::{StateError, StateReader, StateWriter};
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
        let mut harness = Self {
            operator,
            seat: Seat::alone(O::NAME),
            clock: VirtualClock::new(),
            events: VecDeque::new(),
            room: room.max(1),
            error: None,
            marker: std::marker::PhantomData,
        };
        let mut context = OperatorContext::alone(harness.clock.clock(), &harness.seat);
        harness.error = harness.operator.open(&mut context).err();
        harness
    }

    /// Hands in a record.
    pub fn push(&mut self, record: impl Into<Record<In>>) {
        let record = record.into();
        self.call(|operator, out| operator.process(record, out));
    }

    /// Hands in a watermark.
    pub fn watermark(&mut self, watermark: Timestamp) {
        self.call(|operator, out| operator.on_watermark(watermark, out));
        self.events.push_back(Event::Watermark(watermark));
    }

    /// Moves the clock, letting timers fire on the way, each at its time.
    pub fn advance(&mut self, by: Duration) {
        let target = self.clock.clock().now() + by;
        while let Some(due) = self.operator.next_timer().filter(|due| *due <= target) {
            self.clock.advance(due.saturating_since(self.clock.clock().now()));
            let now = self.clock.clock().now();
            self.call(|operator, out| operator.on_timer(now, out));
        }
        self.clock.advance(target.saturating_since(self.clock.clock().now()));
    }

    /// Ends the input.
    pub fn end(&mut self) {
        self.call(|operator, out| operator.on_end(out));
        self.events.push_back(Event::End);
    }

    /// What has come out since the last call.
    pub fn events(&mut self) -> Vec<Event<O::Out>> {
        self.events.drain(..).collect()
    }

    /// The values that have come out since the last call, without times and control.
    pub fn values(&mut self) -> Vec<O::Out> {
        let value = |event| match event {
            Event::Record(record) => Some(record.value),
            Event::Watermark(_) | Event::End => None,
        };
        self.events.drain(..).filter_map(value).collect()
    }

    /// The first error that a hook returned.
    pub fn take_error(&mut self) -> Option<Error> {
        self.error.take()
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
        self.operator.restore(&mut StateReader::new(0, &entries))
    }

    fn call(
        &mut self,
        hook: impl FnOnce(&mut O, &mut Collected<'_, O::Out>) -> Result<(), crate::OperatorError>,
    ) {
        let mut out = Collected { events: &mut self.events, room: self.room };
        let mut result = hook(&mut self.operator, &mut out);
        while result.is_ok() && self.operator.pending() && !self.operator.waiting() {
            let mut out = Collected { events: &mut self.events, room: self.room };
            result = self.operator.resume(&mut out);
        }
        if let Err(error) = result {
            self.error.get_or_insert(Error::operator(self.seat.name(), error));
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
