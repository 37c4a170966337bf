//! `max_keys`: the most keys that an operator keeps something of, and what happens at one too many.

use std::fmt;
use std::sync::Arc;

use millstream_engine::Record;
use millstream_engine::chain::{Chain, Via};
use millstream_engine::graph::{Blueprint, OperatorId};
use millstream_engine::metrics::OperatorCounters;
use millstream_engine::operator::{Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;

use crate::DataStream;
use crate::fan::{SidePort, SideTag};

/// The most keys that an instance of an operator keeps something of, and what becomes of the record
/// of one too many. Given to it by [`max_keys`](DataStream::max_keys).
///
/// Without one, what an operator keeps grows with the number of keys that there are.
pub struct KeyLimit<T> {
    max: usize,
    choice: Choice<T>,
}

enum Choice<T> {
    Evict,
    Fail,
    Divert(SideTag<T>),
}

impl<T> KeyLimit<T> {
    #[track_caller]
    fn new(max: usize, choice: Choice<T>) -> Self {
        assert!(max > 0, "at most zero keys");
        Self { max, choice }
    }

    /// A key of which there has been no record for long makes room: what is kept of it comes out,
    /// where there is something to tell, and if it comes again it begins anew. The one to choose
    /// unless results may not come in parts.
    ///
    /// Which key that is, is found by second chance: each has to have been used since the last time
    /// it was looked at. A snapshot does not know the order, so it begins anew with a later run.
    ///
    /// # Panics
    ///
    /// If `max` is zero.
    #[must_use]
    #[track_caller]
    pub fn evict(max: usize) -> Self {
        Self::new(max, Choice::Evict)
    }

    /// The job fails with [`TooManyKeys`], and the name of the operator.
    ///
    /// # Panics
    ///
    /// If `max` is zero.
    #[must_use]
    #[track_caller]
    pub fn fail(max: usize) -> Self {
        Self::new(max, Choice::Fail)
    }

    /// The record goes to a side output, and the keys that are there stay. It counts as filtered.
    ///
    /// # Panics
    ///
    /// If `max` is zero.
    #[must_use]
    #[track_caller]
    pub fn divert(max: usize, tag: &SideTag<T>) -> Self {
        Self::new(max, Choice::Divert(tag.clone()))
    }
}

impl<T> fmt::Debug for KeyLimit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let choice = match self.choice {
            Choice::Evict => "evict",
            Choice::Fail => "fail",
            Choice::Divert(_) => "divert",
        };
        write!(f, "KeyLimit({choice} at {})", self.max)
    }
}

/// There were more keys than an operator may keep something of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of a new key came while something was kept of {max} keys, which is the limit")]
pub struct TooManyKeys {
    /// The limit.
    pub max: usize,
}

/// An operator that keeps something by key, and can be given a limit.
#[diagnostic::on_unimplemented(
    message = "`{Self}` keeps nothing by key that could be limited",
    note = "`max_keys` is said right behind `count`, `fold`, `reduce`, `aggregate`, their running \
        kin, and `process`"
)]
pub trait BoundedKeys: Sized {
    /// What its records are.
    type Value: Send + 'static;

    /// The same operator, with a bound.
    #[must_use]
    fn bounded(self, bound: KeyBound<Self::Value>) -> Self;
}

impl<T, C, O> DataStream<T, Via<C, O>>
where
    T: Send + 'static,
    C: Chain,
    O: Operator<C::Item, Out = T> + BoundedKeys,
{
    /// Limits how many keys the last operator keeps something of, in each of its instances.
    ///
    /// What comes out of a key that is [evicted](KeyLimit::evict): of `count`, `fold`, `reduce` and
    /// `aggregate` the result so far; of `process` what its
    /// [`on_evict`](crate::keyed::process::ProcessFunction::on_evict) says; of words that have told
    /// everything already, nothing.
    ///
    /// A later run that begins with more keys, because it has fewer instances or a lower limit,
    /// gives up two for each new one until the limit holds.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("two at a time");
    /// let visits = flow.source("visits", source::from_iter(["ann", "ann", "bob", "cid"]));
    /// let visits = visits.key_by(|name| *name).count().max_keys(KeyLimit::evict(2)).collect();
    /// let visits = flow.run().await?.take(visits).unwrap_or_default();
    /// assert_eq!(visits.iter().map(|(_, count)| count).sum::<u64>(), 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_keys(self, limit: KeyLimit<O::Value>) -> Self {
        let (flow, chain, draft) = self.into_parts();
        let (chain, operator, id) = chain.into_parts();
        let bound = KeyBound::new(limit, id, flow.blueprint());
        Self::from_parts(flow, Via::new(chain, operator.bounded(bound), id), draft)
    }
}

