//! The operator of windows that each key has for itself, by the number of its records.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::{Entry, IntoIter};
use millstream_engine::edge::Keyed;
use millstream_engine::key::KeyOf;
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use super::Counts;
use super::state::SlotCodec;
use crate::aggregate::Aggregate;
use crate::keyed::hash_of;
use crate::state::{Checkpointed, State};
use crate::window::kept::Kept;
use crate::window::timers::{Due, Timers, next};
use crate::window::trigger::{Moment, Trigger, TriggerResult};
use crate::window::wall_clock::WallClock;
use crate::window::{TimeWindow, WindowRules, Windowed};

/// Keeps windows that each key has for itself, by the number of its records, and tells of each when
/// it is full.
///
/// Emits when a window is full or a trigger says so, and at the end what is to be told of windows
/// that are not full; backpressures when its output does.
pub struct Counted<T, K: KeyOf<T>, G: Aggregate<T>, R: Trigger> {
    counts: Counts,
    key: K,
    aggregate: G,
    rules: WindowRules<T, R>,
    pub(super) slots: HashTable<SlotOf<T, K, G, R>>,
    pub(super) codec: Option<SlotCodec<K::Owned, G::Accumulator, R::State>>,
    pub(super) watermark: Timestamp,
    by_watermark: Timers<u64>,
    by_clock: Timers<u64>,
    pub(super) clock: WallClock,
    /// What is given up at the end, and the windows of the key that is at it.
    leaving: Option<Leaving<K::Owned, G::Accumulator, R::State>>,
    /// Not everything that is due has been told.
    busy: bool,
    counters: Option<Arc<OperatorCounters>>,
}

pub(super) type SlotOf<T, K, G, R> =
    Slot<<K as KeyOf<T>>::Owned, <G as Aggregate<T>>::Accumulator, <R as Trigger>::State>;

/// What is kept of one key.
pub(super) struct Slot<K, A, S> {
    pub(super) key: K,
    /// How many records there have been.
    pub(super) records: u64,
    /// The windows that are not full, in order.
    pub(super) windows: VecDeque<Numbered<A, S>>,
}

/// A window that is not full.
pub(super) struct Numbered<A, S> {
    pub(super) number: u64,
    /// The latest event time of its records.
    pub(super) time: Timestamp,
    pub(super) kept: Kept<A, S>,
}

struct Leaving<K, A, S> {
    slots: IntoIter<Slot<K, A, S>>,
    at_hand: Option<Slot<K, A, S>>,
}

impl<T, K: KeyOf<T>, G: Aggregate<T>, R: Trigger> Counted<T, K, G, R> {
    pub(super) fn new(counts: Counts, key: K, aggregate: G, rules: WindowRules<T, R>) -> Self {
        Self {
            counts,
            key,
            aggregate,
            rules,
            slots: HashTable::new(),
            codec: None,
            watermark: Timestamp::MIN,
            by_watermark: Timers::new(),
            by_clock: Timers::new(),
            clock: WallClock::new(),
            leaving: None,
            busy: false,
            counters: None,
        }
    }
}

impl<T, K: KeyOf<T>, G: Aggregate<T>, R: Trigger> Clone for Counted<T, K, G, R> {
    fn clone(&self) -> Self {
        let (key, aggregate) = (self.key.clone(), self.aggregate.clone());
        Self { codec: self.codec, ..Self::new(self.counts, key, aggregate, self.rules.clone()) }
    }
}

impl<T, K, G, R> Checkpointed for Counted<T, K, G, R>
where
    K: KeyOf<T, Owned: State>,
    G: Aggregate<T, Accumulator: State>,
    R: Trigger,
{
    fn checkpointed(self) -> Self {
        Self { codec: Some(SlotCodec::new()), ..self }
    }
}

impl<T, K: KeyOf<T>, G: Aggregate<T>, R: Trigger> fmt::Debug for Counted<T, K, G, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").field("keys", &self.slots.len()).finish_non_exhaustive()
    }
}

