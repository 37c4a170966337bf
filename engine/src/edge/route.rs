//! Which of several channels gets a record: the tails of a stage with more than one way out.

use std::fmt;
use std::task::{Context, Poll};

use super::Outbox;
use crate::batch::{Barrier, Batch};
use crate::error::{Error, OperatorError};
use crate::key::{KeyOf, key_group, owner, stable_hash};
use crate::record::Record;
use crate::runtime::Seat;
use crate::tail::{Flow, Flush, Tail, run_each};
use crate::time::{Instant, Timestamp};

/// Picks the channels for a record.
pub trait Router<In>: Send {
    /// What travels on the channels.
    type Out: Send;

    /// Gives the record to one or more of `outboxes`, whose number never changes.
    fn route(
        &mut self,
        record: Record<In>,
        outboxes: &mut [Outbox<Self::Out>],
    ) -> Result<Flow, OperatorError>;

    /// As [`route`](Router::route) of all records of `batch`, and of the watermarks among them, if
    /// it takes many at once. What a stop leaves over, and what it does not take so, stays in the
    /// batch.
    fn route_batch(
        &mut self,
        batch: &mut Batch<In>,
        outboxes: &mut [Outbox<Self::Out>],
    ) -> Option<Flow> {
        let _ = (batch, outboxes);
        None
    }

    /// Where to put records instead of routing each, and how many, as
    /// [`Tail::collecting`](Tail::collecting).
    fn collecting(&mut self) -> Option<(&mut Vec<Record<In>>, usize)> {
        None
    }

    /// Records have been put where [`collecting`](Router::collecting) said.
    fn collected(&mut self, outboxes: &mut [Outbox<Self::Out>]) -> Flow {
        let _ = outboxes;
        Flow::More
    }

    /// Passes a watermark on, behind all records so far.
    fn watermark(&mut self, watermark: Timestamp, outboxes: &mut [Outbox<Self::Out>]) -> Flow {
        each(outboxes, |outbox| Tail::watermark(outbox, watermark))
    }

    /// Gives the outboxes what it has kept to give it all at once: asked before other control than
    /// watermarks goes on, and when the stage has nothing else to do.
    fn hand_out(&mut self, outboxes: &mut [Outbox<Self::Out>]) -> Flow {
        let _ = outboxes;
        Flow::More
    }

    /// Whether it waits until there is room for the next record, rather than give a record to an
    /// outbox that is full. It then answers [`Flow::Stop`] to the record behind which there is no
    /// room, and is asked again before the next.
    fn poll_room(
        &mut self,
        cx: Option<&Context<'_>>,
        outboxes: &mut [Outbox<Self::Out>],
    ) -> Poll<()> {
        let _ = (cx, outboxes);
        Poll::Ready(())
    }

    /// Whether it is over, given which consumers have had enough: unless it says otherwise, when
    /// all of them have.
    fn done(&self, outboxes: &[Outbox<Self::Out>]) -> bool {
        outboxes.iter().all(Tail::done)
    }
}

/// The tail of a stage with several channels: one rule for records, the same control for all.
///
/// Unless its rule says otherwise, it is done when every channel is: one branch that has enough
/// does not end its siblings.
pub struct Routed<T, R> {
    outboxes: Vec<Outbox<T>>,
    router: R,
    seat: Seat,
    error: Option<Error>,
}

impl<T, R> Routed<T, R> {
    pub(crate) const fn new(outboxes: Vec<Outbox<T>>, router: R, seat: Seat) -> Self {
        Self { outboxes, router, seat, error: None }
    }

    #[cold]
    fn fail(&mut self, error: OperatorError) -> Flow {
        self.seat.counters().errors.add(1);
        self.error = Some(Error::operator(self.seat.name(), error));
        Flow::Stop
    }

    /// Passes control on, behind what the router has kept.
    fn pass<In>(&mut self, act: impl FnMut(&mut Outbox<T>) -> Flow) -> Flow
    where
        R: Router<In, Out = T>,
    {
        let handed_out = self.hand_out::<In>();
        let flow = each(&mut self.outboxes, act);
        if handed_out == Flow::Stop { Flow::Stop } else { flow }
    }

    fn hand_out<In>(&mut self) -> Flow
    where
        R: Router<In, Out = T>,
    {
        let guard = self.seat.guard();
        let flow = self.router.hand_out(&mut self.outboxes);
        guard.disarm();
        flow
    }
}

/// Does the same to every outbox; `Stop` if any answers so.
fn each<T>(outboxes: &mut [Outbox<T>], mut act: impl FnMut(&mut Outbox<T>) -> Flow) -> Flow {
    let mut flow = Flow::More;
    for outbox in outboxes {
        if act(outbox) == Flow::Stop {
            flow = Flow::Stop;
        }
    }
    flow
}

