//! `IntervalFunction`: keeps both sides of a key in the order of time, and finds who belongs
//! together.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use millstream_engine::operator::{Collector, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::time::Timestamp;
use millstream_engine::{Error, OperatorError, Record};
use serde::{Deserialize, Serialize};

use super::Interval;
use super::alarm::Alarm;
use super::kind::{EitherOrBoth, JoinKind};
use super::last_words::LastWords;
use super::lateness::{Lateness, is_over};
use super::timeline::Timeline;
use crate::fan::Either;
use crate::keyed::process::{KeyContext, KeyTimers, ProcessFunction, Timer, ValueState};

/// The function behind an [`interval_join`](crate::KeyedStream::interval_join).
///
/// A record that comes is put together at once with those of the other side that are there, and
/// then waits itself until the watermark has passed the last time of a partner. So each pair is
/// told of once, when the second of it comes. Each key has one timer: for the first of its records
/// that leaves.
pub struct IntervalFunction<L, R, M> {
    kind: M,
    reach: Reach,
    late: Lateness<Either<L, R>>,
    paused: Option<Paused<L, R>>,
}

/// How far apart those may be, and come, who belong together.
#[derive(Clone, Copy)]
struct Reach {
    interval: Interval,
    grace: Duration,
}

impl Reach {
    /// When the last partner of a left record may come.
    fn of_left(self, time: Timestamp) -> Timestamp {
        self.interval.of_left(time).1.saturating_add(self.grace)
    }

    /// When the last partner of a right record may come.
    fn of_right(self, time: Timestamp) -> Timestamp {
        self.interval.of_right(time).1.saturating_add(self.grace)
    }
}

/// What is kept of a key.
#[derive(Debug, Serialize, Deserialize)]
pub struct IntervalSides<L, R> {
    left: Timeline<Waiting<L>>,
    right: Timeline<Waiting<R>>,
    /// When the first of them leaves.
    alarm: Alarm,
}

/// A record that waits for partners, and whether it has found one.
#[derive(Debug, Serialize, Deserialize)]
struct Waiting<V> {
    value: V,
    met: bool,
}

/// A record that has come.
struct Arrival<V> {
    value: V,
    time: Timestamp,
    /// When its last partner may come.
    until: Timestamp,
    /// The places of those that are there, as far as they have not been told of.
    partners: Range<usize>,
    met: bool,
}

/// What is not over, because there was no room.
enum Paused<L, R> {
    /// Not all partners of a record have been told of.
    Arrival(Either<Arrival<L>, Arrival<R>>),
    /// Not all have left whose last partner could have come at this time.
    Leaving(Timestamp),
}

/// A key, and what is kept of it.
type AtHand<'a, K, L, R> = KeyContext<'a, K, ValueState<IntervalSides<L, R>>>;

impl<L, R, M> IntervalFunction<L, R, M> {
    pub(super) const fn new(kind: M, interval: Interval, late: Lateness<Either<L, R>>) -> Self {
        Self { kind, reach: Reach { interval, grace: late.grace() }, late, paused: None }
    }
}

