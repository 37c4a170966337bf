//! `KeyFunction`: keeps records of both sides of a key, and tells of them when it is time.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use millstream_engine::operator::Collector;
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};
use serde::{Deserialize, Serialize};

use super::kind::EitherOrBoth;
use super::last_words::LastWords;
use crate::fan::Either;
use crate::keyed::process::{KeyContext, ProcessFunction, StateTtl, Timer, ValueState};

/// What is kept of each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    First,
    Last,
    All,
}

/// When a join by key tells, and what: a closure, by [`Complete`], [`Running`] or [`AtEnd`].
pub trait JoinMode<L, R>: Clone + Send + 'static {
    /// What is told.
    type Out: Send + 'static;
    /// Whether it tells of each change.
    const RUNNING: bool;
    /// Whether it tells at the end only.
    const AT_END: bool;

    /// Tells, if it does of this.
    fn tell(&mut self, sides: EitherOrBoth<&L, &R>) -> Option<Self::Out>;
}

/// Tells when both sides are there.
#[derive(Clone, Copy, Debug)]
pub struct Complete<F>(pub(super) F);

/// Tells of each change.
#[derive(Clone, Copy, Debug)]
pub struct Running<F>(pub(super) F);

/// Tells at the end.
#[derive(Clone, Copy, Debug)]
pub struct AtEnd<F>(pub(super) F);

impl<L, R, O, F> JoinMode<L, R> for Complete<F>
where
    O: Send + 'static,
    F: FnMut(&L, &R) -> O + Clone + Send + 'static,
{
    type Out = O;
    const RUNNING: bool = false;
    const AT_END: bool = false;

    #[inline]
    fn tell(&mut self, sides: EitherOrBoth<&L, &R>) -> Option<O> {
        match sides {
            EitherOrBoth::Both(left, right) => Some((self.0)(left, right)),
            EitherOrBoth::Left(_) | EitherOrBoth::Right(_) => None,
        }
    }
}

impl<L, R, O, F> JoinMode<L, R> for Running<F>
where
    O: Send + 'static,
    F: FnMut(EitherOrBoth<&L, &R>) -> O + Clone + Send + 'static,
{
    type Out = O;
    const RUNNING: bool = true;
    const AT_END: bool = false;

    #[inline]
    fn tell(&mut self, sides: EitherOrBoth<&L, &R>) -> Option<O> {
        Some((self.0)(sides))
    }
}

impl<L, R, O, F> JoinMode<L, R> for AtEnd<F>
where
    O: Send + 'static,
    F: FnMut(EitherOrBoth<&L, &R>) -> O + Clone + Send + 'static,
{
    type Out = O;
    const RUNNING: bool = false;
    const AT_END: bool = true;

    #[inline]
    fn tell(&mut self, sides: EitherOrBoth<&L, &R>) -> Option<O> {
        Some((self.0)(sides))
    }
}

/// The function behind a [`join`](crate::KeyedStream::join).
pub struct KeyFunction<L, R, M> {
    mode: M,
    keep: Keep,
    ttl: Option<StateTtl>,
    paused: Option<Telling>,
    marker: PhantomData<fn(L, R)>,
}

/// Of which of the records kept has still to be told: of each left one, from one on, with each
/// right one. A side without any counts as one that is not there.
#[derive(Clone, Copy, Debug)]
struct Telling {
    lefts: (usize, usize),
    rights: (usize, usize),
    /// The next right one.
    right: usize,
}

/// What is kept of a key.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeySides<L, R> {
    left: Vec<Kept<L>>,
    right: Vec<Kept<R>>,
}

/// A record that is kept, and when it happened, in milliseconds.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<V> {
    value: V,
    at: i64,
}

/// A key, and what is kept of it.
type AtHand<'a, K, L, R> = KeyContext<'a, K, ValueState<KeySides<L, R>>>;

impl<V> Kept<V> {
    /// Keeps a record, if it is to be: from which on those are new that are kept.
    fn keep(kept: &mut Vec<Self>, record: (V, Timestamp), keep: Keep) -> Option<usize> {
        let (value, time) = record;
        match keep {
            Keep::First if !kept.is_empty() => return None,
            Keep::Last => kept.clear(),
            Keep::First | Keep::All => {}
        }
        kept.push(Self { value, at: time.as_millis() });
        Some(kept.len() - 1)
    }
}

impl<L, R> KeySides<L, R> {
    const fn new() -> Self {
        Self { left: Vec::new(), right: Vec::new() }
    }

    /// All of one side, from one of the left ones or one of the right ones on.
    fn telling(&self, from_left: usize, from_right: usize) -> Telling {
        let lefts = (from_left, self.left.len().max(1));
        let rights = (from_right, self.right.len().max(1));
        Telling { lefts, rights, right: from_right }
    }

