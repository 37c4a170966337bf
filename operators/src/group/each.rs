//! The operator behind `group_by`: one that has others, by key.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use millstream_engine::edge::Outbox;
use millstream_engine::graph::Port;
use millstream_engine::key::stable_hash;
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::{NestedContext, OperatorContext};
use millstream_engine::tail::{Flow, Tail as _};
use millstream_engine::time::{Clock, Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use super::limits::{AtLimit, Groups, TooManyGroups};
use super::open::{Open, Stage};

/// In how many periods the idle timeout is counted. What is counted is periods that have passed and
/// not time, so that no record costs a look at the clock, and one long halt is one period.
const PERIODS: u32 = 8;

/// Gives each key an operator of its own.
pub struct Each<T, K, F, O> {
    key: F,
    groups: Groups<T>,
    port: Option<Port>,
    template: O,
    open: Open<K, O>,
    /// The group whose operator has output left.
    busy: Option<usize>,
    work: Work,
    /// A record of a new key that waits for a place.
    held: Option<Newcomer<T, K>>,
    period: u64,
    period_ends: Option<Instant>,
    watermark: Timestamp,
    run: Option<EachRun<T>>,
}

/// What belongs to one run.
struct EachRun<T> {
    clock: Clock,
    nested: NestedContext,
    counters: Arc<OperatorCounters>,
    diverted: Option<Outbox<T>>,
}

struct Newcomer<T, K> {
    record: Record<T>,
    key: K,
    hash: u64,
}

/// What is being done with one group after another.
#[derive(Clone, Copy, Debug)]
enum Work {
    Nothing,
    /// Tells every group from this place on.
    Watermark(Timestamp, usize),
    /// Lets every group from this place on emit what a barrier must not overtake.
    Barrier(usize),
    /// The same of the news that the input is idle.
    Idle(usize),
    /// Calls those whose time has come, and closes those that have been idle.
    Timers(Instant),
    /// Closes all of them.
    End,
}

impl<T, K, F, O> Each<T, K, F, O>
where
    T: Send,
    K: Hash + Eq + Clone,
    F: Fn(&T) -> K,
    O: Operator<T>,
{
    pub(super) const fn new(key: F, groups: Groups<T>, port: Option<Port>, template: O) -> Self {
        Self {
            key,
            groups,
            port,
            template,
            open: Open::new(),
            busy: None,
            work: Work::Nothing,
            held: None,
            period: 0,
            period_ends: None,
            watermark: Timestamp::MIN,
            run: None,
        }
    }

    /// How many groups are open.
    #[must_use]
    pub fn open_groups(&self) -> usize {
        self.open.len()
    }

    /// How many places for groups there are, open or free.
    #[must_use]
    pub fn places(&self) -> usize {
        self.open.places()
    }

    fn period_length(&self) -> Duration {
        (self.groups.idle_timeout / PERIODS).max(Duration::from_nanos(1))
    }

    fn is_at_limit(&self) -> bool {
        self.open.len() >= self.groups.max_open
    }

    /// Calls a hook of a group's operator, and sees what comes of it.
    fn call<C: Collector<(K, O::Out)>>(
        &mut self,
        index: usize,
        out: &mut C,
        hook: impl FnOnce(&mut O, &mut Tagged<'_, K, C>) -> Result<(), OperatorError>,
    ) -> Result<(), OperatorError> {
        let mut hook = Some(hook);
        loop {
            let Some(slot) = self.open.get_mut(index) else {
                return Ok(());
            };
            let Some(operator) = &mut slot.operator else {
                return Ok(());
            };
            let mut tagged = Tagged { key: &slot.key, out: &mut *out };
            match hook.take() {
                Some(hook) => hook(operator, &mut tagged)?,
                None => operator.on_end(&mut tagged)?,
            }
            let due = operator.next_timer();
            let (pending, done) = (operator.pending(), operator.done());
            let stage = slot.stage;
            if !pending && stage == Stage::Live && done {
                slot.stage = Stage::Ending { leaves: false };
                continue;
            }
            self.busy = pending.then_some(index);
            self.open.set_timer(index, due);
            if !pending && let Stage::Ending { leaves } = stage {
                self.retire(index, leaves);
            }
            return Ok(());
        }
    }

    /// Lets go of an operator that has come to its end.
    fn retire(&mut self, index: usize, leaves: bool) {
        self.open.set_timer(index, None);
        if leaves {
            self.open.remove(index);
        } else if let Some(slot) = self.open.get_mut(index) {
            slot.operator = None;
            slot.stage = Stage::Over;
        }
    }

    fn close(
        &mut self,
        index: usize,
        out: &mut impl Collector<(K, O::Out)>,
    ) -> Result<(), OperatorError> {
        match self.open.get_mut(index) {
            Some(slot) if slot.stage == Stage::Live => {
                slot.stage = Stage::Ending { leaves: true };
                self.call(index, out, |operator, out| operator.on_end(out))
            }
            _ => {
                self.open.remove(index);
                Ok(())
            }
        }
    }

    /// Goes on until everything is done, or there is no room, or it waits.
    fn drive(&mut self, out: &mut impl Collector<(K, O::Out)>) -> Result<(), OperatorError> {
        loop {
            if let Some(index) = self.busy {
                if out.is_full() || self.is_busy_waiting() {
                    return Ok(());
                }
                self.call(index, out, |operator, out| operator.resume(out))?;
                if self.busy.is_some() {
                    return Ok(());
                }
            }
            if out.is_full() {
                return Ok(());
            }
            match self.work {
                Work::Watermark(watermark, next) => match self.next_live(next) {
                    Some(index) => {
                        self.work = Work::Watermark(watermark, index + 1);
                        self.call(index, out, |each, out| each.on_watermark(watermark, out))?;
                    }
                    None => self.work = Work::Nothing,
                },
                Work::Barrier(next) => match self.next_live(next) {
                    Some(index) => {
                        self.work = Work::Barrier(index + 1);
                        self.call(index, out, |each, out| each.before_barrier(out))?;
                    }
                    None => self.work = Work::Nothing,
                },
                Work::Idle(next) => match self.next_live(next) {
                    Some(index) => {
                        self.work = Work::Idle(index + 1);
                        self.call(index, out, |each, out| each.before_idle(out))?;
                    }
                    None => self.work = Work::Nothing,
                },
                Work::Timers(now) => match (self.open.next_timer(), self.idle()) {
                    (Some((due, index)), _) if due <= now => {
                        self.call(index, out, |operator, out| operator.on_timer(now, out))?;
                    }
                    (_, Some(index)) => self.close(index, out)?,
                    (_, None) => self.work = Work::Nothing,
                },
                Work::End => match self.open.oldest() {
                    Some(index) => self.close(index, out)?,
                    None => self.work = Work::Nothing,
                },
                Work::Nothing => {
                    if !self.admit(out)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn next_live(&self, from: usize) -> Option<usize> {
        (from..self.open.places())
            .find(|index| self.open.get(*index).is_some_and(|slot| slot.stage == Stage::Live))
    }

    /// A group that no record has come for in all the periods of the timeout.
    fn idle(&self) -> Option<usize> {
        let index = self.open.oldest()?;
        let since = self.open.get(index)?.period;
        (self.period > since + u64::from(PERIODS)).then_some(index)
    }

    /// Finds a place for the newcomer, if there is one. Tells whether anything has been done.
    fn admit(&mut self, out: &mut impl Collector<(K, O::Out)>) -> Result<bool, OperatorError> {
        let Some(newcomer) = self.held.take() else {
            return Ok(false);
        };
        if !self.is_at_limit() {
            self.welcome(newcomer, out)?;
            return Ok(true);
        }
        let max_open = self.groups.max_open;
        let diverted = self.run.as_mut().and_then(|run| run.diverted.as_mut());
        match (&self.groups.at_limit, diverted, self.open.oldest()) {
            (AtLimit::Evict, _, Some(oldest)) => {
                self.held = Some(newcomer);
                self.close(oldest, out)?;
                Ok(true)
            }
            (AtLimit::Wait, _, _) => {
                self.held = Some(newcomer);
                Ok(false)
            }
            (AtLimit::Divert(_), Some(outbox), _) => {
                // Whether there is room for another one is what the stage asks of the side output.
                let (Flow::More | Flow::Stop) = outbox.push(newcomer.record);
                Ok(true)
            }
            _ => Err(TooManyGroups { max_open }.into()),
        }
    }

    /// Opens a group, and gives it its first record.
    fn welcome(
        &mut self,
        newcomer: Newcomer<T, K>,
        out: &mut impl Collector<(K, O::Out)>,
    ) -> Result<(), OperatorError> {
        let mut operator = self.template.clone();
        if let Some(run) = &mut self.run {
            operator.open(&mut run.nested.context())?;
            if self.period_ends.is_none() {
                self.period_ends = Some(run.clock.now() + self.period_length());
            }
        }
        let Newcomer { record, key, hash } = newcomer;
        let index = self.open.insert(hash, key, operator, self.period);
        let watermark = self.watermark;
        self.call(index, out, |operator, out| {
            // Nothing it makes of what is behind that may be earlier.
            if watermark > Timestamp::MIN {
                operator.on_watermark(watermark, out)?;
            }
            operator.process(record, out)
        })
    }

    fn is_busy_waiting(&self) -> bool {
        let busy = self.busy.and_then(|index| self.open.get(index)?.operator.as_ref());
        busy.is_some_and(Operator::waiting)
    }
}

impl<T, K, F, O> Clone for Each<T, K, F, O>
where
    T: Send,
    K: Hash + Eq + Clone,
    F: Fn(&T) -> K + Clone,
    O: Operator<T>,
{
    fn clone(&self) -> Self {
        Self::new(self.key.clone(), self.groups.clone(), self.port, self.template.clone())
    }
}

impl<T, K, F, O> fmt::Debug for Each<T, K, F, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Each").field("groups", &self.groups).finish_non_exhaustive()
    }
}

impl<T, K, F, O> Operator<T> for Each<T, K, F, O>
where
    T: Send + 'static,
    K: Hash + Eq + Clone + Send + 'static,
    F: Fn(&T) -> K + Clone + Send + 'static,
    O: Operator<T>,
{
    type Out = (K, O::Out);
    const NAME: &'static str = "group_by";

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let key = (self.key)(&record.value);
        let hash = stable_hash(&key);
        if let Some(index) = self.open.find(hash, &key) {
            self.open.touch(index, self.period);
            if self.open.get(index).is_some_and(|slot| slot.stage == Stage::Over) {
                if let Some(run) = &self.run {
                    run.counters.dropped(DropReason::Cancelled, 1);
                }
                return Ok(());
            }
            return self.call(index, out, |operator, out| operator.process(record, out));
        }
        self.held = Some(Newcomer { record, key, hash });
        self.drive(out)
    }

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.run = Some(EachRun {
            clock: context.clock(),
            nested: context.nested(),
            counters: context.counters(),
            diverted: self.port.and_then(|port| context.side_output(port)),
        });
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        self.watermark = watermark;
        self.work = Work::Watermark(watermark, 0);
        self.drive(out)
    }

    fn on_timer(
        &mut self,
        now: Instant,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        if let Some(index) = self.busy {
            // Only what it waits for itself: for the others there is no room.
            return self.call(index, out, |operator, out| operator.on_timer(now, out));
        }
        if self.period_ends.is_some_and(|due| due <= now) {
            self.period += 1;
            let next = now + self.period_length();
            self.period_ends = (self.open.len() > 0).then_some(next);
        }
        self.work = Work::Timers(now);
        self.drive(out)
    }

    fn before_barrier(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.work = Work::Barrier(0);
        self.drive(out)
    }

    fn before_idle(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.work = Work::Idle(0);
        self.drive(out)
    }

    fn on_end(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.work = Work::End;
        self.drive(out)
    }

    fn pending(&self) -> bool {
        self.busy.is_some() || self.held.is_some() || !matches!(self.work, Work::Nothing)
    }

    fn resume(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.drive(out)
    }

    fn waiting(&self) -> bool {
        if self.busy.is_some() {
            return self.is_busy_waiting();
        }
        let waits = matches!(self.groups.at_limit, AtLimit::Wait) && self.is_at_limit();
        matches!(self.work, Work::Nothing) && self.held.is_some() && waits
    }

    fn next_timer(&self) -> Option<Instant> {
        if let Some(index) = self.busy {
            return self.open.get(index)?.operator.as_ref()?.next_timer();
        }
        let first = self.open.next_timer().map(|(due, _)| due);
        self.period_ends.into_iter().chain(first).min()
    }

    /// Every group may look outside. Where their operators don't, nothing is left of this loop.
    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        for index in 0..self.open.places() {
            let slot = self.open.get_mut(index);
            let Some(operator) = slot.and_then(|slot| slot.operator.as_mut()) else {
                continue;
            };
            let before = operator.next_timer();
            operator.poll_outside(cx)?;
            let due = operator.next_timer();
            if due != before {
                self.open.set_timer(index, due);
            }
        }
        Ok(())
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        let outbox = self.run.as_mut()?.diverted.as_mut()?;
        Some(outbox)
    }
}

/// Puts the key to what a group emits.
struct Tagged<'a, K, C> {
    key: &'a K,
    out: &'a mut C,
}

impl<K: Clone, V, C: Collector<(K, V)>> Collector<V> for Tagged<'_, K, C> {
    #[inline]
    fn push(&mut self, record: Record<V>) {
        self.out.push(record.with(|value| (self.key.clone(), value)));
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.out.is_full()
    }
}
