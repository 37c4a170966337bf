//! The three functions behind a `foreign_key_join`: who tells the owner of a foreign key of a row,
//! who answers, and who brings the answers in order.
//!
//! A row that moves from one foreign key to another is told of at two places, which may be two
//! instances, and their answers come in any order. So each change of a row has a version, and a row
//! of the join follows the answer to the latest. What each owner of a foreign key says comes in
//! order, and takes back all it has said when the row has left it: so when everything has arrived,
//! the only answer left is that of where the row is, whatever overtook what.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Bound;
use std::time::Duration;

use millstream_engine::key::KeyOf;
use millstream_engine::operator::Collector;
use millstream_engine::{OperatorError, Record};
use serde::{Deserialize, Serialize};

use super::kind::JoinKind;
use super::primary_key_join::row_of;
use crate::fan::Either;
use crate::keyed::Change;
use crate::keyed::process::{KeyContext, MapState, ProcessFunction, StateTtl, ValueState};

/// What all keys have to be.
pub trait TableKey: std::hash::Hash + Eq + Ord + Clone + crate::state::State {}

impl<K: std::hash::Hash + Eq + Ord + Clone + crate::state::State> TableKey for K {}

/// Later changes of a row have greater ones: what the clock said, and a number for those of one
/// millisecond.
type Version = (i64, u32);

/// How long the latest version of a row is remembered: longer than an answer is on its way.
const ON_THE_WAY: Duration = Duration::from_secs(60);

/// What the owner of a foreign key is told of a row.
#[derive(Clone, Debug)]
pub struct Subscription<K, F, L> {
    primary: K,
    foreign: F,
    version: Version,
    /// The row; none if it is no longer here.
    row: Option<L>,
}

/// What the owner of a foreign key says of a row.
#[derive(Clone, Debug)]
pub struct Answer<K, F, O> {
    primary: K,
    foreign: F,
    version: Version,
    /// Whether the row is still here.
    here: bool,
    /// The row of the join, if it has one.
    row: Option<O>,
}

/// The key by which subscriptions are spread.
#[derive(Clone, Copy, Debug)]
pub struct ByForeign;

impl<K, F: TableKey, L> KeyOf<Subscription<K, F, L>> for ByForeign {
    type Key = F;
    type Owned = F;

    fn with<O>(&self, value: &Subscription<K, F, L>, look: impl FnOnce(&F) -> O) -> O {
        look(&value.foreign)
    }
}

/// The key by which answers are spread.
#[derive(Clone, Copy, Debug)]
pub struct ByPrimary;

impl<K: TableKey, F, O> KeyOf<Answer<K, F, O>> for ByPrimary {
    type Key = K;
    type Owned = K;

    fn with<R>(&self, value: &Answer<K, F, O>, look: impl FnOnce(&K) -> R) -> R {
        look(&value.primary)
    }
}

/// Tells the owners of foreign keys of rows.
pub struct Subscribe<F, G> {
    foreign_key: G,
    marker: PhantomData<fn() -> F>,
}

impl<F, G> Subscribe<F, G> {
    pub(super) const fn new(foreign_key: G) -> Self {
        Self { foreign_key, marker: PhantomData }
    }
}

impl<K, F, L, G> ProcessFunction<K, Change<K, L>> for Subscribe<F, G>
where
    K: TableKey,
    F: TableKey,
    L: Send + 'static,
    G: Fn(&L) -> F + Clone + Send + 'static,
{
    type Out = Subscription<K, F, L>;
    /// Where the row is, and its latest version.
    type States = (ValueState<F>, ValueState<Version>);
    const NAME: &'static str = "foreign_key";

    fn states(&self) -> Self::States {
        let version = ValueState::new("version");
        let ttl = StateTtl::processing_time(ON_THE_WAY);
        (ValueState::new("foreign"), version.with_ttl(ttl))
    }

    fn process(
        &mut self,
        record: Record<Change<K, L>>,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let now = context.processing_time().as_millis();
        let (at, versions) = &mut context.states;
        let version = match versions.get() {
            Some((last, number)) if *last >= now => (*last, number.saturating_add(1)),
            _ => (now, 0),
        };
        versions.set(version);
        let row = record.value.into_value();
        let old = at.take();
        let new = row.as_ref().map(&self.foreign_key);
        if let Some(new) = &new {
            at.set(new.clone());
        }
        let tell = |foreign, row| {
            let primary = context.key.clone();
            Record::at(Subscription { primary, foreign, version, row }, record.time)
        };
        if let Some(old) = old.filter(|old| new.as_ref() != Some(old)) {
            out.push(tell(old, None));
        }
        if let Some(new) = new {
            out.push(tell(new, row));
        }
        Ok(())
    }
}

impl<F, G: Clone> Clone for Subscribe<F, G> {
    fn clone(&self) -> Self {
        Self::new(self.foreign_key.clone())
    }
}

