//! The operator in front of the shuffle.

use std::fmt;

use millstream_engine::edge::Keyed;
use millstream_engine::key::{KeyOf, stable_hash};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::time::Timestamp;
use millstream_engine::{Error, OperatorError, Record};

use super::held::{Held, Slot};
use super::{Combined, Panes, Partial, WindowPane};
use crate::keyed::accumulate::Accumulate;
use crate::keyed::hash_of;
use crate::part::Backlog;

/// For how many times its entries a combiner lets records pass that had little to merge.
const PASSING: u64 = 8;

/// Folds records of one key, and of one pane of its windows, into partial accumulators.
///
/// - **Emits** a partial when it has to be behind the shuffle: before a watermark by which one of
///   its windows is complete, before a barrier, before the news that the input is idle, at the end,
///   and when there is no room for another key, the earliest pane first. A record whose window may
///   be complete already goes through as it is.
/// - **State**: `entries` partial accumulators at most, and none while a barrier passes. What has
///   no room behind the shuffle waits, and no record is taken meanwhile.
/// - **Order**: records and partials of one key and pane come out in the order of the records.
pub struct Combine<T, K: KeyOf<T>, P, G: Accumulate<T>> {
    key: K,
    panes: P,
    aggregate: G,
    entries: usize,
    /// Late records have to arrive one by one, as they were.
    sends_late: bool,
    held: Held<K::Owned, G::State>,
    leaving: Backlog<Part<T, K, G>>,
    watermark: Option<Timestamp>,
    /// How far those behind have come is not known, and matters.
    astray: bool,
    /// There are others in front of the same shuffle.
    has_siblings: bool,
    /// How many keys had to make room lately, and of how many records they were.
    evicted: (u64, u64),
    /// How many records pass before anything is held again.
    passing: u64,
}

/// What it emits.
type Part<T, K, G> = Keyed<Combined<T, <K as KeyOf<T>>::Owned, <G as Accumulate<T>>::State>>;

impl<T, K: KeyOf<T>, P, G: Accumulate<T>> Combine<T, K, P, G> {
    /// The operator for records whose key `key` finds. It holds so many `entries`, one at least.
    #[must_use]
    pub fn new(key: K, panes: P, aggregate: G, entries: usize) -> Self {
        Self {
            key,
            panes,
            aggregate,
            entries: entries.max(1),
            sends_late: false,
            held: Held::new(),
            leaving: Backlog::new(),
            watermark: None,
            astray: false,
            has_siblings: false,
            evicted: (0, 0),
            passing: 0,
        }
    }

    /// The same where late records go to a side output, and have to come there as they were: see
    /// [`late_to`](super::CombinedWindows::late_to).
    #[must_use]
    pub const fn sending_late(mut self, sends_late: bool) -> Self {
        self.sends_late = sends_late;
        self
    }

    /// How many partial accumulators it holds.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held.keys()
    }

    /// For how many it has memory.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.held.capacity()
    }
}