impl<T, K, G, R> Counted<T, K, G, R>
where
    T: Send + 'static,
    K: KeyOf<T, Owned: Clone>,
    G: Aggregate<T>,
    R: Trigger,
{
    fn moment(&self) -> Moment {
        let (watermark, clock) = (self.watermark, self.clock.reached());
        Moment { window: TimeWindow::ALL, watermark, clock }
    }

    /// Asks all triggers anew when they want to be asked again.
    pub(super) fn collect_timers(&mut self) {
        let (mut by_watermark, mut by_clock) = (Vec::new(), Vec::new());
        for slot in &self.slots {
            let hash = hash_of::<T, K>(&slot.key);
            for window in &slot.windows {
                let (trigger, state) = (&self.rules.trigger, &window.kept.trigger);
                let [watermark, clock] = next(trigger, state, TimeWindow::ALL, window.number, hash);
                by_watermark.extend(watermark.filter(|due| is_ahead(due, self.watermark)));
                by_clock.extend(clock);
            }
        }
        self.by_watermark.collect(by_watermark);
        self.by_clock.collect(by_clock);
        self.clock.set_timer(self.by_clock.first());
    }

    fn set_timers(&mut self, [watermark, clock]: [Option<Due<u64>>; 2]) {
        if let Some(due) = watermark.filter(|due| is_ahead(due, self.watermark)) {
            self.by_watermark.push(due);
        }
        if let Some(due) = clock {
            self.by_clock.push(due);
            self.clock.set_timer(self.by_clock.first());
        }
        if self.by_watermark.is_crowded() || self.by_clock.is_crowded() {
            self.collect_timers();
        }
    }

    /// Tells of what is due, as long as there is room.
    fn tell(&mut self, out: &mut impl Collector<Windowed<K::Owned, u64, G::Out>>) {
        self.busy = true;
        while !out.is_full() {
            if let Some(leaving) = self.leaving.take() {
                self.leaving = self.leave(leaving, out);
            } else if let Some(due) = self.by_watermark.pop(self.watermark) {
                self.ask(due, out);
            } else if let Some(due) = self.by_clock.pop(self.clock.reached()) {
                self.ask(due, out);
            } else {
                self.busy = false;
                self.clock.set_timer(self.by_clock.first());
                return;
            }
        }
    }

    /// Gives the next window up, and returns what is left.
    fn leave(
        &self,
        mut leaving: Leaving<K::Owned, G::Accumulator, R::State>,
        out: &mut impl Collector<Windowed<K::Owned, u64, G::Out>>,
    ) -> Option<Leaving<K::Owned, G::Accumulator, R::State>> {
        let mut slot = leaving.at_hand.take().or_else(|| leaving.slots.next())?;
        if let Some(Numbered { number, time, mut kept }) = slot.windows.pop_front() {
            let result = self.rules.trigger.on_time(&mut kept.trigger, self.moment());
            if let Some((value, firing)) = kept.give_up(&self.aggregate, result) {
                let key = slot.key.clone();
                out.push(Record::at(Windowed { key, window: number, value, firing }, time));
            }
            leaving.at_hand = Some(slot);
        }
        Some(leaving)
    }

    /// Asks the trigger that wanted it then, if it still does.
    fn ask(&mut self, due: Due<u64>, out: &mut impl Collector<Windowed<K::Owned, u64, G::Out>>) {
        let (at, mut again) = (self.moment(), Vec::new());
        let trigger = &self.rules.trigger;
        for slot in self.slots.iter_hash_mut(due.hash) {
            let number = due.window;
            let window = slot.windows.iter_mut().find(|window| window.number == number);
            let Some(Numbered { time, kept, .. }) = window else { continue };
            let [watermark, clock] = next(trigger, &kept.trigger, at.window, number, due.hash);
            let is_due = watermark.is_some_and(|due| due.time <= at.watermark)
                || clock.is_some_and(|due| due.time <= at.clock);
            if !is_due {
                continue;
            }
            let result = trigger.on_time(&mut kept.trigger, at);
            if let Some((value, firing)) = kept.tell(&self.aggregate, &self.rules, result, false) {
                let key = slot.key.clone();
                out.push(Record::at(Windowed { key, window: number, value, firing }, *time));
            }
            let [watermark, clock] = next(trigger, &kept.trigger, at.window, number, due.hash);
            // Whoever wants to be asked by the clock at once has been.
            again.push([watermark, clock.filter(|due| due.time > at.clock)]);
        }
        again.into_iter().for_each(|timers| self.set_timers(timers));
    }
}

