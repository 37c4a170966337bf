//! `AsOfFunction`: keeps the versions of a key, and the records that wait for theirs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::operator::{Collector, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::time::Timestamp;
use millstream_engine::{Error, OperatorError, Record};
use serde::{Deserialize, Serialize};

use super::alarm::Alarm;
use super::kind::{EitherOrBoth, JoinKind};
use super::last_words::LastWords;
use super::lateness::Lateness;
use super::timeline::{Dated, Timeline};
use crate::fan::Either;
use crate::keyed::process::{KeyContext, KeyTimers, ProcessFunction, Timer, ValueState};

/// The function behind an [`as_of_join`](crate::KeyedStream::as_of_join).
///
/// Each key has one timer: for the first record that waits, or for the oldest version to go.
pub struct AsOfFunction<L, R, M> {
    kind: M,
    validity: Validity<R>,
    late: Lateness<Either<L, R>>,
    /// Not all have been told of whose time was over by then: there was no room.
    paused: Option<Timestamp>,
}

/// When versions are valid.
pub(super) struct Validity<R> {
    /// For how long, unless it is until the next one.
    pub(super) life: Option<Duration>,
    /// Whether one means that there is none.
    pub(super) is_deletion: Option<Arc<IsDeletion<R>>>,
}

type IsDeletion<R> = dyn Fn(&R) -> bool + Send + Sync;

/// What is kept of a key.
#[derive(Debug, Serialize, Deserialize)]
pub struct AsOfSides<L, R> {
    /// Records that wait for their time to be over.
    records: Timeline<L>,
    /// Versions, of which the first may have been valid for long. None: there is none from then on.
    versions: Timeline<Option<R>>,
    /// When the first record is told of, or the first version goes.
    alarm: Alarm,
}

/// A key, and what is kept of it.
type AtHand<'a, K, L, R> = KeyContext<'a, K, ValueState<AsOfSides<L, R>>>;

impl<R> Validity<R> {
    /// When a version goes, given the one behind it: the last time at which somebody could ask.
    fn end(
        &self,
        first: &Dated<Option<R>>,
        second: Option<&Dated<Option<R>>>,
    ) -> Option<Timestamp> {
        if first.item.is_none() {
            return Some(first.time());
        }
        let life = self.life.map(|life| first.time().saturating_add(life));
        life.into_iter().chain(second.map(Dated::time)).min()
    }

    /// The version that is valid at a time.
    fn at<'a>(&self, versions: &'a Timeline<Option<R>>, time: Timestamp) -> Option<&'a R> {
        let latest = versions.latest(time)?;
        let is_old = self.life.is_some_and(|life| latest.time().saturating_add(life) < time);
        latest.item.as_ref().filter(|_| !is_old)
    }
}

impl<L, R> AsOfSides<L, R> {
    const fn new() -> Self {
        Self { records: Timeline::new(), versions: Timeline::new(), alarm: Alarm::unset() }
    }
}

impl<L, R, M> AsOfFunction<L, R, M> {
    pub(super) const fn new(kind: M, validity: Validity<R>, late: Lateness<Either<L, R>>) -> Self {
        Self { kind, validity, late, paused: None }
    }

    /// When the first version goes.
    fn version_end(&self, sides: &AsOfSides<L, R>) -> Option<Timestamp> {
        let end = self.validity.end(sides.versions.first()?, sides.versions.second())?;
        Some(self.late.end(end))
    }
}

