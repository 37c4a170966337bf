//! Aggregating by key: one value a key, emitted at the end or after every record.
//!
//! [`fold`](super::KeyedStream::fold), [`reduce`](super::KeyedStream::reduce) and
//! [`count`](super::KeyedStream::count) say what is kept; the two operators here say when it comes
//! out. An aggregate of your own goes in by [`via_keyed`](super::KeyedStream::via_keyed):
//!
//! ```
//! use millstream_operators::keyed::accumulate::{Accumulate, AtEnd};
//! use millstream_operators::prelude::*;
//!
//! /// The longest word.
//! #[derive(Clone)]
//! struct Longest;
//!
//! impl Accumulate<&'static str> for Longest {
//!     type State = usize;
//!     type Out = usize;
//!     const NAME: &'static str = "longest";
//!     const RUNNING: &'static str = "running_longest";
//!
//!     fn first(&mut self, word: &'static str) -> usize {
//!         word.len()
//!     }
//!
//!     fn add(&mut self, longest: &mut usize, word: &'static str) {
//!         *longest = word.len().max(*longest);
//!     }
//!
//!     fn result(&self, longest: usize) -> usize {
//!         longest
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), millstream_engine::Error> {
//! let flow = Dataflow::new("longest by initial");
//! let longest = flow
//!     .source("words", source::from_iter(["to", "be", "tomorrow"]))
//!     .key_by(|word| word.chars().next())
//!     .via_keyed(|key| AtEnd::new(key, Longest))
//!     .collect();
//! let mut longest = flow.run().await?.take(longest).unwrap_or_default();
//! longest.sort();
//! assert_eq!(longest, [(Some('b'), 2), (Some('t'), 8)]);
//! # Ok(())
//! # }
//! ```

use std::borrow::Borrow as _;
use std::fmt;

use millstream_engine::edge::Keyed;
use millstream_engine::key::KeyOf;
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::{Error, OperatorError, Record};

use super::limit::{BoundedKeys, KeyBound, NewKey};
use super::table::{KeyedTable, Leaving, TableCodec};
use super::{ReadableKeys, ViaKeyed};
use crate::state::{Checkpointed, State};

/// The stream of `(key, result)`, one for each key, when the input has ended.
pub type Aggregated<T, C, K, G> = ViaKeyed<T, C, K, AtEnd<T, K, G>>;

/// The stream of `(key, result so far)`, one for each record.
pub type RunningAggregated<T, C, K, G> = ViaKeyed<T, C, K, Running<T, K, G>>;

/// What is kept of the records of one key.
pub trait Accumulate<T>: Clone + Send + 'static {
    /// What is kept.
    type State: Send + 'static;
    /// What is told of it.
    type Out: Send + 'static;
    /// The operator's name when it emits at the end.
    const NAME: &'static str;
    /// The operator's name when it emits after every record.
    const RUNNING: &'static str;

    /// What is kept of the first record.
    fn first(&mut self, value: T) -> Self::State;

    /// Adds another one.
    fn add(&mut self, state: &mut Self::State, value: T);

    /// What is told of all of them.
    fn result(&self, state: Self::State) -> Self::Out;
}

/// What is kept of the records of one key, and can be told of again and again.
pub trait AccumulateRunning<T>: Accumulate<T> {
    /// What is told of all of them so far.
    fn result_so_far(&self, state: &Self::State) -> Self::Out;
}

/// What is kept of the records of one key in several places, and brought together in one.
pub trait AccumulateMerged<T>: Accumulate<T> {
    /// Adds all that is in `later`, whose records came later than those in `state`.
    fn merge(&mut self, state: &mut Self::State, later: Self::State);
}

/// Keeps one value a key. When they come out is said by `W`: see [`AtEnd`] and [`Running`].
pub struct Accumulating<T, K: KeyOf<T>, G: Accumulate<T>, W> {
    key: K,
    aggregate: G,
    state: KeyedTable<K::Owned, G::State>,
    codec: Option<TableCodec<K::Owned, G::State>>,
    bound: Option<KeyBound<T>>,
    when: W,
}

