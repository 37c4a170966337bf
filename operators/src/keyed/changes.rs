//! `table` and `table_by_watermark`: the latest value of each key, as a stream of its changes.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;
use millstream_engine::operator::Collector;
use millstream_engine::time::Timestamp;
use millstream_engine::{OperatorError, Record};
use serde::{Deserialize, Serialize};

use super::KeyedStream;
use super::process::{
    KeyContext, ProcessFunction, Processed, ReadableFunction, StateTime, States, Timer, ValueCell,
    ValueState,
};

/// How a table changes: what a stream of them says, a table can be built from, and only from all of
/// them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change<K, V> {
    /// A key that was not there is there, with a value.
    Insert(K, V),
    /// A key has another value than before.
    Update {
        /// The key.
        key: K,
        /// What its value was.
        old: V,
        /// What its value is.
        new: V,
    },
    /// A key is gone, with the value that it had.
    Delete(K, V),
}

impl<K, V> Change<K, V> {
    /// What has become of a key, if anything has.
    pub(crate) fn of(key: K, old: Option<V>, new: Option<V>) -> Option<Self> {
        match (old, new) {
            (None, None) => None,
            (None, Some(new)) => Some(Self::Insert(key, new)),
            (Some(old), Some(new)) => Some(Self::Update { key, old, new }),
            (Some(old), None) => Some(Self::Delete(key, old)),
        }
    }

    /// The key.
    pub const fn key(&self) -> &K {
        match self {
            Self::Insert(key, _) | Self::Update { key, .. } | Self::Delete(key, _) => key,
        }
    }

    /// The value that the key has now; none if it is gone.
    pub fn value(&self) -> Option<&V> {
        match self {
            Self::Insert(_, new) | Self::Update { new, .. } => Some(new),
            Self::Delete(..) => None,
        }
    }

    /// The same, as one's own.
    pub fn into_value(self) -> Option<V> {
        match self {
            Self::Insert(_, new) | Self::Update { new, .. } => Some(new),
            Self::Delete(..) => None,
        }
    }
}

/// The key of a change, as that by which its stream is spread.
#[derive(Clone, Copy, Debug)]
pub struct ChangeKey;

impl<K, V> KeyOf<Change<K, V>> for ChangeKey
where
    K: Hash + Eq + Clone + Send + 'static,
{
    type Key = K;
    type Owned = K;

    #[inline]
    fn with<O>(&self, change: &Change<K, V>, look: impl FnOnce(&K) -> O) -> O {
        look(change.key())
    }
}

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T, Owned: Eq + Clone>> KeyedStream<T, C, K> {
    /// Keeps the latest value of each key, and tells of each change. `upsert` gives the value that
    /// a record puts in the place of the one before, or none if it deletes the key.
    ///
    /// Emits one change for each record, but none where a key is deleted that is not there. The
    /// table has one value a key; one that [has to make room](crate::keyed::KeyLimit::evict) for
    /// another is told as deleted.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("addresses");
    /// let moves = [("ann", Some("Bern")), ("ann", Some("Rome")), ("bob", None), ("ann", None)];
    /// let moves = flow.source("moves", source::from_iter(moves));
    /// let changes = moves.key_by(|who| who.0).table(|who| who.1).collect();
    /// let expected = [
    ///     Change::Insert("ann", "Bern"),
    ///     Change::Update { key: "ann", old: "Bern", new: "Rome" },
    ///     Change::Delete("ann", "Rome"),
    /// ];
    /// assert_eq!(flow.run().await?.take(changes).unwrap_or_default(), expected);
    /// # Ok(())
    /// # }
    /// ```
    pub fn table<V, F>(self, upsert: F) -> Processed<T, C, K, Table<V, F>>
    where
        V: Clone + Send + 'static,
        F: FnMut(T) -> Option<V> + Clone + Send + 'static,
    {
        self.process(Table::new(upsert))
    }

    /// As [`table`](KeyedStream::table), and tells of a key no more than once for each watermark:
    /// what it had come to by then, if that is not what was told before. What lies between is left
    /// out, so whoever comes behind must be content with either.
    ///
    /// Emits before the watermark, keys in the order of their hashes, and the rest at the end.
    /// Keeps two values a key: the latest, and the one that was told.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("prices");
    /// let prices = flow.source("prices", source::from_iter([("tea", 3), ("tea", 4), ("tea", 5)]));
    /// let changes = prices.key_by(|price| price.0).table_by_watermark(|price| Some(price.1));
    /// let changes = changes.collect();
    /// assert_eq!(flow.run().await?.take(changes), Some(vec![Change::Insert("tea", 5)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn table_by_watermark<V, F>(self, upsert: F) -> Processed<T, C, K, TableByWatermark<V, F>>
    where
        V: Clone + PartialEq + Send + 'static,
        F: FnMut(T) -> Option<V> + Clone + Send + 'static,
    {
        self.process(TableByWatermark::new(upsert))
    }
}

/// The function behind [`table`](KeyedStream::table).
pub struct Table<V, F> {
    upsert: F,
    marker: PhantomData<fn() -> V>,
}

impl<V, F> Table<V, F> {
    /// The function whose values `upsert` gives.
    #[must_use]
    pub const fn new(upsert: F) -> Self {
        Self { upsert, marker: PhantomData }
    }
}