impl<T, K, P, G> Combine<T, K, P, G>
where
    T: Send + 'static,
    K: KeyOf<T>,
    P: Panes,
    G: Accumulate<T>,
{
    fn pass(&mut self, hash: u64, record: Record<T>, out: &mut impl Collector<Part<T, K, G>>) {
        let record = record.with(|value| Keyed { hash, value: Combined::Record(value) });
        self.leaving.emit(record, out);
    }

    /// A record of a pane of which nothing is held.
    #[inline(never)]
    fn begin_pane(&mut self, record: Record<T>, out: &mut impl Collector<Part<T, K, G>>) {
        if self.passing > 0 {
            self.passing -= 1;
        } else if let Some(pane) = self.pane_to_hold(record.time) {
            let (hash, key) =
                self.key.with(&record.value, |key| (stable_hash(key), key.to_owned()));
            return self.begin_key(pane, hash, key, record, out);
        }
        let hash = self.key.with(&record.value, stable_hash);
        self.pass(hash, record, out);
    }

    /// The pane of a record, if a partial of it can't come late. That takes a watermark: those
    /// behind may know of one from an earlier run, which is told again behind the first records.
    fn pane_to_hold(&self, time: Timestamp) -> Option<WindowPane> {
        if !P::BY_TIME {
            return self.panes.pane_of(time);
        }
        let watermark = self.watermark.filter(|_| !self.astray)?;
        let pane = self.panes.pane_of(time)?;
        (pane.complete > watermark && pane.span.contains(time)).then_some(pane)
    }

    /// The first record of a key.
    #[inline(never)]
    fn begin_key(
        &mut self,
        pane: WindowPane,
        hash: u64,
        key: K::Owned,
        record: Record<T>,
        out: &mut impl Collector<Part<T, K, G>>,
    ) {
        if self.held.keys() >= self.entries {
            self.make_room(out);
            if self.passing > 0 {
                return self.pass(hash, record, out);
            }
        }
        let Record { value, time } = record;
        let accumulator = self.aggregate.first(value);
        let slot = Slot { key, accumulator, time, records: 1 };
        self.held.insert::<K::Key>(pane, hash, slot);
    }

    /// Lets go of the first pane. Where few records have been merged lately, of all of them, and
    /// lets records pass for a while.
    fn make_room(&mut self, out: &mut impl Collector<Part<T, K, G>>) {
        let (keys, records) = self.let_go(out);
        self.evicted = (self.evicted.0 + keys, self.evicted.1 + records);
        let (keys, records) = self.evicted;
        if keys < self.entries as u64 {
            return;
        }
        self.evicted = (0, 0);
        if records - keys < records / 4 {
            self.let_all_go(out);
            self.passing = PASSING * self.entries as u64;
        }
    }

    /// Lets go of the first pane. Answers how many keys it had, and how many records.
    fn let_go(&mut self, out: &mut impl Collector<Part<T, K, G>>) -> (u64, u64) {
        let (mut keys, mut of_keys) = (0, 0);
        let leaving = &mut self.leaving;
        self.held.take_first(|Slot { key, accumulator, time, records }| {
            (keys, of_keys) = (keys + 1, of_keys + records);
            let hash = hash_of::<T, K>(&key);
            let value = Combined::Partial(Partial { key, accumulator, records });
            leaving.emit(Record::at(Keyed { hash, value }, time), out);
        });
        (keys, of_keys)
    }

    fn let_all_go(&mut self, out: &mut impl Collector<Part<T, K, G>>) {
        while self.held.keys() > 0 {
            self.let_go(out);
        }
    }
}

/// The configuration, with nothing of a run.
impl<T, K: KeyOf<T>, P: Clone, G: Accumulate<T>> Clone for Combine<T, K, P, G> {
    fn clone(&self) -> Self {
        let (panes, aggregate) = (self.panes.clone(), self.aggregate.clone());
        Self::new(self.key.clone(), panes, aggregate, self.entries).sending_late(self.sends_late)
    }
}

impl<T, K: KeyOf<T>, P, G: Accumulate<T>> fmt::Debug for Combine<T, K, P, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Combine")
            .field("held", &self.held())
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

impl<T, K, P, G> Operator<T> for Combine<T, K, P, G>
where
    T: Send + 'static,
    K: KeyOf<T>,
    P: Panes,
    G: Accumulate<T>,
{
    type Out = Part<T, K, G>;
    const NAME: &'static str = "combine";
    const NEEDS_TIME: bool = P::BY_TIME;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.has_siblings = context.instances() > 1;
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let held = if P::BY_TIME { self.held.at(record.time) } else { self.held.first() };
        let Some(held) = held else {
            self.begin_pane(record, out);
            return Ok(());
        };
        let (hash, found) = self.key.with(&record.value, |key| {
            let hash = stable_hash(key);
            (hash, held.find(hash, key))
        });
        match found {
            Ok(slot) => {
                slot.time = slot.time.max(record.time);
                slot.records += 1;
                self.aggregate.add(&mut slot.accumulator, record.value);
            }
            Err(key) => {
                let pane = held.pane;
                self.begin_key(pane, hash, key, record, out);
            }
        }
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        self.watermark = self.watermark.max(Some(watermark));
        if P::BY_TIME {
            while self.held.first_complete().is_some_and(|complete| complete <= watermark) {
                self.let_go(out);
            }
        }
        Ok(())
    }

    fn before_barrier(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.let_all_go(out);
        Ok(())
    }

    fn before_idle(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        // With one pane only, nobody behind waits for what is held here, or can miss it.
        if P::BY_TIME {
            self.let_all_go(out);
            self.astray |= self.sends_late && self.has_siblings;
        }
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.let_all_go(out);
        Ok(())
    }

    #[inline]
    fn pending(&self) -> bool {
        !self.leaving.is_empty()
    }

    fn resume(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.leaving.resume(out);
        Ok(())
    }
}