/// Emits `(key, result)` for each key when the input has ended, in no particular order, with the
/// latest event time of the key's records.
pub type AtEnd<T, K, G> =
    Accumulating<T, K, G, WhenOver<<K as KeyOf<T>>::Owned, <G as Accumulate<T>>::State>>;

/// Emits `(key, result so far)` for every record, with the record's event time.
pub type Running<T, K, G> = Accumulating<T, K, G, EachTime>;

/// They come out once, when the input has ended.
pub struct WhenOver<K, S> {
    /// Those that have not come out yet.
    leaving: Option<Leaving<K, S>>,
}

/// They come out with each record.
#[derive(Clone, Copy, Debug, Default)]
pub struct EachTime;

impl<K, S> Default for WhenOver<K, S> {
    fn default() -> Self {
        Self { leaving: None }
    }
}

impl<K, S> fmt::Debug for WhenOver<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhenOver")
    }
}

impl<T, K: KeyOf<T>, G: Accumulate<T>, W: Default> Accumulating<T, K, G, W> {
    /// The operator for records whose key `key` finds.
    #[must_use]
    pub fn new(key: K, aggregate: G) -> Self {
        let (state, when) = (KeyedTable::new(), W::default());
        Self { key, aggregate, state, codec: None, bound: None, when }
    }
}

impl<T, K: KeyOf<T>, G: Accumulate<T>, W> Accumulating<T, K, G, W> {
    /// How many keys something is kept of.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.state.len()
    }
}

impl<T, K: KeyOf<T>, G: Accumulate<T>, W: Default> Clone for Accumulating<T, K, G, W> {
    fn clone(&self) -> Self {
        Self {
            codec: self.codec,
            state: self.state.blank(),
            bound: self.bound.clone(),
            ..Self::new(self.key.clone(), self.aggregate.clone())
        }
    }
}

impl<T, K, G, W> Checkpointed for Accumulating<T, K, G, W>
where
    K: KeyOf<T, Owned: State>,
    G: Accumulate<T, State: State>,
{
    fn checkpointed(self) -> Self {
        Self { codec: Some(TableCodec::new()), ..self }
    }
}

impl<T, K, G, W> BoundedKeys for Accumulating<T, K, G, W>
where
    T: Send + 'static,
    K: KeyOf<T>,
    G: Accumulate<T>,
{
    type Value = T;

    fn bounded(self, bound: KeyBound<T>) -> Self {
        let state = if bound.evicts() { KeyedTable::by_recency() } else { KeyedTable::new() };
        Self { state, bound: Some(bound), ..self }
    }
}

impl<T, K: KeyOf<T>, G: AccumulateRunning<T>, W> ReadableKeys for Accumulating<T, K, G, W> {
    type Key = K::Owned;
    type Value = G::Out;

    fn value(&self, hash: u64, key: &K::Owned) -> Option<G::Out> {
        let state = self.state.get::<K::Key>(hash, key.borrow());
        state.map(|state| self.aggregate.result_so_far(state))
    }

    fn each(&self, tell: &mut dyn FnMut(&K::Owned, G::Out)) {
        let slots = self.state.iter();
        slots.for_each(|slot| tell(&slot.key, self.aggregate.result_so_far(&slot.value)));
    }

    fn len(&self) -> usize {
        self.keys()
    }
}

impl<T, K: KeyOf<T>, G: Accumulate<T>, W: fmt::Debug> fmt::Debug for Accumulating<T, K, G, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accumulating")
            .field("keys", &self.keys())
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}