impl<In: Send, R: Router<In>> Tail<In> for Routed<R::Out, R> {
    #[inline]
    fn push(&mut self, record: Record<In>) -> Flow {
        let guard = self.seat.guard();
        let routed = self.router.route(record, &mut self.outboxes);
        guard.disarm();
        match routed {
            Ok(flow) => flow,
            Err(error) => self.fail(error),
        }
    }

    fn run(&mut self, batch: &mut Batch<In>, limit: usize, spare: &mut Vec<Record<In>>) -> Flow {
        if batch.records.len() <= limit {
            let guard = self.seat.guard();
            let routed = self.router.route_batch(batch, &mut self.outboxes);
            guard.disarm();
            if let Some(flow) = routed {
                return flow;
            }
        }
        run_each(self, batch, limit, spare, Self::push)
    }

    fn collecting(&mut self) -> Option<(&mut Vec<Record<In>>, usize)> {
        if self.error.is_some() { None } else { self.router.collecting() }
    }

    fn collected(&mut self) -> Flow {
        let guard = self.seat.guard();
        let flow = self.router.collected(&mut self.outboxes);
        guard.disarm();
        flow
    }

    fn resume(&mut self) -> Flow {
        if self.error.is_some() {
            return Flow::Stop;
        }
        if self.router.poll_room(None, &mut self.outboxes).is_pending() {
            return Flow::Stop;
        }
        each(&mut self.outboxes, Tail::resume)
    }

    fn watermark(&mut self, watermark: Timestamp) -> Flow {
        self.router.watermark(watermark, &mut self.outboxes)
    }

    fn idle(&mut self, idle: bool) -> Flow {
        self.pass::<In>(|outbox| Tail::idle(outbox, idle))
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
        self.pass::<In>(|outbox| Tail::barrier(outbox, barrier))
    }

    fn end(&mut self) -> Flow {
        self.pass::<In>(Tail::end)
    }

    fn done(&self) -> bool {
        self.router.done(&self.outboxes)
    }

    fn take_error(&mut self) -> Option<Error> {
        self.error.take().or_else(|| self.outboxes.iter_mut().find_map(Tail::take_error))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        if flush == Flush::All {
            // What comes of it, each outbox is asked right away.
            let (Flow::More | Flow::Stop) = self.hand_out::<In>();
        }
        // Every channel is asked, so that a full one doesn't keep the others waiting.
        let mut all = Poll::Ready(Ok(()));
        for outbox in &mut self.outboxes {
            match Tail::poll_flush(outbox, cx, flush) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => all = Poll::Pending,
            }
        }
        if flush == Flush::Room && self.router.poll_room(Some(cx), &mut self.outboxes).is_pending()
        {
            return Poll::Pending;
        }
        all
    }

    fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // One branch that reads is enough; the others will.
        let mut wanted = Poll::Pending;
        for outbox in &mut self.outboxes {
            if outbox.poll_wanted(cx).is_ready() {
                wanted = Poll::Ready(());
            }
        }
        wanted
    }

    fn publish(&mut self) {}
}

impl<T, R> fmt::Debug for Routed<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routed").field("outboxes", &self.outboxes).finish_non_exhaustive()
    }
}

/// As another router, until one consumer has enough: then it is over for all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Eager<R>(pub R);

impl<T, R: Router<T>> Router<T> for Eager<R> {
    type Out = R::Out;

    fn route(
        &mut self,
        record: Record<T>,
        outboxes: &mut [Outbox<R::Out>],
    ) -> Result<Flow, OperatorError> {
        self.0.route(record, outboxes)
    }

    fn route_batch(
        &mut self,
        batch: &mut Batch<T>,
        outboxes: &mut [Outbox<R::Out>],
    ) -> Option<Flow> {
        self.0.route_batch(batch, outboxes)
    }

    fn collecting(&mut self) -> Option<(&mut Vec<Record<T>>, usize)> {
        self.0.collecting()
    }

    fn collected(&mut self, outboxes: &mut [Outbox<R::Out>]) -> Flow {
        self.0.collected(outboxes)
    }

    fn watermark(&mut self, watermark: Timestamp, outboxes: &mut [Outbox<R::Out>]) -> Flow {
        self.0.watermark(watermark, outboxes)
    }

    fn hand_out(&mut self, outboxes: &mut [Outbox<R::Out>]) -> Flow {
        self.0.hand_out(outboxes)
    }

    fn poll_room(&mut self, cx: Option<&Context<'_>>, outboxes: &mut [Outbox<R::Out>]) -> Poll<()> {
        self.0.poll_room(cx, outboxes)
    }

    fn done(&self, outboxes: &[Outbox<R::Out>]) -> bool {
        outboxes.iter().any(Tail::done)
    }
}

