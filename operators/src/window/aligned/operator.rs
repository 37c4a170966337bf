//! The operator of windows that are the same for all keys.

use std::fmt;
use std::sync::Arc;

use millstream_engine::edge::Keyed;
use millstream_engine::key::KeyOf;
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use super::AlignedWindows;
use super::pane::Panes;
use super::slots::{Slot, Untold, find_or_add};
use super::state::PaneCodec;
use super::tell::{Told, Walk, push};
use crate::aggregate::Aggregate;
use crate::keyed::hash_of;
use crate::state::{Checkpointed, State};
use crate::window::kept::Kept;
use crate::window::timers::{Timers, next};
use crate::window::trigger::{Moment, Trigger, TriggerResult};
use crate::window::wall_clock::WallClock;
use crate::window::{TimeWindow, WindowRules};

/// Keeps windows that are the same for all keys, and tells of each key in each.
///
/// Emits when a trigger says so, and for every window when it is given up; backpressures when its
/// output does, and when that of late records does. At the end of the input, every window is given
/// up. A watermark waits behind what is told because of it, which comes in the order of windows;
/// the keys of a window come in no particular order, but the same in every run.
pub struct Aligned<T, W, K: KeyOf<T>, G: Aggregate<T>, R: Trigger> {
    pub(super) windows: W,
    pub(super) key: K,
    pub(super) aggregate: G,
    pub(super) rules: WindowRules<T, R>,
    pub(super) panes: Panes<K::Owned, G::Accumulator, R::State>,
    pub(super) codec: Option<PaneCodec<K::Owned, G::Accumulator, R::State>>,
    /// How far time has come: event time, or the clock's for windows that follow it.
    pub(super) watermark: Timestamp,
    /// Windows that end up to here have been told of as complete.
    pub(super) complete: Timestamp,
    /// When the next window is complete or given up, or its trigger wants to be asked.
    pub(super) due: Timestamp,
    pub(super) by_watermark: Timers<TimeWindow>,
    pub(super) by_clock: Timers<TimeWindow>,
    pub(super) clock: WallClock,
    /// The window that is being told of.
    pub(super) walk: Option<WalkOf<T, K, G, R>>,
    /// Not everything that is due has been told.
    pub(super) busy: bool,
    counters: Option<Arc<OperatorCounters>>,
}

pub(super) type WalkOf<T, K, G, R> =
    Walk<<K as KeyOf<T>>::Owned, <G as Aggregate<T>>::Accumulator, <R as Trigger>::State>;

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
            panes: Panes::new(R::BY_WINDOW),
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

#[cfg(test)]
impl<T, W, K: KeyOf<T>, G: Aggregate<T>, R: Trigger> Aligned<T, W, K, G, R> {
    /// How many timers there are, those among them that count for nothing.
    pub(super) fn timers(&self) -> usize {
        self.by_watermark.len() + self.by_clock.len()
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
        let dropped = self.rules.late.take(Record::at(value, time));
        if let Some(counters) = self.counters.as_ref().filter(|_| dropped > 0) {
            counters.dropped(DropReason::Late, dropped);
        }
    }
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
        self.rules.late.open(context);
        Ok(())
    }

    #[allow(clippy::inline_always, reason = "measured")]
    #[inline(always)]
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
        let trigger = &self.rules.trigger;
        // Nothing is kept for it, so it may as well be asked before the record is in the window.
        if R::BY_WINDOW
            && pane.slots.is_untold()
            && trigger.on_record(&mut R::State::default(), time, at) == TriggerResult::Continue
        {
            let slots = &mut pane.slots.untold;
            let make = |key| Untold { key, accumulator: self.aggregate.create() };
            let slot = self.key.with(&value, |key| find_or_add(slots, hash, key, make));
            self.aggregate.add(&mut slot.accumulator, &value);
            return Ok(());
        }
        let slots = pane.slots.keep(hash_of::<T, K>);
        let make = |key| Slot { key, kept: Kept::new(self.aggregate.create()) };
        let Slot { key, kept } = self.key.with(&value, |key| find_or_add(slots, hash, key, make));
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
        self.rules.late.side()
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        self.write_state(state)
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.read_state(state)
    }
}