    fn sides(&self, left: usize, right: usize) -> Option<(EitherOrBoth<&L, &R>, Timestamp)> {
        let (sides, at) = match (self.left.get(left), self.right.get(right)) {
            (Some(left), Some(right)) => {
                (EitherOrBoth::Both(&left.value, &right.value), left.at.max(right.at))
            }
            (Some(left), None) => (EitherOrBoth::Left(&left.value), left.at),
            (None, Some(right)) => (EitherOrBoth::Right(&right.value), right.at),
            (None, None) => return None,
        };
        Some((sides, Timestamp::from_millis(at)))
    }
}

impl<L, R, M> KeyFunction<L, R, M> {
    pub(super) const fn new(mode: M, keep: Keep, ttl: Option<StateTtl>) -> Self {
        Self { mode, keep, ttl, paused: None, marker: PhantomData }
    }
}

impl<L: Send + 'static, R: Send + 'static, M: JoinMode<L, R>> KeyFunction<L, R, M> {
    /// Tells of what is kept as long as there is room, and then forgets it, if that is all.
    fn tell<K>(
        &mut self,
        telling: Telling,
        context: &mut AtHand<'_, K, L, R>,
        out: &mut impl Collector<M::Out>,
    ) {
        let Some(sides) = context.states.get() else { return };
        let Telling { mut lefts, rights, mut right } = telling;
        while lefts.0 < lefts.1 {
            while right < rights.1 {
                if out.is_full() {
                    self.paused = Some(Telling { lefts, rights, right });
                    return;
                }
                if let Some((sides, time)) = sides.sides(lefts.0, right) {
                    let told = self.mode.tell(sides);
                    told.into_iter().for_each(|told| out.push(Record::at(told, time)));
                }
                right += 1;
            }
            (lefts.0, right) = (lefts.0 + 1, rights.0);
        }
        let is_complete = !sides.left.is_empty() && !sides.right.is_empty();
        if M::AT_END || (!M::RUNNING && is_complete) {
            context.states.clear();
        }
    }
}

impl<K, L, R, M> ProcessFunction<K, Either<L, R>> for KeyFunction<L, R, M>
where
    K: Eq + Clone,
    L: Send + 'static,
    R: Send + 'static,
    M: JoinMode<L, R>,
{
    type Out = M::Out;
    type States = ValueState<KeySides<L, R>>;
    const NAME: &'static str = "join";
    const HOLDS_WATERMARK: bool = M::AT_END;

    fn states(&self) -> Self::States {
        let sides = ValueState::new("sides");
        self.ttl.into_iter().fold(sides, ValueState::with_ttl)
    }

    /// What comes at the end has the times of what came before.
    fn watermark_delay(&self) -> Duration {
        Duration::MAX
    }

    fn process(
        &mut self,
        record: Record<Either<L, R>>,
        context: &mut AtHand<'_, K, L, R>,
        out: &mut impl Collector<M::Out>,
    ) -> Result<(), OperatorError> {
        let (keep, time) = (self.keep, record.time);
        let mut telling = None;
        context.states.update(KeySides::new, |sides| {
            telling = match record.value {
                Either::Left(value) => {
                    let new = Kept::keep(&mut sides.left, (value, time), keep);
                    new.map(|new| sides.telling(new, 0))
                }
                Either::Right(value) => {
                    let new = Kept::keep(&mut sides.right, (value, time), keep);
                    new.map(|new| sides.telling(0, new))
                }
            };
        });
        if M::AT_END {
            context.timers.set_event_time(Timestamp::MAX);
        } else if let Some(telling) = telling {
            self.tell(telling, context, out);
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        _timer: Timer,
        context: &mut AtHand<'_, K, L, R>,
        out: &mut impl Collector<M::Out>,
    ) -> Result<(), OperatorError> {
        if let Some(all) = context.states.get().map(|sides| sides.telling(0, 0)) {
            self.tell(all, context, out);
        }
        Ok(())
    }

    fn on_evict(
        &mut self,
        context: &mut AtHand<'_, K, L, R>,
        out: &mut impl Collector<M::Out>,
    ) -> Result<(), OperatorError> {
        if let Some(all) =
            context.states.get().map(|sides| sides.telling(0, 0)).filter(|_| M::AT_END)
        {
            self.tell(all, context, &mut LastWords(out));
        }
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
        if let Some(telling) = self.paused.take() {
            self.tell(telling, context, out);
        }
        Ok(())
    }
}

/// The configuration, with nothing of a run.
impl<L, R, M: Clone> Clone for KeyFunction<L, R, M> {
    fn clone(&self) -> Self {
        Self::new(self.mode.clone(), self.keep, self.ttl)
    }
}

impl<L, R, M> fmt::Debug for KeyFunction<L, R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFunction")
            .field("keep", &self.keep)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}
