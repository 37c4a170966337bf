//! A stage whose source is an iterator: pumped straight into the chain, with no batch between.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::job::JobShared;
use super::{Head, Seat};
use crate::batch::{Barrier, Batch};
use crate::delegate::delegate;
use crate::error::Error;
use crate::graph::OperatorId;
use crate::record::Record;
use crate::tail::{Flow, Flush, Pulled, Tail, Way};
use crate::time::{Instant, Timestamp};

/// The head of such a stage: all that is left for it is to say when there is nothing more to read.
/// Of what it hands over there is none, so that the stage around it is the same for all records.
pub(super) struct PumpHead(pub(super) Arc<JobShared>);

impl Head<Infallible> for PumpHead {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<Infallible>, Error>> {
        if self.0.drain.is_cancelled() {
            return Poll::Ready(Ok(Batch { end: true, ..Batch::new() }));
        }
        self.0.gate.poll_open(cx).map(|()| Ok(Batch::new()))
    }

    fn is_quick(&self) -> bool {
        true
    }

    fn recycle(&mut self, _records: Vec<Record<Infallible>>) {}

    fn finish(&mut self) {}
}

/// The kernel of such a stage: the iterator, and the chain behind it.
pub(super) struct Pump<I, N> {
    /// Taken while it is in the loop: after a panic there is none.
    items: Option<I>,
    next: N,
    seat: Seat,
    watched: bool,
}

/// The largest iterator that is worth being kept in registers, in bytes.
const SMALL: usize = 64;
/// The largest item that may be copied out of an `Option`, in bytes. A copy takes several fields at
/// once, and where they were only just written one by one, it has to wait for all of them.
const LIGHT: usize = 64;

impl<I: Iterator, N: Tail<I::Item>> Pump<I, N> {
    pub(super) const fn new(items: I, next: N, seat: Seat) -> Self {
        Self { items: Some(items), next, seat, watched: false }
    }

    // A function for each way: of two loops in one, the compiler makes less of either.
    #[inline(never)]
    fn pull_by(
        &mut self,
        limit: usize,
        pulled: &mut Pulled,
        take: impl Fn(&mut I, &Seat) -> Option<I::Item>,
        push: impl Fn(&mut N, Record<I::Item>) -> Flow,
    ) -> Flow {
        let pumped = self.with_items(|items, next, seat| {
            pump(items, seat, limit, pulled, take, |item| push(next, Record::new(item)))
        });
        pumped.unwrap_or(Flow::More)
    }

    /// As [`pull_by`](Self::pull_by) where nothing is counted on the way, in the iterator's own
    /// loop: it hands an item over where it was made, and not in an `Option` to be copied out of.
    #[inline(never)]
    fn pull_in_its_loop(&mut self, limit: usize, pulled: &mut Pulled) -> Flow {
        if limit == 0 {
            return Flow::More;
        }
        let pumped = self.with_items(|items, next, seat| {
            let mut tally = Tally { left: limit, limit, pulled };
            let guard = seat.guard();
            let left_off = items.try_for_each(|item| {
                tally.left -= 1;
                match next.push(Record::new(item)) {
                    Flow::More if tally.left > 0 => ControlFlow::Continue(()),
                    flow => ControlFlow::Break(flow),
                }
            });
            guard.disarm();
            tally.pulled.ended = left_off.is_continue();
            left_off.break_value().unwrap_or(Flow::More)
        });
        pumped.unwrap_or(Flow::More)
    }

    /// Lets `act` at the iterator, if there still is one, and at what it feeds.
    #[allow(clippy::inline_always, reason = "the iterator would live in memory")]
    #[inline(always)]
    fn with_items<R>(&mut self, act: impl FnOnce(&mut I, &mut N, &Seat) -> R) -> Option<R> {
        let Self { items, next, seat, .. } = self;
        if size_of::<I>() > SMALL {
            return items.as_mut().map(|items| act(items, next, seat));
        }
        // What lives behind a pointer would be stored for each record.
        let mut local = items.take()?;
        let result = act(&mut local, next, seat);
        *items = Some(local);
        Some(result)
    }
}

