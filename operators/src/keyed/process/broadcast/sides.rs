//! The changes on their way: each of them to all instances.

use std::marker::PhantomData;

use millstream_engine::edge::{Keyed, Outbox, Router};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::tail::{Flow, Tail as _};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use crate::fan::Either;

/// Sends a change to every instance.
pub(super) struct ToAll<T>(PhantomData<fn() -> T>);

impl<T> ToAll<T> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for ToAll<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T: Send, R: Clone + Send> Router<R> for ToAll<T> {
    type Out = Either<Keyed<T>, R>;

    fn route(
        &mut self,
        change: Record<R>,
        outboxes: &mut [Outbox<Self::Out>],
    ) -> Result<Flow, OperatorError> {
        let mut flow = Flow::More;
        for outbox in outboxes {
            if outbox.push(change.clone().with(Either::Right)) == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        Ok(flow)
    }
}

/// The last that changes pass before they are sent: without event time, they are idle from the
/// beginning, so that nobody waits for their watermark.
#[derive(Clone)]
pub(super) struct Changes {
    has_event_time: bool,
    watermark: Option<Timestamp>,
    /// Says at once that it is idle, before there is any change.
    begin: Option<Instant>,
}

impl Changes {
    pub(super) const fn new(has_event_time: bool) -> Self {
        Self { has_event_time, watermark: None, begin: None }
    }
}

impl<R: Send + 'static> Operator<R> for Changes {
    type Out = R;
    const NAME: &'static str = "broadcast";
    const SETS_TIME: bool = true;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.begin = (!self.has_event_time).then(|| context.clock().now());
        Ok(())
    }

    fn process(
        &mut self,
        change: Record<R>,
        out: &mut impl Collector<R>,
    ) -> Result<(), OperatorError> {
        out.push(change);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<R>,
    ) -> Result<(), OperatorError> {
        self.watermark = self.has_event_time.then_some(watermark);
        Ok(())
    }

    fn on_timer(
        &mut self,
        _now: Instant,
        _out: &mut impl Collector<R>,
    ) -> Result<(), OperatorError> {
        self.begin = None;
        Ok(())
    }

    fn next_timer(&self) -> Option<Instant> {
        self.begin
    }

    fn watermark(&mut self) -> Option<Timestamp> {
        self.watermark.take()
    }

    fn idle(&self) -> bool {
        !self.has_event_time
    }
}