impl<F, G> fmt::Debug for Subscribe<F, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscribe")
    }
}

/// A row that is here, and its version.
type Here<L> = (L, Version);

/// Answers for a foreign key, for each of the rows that have it.
pub struct Respond<K, L, R, M> {
    kind: M,
    /// The row of which was told last, where there was no room for all.
    paused: Option<K>,
    marker: PhantomData<fn(L, R)>,
}

impl<K, L, R, M> Respond<K, L, R, M> {
    pub(super) const fn new(kind: M) -> Self {
        Self { kind, paused: None, marker: PhantomData }
    }
}

type Owner<'a, K, F, L, R> = KeyContext<'a, F, (ValueState<R>, MapState<K, Here<L>>)>;

impl<K: TableKey, L: Send + 'static, R: Send + 'static, M: JoinKind<L, R>> Respond<K, L, R, M> {
    /// Answers for the rows behind one, as long as there is room.
    fn answer<F: TableKey>(
        &mut self,
        behind: Bound<K>,
        context: &mut Owner<'_, K, F, L, R>,
        out: &mut impl Collector<Answer<K, F, M::Out>>,
    ) {
        let (foreign, time) = (context.key, context.time);
        let (right, rows) = &mut context.states;
        let right = right.get();
        for (primary, (row, version)) in rows.range((behind, Bound::Unbounded)) {
            let told = row_of(&mut self.kind, Some(row), right);
            let (primary, foreign) = (primary.clone(), foreign.clone());
            let last = primary.clone();
            let answer = Answer { primary, foreign, version: *version, here: true, row: told };
            out.push(Record::at(answer, time));
            if out.is_full() {
                self.paused = Some(last);
                return;
            }
        }
        self.paused = None;
    }
}

impl<K, F, L, R, M> ProcessFunction<F, Either<Subscription<K, F, L>, Change<F, R>>>
    for Respond<K, L, R, M>
where
    K: TableKey,
    F: TableKey,
    L: Send + 'static,
    R: Send + 'static,
    M: JoinKind<L, R>,
{
    type Out = Answer<K, F, M::Out>;
    /// The row of the right table, and those of the left one that are here.
    type States = (ValueState<R>, MapState<K, Here<L>>);
    const NAME: &'static str = "foreign_key_join";

    fn states(&self) -> Self::States {
        (ValueState::new("right"), MapState::new("left"))
    }

    fn process(
        &mut self,
        record: Record<Either<Subscription<K, F, L>, Change<F, R>>>,
        context: &mut KeyContext<'_, F, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let (right, rows) = &mut context.states;
        match record.value {
            Either::Left(Subscription { primary, foreign, version, row }) => {
                let told =
                    row_of(&mut self.kind, row.as_ref(), right.get().filter(|_| row.is_some()));
                let here = row.is_some();
                match row {
                    Some(row) => rows.insert(primary.clone(), (row, version)),
                    None => drop(rows.remove(&primary)),
                }
                let answer = Answer { primary, foreign, version, here, row: told };
                out.push(Record::at(answer, record.time));
            }
            Either::Right(change) => {
                match change.into_value() {
                    Some(row) => right.set(row),
                    None => right.clear(),
                }
                self.answer(Bound::Unbounded, context, out);
            }
        }
        Ok(())
    }

    fn pending(&self) -> bool {
        self.paused.is_some()
    }

    fn resume(
        &mut self,
        context: &mut KeyContext<'_, F, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        if let Some(last) = self.paused.take() {
            self.answer(Bound::Excluded(last), context, out);
        }
        Ok(())
    }
}

impl<K, L, R, M: Clone> Clone for Respond<K, L, R, M> {
    fn clone(&self) -> Self {
        Self::new(self.kind.clone())
    }
}

impl<K, L, R, M> fmt::Debug for Respond<K, L, R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Respond").finish_non_exhaustive()
    }
}

/// What an owner of a foreign key has said of a row, and not taken back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Said<F, O> {
    foreign: F,
    version: Version,
    row: Option<O>,
}

/// Follows, for each row, the answer to its latest version.
pub struct Resolve<F, O>(PhantomData<fn() -> (F, O)>);

impl<F, O> Resolve<F, O> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

/// The row that holds: that of the latest version, if it has been answered.
fn current<F, O: Clone>(said: &[Said<F, O>], latest: Version) -> Option<O> {
    let newest = said.iter().max_by_key(|said| said.version)?;
    newest.row.clone().filter(|_| newest.version >= latest)
}