impl<K, T, V, F> ProcessFunction<K, T> for Table<V, F>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
    F: FnMut(T) -> Option<V> + Clone + Send + 'static,
{
    type Out = Change<K, V>;
    type States = ValueState<V>;
    const NAME: &'static str = "table";

    fn states(&self) -> ValueState<V> {
        ValueState::new("latest")
    }

    fn process(
        &mut self,
        record: Record<T>,
        context: &mut KeyContext<'_, K, ValueState<V>>,
        out: &mut impl Collector<Change<K, V>>,
    ) -> Result<(), OperatorError> {
        let (old, new) = (context.states.take(), (self.upsert)(record.value));
        if let Some(new) = &new {
            context.states.set(new.clone());
        }
        let change = Change::of(context.key.clone(), old, new);
        change.into_iter().for_each(|change| out.push(context.record(change)));
        Ok(())
    }

    fn on_evict(
        &mut self,
        context: &mut KeyContext<'_, K, ValueState<V>>,
        out: &mut impl Collector<Change<K, V>>,
    ) -> Result<(), OperatorError> {
        let change = Change::of(context.key.clone(), context.states.take(), None);
        change.into_iter().for_each(|change| out.push(context.record(change)));
        Ok(())
    }
}

impl<K, T, V, F> ReadableFunction<K, T> for Table<V, F>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
    F: FnMut(T) -> Option<V> + Clone + Send + 'static,
{
    type Value = V;

    fn read<'a>(latest: &ValueState<V>, cell: &'a ValueCell<V>, now: StateTime) -> Option<&'a V> {
        latest.peek(cell, now)
    }
}

/// The function behind [`table_by_watermark`](KeyedStream::table_by_watermark).
pub struct TableByWatermark<V, F> {
    upsert: F,
    marker: PhantomData<fn() -> V>,
}

/// The latest value of a key; and what was told of it, with the time of its latest record.
type Collapsed<V> = (ValueState<V>, ValueState<V>, ValueState<i64>);

impl<V, F> TableByWatermark<V, F> {
    /// The function whose values `upsert` gives.
    #[must_use]
    pub const fn new(upsert: F) -> Self {
        Self { upsert, marker: PhantomData }
    }
}

impl<K, T, V, F> ProcessFunction<K, T> for TableByWatermark<V, F>
where
    K: Eq + Clone + Send + 'static,
    V: Clone + PartialEq + Send + 'static,
    F: FnMut(T) -> Option<V> + Clone + Send + 'static,
{
    type Out = Change<K, V>;
    type States = Collapsed<V>;
    const NAME: &'static str = "table_by_watermark";

    fn states(&self) -> Collapsed<V> {
        (ValueState::new("latest"), ValueState::new("told"), ValueState::new("time"))
    }

    fn process(
        &mut self,
        record: Record<T>,
        context: &mut KeyContext<'_, K, Collapsed<V>>,
        _out: &mut impl Collector<Change<K, V>>,
    ) -> Result<(), OperatorError> {
        let (latest, _, time) = &mut context.states;
        match (self.upsert)(record.value) {
            Some(new) => latest.set(new),
            None => latest.clear(),
        }
        time.update(|| i64::MIN, |time| *time = record.time.as_millis().max(*time));
        // It has passed, whatever time it is, and so fires at the next watermark.
        context.timers.set_event_time(Timestamp::MIN);
        Ok(())
    }

    fn on_timer(
        &mut self,
        _timer: Timer,
        context: &mut KeyContext<'_, K, Collapsed<V>>,
        out: &mut impl Collector<Change<K, V>>,
    ) -> Result<(), OperatorError> {
        let (latest, told, time) = &mut context.states;
        let time = time.take().map_or(context.time, Timestamp::from_millis);
        let (old, new) = (told.take(), latest.get().cloned());
        if let Some(new) = &new {
            told.set(new.clone());
        }
        if old != new
            && let Some(change) = Change::of(context.key.clone(), old, new)
        {
            out.push(Record::at(change, time));
        }
        Ok(())
    }

    fn on_evict(
        &mut self,
        context: &mut KeyContext<'_, K, Collapsed<V>>,
        out: &mut impl Collector<Change<K, V>>,
    ) -> Result<(), OperatorError> {
        let change = Change::of(context.key.clone(), context.states.1.take(), None);
        change.into_iter().for_each(|change| out.push(context.record(change)));
        Ok(())
    }
}

/// What is read is the table as it has been told, which is that of the last watermark.
impl<K, T, V, F> ReadableFunction<K, T> for TableByWatermark<V, F>
where
    K: Eq + Clone + Send + 'static,
    V: Clone + PartialEq + Send + 'static,
    F: FnMut(T) -> Option<V> + Clone + Send + 'static,
{
    type Value = V;

    fn read<'a>(
        (_, told, _): &Collapsed<V>,
        (_, cell, _): &'a <Collapsed<V> as States>::Cells,
        now: StateTime,
    ) -> Option<&'a V> {
        told.peek(cell, now)
    }
}

impl<V, F: Clone> Clone for Table<V, F> {
    fn clone(&self) -> Self {
        Self { upsert: self.upsert.clone(), marker: PhantomData }
    }
}

impl<V, F: Clone> Clone for TableByWatermark<V, F> {
    fn clone(&self) -> Self {
        Self { upsert: self.upsert.clone(), marker: PhantomData }
    }
}

impl<V, F> fmt::Debug for Table<V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

impl<V, F> fmt::Debug for TableByWatermark<V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableByWatermark").finish_non_exhaustive()
    }
}
