//! The operator of windows that are the same for all keys.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use millstream_engine::edge::Keyed;
use millstream_engine::key::{KeyOf, stable_hash};
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use super::AlignedWindows;
use super::pane::{Pane, Panes, Slot};
use super::state::PaneCodec;
use crate::aggregate::Aggregate;
use crate::state::{Checkpointed, State};
use crate::window::timers::{Due, Timers, next};
use crate::window::trigger::{Moment, Trigger};
use crate::window::wall_clock::WallClock;
use crate::window::{Firing, TimeWindow, WindowRules, Windowed};

/// Keeps windows that are the same for all keys, and tells of each key in each.
///
/// Emits when a trigger says so, and for every window when it is given up; backpressures when its
/// output does, and when that of late records does. At the end of the input, every window is given
/// up. A watermark waits behind what is told because of it, which comes in the order of windows;
/// the keys of a window come in no particular order, but the same in every run.
pub struct Aligned<T, W, K: KeyOf<T>, G: Aggregate<T>, R: Trigger> {
    windows: W,
    key: K,
    aggregate: G,
    rules: WindowRules<T, R>,
    pub(super) panes: Panes<K::Owned, G::Accumulator, R::State>,
    pub(super) codec: Option<PaneCodec<K::Owned, G::Accumulator, R::State>>,
    /// How far time has come: event time, or the clock's for windows that follow it.
    pub(super) watermark: Timestamp,
    /// Windows that end up to here have been told of as complete.
    pub(super) complete: Timestamp,
    /// When the next window is complete or given up, or its trigger wants to be asked.
    due: Timestamp,
    by_watermark: Timers<TimeWindow>,
    by_clock: Timers<TimeWindow>,
    pub(super) clock: WallClock,
    /// The window that is being told of.
    walk: Option<Walk<PaneOf<T, K, G, R>>>,
    /// Not everything that is due has been told.
    busy: bool,
    counters: Option<Arc<OperatorCounters>>,
}

type PaneOf<T, K, G, R> =
    Pane<<K as KeyOf<T>>::Owned, <G as Aggregate<T>>::Accumulator, <R as Trigger>::State>;

/// The way through the slots of a window.
struct Walk<P> {
    of: Whose<P>,
    /// The next bucket of its table.
    bucket: usize,
}

enum Whose<P> {
    /// One that is complete, and stays for late records: its place.
    Complete(usize),
    /// One that is given up, and how many keys it had.
    Leaving(P, usize),
}

impl<T, W, K, G, R> Aligned<T, W, K, G, R>
where
    K: KeyOf<T>,
    G: Aggregate<T>,
    R: Trigger,
{
    /// The operator for records whose key `key` finds.
    #[must_use]
    pub fn new(windows: W, key: K, aggregate: G, rules: WindowRules<T, R>) -> Self {
        Self {
            windows,
            key,
            aggregate,
            rules,
            panes: Panes::new(),
            codec: None,
            watermark: Timestamp::MIN,
            complete: Timestamp::MIN,
            due: Timestamp::MAX,
            by_watermark: Timers::new(),
            by_clock: Timers::new(),
            clock: WallClock::new(),
            walk: None,
            busy: false,
            counters: None,
        }
    }
}

impl<T, W: Clone, K: KeyOf<T>, G: Aggregate<T>, R: Trigger> Clone for Aligned<T, W, K, G, R> {
    fn clone(&self) -> Self {
        let (windows, key) = (self.windows.clone(), self.key.clone());
        let new = Self::new(windows, key, self.aggregate.clone(), self.rules.clone());
        Self { codec: self.codec, ..new }
    }
}

impl<T, W, K, G, R> Checkpointed for Aligned<T, W, K, G, R>
where
    K: KeyOf<T, Owned: State>,
    G: Aggregate<T, Accumulator: State>,
    R: Trigger,
{
    fn checkpointed(self) -> Self {
        Self { codec: Some(PaneCodec::new()), ..self }
    }
}

impl<T, W, K: KeyOf<T>, G: Aggregate<T>, R: Trigger> fmt::Debug for Aligned<T, W, K, G, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aligned")
            .field("windows", &self.panes.len())
            .field("watermark", &self.watermark)
            .finish_non_exhaustive()
    }
}