/// A [`KeyLimit`] within its operator: a part of it, which it opens in its own
/// [`open`](Operator::open), asks before it takes up a new key, and hands out the side output of in
/// its own [`side`](Operator::side). A clone is blank.
pub struct KeyBound<T> {
    max: usize,
    policy: Policy<T>,
    counters: Option<Arc<OperatorCounters>>,
}

enum Policy<T> {
    Evict,
    Fail,
    Divert(Box<SidePort<T>>),
}

/// What an operator does with the record of a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKey {
    /// Takes it, when this many others have been given up.
    Enters(usize),
    /// Leaves it to [`KeyBound::divert`].
    IsDiverted,
}

impl<T> KeyBound<T> {
    /// Whether keys make room for others, and it has to be known which have been used lately.
    #[must_use]
    pub const fn evicts(&self) -> bool {
        matches!(self.policy, Policy::Evict)
    }
}

impl<T: Send + 'static> KeyBound<T> {
    /// The limit of the operator with the given identity.
    #[must_use]
    pub fn new(limit: KeyLimit<T>, operator: OperatorId, blueprint: &Blueprint) -> Self {
        let policy = match limit.choice {
            Choice::Evict => Policy::Evict,
            Choice::Fail => Policy::Fail,
            Choice::Divert(tag) => Policy::Divert(Box::new(tag.port(operator, blueprint))),
        };
        Self { max: limit.max, policy, counters: None }
    }

    /// Makes ready for a run.
    pub fn open(&mut self, context: &mut OperatorContext<'_>) {
        self.counters = Some(context.counters());
        if let Policy::Divert(port) = &mut self.policy {
            port.open(context);
        }
    }

    /// What to do with a new key, when something is kept of so many. Those to be given up are
    /// counted.
    ///
    /// # Errors
    ///
    /// If the limit is reached, and to fail was chosen.
    #[inline]
    pub fn new_key(&self, keys: usize) -> Result<NewKey, TooManyKeys> {
        if keys < self.max {
            return Ok(NewKey::Enters(0));
        }
        match self.policy {
            Policy::Fail => Err(TooManyKeys { max: self.max }),
            Policy::Divert(_) => Ok(NewKey::IsDiverted),
            Policy::Evict => {
                // What a record costs has a bound too, however many keys are over the limit.
                let evicted = if keys > self.max { 2 } else { 1 };
                if let Some(counters) = &self.counters {
                    counters.evicted_keys.add(evicted as u64);
                }
                Ok(NewKey::Enters(evicted))
            }
        }
    }

    /// Sends a record to where it was to be diverted to.
    pub fn divert(&mut self, record: Record<T>) {
        if let Policy::Divert(port) = &mut self.policy {
            port.emit(record);
        }
    }

    /// Whether there is no room for another record to be diverted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match &self.policy {
            Policy::Divert(port) => SideOutput::is_full(&**port),
            Policy::Evict | Policy::Fail => false,
        }
    }

    /// The side output, if it writes to one.
    pub fn side(&mut self) -> Option<&mut dyn SideOutput> {
        match &mut self.policy {
            Policy::Divert(port) => Some(&mut **port),
            Policy::Evict | Policy::Fail => None,
        }
    }
}

impl<T> Clone for KeyBound<T> {
    fn clone(&self) -> Self {
        let policy = match &self.policy {
            Policy::Evict => Policy::Evict,
            Policy::Fail => Policy::Fail,
            Policy::Divert(port) => Policy::Divert(port.clone()),
        };
        Self { max: self.max, policy, counters: None }
    }
}

impl<T> fmt::Debug for KeyBound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyBound").field("max", &self.max).finish_non_exhaustive()
    }
}
