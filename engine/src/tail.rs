//! What comes after an operator, composed at compile time: the rest of its chain, and at the end an
//! outbox or a sink.

use std::task::{Context, Poll};

pub use crate::delegate::EitherTail;

use crate::batch::{Barrier, Batch};
use crate::error::Error;
use crate::graph::OperatorId;
use crate::record::Record;
use crate::time::{Instant, Timestamp};

/// The one bit that comes back from every push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "after a stop nothing may be pushed before the stage has asked why"]
pub enum Flow {
    /// There is room for more.
    More,
    /// Full, done or failed: ask which before going on.
    Stop,
}

/// Which of its pushes a tail wants to be given records by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// [`Tail::push`].
    Straight,
    /// [`Tail::push_counted`].
    Counted,
    /// [`Tail::push_apart`].
    Apart,
}

/// How much a flush has to achieve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Ready as soon as another record can be pushed.
    Room,
    /// Ready when everything has been handed over.
    All,
}

/// What a [pull](Tail::pull) has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// How many records, also if one of them brought about a panic.
    pub records: usize,
    /// The input is complete.
    pub ended: bool,
}

/// The rest of a stage behind some point of it. Object safe: one trait is the fused kernel, an
/// edge's outbox, a sink and the erased chain behind `.boxed()`.
///
/// # Protocol
///
/// `push`, `run`, `watermark`, `idle`, `timer`, `barrier` and `end` may be called only while
/// nothing is pending: from the start, and after any of them (or `resume`) answered
/// [`Flow::More`]. What a call was given when it answered [`Flow::Stop`] has been accepted. After a
/// stop, ask `take_error`, then `done`, then make room with `poll_flush`, then call `resume` until
/// it answers `More`.
pub trait Tail<T>: Send {
    /// Takes one record.
    fn push(&mut self, record: Record<T>) -> Flow;

    /// As `push`, on the way that a record takes where operators count what they filter out and
    /// what they add. Whoever has something behind it passes it on so.
    #[inline]
    fn push_counted(&mut self, record: Record<T>) -> Flow
    where
        Self: Sized,
    {
        self.push(record)
    }

    /// As `push`, as a call: for what is emitted at another time than for a record, so that the
    /// rest of the chain is not compiled again wherever that may be, and for every record while
    /// operators [say](Tail::watch) when they are at work, for which `push` is to pay nothing.
    /// Whoever has something behind it passes it on so.
    fn push_apart(&mut self, record: Record<T>) -> Flow
    where
        Self: Sized,
    {
        self.push(record)
    }

    /// Takes up to `limit` records, and the watermarks among them, out of `batch`: the hot loop.
    /// What a stop leaves over stays in the batch. `spare` is an empty buffer to do that with.
    ///
    /// The loop is here, in a plain function that is compiled into the chain, because the same
    /// loop in an `async` body, or with its iterator kept elsewhere, runs several times slower.
    #[inline]
    fn run(&mut self, batch: &mut Batch<T>, limit: usize, spare: &mut Vec<Record<T>>) -> Flow {
        run_each(self, batch, limit, spare, Self::push)
    }

    /// As [`Operator::prefetch`](crate::operator::Operator::prefetch) of the first of its
    /// operators.
    #[inline]
    fn prefetch(&self, upcoming: &[Record<T>]) -> usize {
        upcoming.len()
    }

    /// By which of its pushes it wants to be given records from here on. Whoever has something
    /// behind it asks that.
    fn way(&self) -> Way {
        Way::Straight
    }

    /// As `run`, by the [way](Tail::way) that it says: for those that have operators behind them.
    #[inline]
    fn run_along(&mut self, batch: &mut Batch<T>, limit: usize, spare: &mut Vec<Record<T>>) -> Flow
    where
        Self: Sized,
    {
        match self.way() {
            Way::Straight => run_each(self, batch, limit, spare, Self::push),
            Way::Counted => run_each(self, batch, limit, spare, Self::push_counted),
            Way::Apart => run_each(self, batch, limit, spare, Self::push_apart),
        }
    }

    /// Reads up to `limit` records from the source that is a part of it, and pushes them: the hot
    /// loop of a stage that an [iterator](crate::source::Entrance::items) went into. No other has
    /// one.
    fn pull(&mut self, limit: usize, pulled: &mut Pulled) -> Flow {
        let _ = (limit, pulled);
        Flow::More
    }

    /// Of a tail that does no more with a record than keep it until there are enough: where to put
    /// records instead of pushing them, and how many, at least one. Behind them comes
    /// [`collected`](Tail::collected), as if the last of them had been pushed.
    fn collecting(&mut self) -> Option<(&mut Vec<Record<T>>, usize)> {
        None
    }

    /// Records have been put where [`collecting`](Tail::collecting) said.
    fn collected(&mut self) -> Flow {
        Flow::More
    }

    /// Goes on with what is pending, the end of the chain first.
    fn resume(&mut self) -> Flow;