impl<L: Send + 'static, R: Send + 'static, M> AsOfFunction<L, R, M> {
    /// Does something with what is kept of the key at hand, and forgets it if nothing is left.
    fn with<K: Eq + Clone>(
        &mut self,
        context: &mut AtHand<'_, K, L, R>,
        act: impl FnOnce(&mut Self, &mut AsOfSides<L, R>, &mut KeyTimers<'_, K>),
    ) {
        let timers = &mut context.timers;
        let sides = context.states.update(AsOfSides::new, |sides| act(self, sides, timers));
        if sides.records.is_empty() && sides.versions.is_empty() {
            context.states.clear();
        }
    }
}

impl<L, R, M: JoinKind<L, R>> AsOfFunction<L, R, M> {
    /// Tells of the records whose time is over when `reached` is, as long as there is room; then
    /// lets versions go that nobody can ask for any more.
    fn tell<K: Eq + Clone>(
        &mut self,
        reached: Timestamp,
        sides: &mut AsOfSides<L, R>,
        timers: &mut KeyTimers<'_, K>,
        out: &mut impl Collector<M::Out>,
    ) {
        while let Some(first) = sides.records.first() {
            let time = first.time();
            if self.late.end(time) > reached {
                break;
            }
            if out.is_full() {
                self.paused = Some(reached);
                return;
            }
            let told = self.kind.tell(match self.validity.at(&sides.versions, time) {
                Some(version) => EitherOrBoth::Both(&first.item, version),
                None => EitherOrBoth::Left(&first.item),
            });
            told.into_iter().for_each(|told| out.push(Record::at(told, time)));
            sides.records.pop_first();
        }
        while self.version_end(sides).is_some_and(|end| end <= reached) {
            sides.versions.pop_first();
        }
        let record = sides.records.first().map(|first| self.late.end(first.time()));
        if let Some(next) = record.into_iter().chain(self.version_end(sides)).min() {
            sides.alarm.no_later(next, timers);
        }
    }
}

impl<K, L, R, M> ProcessFunction<K, Either<L, R>> for AsOfFunction<L, R, M>
where
    K: Eq + Clone,
    L: Send + 'static,
    R: Send + 'static,
    M: JoinKind<L, R>,
{
    type Out = M::Out;
    type States = ValueState<AsOfSides<L, R>>;
    const NAME: &'static str = "as_of_join";
    const NEEDS_TIME: bool = true;
    const HOLDS_WATERMARK: bool = true;

    fn states(&self) -> Self::States {
        ValueState::new("sides")
    }

    fn watermark_delay(&self) -> Duration {
        self.late.grace()
    }

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.late.open(context);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<Either<L, R>>,
        context: &mut AtHand<'_, K, L, R>,
        _out: &mut impl Collector<M::Out>,
    ) -> Result<(), OperatorError> {
        let Record { time, .. } = record;
        if self.late.is_late(time, context.watermark) {
            self.late.take(record);
            return Ok(());
        }
        self.with(context, |join, sides, timers| match record.value {
            Either::Left(value) => {
                sides.records.insert(time, value);
                sides.alarm.no_later(join.late.end(time), timers);
            }
            Either::Right(value) => {
                let is_deletion = join.validity.is_deletion.as_ref().is_some_and(|is| is(&value));
                sides.versions.replace(time, (!is_deletion).then_some(value));
                if let Some(end) = join.version_end(sides) {
                    sides.alarm.no_later(end, timers);
                }
            }
        });
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut AtHand<'_, K, L, R>,
        out: &mut impl Collector<M::Out>,
    ) -> Result<(), OperatorError> {
        self.with(context, |join, sides, timers| {
            sides.alarm.rang();
            join.tell(timer.time(), sides, timers, out);
        });
        Ok(())
    }

    fn on_evict(
        &mut self,
        context: &mut AtHand<'_, K, L, R>,
        out: &mut impl Collector<M::Out>,
    ) -> Result<(), OperatorError> {
        self.with(context, |join, sides, timers| {
            join.tell(Timestamp::MAX, sides, timers, &mut LastWords(out));
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
        if let Some(reached) = self.paused.take() {
            self.with(context, |join, sides, timers| join.tell(reached, sides, timers, out));
        }
        Ok(())
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.late.side()
    }
}

impl<R> Clone for Validity<R> {
    fn clone(&self) -> Self {
        Self { life: self.life, is_deletion: self.is_deletion.clone() }
    }
}

/// The configuration, with nothing of a run.
impl<L, R, M: Clone> Clone for AsOfFunction<L, R, M> {
    fn clone(&self) -> Self {
        Self::new(self.kind.clone(), self.validity.clone(), self.late.clone())
    }
}

impl<L, R, M> fmt::Debug for AsOfFunction<L, R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsOfFunction")
            .field("valid_for", &self.validity.life)
            .finish_non_exhaustive()
    }
}