impl<L, R, M: JoinKind<L, R>> IntervalFunction<L, R, M> {
    /// Puts a record together with its partners, and lets it wait for others.
    fn arrive<K: Eq + Clone>(
        &mut self,
        arrival: Either<Arrival<L>, Arrival<R>>,
        sides: &mut IntervalSides<L, R>,
        (timers, watermark): (&mut KeyTimers<'_, K>, Timestamp),
        out: &mut impl Collector<M::Out>,
    ) {
        let (kind, lefts, rights) = (&mut self.kind, &mut sides.left, &mut sides.right);
        let settled = match arrival {
            Either::Left(arrival) => {
                let tell = |left: &L, right: Option<&R>| match right {
                    Some(right) => kind.tell(EitherOrBoth::Both(left, right)),
                    None => kind.tell(EitherOrBoth::Left(left)),
                };
                arrival.settle(lefts, rights, watermark, out, tell).map_err(Either::Left)
            }
            Either::Right(arrival) => {
                let tell = |right: &R, left: Option<&L>| match left {
                    Some(left) => kind.tell(EitherOrBoth::Both(left, right)),
                    None => kind.tell(EitherOrBoth::Right(right)),
                };
                arrival.settle(rights, lefts, watermark, out, tell).map_err(Either::Right)
            }
        };
        match settled {
            Ok(until) => until.into_iter().for_each(|until| sides.alarm.no_later(until, timers)),
            Err(arrival) => self.paused = Some(Paused::Arrival(arrival)),
        }
    }

    /// Lets those go whose last partner could have come at `reached` or before.
    fn leave<K: Eq + Clone>(
        &mut self,
        reached: Timestamp,
        sides: &mut IntervalSides<L, R>,
        timers: &mut KeyTimers<'_, K>,
        out: &mut impl Collector<M::Out>,
    ) {
        let (kind, reach) = (&mut self.kind, self.reach);
        let is_over = |time| reach.of_left(time) <= reached;
        let tell = |left: &L| kind.tell(EitherOrBoth::Left(left));
        let mut all = let_go(&mut sides.left, is_over, M::LEFT, out, tell);
        if all {
            let is_over = |time| reach.of_right(time) <= reached;
            let tell = |right: &R| kind.tell(EitherOrBoth::Right(right));
            all = let_go(&mut sides.right, is_over, M::RIGHT, out, tell);
        }
        if !all {
            self.paused = Some(Paused::Leaving(reached));
            return;
        }
        let left = sides.left.first().map(|first| reach.of_left(first.time()));
        let right = sides.right.first().map(|first| reach.of_right(first.time()));
        if let Some(next) = left.into_iter().chain(right).min() {
            sides.alarm.no_later(next, timers);
        }
    }
}

impl<L: Send + 'static, R: Send + 'static, M> IntervalFunction<L, R, M> {
    /// Does something with both sides of the key at hand, and forgets them if nothing is left.
    fn with<K>(
        context: &mut AtHand<'_, K, L, R>,
        act: impl FnOnce(&mut IntervalSides<L, R>, (&mut KeyTimers<'_, K>, Timestamp)),
    ) {
        let (timers, watermark) = (&mut context.timers, context.watermark);
        let sides =
            context.states.update(IntervalSides::new, |sides| act(sides, (timers, watermark)));
        if sides.left.is_empty() && sides.right.is_empty() {
            context.states.clear();
        }
    }
}

impl<L, R> IntervalSides<L, R> {
    const fn new() -> Self {
        Self { left: Timeline::new(), right: Timeline::new(), alarm: Alarm::unset() }
    }
}

impl<A> Arrival<A> {
    fn new(record: (A, Timestamp), until: Timestamp, partners: Range<usize>) -> Self {
        let (value, time) = record;
        Self { value, time, until, partners, met: false }
    }

    /// Tells of each of its partners; then waits for others and says how long, or is told of alone
    /// if none will come. It comes back if there was no room for all partners.
    fn settle<B, O>(
        mut self,
        own: &mut Timeline<Waiting<A>>,
        others: &mut Timeline<Waiting<B>>,
        watermark: Timestamp,
        out: &mut impl Collector<O>,
        mut tell: impl FnMut(&A, Option<&B>) -> Option<O>,
    ) -> Result<Option<Timestamp>, Self> {
        for place in self.partners.clone() {
            if out.is_full() {
                self.partners.start = place;
                return Err(self);
            }
            let Some(partner) = others.get_mut(place) else { break };
            let time = self.time.max(partner.time());
            let Waiting { value, met } = &mut partner.item;
            (self.met, *met) = (true, true);
            tell(&self.value, Some(value)).into_iter().for_each(|o| out.push(Record::at(o, time)));
        }
        let Self { value, time, until, met, .. } = self;
        if is_over(until, watermark) {
            let alone = if met { None } else { tell(&value, None) };
            alone.into_iter().for_each(|alone| out.push(Record::at(alone, time)));
            return Ok(None);
        }
        own.insert(time, Waiting { value, met });
        Ok(Some(until))
    }
}

/// Lets the first ones go, and tells of those who were alone to the end, if that `is_told`. Answers
/// whether there was room for all.
fn let_go<V, O>(
    side: &mut Timeline<Waiting<V>>,
    is_over: impl Fn(Timestamp) -> bool,
    is_told: bool,
    out: &mut impl Collector<O>,
    mut tell: impl FnMut(&V) -> Option<O>,
) -> bool {
    while let Some(first) = side.first().filter(|first| is_over(first.time())) {
        if is_told && !first.item.met {
            if out.is_full() {
                return false;
            }
            let time = first.time();
            let told = tell(&first.item.value);
            told.into_iter().for_each(|told| out.push(Record::at(told, time)));
        }
        side.pop_first();
    }
    true
}

impl<K, L, R, M> ProcessFunction<K, Either<L, R>> for IntervalFunction<L, R, M>
where
    K: Eq + Clone,
    L: Send + 'static,
    R: Send + 'static,
    M: JoinKind<L, R>,
{
    type Out = M::Out;
    type States = ValueState<IntervalSides<L, R>>;
    const NAME: &'static str = "interval_join";
    const NEEDS_TIME: bool = true;
    const HOLDS_WATERMARK: bool = true;

    fn states(&self) -> Self::States {
        ValueState::new("sides")
    }

    /// Who has no partner is told of when the watermark has passed the last time of one, with its
    /// own time. A pair has the time of the record that came last, or a later one.
    fn watermark_delay(&self) -> Duration {
        let Reach { interval, grace } = self.reach;
        let left = if M::LEFT { interval.left_waits() } else { Duration::ZERO };
        let right = if M::RIGHT { interval.right_waits() } else { Duration::ZERO };
        left.max(right).saturating_add(grace)
    }

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.late.open(context);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<Either<L, R>>,
        context: &mut AtHand<'_, K, L, R>,
        out: &mut impl Collector<M::Out>,
    ) -> Result<(), OperatorError> {
        let Record { time, .. } = record;
        if self.late.is_late(time, context.watermark) {
            self.late.take(record);
            return Ok(());
        }
        let Reach { interval, .. } = self.reach;
        Self::with(context, |sides, at| {
            let arrival = match record.value {
                Either::Left(value) => {
                    let (first, last) = interval.of_left(time);
                    let partners = sides.right.between(first, last);
                    Either::Left(Arrival::new((value, time), self.reach.of_left(time), partners))
                }
                Either::Right(value) => {
                    let (first, last) = interval.of_right(time);
                    let partners = sides.left.between(first, last);
                    Either::Right(Arrival::new((value, time), self.reach.of_right(time), partners))
                }
            };
            self.arrive(arrival, sides, at, out);
        });
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut AtHand<'_, K, L, R>,
        out: &mut impl Collector<M::Out>,
    ) -> Result<(), OperatorError> {
        // Who is told of comes in the order of time, however far the watermark has jumped.
        let tells = M::LEFT || M::RIGHT;
        let watermark = context.watermark;
        let reached = match watermark {
            _ if tells => timer.time(),
            Timestamp::MAX => Timestamp::MAX,
            _ => watermark.saturating_sub(Duration::from_millis(1)),
        };
        Self::with(context, |sides, (timers, _)| {
            sides.alarm.rang();
            self.leave(reached, sides, timers, out);
        });
        Ok(())
    }

    fn on_evict(
        &mut self,
        context: &mut AtHand<'_, K, L, R>,
        out: &mut impl Collector<M::Out>,
    ) -> Result<(), OperatorError> {
        Self::with(context, |sides, (timers, _)| {
            self.leave(Timestamp::MAX, sides, timers, &mut LastWords(out));
        });
        Ok(())
    }

    fn pending(&self) -> bool {
        self.paused.is_some()
    }

    fn resume(
        &mut self,
        context: &mut AtHand<'_, K, L, R>,
        out: &mut impl Collector<M::Out>,
    ) -> Result<(), OperatorError> {
        let paused = self.paused.take();
        Self::with(context, |sides, at| match paused {
            Some(Paused::Arrival(arrival)) => self.arrive(arrival, sides, at, out),
            Some(Paused::Leaving(reached)) => self.leave(reached, sides, at.0, out),
            None => {}
        });
        Ok(())
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.late.side()
    }
}

/// The configuration, with nothing of a run.
impl<L, R, M: Clone> Clone for IntervalFunction<L, R, M> {
    fn clone(&self) -> Self {
        Self::new(self.kind.clone(), self.reach.interval, self.late.clone())
    }
}

impl<L, R, M> fmt::Debug for IntervalFunction<L, R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntervalFunction")
            .field("interval", &self.reach.interval)
            .finish_non_exhaustive()
    }
}
