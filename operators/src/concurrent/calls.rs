//! The head behind every word that calls: admits records, drives futures, emits results.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use millstream_engine::batch::Batch;
use millstream_engine::edge::Inputs;
use millstream_engine::runtime::{Head, HeadFactory, OperatorContext};
use millstream_engine::time::{Clock, Instant, Timestamp};
use millstream_engine::{Error, Record};

use super::concurrency::{Concurrency, Limit};
use super::emission::{Emission, Emit, Ticket};
use super::lanes::{Lane, Lanes};
use super::slots::Slots;
use super::taken::Taken;

/// In which order results leave.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    AsAdmitted,
    AsFinished,
}

/// Which records may not be worked on at the same time: those with the same number.
pub(super) type LaneOf<In> = Arc<dyn Fn(&In) -> Lane + Send + Sync>;

/// What makes a call of each record.
pub(super) trait Caller<In>: Clone + Send + 'static {
    /// The result.
    type Out: Send + 'static;
    /// The call.
    type Call: Future<Output = Self::Out> + Send + 'static;

    /// Makes ready for a run.
    fn open(&mut self, context: &OperatorContext<'_>) {
        let _ = context;
    }

    /// Begins a call.
    fn call(&mut self, value: In) -> Self::Call;

    /// Whether a result says that whoever is called had too much to do.
    fn failed(result: &Self::Out) -> bool {
        let _ = result;
        false
    }
}

impl<In, U, R, F> Caller<In> for F
where
    U: Send + 'static,
    R: Future<Output = U> + Send + 'static,
    F: FnMut(In) -> R + Clone + Send + 'static,
{
    type Out = U;
    type Call = R;

    #[inline]
    fn call(&mut self, value: In) -> R {
        self(value)
    }
}

/// Makes the head of a stage that calls.
pub(super) struct Calls<In, C> {
    pub(super) concurrency: Concurrency,
    pub(super) order: Order,
    pub(super) lane: Option<LaneOf<In>>,
    pub(super) caller: C,
}

impl<In: Send + 'static, C: Caller<In>> HeadFactory<In> for Calls<In, C> {
    type Out = C::Out;
    type Head = Box<dyn Head<C::Out>>;

    fn create(
        &self,
        context: &mut OperatorContext<'_>,
        input: Inputs<In>,
    ) -> Result<Self::Head, Error> {
        let mut caller = self.caller.clone();
        caller.open(context);
        Ok(Box::new(CallsHead {
            batch_limit: input.batch_limit(),
            taken: Taken::new(input),
            lanes: self.lane.clone().map(|lane_of| (lane_of, Lanes::new())),
            slots: Slots::new(),
            emission: match self.order {
                Order::AsAdmitted => Emission::in_order(),
                Order::AsFinished => Emission::as_finished(),
            },
            limit: self.concurrency.limit(),
            clock: context.clock(),
            caller,
        }))
    }
}

/// What has to be known of a call when it is answered.
struct About {
    ticket: Ticket,
    time: Timestamp,
    lane: Option<Lane>,
    started: Option<Instant>,
}

struct CallsHead<In, C: Caller<In>> {
    taken: Taken<In>,
    caller: C,
    lanes: Option<(LaneOf<In>, Lanes<In>)>,
    slots: Slots<C::Call, About>,
    emission: Emission<C::Out>,
    limit: Limit,
    batch_limit: usize,
    clock: Clock,
}

impl<In: Send, C: Caller<In>> CallsHead<In, C> {
    /// Takes what has been answered. Tells whether anything has.
    fn answer(&mut self, cx: &mut Context<'_>) -> bool {
        let Self { slots, emission, lanes, limit, clock, .. } = self;
        let mut freed = Vec::new();
        let any = slots.poll_woken(cx, |about, result| {
            settle::<In, C>(&about, limit, clock, &result);
            freed.extend(about.lane);
            emission.complete(about.ticket, Record::at(result, about.time));
        });
        if let Some((_, lanes)) = lanes {
            let next: Vec<_> = freed
                .into_iter()
                .filter_map(|lane| lanes.leave(lane).map(|(ticket, record)| (lane, ticket, record)))
                .collect();
            for (lane, ticket, record) in next {
                self.start(cx, ticket, Some(lane), record);
            }
        }
        any
    }