type Told<T, K, G> = Windowed<<K as KeyOf<T>>::Owned, TimeWindow, <G as Aggregate<T>>::Out>;

impl<T, W, K, G, R> Aligned<T, W, K, G, R>
where
    T: Send + 'static,
    W: AlignedWindows,
    K: KeyOf<T, Owned: Clone>,
    G: Aggregate<T>,
    R: Trigger,
{
    /// The place of the window that `time` lies in. None if it has been given up.
    #[cold]
    fn open_window(&mut self, time: Timestamp) -> Option<usize> {
        let window = self.windows.window_of(time);
        let expiry = self.rules.expiry(window.end);
        if expiry <= self.watermark {
            return None;
        }
        let place = self.panes.open(window, expiry);
        self.set_due();
        Some(place)
    }

    #[cold]
    fn late(&mut self, value: T, time: Timestamp) {
        match &mut self.rules.late {
            Some(late) => late.emit(Record::at(value, time)),
            None => {
                if let Some(counters) = &self.counters {
                    counters.dropped(DropReason::Late, 1);
                }
            }
        }
    }

    /// Notes when the next thing is due, by event time and by the clock.
    pub(super) fn set_due(&mut self) {
        let end = self.panes.first_behind(self.complete).map(|(_, end)| end);
        let due = [self.panes.first_expiry(), end, self.by_watermark.first()];
        let due = due.into_iter().flatten().min();
        self.due = due.unwrap_or(Timestamp::MAX);
        let by_time = due.filter(|_| W::BY_CLOCK);
        self.clock.set_timer(by_time.into_iter().chain(self.by_clock.first()).min());
    }

    /// Notes when the trigger of a key wants to be asked again.
    #[inline]
    fn set_timers(
        &mut self,
        before: [Option<Due<TimeWindow>>; 2],
        after: [Option<Due<TimeWindow>>; 2],
    ) {
        let ([old_watermark, old_clock], [watermark, clock]) = (before, after);
        let mut set = false;
        // That a window is complete is told without being asked for.
        let ahead = |due: &Due<TimeWindow>| due.time > self.watermark;
        let asked =
            |due: &Due<TimeWindow>| due.time < due.window.end || due.window.end <= self.complete;
        if let Some(due) = watermark.filter(|due| ahead(due) && asked(due))
            && old_watermark != watermark
        {
            self.by_watermark.push(due);
            set = true;
        }
        if let Some(due) = clock
            && old_clock != clock
        {
            self.by_clock.push(due);
            set = true;
        }
        if set {
            if self.by_watermark.is_crowded() || self.by_clock.is_crowded() {
                self.collect_timers();
            }
            self.set_due();
        }
    }

    /// Asks all triggers anew when they want to be asked again.
    pub(super) fn collect_timers(&mut self) {
        if R::BY_WINDOW {
            return;
        }
        let (mut by_watermark, mut by_clock) = (Vec::new(), Vec::new());
        for pane in self.panes.iter() {
            for slot in &pane.slots {
                let hash = hash_of::<T, K>(&slot.key);
                let [watermark, clock] =
                    next(&self.rules.trigger, &slot.kept.trigger, pane.window, pane.window, hash);
                let complete = pane.window.end <= self.complete;
                let ahead = |due: &Due<TimeWindow>| {
                    due.time > self.watermark && (complete || due.time < due.window.end)
                };
                by_watermark.extend(watermark.filter(ahead));
                by_clock.extend(clock);
            }
        }
        self.by_watermark.collect(by_watermark);
        self.by_clock.collect(by_clock);
    }

    /// Tells of what is due, as long as there is room.
    fn tell(&mut self, out: &mut impl Collector<Told<T, K, G>>) {
        self.busy = true;
        while !out.is_full() {
            if let Some(walk) = self.walk.take() {
                self.walk_on(walk, out);
            } else if self.panes.first_expiry().is_some_and(|expiry| expiry <= self.watermark) {
                self.walk = self.panes.take_first().map(|pane| {
                    self.complete = self.complete.max(pane.window.end);
                    let keys = pane.slots.len();
                    Walk { of: Whose::Leaving(pane, keys), bucket: 0 }
                });
            } else if let Some((place, end)) = self.panes.first_behind(self.complete)
                && end <= self.watermark
            {
                self.complete = end;
                self.walk = Some(Walk { of: Whose::Complete(place), bucket: 0 });
            } else if let Some(due) = self.by_watermark.pop(self.watermark) {
                self.ask(due, out);
            } else if let Some(due) = self.by_clock.pop(self.clock.reached()) {
                self.ask(due, out);
            } else {
                self.complete = self.complete.max(self.watermark);
                self.busy = false;
                self.set_due();
                return;
            }
        }
    }

    /// Goes through a window until there is no room, or nothing left.
    fn walk_on(
        &mut self,
        mut walk: Walk<PaneOf<T, K, G, R>>,
        out: &mut impl Collector<Told<T, K, G>>,
    ) {
        match &mut walk.of {
            Whose::Leaving(pane, _) => {
                let at = self.moment(pane.window);
                while walk.bucket < pane.slots.num_buckets() {
                    if out.is_full() {
                        self.walk = Some(walk);
                        return;
                    }
                    if let Ok(slot) = pane.slots.get_bucket_entry(walk.bucket) {
                        let (Slot { key, mut kept }, _) = slot.remove();
                        let result = self.rules.trigger.on_time(&mut kept.trigger, at);
                        if let Some(told) = kept.give_up(&self.aggregate, result) {
                            push(key, at.window, told, out);
                        }
                    }
                    walk.bucket += 1;
                }
            }
            Whose::Complete(place) => {
                let place = *place;
                loop {
                    if out.is_full() {
                        self.walk = Some(walk);
                        return;
                    }
                    let Some(pane) = self.panes.get_mut(place) else { break };
                    if walk.bucket >= pane.slots.num_buckets() {
                        break;
                    }
                    let window = pane.window;
                    self.ask_bucket(place, walk.bucket, window, out);
                    walk.bucket += 1;
                }
            }
        }
        if let Whose::Leaving(pane, keys) = walk.of {
            self.panes.spare(pane.slots, keys);
        }
    }

    /// Asks the trigger of one slot, if there is one.
    fn ask_bucket(
        &mut self,
        place: usize,
        bucket: usize,
        window: TimeWindow,
        out: &mut impl Collector<Told<T, K, G>>,
    ) {
        let at = self.moment(window);
        let slot = self.panes.get_mut(place).and_then(|pane| pane.slots.get_bucket_mut(bucket));
        let Some(Slot { key, kept }) = slot else { return };
        let trigger = &self.rules.trigger;
        let result = trigger.on_time(&mut kept.trigger, at);
        let complete = window.is_complete(at.watermark);
        if let Some(told) = kept.tell(&self.aggregate, &self.rules, result, complete) {
            push(key.clone(), window, told, out);
        }
        if !R::BY_WINDOW {
            let hash = hash_of::<T, K>(key);
            let [watermark, clock] = next(trigger, &kept.trigger, window, window, hash);
            // Whoever wants to be asked by the clock at once has been.
            let clock = clock.filter(|due| due.time > at.clock);
            self.set_timers([None; 2], [watermark, clock]);
        }
    }

    /// Asks the triggers that wanted it then: the key's, if it still does.
    fn ask(&mut self, due: Due<TimeWindow>, out: &mut impl Collector<Told<T, K, G>>) {
        let Some(place) = self.panes.place(due.window) else { return };
        let (watermark, clock) = (self.watermark, self.clock.reached());
        let trigger = &self.rules.trigger;
        let Some(pane) = self.panes.get_mut(place) else { return };
        let buckets: Vec<usize> = pane
            .slots
            .iter_hash_buckets(due.hash)
            .filter(|bucket| {
                let state = pane.slots.get_bucket(*bucket).map(|slot| &slot.kept.trigger);
                let [by_watermark, by_clock] = state.map_or([None; 2], |state| {
                    next(trigger, state, due.window, due.window, due.hash)
                });
                by_watermark.is_some_and(|due| due.time <= watermark)
                    || by_clock.is_some_and(|due| due.time <= clock)
            })
            .collect();
        for bucket in buckets {
            self.ask_bucket(place, bucket, due.window, out);
        }
    }

    /// Takes over a slot that was written down.
    pub(super) fn put_back(
        &mut self,
        window: TimeWindow,
        hash: u64,
        slot: Slot<K::Owned, G::Accumulator, R::State>,
    ) {
        let place = self.panes.open(window, self.rules.expiry(window.end));
        if let Some(pane) = self.panes.get_mut(place) {
            let rehash = |slot: &Slot<K::Owned, _, _>| hash_of::<T, K>(&slot.key);
            pane.slots.insert_unique(hash, slot, rehash);
        }
    }

    #[inline]
    fn moment(&self, window: TimeWindow) -> Moment {
        Moment { window, watermark: self.watermark, clock: self.clock.reached() }
    }
}