impl<K, F, O> ProcessFunction<K, Answer<K, F, O>> for Resolve<F, O>
where
    K: TableKey,
    F: TableKey,
    O: PartialEq + Clone + Send + 'static,
{
    type Out = Change<K, O>;
    /// What has been said of the row, by whom it is not taken back yet: one, unless it moves; and
    /// the latest version that was heard of.
    type States = (ValueState<Vec<Said<F, O>>>, ValueState<Version>);
    const NAME: &'static str = "foreign_key_rows";

    fn states(&self) -> Self::States {
        let latest = ValueState::new("latest");
        let ttl = StateTtl::processing_time(ON_THE_WAY);
        (ValueState::new("said"), latest.with_ttl(ttl))
    }

    fn process(
        &mut self,
        record: Record<Answer<K, F, O>>,
        context: &mut KeyContext<'_, K, Self::States>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let Answer { foreign, version, here, row, .. } = record.value;
        let (all, latest) = &mut context.states;
        let mut said = all.take().unwrap_or_default();
        let before = latest.get().copied().unwrap_or((i64::MIN, 0));
        let old = current(&said, before);
        said.retain(|said| said.foreign != foreign);
        if here {
            said.push(Said { foreign, version, row });
        }
        let latest_now = before.max(version);
        latest.set(latest_now);
        let new = current(&said, latest_now);
        if !said.is_empty() {
            all.set(said);
        }
        if old != new
            && let Some(change) = Change::of(context.key.clone(), old, new)
        {
            out.push(Record::at(change, record.time));
        }
        Ok(())
    }
}

impl<F, O> Clone for Resolve<F, O> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<F, O> fmt::Debug for Resolve<F, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolve")
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use millstream_engine::edge::Keyed;
    use millstream_engine::key::stable_hash;
    use millstream_engine::random::Random;
    use millstream_engine::testing::OperatorHarness;

    use super::*;
    use crate::join::EitherKey;
    use crate::join::kind::Inner;
    use crate::keyed::ChangeKey;
    use crate::keyed::process::Process;

    /// What the owner of `foreign` says of the only row: of this version, or that it is gone.
    fn answer(foreign: u8, version: u32, here: bool) -> Answer<u8, u8, u32> {
        Answer { primary: 1, foreign, version: (0, version), here, row: here.then_some(version) }
    }

    #[test]
    fn i6_no_older_row_is_told_of_behind_a_newer_one_whatever_overtakes_what() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (mut queues, mut at) = (vec![Vec::new(); 4], None);
            for version in 1..12 {
                let to = (random.below(5) > 0).then(|| random.below(4));
                if let Some(at) = at.filter(|at| Some(*at) != to) {
                    let foreign = u8::try_from(at).unwrap_or(0);
                    queues[usize::from(foreign)].push(answer(foreign, version, false));
                }
                if let Some(to) = to {
                    let foreign = u8::try_from(to).unwrap_or(0);
                    let queue = &mut queues[usize::from(foreign)];
                    // The right row may change, and everything is said again.
                    (0..=random.below(2)).for_each(|_| queue.push(answer(foreign, version, true)));
                }
                at = to;
            }
            let last = queues.iter().flatten().filter(|one| one.here).map(|one| one.version.1);
            let expected = at.and(last.max());
            let mut harness =
                OperatorHarness::new(Process::new(ByPrimary, Resolve::<u8, u32>::new()));
            let (mut told, mut newest) = (None, 0);
            while queues.iter().any(|queue| !queue.is_empty()) {
                let from = usize::try_from(random.below(4)).unwrap_or(0);
                if queues[from].is_empty() {
                    continue;
                }
                let value = queues[from].remove(0);
                harness.push(Keyed { hash: stable_hash(&1_u8), value });
                for change in harness.values() {
                    told = change.into_value();
                    assert!(told.is_none_or(|version| version > newest), "seed {seed}");
                    newest = told.unwrap_or(newest);
                }
            }
            assert_eq!(told, expected, "seed {seed}");
        }
    }

    #[test]
    fn i6_an_owner_says_nothing_more_of_a_row_that_has_left_it() {
        let key = EitherKey::new(ByForeign, ChangeKey);
        let both = |left: &u32, right: &u32| left + right;
        let respond = Respond::<u8, u32, u32, _>::new(Inner(both));
        let mut harness = OperatorHarness::new(Process::new(key, respond));
        let subscribe = |row| {
            let version = (0, u32::from(Option::is_none(&row)));
            Either::Left(Subscription { primary: 1_u8, foreign: 7_u8, version, row })
        };
        let hash = stable_hash(&7_u8);
        let mut play = |value| {
            harness.push(Keyed { hash, value });
            harness.values().into_iter().map(|one| (one.here, one.row)).collect::<Vec<_>>()
        };
        assert_eq!(play(subscribe(Some(10))), [(true, None)]);
        assert_eq!(play(Either::Right(Change::Insert(7, 5))), [(true, Some(15))]);
        assert_eq!(play(subscribe(None)), [(false, None)]);
        assert_eq!(play(Either::Right(Change::Insert(7, 6))), []);
        assert_eq!(play(Either::Right(Change::Delete(7, 6))), []);
        assert_eq!(harness.operator().keys(), 0, "and keeps nothing of it");
    }
}