    /// Begins a call, and what its end lets begin.
    fn start(
        &mut self,
        cx: &mut Context<'_>,
        ticket: Ticket,
        lane: Option<Lane>,
        record: Record<In>,
    ) {
        let mut next = Some((ticket, record));
        while let Some((ticket, record)) = next.take() {
            let timed = matches!(self.limit, Limit::Adaptive(_));
            let started = timed.then(|| self.clock.now());
            let about = About { ticket, time: record.time, lane, started };
            if let Limit::Adaptive(adaptive) = &mut self.limit {
                adaptive.started(self.emission.records());
            }
            let call = self.caller.call(record.value);
            if let Some((about, result)) = self.slots.start(cx, call, about) {
                settle::<In, C>(&about, &mut self.limit, &self.clock, &result);
                self.emission.complete(about.ticket, Record::at(result, about.time));
                next = lane.zip(self.lanes.as_mut()).and_then(|(lane, (_, of))| of.leave(lane));
            }
        }
    }

    /// Admits records as long as there are some and fewer than allowed in flight.
    fn admit(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some(watermark) = self.taken.mark() {
                self.emission.mark(watermark);
                continue;
            }
            if self.emission.records() >= self.limit.calls() {
                return;
            }
            let Some(record) = self.taken.record() else {
                return;
            };
            let ticket = self.emission.admit();
            match &mut self.lanes {
                None => self.start(cx, ticket, None, record),
                Some((lane_of, lanes)) => {
                    let lane = lane_of(&record.value);
                    if let Some(record) = lanes.enter(lane, ticket, record) {
                        self.start(cx, ticket, Some(lane), record);
                    }
                }
            }
        }
    }

    /// Moves what may leave into `batch`. Tells whether anything did.
    fn emit(&mut self, batch: &mut Batch<C::Out>) -> bool {
        let mut any = false;
        while batch.records.len() < self.batch_limit
            && let Some(emit) = self.emission.next()
        {
            any = true;
            match emit {
                Emit::Record(record) => batch.records.push(record),
                Emit::Watermark(watermark) => batch.mark(watermark),
            }
        }
        any
    }
}

/// Learns from the answer to a call.
fn settle<In, C: Caller<In>>(about: &About, limit: &mut Limit, clock: &Clock, result: &C::Out) {
    if let (Limit::Adaptive(adaptive), Some(started)) = (limit, about.started) {
        adaptive.answered(clock.now().saturating_since(started), C::failed(result));
    }
}

impl<In: Send, C: Caller<In>> Head<C::Out> for CallsHead<In, C> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<C::Out>, Error>> {
        let mut batch = Batch::new();
        loop {
            let answered = self.answer(cx);
            self.admit(cx);
            let emitted = self.emit(&mut batch);
            if batch.records.len() >= self.batch_limit {
                break;
            }
            let quiet = self.emission.is_empty().then_some(&mut batch);
            let came = self.taken.read(cx, quiet)?;
            if batch.barrier.is_some() || batch.end || !(answered || emitted || came) {
                break;
            }
        }
        self.taken.hand_over(batch).map(Ok)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        loop {
            let answered = self.answer(cx);
            self.admit(cx);
            if !self.taken.read(cx, None::<&mut Batch<C::Out>>)? && !answered {
                return Ok(());
            }
        }
    }

    fn in_flight(&self) -> bool {
        !self.slots.is_empty()
    }

    fn recycle(&mut self, _records: Vec<Record<C::Out>>) {}

    fn finish(&mut self) {
        self.slots.clear();
        if let Some((_, lanes)) = &mut self.lanes {
            lanes.clear();
        }
        self.taken.finish();
    }
}