impl<T, K, G> Operator<Keyed<T>> for Accumulating<T, K, G, WhenOver<K::Owned, G::State>>
where
    T: Send + 'static,
    K: KeyOf<T>,
    G: Accumulate<T>,
{
    type Out = (K::Owned, G::Out);
    const NAME: &'static str = G::NAME;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        if let Some(bound) = &mut self.bound {
            bound.open(context);
        }
        Ok(())
    }

    #[inline]
    fn prefetch(&self, upcoming: &[Record<Keyed<T>>]) -> usize {
        self.state.prefetch(upcoming.iter().map(|record| record.value.hash))
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<Keyed<T>>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let (time, Keyed { hash, value }) = (record.time, record.value);
        match self.key.with(&value, |key| self.state.find(hash, key)) {
            Ok(slot) => {
                slot.time = slot.time.max(time);
                self.aggregate.add(&mut slot.value, value);
            }
            Err(key) => {
                if let Some(bound) = &mut self.bound {
                    let NewKey::Enters(evicted) = bound.new_key(self.state.len())? else {
                        bound.divert(Record::at(value, time));
                        return Ok(());
                    };
                    for slot in (0..evicted).map_while(|_| self.state.evict()) {
                        let result = self.aggregate.result(slot.value);
                        out.push(Record::at((slot.key, result), slot.time));
                    }
                }
                let first = self.aggregate.first(value);
                self.state.insert(hash, key, first, time);
            }
        }
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.when.leaving = Some(self.state.leave());
        self.resume(out)
    }

    #[inline]
    fn pending(&self) -> bool {
        self.when.leaving.is_some()
    }

    fn resume(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        while !out.is_full() {
            let Some(slot) = self.when.leaving.as_mut().and_then(Iterator::next) else {
                self.when.leaving = None;
                break;
            };
            let result = self.aggregate.result(slot.value);
            out.push(Record::at((slot.key, result), slot.time));
        }
        Ok(())
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.bound.as_mut().and_then(KeyBound::side)
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        self.state.snapshot(self.codec, state)
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.state.restore(self.codec, state)
    }
}

impl<T, K, G> Operator<Keyed<T>> for Accumulating<T, K, G, EachTime>
where
    T: Send + 'static,
    K: KeyOf<T, Owned: Clone>,
    G: AccumulateRunning<T>,
{
    type Out = (K::Owned, G::Out);
    const NAME: &'static str = G::RUNNING;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        if let Some(bound) = &mut self.bound {
            bound.open(context);
        }
        Ok(())
    }

    #[inline]
    fn prefetch(&self, upcoming: &[Record<Keyed<T>>]) -> usize {
        self.state.prefetch(upcoming.iter().map(|record| record.value.hash))
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<Keyed<T>>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let (time, Keyed { hash, value }) = (record.time, record.value);
        let (key, result) = match self.key.with(&value, |key| self.state.find(hash, key)) {
            Ok(slot) => {
                self.aggregate.add(&mut slot.value, value);
                (slot.key.clone(), self.aggregate.result_so_far(&slot.value))
            }
            Err(key) => {
                if let Some(bound) = &mut self.bound {
                    let NewKey::Enters(evicted) = bound.new_key(self.state.len())? else {
                        bound.divert(Record::at(value, time));
                        return Ok(());
                    };
                    // What there was to tell of them has been told.
                    (0..evicted).map_while(|_| self.state.evict()).for_each(drop);
                }
                let first = self.aggregate.first(value);
                let result = self.aggregate.result_so_far(&first);
                self.state.insert(hash, key.clone(), first, time);
                (key, result)
            }
        };
        out.push(Record::at((key, result), time));
        Ok(())
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.bound.as_mut().and_then(KeyBound::side)
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        self.state.snapshot(self.codec, state)
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.state.restore(self.codec, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Count;
    use millstream_engine::key::{Made, stable_hash};
    use millstream_engine::testing::OperatorHarness;

    fn keyed(value: u32) -> Keyed<u32> {
        Keyed { hash: stable_hash(&(value % 10)), value }
    }

    #[test]
    fn x11_every_key_comes_out_at_the_end_however_little_room_there_is() {
        for room in [1, 2, 100] {
            let by_digit = Made(|value: &u32| value % 10);
            let mut harness = OperatorHarness::with_room(AtEnd::new(by_digit, Count), room);
            (0..35).for_each(|value| harness.push(keyed(value)));
            assert_eq!(harness.events(), []);
            harness.end();
            let mut counts = harness.values();
            counts.sort_unstable();
            let expected = (0..10).map(|digit| (digit, if digit < 5 { 4 } else { 3 }));
            assert_eq!(counts, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_clone_begins_with_blank_state() {
        let mut harness = OperatorHarness::new(AtEnd::new(Made(|value: &u32| *value), Count));
        harness.push(keyed(1));
        let mut other = OperatorHarness::new(harness.operator().clone());
        other.end();
        assert!(other.values().is_empty());
    }
}