/// To each of the instances behind an edge in turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rebalance {
    next: usize,
}

impl<T: Send> Router<T> for Rebalance {
    type Out = T;

    #[inline]
    fn route(
        &mut self,
        record: Record<T>,
        outboxes: &mut [Outbox<T>],
    ) -> Result<Flow, OperatorError> {
        let index = self.next;
        self.next = if index + 1 < outboxes.len() { index + 1 } else { 0 };
        Ok(outboxes.get_mut(index).map_or(Flow::More, |outbox| outbox.push(record)))
    }
}

/// To the one of several channels whose consumer gets to it first, as far as can be told: one that
/// stands ready before all others, and otherwise the one with the fewest records before it. Among
/// equals they take turns. While none has room, nothing is given to any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Balance {
    next: usize,
}

impl<T: Send> Router<T> for Balance {
    type Out = T;

    fn route(
        &mut self,
        record: Record<T>,
        outboxes: &mut [Outbox<T>],
    ) -> Result<Flow, OperatorError> {
        let (next, count) = (self.next, outboxes.len().max(1));
        let in_turn = |index: usize| (index + count - next) % count;
        let ready = outboxes.iter_mut().enumerate().map(|(index, outbox)| {
            let never = outbox.done();
            let full = !never && outbox.poll_room(None).is_pending();
            ((never, full, outbox.wait_ahead(), in_turn(index)), index)
        });
        let Some((_, chosen)) = ready.min() else {
            return Ok(Flow::More);
        };
        self.next = (chosen + 1) % count;
        let flow = outboxes.get_mut(chosen).map_or(Flow::More, |outbox| outbox.push(record));
        let room = self.poll_room(None, outboxes);
        Ok(if room.is_pending() { Flow::Stop } else { flow })
    }

    fn poll_room(&mut self, cx: Option<&Context<'_>>, outboxes: &mut [Outbox<T>]) -> Poll<()> {
        let mut room = Poll::Pending;
        let mut open = outboxes.iter_mut().filter(|outbox| !outbox.done()).peekable();
        if open.peek().is_none() {
            return Poll::Ready(());
        }
        for outbox in open {
            if outbox.poll_room(cx).is_ready() {
                room = Poll::Ready(());
            }
        }
        room
    }
}

/// To the branch whose number a closure gives.
#[derive(Clone, Copy, Debug)]
pub struct PortRouter<F>(pub F);

/// A closure chose a branch that isn't there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record was sent to branch {chosen}, and there are only {branches}")]
pub struct NoSuchBranch {
    /// The branch it chose, counted from zero.
    pub chosen: usize,
    /// How many there are.
    pub branches: usize,
}

impl<T: Send, F: FnMut(&T) -> usize + Send> Router<T> for PortRouter<F> {
    type Out = T;

    #[inline]
    fn route(
        &mut self,
        record: Record<T>,
        outboxes: &mut [Outbox<T>],
    ) -> Result<Flow, OperatorError> {
        let (chosen, branches) = ((self.0)(&record.value), outboxes.len());
        match outboxes.get_mut(chosen) {
            Some(outbox) => Ok(outbox.push(record)),
            None => Err(NoSuchBranch { chosen, branches }.into()),
        }
    }
}

/// What travels to a keyed stage: the value, and the hash of its key, worked out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed<T> {
    /// The [stable hash](stable_hash) of the key.
    pub hash: u64,
    /// The value, from which the key can be found again.
    pub value: T,
}

/// To the instance that owns the key's group.
#[derive(Clone, Copy, Debug)]
pub struct KeyRouter<K>(pub K);

impl<T: Send, K: KeyOf<T>> Router<T> for KeyRouter<K> {
    type Out = Keyed<T>;

    #[inline]
    fn route(
        &mut self,
        record: Record<T>,
        outboxes: &mut [Outbox<Keyed<T>>],
    ) -> Result<Flow, OperatorError> {
        let hash = self.0.with(&record.value, stable_hash);
        let instance = owner(key_group(hash), outboxes.len());
        let record = record.with(|value| Keyed { hash, value });
        Ok(outboxes.get_mut(instance).map_or(Flow::More, |outbox| outbox.push(record)))
    }
}

/// To the instance that owns the key's group, of a record that has its hash already.
#[derive(Clone, Copy, Debug, Default)]
pub struct HashRouter;

impl<T: Send> Router<Keyed<T>> for HashRouter {
    type Out = Keyed<T>;

    #[inline]
    fn route(
        &mut self,
        record: Record<Keyed<T>>,
        outboxes: &mut [Outbox<Keyed<T>>],
    ) -> Result<Flow, OperatorError> {
        let instance = owner(key_group(record.value.hash), outboxes.len());
        Ok(outboxes.get_mut(instance).map_or(Flow::More, |outbox| outbox.push(record)))
    }
}