/// Fills the buffer of a chain that is nothing else. Answers how many records of `limit` are still
/// to be pushed one by one.
#[allow(clippy::inline_always, reason = "the iterator would live in memory")]
#[inline(always)]
fn collect<I: Iterator, N: Tail<I::Item>>(
    items: &mut I,
    next: &mut N,
    seat: &Seat,
    limit: usize,
    pulled: &mut Pulled,
) -> Result<usize, Flow> {
    let mut left = limit;
    while left > 0
        && let Some((records, room)) = next.collecting()
    {
        let wanted = room.min(left);
        let guard = seat.guard();
        let taken = extend(records, items, wanted, pulled);
        guard.disarm();
        left -= taken;
        pulled.ended = taken < wanted;
        let flow = next.collected();
        if flow == Flow::Stop || pulled.ended {
            return Err(flow);
        }
    }
    Ok(left)
}

/// Moves up to `wanted` items, and counts them, after a panic too.
#[inline]
fn extend<T>(
    records: &mut Vec<Record<T>>,
    items: &mut impl Iterator<Item = T>,
    wanted: usize,
    pulled: &mut Pulled,
) -> usize {
    let before = records.len();
    let growth = Growth { records, before, pulled };
    growth.records.extend(items.take(wanted).map(Record::new));
    growth.records.len() - before
}

/// A buffer that is being filled.
struct Growth<'a, T> {
    records: &'a mut Vec<Record<T>>,
    before: usize,
    pulled: &'a mut Pulled,
}

impl<T> Drop for Growth<'_, T> {
    fn drop(&mut self) {
        self.pulled.records += self.records.len() - self.before;
    }
}

/// The hot loop, which the whole chain is compiled into.
#[allow(clippy::inline_always, reason = "the iterator would live in memory")]
#[inline(always)]
fn pump<I: Iterator>(
    items: &mut I,
    seat: &Seat,
    limit: usize,
    pulled: &mut Pulled,
    take: impl Fn(&mut I, &Seat) -> Option<I::Item>,
    mut push: impl FnMut(I::Item) -> Flow,
) -> Flow {
    let mut tally = Tally { left: limit, limit, pulled };
    while tally.left > 0 {
        let guard = seat.guard();
        let item = take(items, seat);
        guard.disarm();
        let Some(item) = item else {
            tally.pulled.ended = true;
            break;
        };
        tally.left -= 1;
        if push(item) == Flow::Stop {
            return Flow::Stop;
        }
    }
    Flow::More
}

/// Counts in a register, and says how much it was after a panic too.
struct Tally<'a> {
    left: usize,
    limit: usize,
    pulled: &'a mut Pulled,
}

impl Drop for Tally<'_> {
    #[inline]
    fn drop(&mut self) {
        self.pulled.records += self.limit - self.left;
    }
}

impl<I: Iterator<Item: Send> + Send, N: Tail<I::Item>> Tail<Infallible> for Pump<I, N> {
    fn pull(&mut self, limit: usize, pulled: &mut Pulled) -> Flow {
        let next = |items: &mut I, _: &Seat| items.next();
        if self.watched {
            // Whoever looks why the stage is slow is to see its source at work, too.
            let next = |items: &mut I, seat: &Seat| {
                seat.begin_work();
                let item = items.next();
                seat.end_work();
                item
            };
            return self.pull_by(limit, pulled, next, N::push_apart);
        }
        let collected =
            self.with_items(|items, next, seat| collect(items, next, seat, limit, pulled));
        match collected.unwrap_or(Ok(0)) {
            Ok(left) if self.next.way() == Way::Counted => {
                self.pull_by(left, pulled, next, N::push_counted)
            }
            Ok(left) if size_of::<I::Item>() > LIGHT => self.pull_in_its_loop(left, pulled),
            Ok(left) => self.pull_by(left, pulled, next, N::push),
            Err(flow) => flow,
        }
    }

    fn push(&mut self, record: Record<Infallible>) -> Flow {
        match record.value {}
    }

    fn watch(&mut self, on: bool) {
        self.watched = on;
        self.next.watch(on);
    }

    delegate!(self: Self { next, .. } => next);
}