/// Whether a timer is worth setting: the end of time is the end of the input, and told by that.
fn is_ahead(due: &Due<u64>, watermark: Timestamp) -> bool {
    due.time > watermark && due.time < Timestamp::MAX
}

impl<T, K, G, R> Operator<Keyed<T>> for Counted<T, K, G, R>
where
    T: Send + 'static,
    K: KeyOf<T, Owned: Clone>,
    G: Aggregate<T>,
    R: Trigger,
{
    type Out = Windowed<K::Owned, u64, G::Out>;
    const NAME: &'static str = "window";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        self.counters = Some(context.counters());
        self.rules.late.open(context);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<Keyed<T>>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let Record { value: Keyed { hash, value }, time } = record;
        if R::BY_CLOCK {
            self.clock.read();
        }
        let at = self.moment();
        let Counts { size, step, .. } = self.counts;
        let slots = &mut self.slots;
        let slot = self.key.with(&value, |key| {
            let same = |slot: &SlotOf<T, K, G, R>| slot.key.borrow() == key;
            match slots.entry(hash, same, |slot| hash_of::<T, K>(&slot.key)) {
                Entry::Occupied(slot) => slot.into_mut(),
                Entry::Vacant(place) => {
                    let windows = VecDeque::new();
                    place.insert(Slot { key: key.to_owned(), records: 0, windows }).into_mut()
                }
            }
        });
        if slot.records.is_multiple_of(step) {
            let (number, kept) = (slot.records / step, Kept::new(self.aggregate.create()));
            slot.windows.push_back(Numbered { number, time, kept });
        }
        slot.records = slot.records.saturating_add(1);
        if slot.windows.is_empty()
            && let Some(counters) = &self.counters
        {
            counters.dropped(DropReason::Sampled, 1);
        }
        let trigger = &self.rules.trigger;
        let mut timers = Vec::new();
        for window in &mut slot.windows {
            let (number, kept) = (window.number, &mut window.kept);
            let before = next(trigger, &kept.trigger, at.window, number, hash);
            window.time = window.time.max(time);
            kept.add(&self.aggregate, &value);
            let full = slot.records - number * step == size;
            let result = trigger.on_record(&mut kept.trigger, time, at);
            let result = if full { result.max(TriggerResult::Fire) } else { result };
            if let Some((value, firing)) = kept.tell(&self.aggregate, &self.rules, result, full) {
                let key = slot.key.clone();
                out.push(Record::at(Windowed { key, window: number, value, firing }, window.time));
            }
            let after = next(trigger, &kept.trigger, at.window, number, hash);
            if after != before && !full {
                timers.push(after);
            }
        }
        if slot.windows.front().is_some_and(|window| slot.records - window.number * step >= size) {
            slot.windows.pop_front();
        }
        timers.into_iter().for_each(|timers| self.set_timers(timers));
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        self.watermark = self.watermark.max(watermark);
        if self.by_watermark.first().is_some_and(|due| due <= self.watermark) {
            self.tell(out);
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        _now: Instant,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        self.clock.on_timer();
        self.tell(out);
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.watermark = Timestamp::MAX;
        let slots = std::mem::take(&mut self.slots);
        if self.counts.partial {
            self.leaving = Some(Leaving { slots: slots.into_iter(), at_hand: None });
        }
        self.tell(out);
        Ok(())
    }

    #[inline]
    fn pending(&self) -> bool {
        self.busy
    }

    fn resume(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.tell(out);
        Ok(())
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.clock.next_timer().filter(|_| !self.busy)
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.rules.late.side()
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        self.write_state(state)
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.read_state(state)
    }
}
