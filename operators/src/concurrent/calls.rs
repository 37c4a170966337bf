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
            input,
            taken: Taken::default(),
            lanes: self.lane.clone().map(|lane_of| (lane_of, Lanes::new())),
            slots: Slots::new(self.concurrency.max),
            emission: match self.order {
                Order::AsAdmitted => Emission::in_order(),
                Order::AsFinished => Emission::as_finished(),
            },
            limit: self.concurrency.limit(),
            clock: context.clock(),
            caller,
            idle: false,
            idle_told: false,
            over: false,
        }))
    }
}

/// A batch of the input that is being admitted.
struct Taken<In> {
    /// The last one first, so that the buffer survives being emptied.
    records: Vec<Record<In>>,
    total: usize,
    control: Batch<In>,
    marks_done: usize,
}

impl<In> Default for Taken<In> {
    fn default() -> Self {
        Self { records: Vec::new(), total: 0, control: Batch::new(), marks_done: 0 }
    }
}

impl<In> Taken<In> {
    fn new(mut batch: Batch<In>) -> Self {
        let mut records = std::mem::take(&mut batch.records);
        records.reverse();
        Self { total: records.len(), records, control: batch, marks_done: 0 }
    }

    /// The watermark that comes next, if no record is before it.
    fn mark(&mut self) -> Option<Timestamp> {
        let taken = self.total - self.records.len();
        let mark = self.control.marks.get(self.marks_done)?;
        (mark.position <= taken).then(|| {
            self.marks_done += 1;
            mark.watermark
        })
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
    input: Inputs<In>,
    taken: Taken<In>,
    caller: C,
    lanes: Option<(LaneOf<In>, Lanes<In>)>,
    slots: Slots<C::Call, About>,
    emission: Emission<C::Out>,
    limit: Limit,
    batch_limit: usize,
    clock: Clock,
    /// Whether the input is idle, and nothing of it is in flight.
    idle: bool,
    /// Whether everybody behind here knows that.
    idle_told: bool,
    over: bool,
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
                self.start(ticket, Some(lane), record);
            }
        }
        any
    }

    /// Begins a call, and what its end lets begin.
    fn start(&mut self, ticket: Ticket, lane: Option<Lane>, record: Record<In>) {
        let mut next = Some((ticket, record));
        while let Some((ticket, record)) = next.take() {
            let timed = matches!(self.limit, Limit::Adaptive(_));
            let started = timed.then(|| self.clock.now());
            let about = About { ticket, time: record.time, lane, started };
            if let Limit::Adaptive(adaptive) = &mut self.limit {
                adaptive.started(self.emission.records());
            }
            let call = self.caller.call(record.value);
            if let Some((about, result)) = self.slots.start(call, about) {
                settle::<In, C>(&about, &mut self.limit, &self.clock, &result);
                self.emission.complete(about.ticket, Record::at(result, about.time));
                next = lane.zip(self.lanes.as_mut()).and_then(|(lane, (_, of))| of.leave(lane));
            }
        }
    }

    /// Admits records as long as there are some and fewer than allowed in flight.
    fn admit(&mut self) {
        loop {
            if let Some(watermark) = self.taken.mark() {
                self.emission.mark(watermark);
                continue;
            }
            if self.emission.records() >= self.limit.calls() {
                return;
            }
            let Some(record) = self.taken.records.pop() else {
                return;
            };
            let ticket = self.emission.admit();
            match &mut self.lanes {
                None => self.start(ticket, None, record),
                Some((lane_of, lanes)) => {
                    let lane = lane_of(&record.value);
                    if let Some(record) = lanes.enter(lane, ticket, record) {
                        self.start(ticket, Some(lane), record);
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

    /// Reads on when everything read has been admitted. Tells whether anything came. Control
    /// behind the records waits for all that is in flight.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        out: Option<&mut Batch<C::Out>>,
    ) -> Result<bool, Error> {
        let admitted = self.taken.records.is_empty()
            && self.taken.marks_done == self.taken.control.marks.len();
        if !admitted {
            return Ok(false);
        }
        let control = &mut self.taken.control;
        if control.barrier.is_some() || control.end || control.idle != self.idle {
            // An input that is idle lets the watermark go on elsewhere: what is in flight comes
            // before that, too.
            let Some(out) = out.filter(|_| self.emission.is_empty()) else {
                return Ok(false);
            };
            self.idle = control.idle;
            out.barrier = control.barrier.take();
            out.end = std::mem::take(&mut control.end);
            self.over = out.end;
            return Ok(true);
        }
        let spent = std::mem::take(&mut self.taken.records);
        if spent.capacity() > 0 {
            self.input.recycle(spent);
        }
        let Poll::Ready(batch) = self.input.poll_next(cx)? else {
            return Ok(false);
        };
        self.taken = Taken::new(batch);
        // Whatever comes ends idleness at once.
        self.idle &= self.taken.control.idle && self.taken.total == 0;
        Ok(true)
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
        if self.over {
            batch.end = true;
            return Poll::Ready(Ok(batch));
        }
        loop {
            let answered = self.answer(cx);
            self.admit();
            let emitted = self.emit(&mut batch);
            if batch.records.len() >= self.batch_limit {
                break;
            }
            let came = self.read(cx, Some(&mut batch))?;
            if batch.barrier.is_some() || batch.end || !(answered || emitted || came) {
                break;
            }
        }
        batch.idle = self.idle;
        if batch.is_empty() && batch.idle == self.idle_told {
            return Poll::Pending;
        }
        self.idle_told = batch.idle;
        Poll::Ready(Ok(batch))
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        if self.over {
            return Ok(());
        }
        loop {
            let answered = self.answer(cx);
            self.admit();
            if !self.read(cx, None)? && !answered {
                return Ok(());
            }
        }
    }

    fn in_flight(&self) -> bool {
        !self.slots.is_empty()
    }

    fn recycle(&mut self, _records: Vec<Record<C::Out>>) {}

    fn finish(&mut self) {
        self.over = true;
        self.slots.clear();
        if let Some((_, lanes)) = &mut self.lanes {
            lanes.clear();
        }
        self.input.finish();
    }
}