    /// No record earlier than `watermark` will follow.
    fn watermark(&mut self, watermark: Timestamp) -> Flow;

    /// The input is idle from here on, or is so no longer.
    fn idle(&mut self, idle: bool) -> Flow;

    /// Lets every timer fire that is due at `now`.
    fn timer(&mut self, now: Instant) -> Flow;

    /// When `timer` is to be called next.
    fn next_timer(&self) -> Option<Instant>;

    /// Whether what is pending waits for a timer rather than for room.
    fn waiting(&self) -> bool;

    /// The operator that [`waiting`](Tail::waiting) is about, if that is known.
    fn holder(&self) -> Option<OperatorId> {
        None
    }

    /// Passes a barrier on.
    fn barrier(&mut self, barrier: Barrier) -> Flow;

    /// The input has ended, completely.
    fn end(&mut self) -> Flow;

    /// Whether nobody behind here wants any more.
    fn done(&self) -> bool;

    /// The first error since the last call.
    fn take_error(&mut self) -> Option<Error>;

    /// Hands over what waits at the end of the chain, and in side outputs.
    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>>;

    /// Ready once somebody behind here has asked for records. Until then the stage reads nothing,
    /// so that the second input of a `concat` does not start before the first has ended.
    fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether operators are to say when they are at work, where the run counts by operator. The
    /// stage wants it of slow chains only: it costs more than a cheap operator does.
    fn watch(&mut self, on: bool) {
        let _ = on;
    }

    /// Publishes what has been counted since the last call.
    fn publish(&mut self);
}

/// [`Tail::run`], a record at a time, by way of `push`.
#[inline]
pub(crate) fn run_each<T, N: Tail<T> + ?Sized>(
    tail: &mut N,
    batch: &mut Batch<T>,
    limit: usize,
    spare: &mut Vec<Record<T>>,
    push: impl Fn(&mut N, Record<T>) -> Flow + Copy,
) -> Flow {
    let total = batch.records.len();
    let mut marks_done = 0;
    let mut flow = Flow::More;
    let mut rest = Rest { records: batch.records.drain(..), spare };
    let records = &mut rest.records;
    while flow == Flow::More {
        let taken = total - records.len();
        let (stretch, watermark) = match batch.marks.get(marks_done) {
            Some(mark) => (mark.position - taken, Some(mark.watermark)),
            None => (total - taken, None),
        };
        let allowed = limit - taken.min(limit);
        flow = push_all(tail, records, stretch.min(allowed), push);
        let Some(watermark) = watermark.filter(|_| stretch <= allowed) else {
            break;
        };
        if flow == Flow::More {
            marks_done += 1;
            flow = tail.watermark(watermark);
        }
    }
    drop(rest);
    if !spare.is_empty() {
        std::mem::swap(&mut batch.records, spare);
    }
    batch.marks.drain(..marks_done);
    let taken = total - batch.records.len();
    for mark in &mut batch.marks {
        mark.position -= taken;
    }
    flow
}

/// [`Tail::run`] of an operator that gives one record for each, as far as the tail behind it
/// [collects](Tail::collecting): `map` moves records from one buffer into the other.
#[inline]
pub(crate) fn run_mapped<In, T, N: Tail<T> + ?Sized>(
    next: &mut N,
    batch: &mut Batch<In>,
    spare: &mut Vec<Record<In>>,
    mut map: impl FnMut(&mut std::vec::Drain<'_, Record<In>>, &mut Vec<Record<T>>),
) -> Flow {
    let mut flow = Flow::More;
    while flow == Flow::More
        && !batch.records.is_empty()
        && let Some((out, room)) = next.collecting()
    {
        let count = room.min(batch.records.len());
        let mut rest = Rest { records: batch.records.drain(..count), spare };
        map(&mut rest.records, out);
        drop(rest);
        flow = next.collected();
    }
    flow
}

/// What a run leaves over goes to `spare`, after a panic too: so the stage can say how much it was.
struct Rest<'a, T> {
    records: std::vec::Drain<'a, Record<T>>,
    spare: &'a mut Vec<Record<T>>,
}

impl<T> Drop for Rest<'_, T> {
    fn drop(&mut self) {
        if self.records.len() > 0 {
            self.spare.extend(self.records.by_ref());
        }
    }
}

/// The innermost loop, which a link has its `push` compiled into: in one place, and not wherever
/// records are taken from a batch.
#[inline(never)]
fn push_all<T, N: Tail<T> + ?Sized>(
    tail: &mut N,
    records: &mut std::vec::Drain<'_, Record<T>>,
    count: usize,
    push: impl Fn(&mut N, Record<T>) -> Flow,
) -> Flow {
    let mut left = count.min(records.len());
    while left > 0 {
        let upcoming = records.as_slice().get(..left).unwrap_or_default();
        let stretch = tail.prefetch(upcoming).clamp(1, left);
        for record in records.take(stretch) {
            if push(tail, record) == Flow::Stop {
                return Flow::Stop;
            }
        }
        left -= stretch;
    }
    Flow::More
}