pub(super) fn hash_of<T, K: KeyOf<T>>(key: &K::Owned) -> u64 {
    stable_hash::<K::Key>(key.borrow())
}

#[inline]
fn push<K, A>(
    key: K,
    window: TimeWindow,
    (value, firing): (A, Firing),
    out: &mut impl Collector<Windowed<K, TimeWindow, A>>,
) {
    out.push(Record::at(Windowed { key, window, value, firing }, window.last()));
}

impl<T, W, K, G, R> Operator<Keyed<T>> for Aligned<T, W, K, G, R>
where
    T: Send + 'static,
    W: AlignedWindows,
    K: KeyOf<T, Owned: Clone>,
    G: Aggregate<T>,
    R: Trigger,
{
    type Out = Told<T, K, G>;
    const NAME: &'static str = "window";
    const NEEDS_TIME: bool = !W::BY_CLOCK;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        self.counters = Some(context.counters());
        if let Some(late) = &mut self.rules.late {
            late.open(context);
        }
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<Keyed<T>>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let Record { value: Keyed { hash, value }, time } = record;
        let clock = if W::BY_CLOCK || R::BY_CLOCK { self.clock.read() } else { Timestamp::MIN };
        let time = if W::BY_CLOCK { clock } else { time };
        let place = match self.panes.find(time) {
            Some(place) => Some(place),
            None => self.open_window(time),
        };
        let Some(pane) = place.and_then(|place| self.panes.get_mut(place)) else {
            self.late(value, time);
            return Ok(());
        };
        let at = Moment { window: pane.window, watermark: self.watermark, clock };
        let slot = self.key.with(&value, |key| pane.slot(hash, key, || self.aggregate.create()));
        let Slot { key, kept } = slot;
        let trigger = &self.rules.trigger;
        let before = if R::BY_WINDOW {
            [None; 2]
        } else {
            next(trigger, &kept.trigger, at.window, at.window, hash)
        };
        kept.add(&self.aggregate, &value);
        let result = trigger.on_record(&mut kept.trigger, time, at);
        let complete = at.window.is_complete(at.watermark);
        if let Some(told) = kept.tell(&self.aggregate, &self.rules, result, complete) {
            push(key.clone(), at.window, told, out);
        }
        if !R::BY_WINDOW {
            let after = next(trigger, &kept.trigger, at.window, at.window, hash);
            self.set_timers(before, after);
        }
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        if W::BY_CLOCK || watermark <= self.watermark {
            return Ok(());
        }
        self.watermark = watermark;
        if watermark < self.due {
            self.complete = watermark;
            return Ok(());
        }
        if R::BY_CLOCK {
            self.clock.read();
        }
        self.tell(out);
        Ok(())
    }

    fn on_timer(
        &mut self,
        _now: Instant,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let clock = self.clock.on_timer();
        if W::BY_CLOCK {
            self.watermark = self.watermark.max(clock);
        }
        self.tell(out);
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.watermark = Timestamp::MAX;
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
        self.rules.late.as_mut().map(|late| late as &mut dyn SideOutput)
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        self.write_state(state)
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.read_state(state)
    }
}
