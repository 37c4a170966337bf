//! The operator of windows that are kept key by key: sessions and sliding windows.
//!
//! What is kept of a key's windows, and how, is a [`Layout`]. Here is what they have in common: the
//! keys, what is due at which time, late records, state.

mod layout;
mod marks;
mod slots;
mod watch;

use std::fmt;
use std::sync::Arc;

use millstream_engine::edge::Keyed;
use millstream_engine::key::{KeyOf, key_group};
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

pub use layout::{Code, Layout, NEVER, Placed, Plan, Scene, Told};
use slots::Slots;
pub use watch::{Verdict, Watch};

use super::wall_clock::WallClock;
use super::{TimeWindow, Trigger, WindowRules, Windowed};
use crate::aggregate::Aggregate;
use crate::keyed::{hash_of, without_uid};
use crate::state::{Checkpointed, Codec, State, check_group, read_time, time_bytes};

/// Keeps the windows of each key as `L` lays them out, and tells of them in the order of time, and
/// among keys in that of their hashes.
///
/// - **Emits** what is due when the watermark comes, when a late record changes what was told, and
///   when the trigger says so; at the end of the input, as at a watermark at the end of time.
///   However much is due, it waits for room in between.
/// - **State**: what is kept of each key, by key group, and the watermark. A key goes with its last
///   window, and memory that a rush of keys took is given back.
/// - **Late records** go to the late output, or are dropped and counted.
pub struct ByKey<T, K, G, R, L>
where
    K: KeyOf<T>,
    G: Aggregate<T>,
    R: Trigger,
    L: Layout<T, G, R>,
{
    key: K,
    aggregate: G,
    rules: WindowRules<T, R>,
    layout: L,
    slots: Slots<K::Owned, L::Kept>,
    watermark: Timestamp,
    /// Looked at for a trigger that does so, and for no other.
    clock: WallClock,
    counters: Arc<OperatorCounters>,
    codecs: Option<Codecs<K::Owned, G::Accumulator>>,
    /// There was no room for all that is due.
    pending: bool,
}

/// How keys and accumulators are written.
struct Codecs<K, A> {
    key: Codec<K>,
    accumulator: Code<A>,
}

impl<K, A> Clone for Codecs<K, A> {
    fn clone(&self) -> Self {
        Self { key: self.key, accumulator: Code(self.accumulator.0) }
    }
}

impl<T, K, G, R, L> ByKey<T, K, G, R, L>
where
    K: KeyOf<T>,
    G: Aggregate<T>,
    R: Trigger,
    L: Layout<T, G, R>,
{
    pub(super) fn new(layout: L, key: K, aggregate: G, rules: WindowRules<T, R>) -> Self {
        Self {
            key,
            aggregate,
            rules,
            layout,
            slots: Slots::default(),
            watermark: Timestamp::MIN,
            clock: WallClock::new(),
            counters: Arc::default(),
            codecs: None,
            pending: false,
        }
    }

    /// How many keys it keeps windows of.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.slots.len()
    }

    /// For how many keys, and times at which something is due, it holds memory.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    fn look_at_clock(&mut self) {
        if R::BY_CLOCK {
            self.clock.read();
        }
    }

    fn scene(&self) -> Scene<'_, G, R> {
        Scene::new(&self.aggregate, &self.rules, self.watermark, self.clock.reached())
    }

    /// Lets the triggers know of the clock. What they order is due at once.
    fn ring(&mut self) {
        let scene = Scene::new(&self.aggregate, &self.rules, self.watermark, self.clock.reached());
        let (layout, slots) = (&self.layout, &mut self.slots);
        while let Some(mut slot) = slots.pop_alarm(self.clock.reached()) {
            layout.ring(slot.kept(), &scene);
            match layout.plan(slot.kept(), &scene) {
                Some(plan) => slot.put_back(plan),
                None => drop(slot.remove()),
            }
        }
    }
}

impl<T, K, G, R, L> ByKey<T, K, G, R, L>
where
    T: Send + 'static,
    K: KeyOf<T, Owned: Clone>,
    G: Aggregate<T>,
    R: Trigger,
    L: Layout<T, G, R>,
{
    fn too_late(&mut self, value: T, time: Timestamp) {
        let dropped = self.rules.late.take(Record::at(value, time));
        if dropped > 0 {
            self.counters.dropped(DropReason::Late, dropped);
        }
    }

    /// Tells of what is due, as long as there is room.
    fn go_on(&mut self, out: &mut impl Collector<Windowed<K::Owned, TimeWindow, G::Out>>) {
        let scene = Scene::new(&self.aggregate, &self.rules, self.watermark, self.clock.reached());
        let (layout, slots) = (&self.layout, &mut self.slots);
        let mut room = true;
        while room && let Some((due, mut slot)) = slots.pop_mark(self.watermark) {
            let told = layout.tell(slot.kept(), due, &scene);
            let Some(Told { window, value, firing }) = told else {
                match layout.plan(slot.kept(), &scene) {
                    Some(plan) => slot.put_back(plan),
                    None => drop(slot.remove()),
                }
                continue;
            };
            let key = match layout.plan(slot.kept(), &scene) {
                Some(plan) => {
                    let key = slot.key().clone();
                    slot.put_back(plan);
                    key
                }
                None => slot.remove(),
            };
            let record = Windowed { key, window, value, firing };
            out.push(Record::at(record, window.last()));
            room = !out.is_full();
        }
        self.pending = slots.first_mark().is_some_and(|due| due <= self.watermark);
        slots.tidy();
        if R::BY_CLOCK {
            self.clock.set_timer(slots.first_alarm());
        }
    }
}

/// The configuration, with nothing of a run.
impl<T, K, G, R, L> Clone for ByKey<T, K, G, R, L>
where
    K: KeyOf<T>,
    G: Aggregate<T>,
    R: Trigger,
    L: Layout<T, G, R>,
{
    fn clone(&self) -> Self {
        let (layout, key) = (self.layout.clone(), self.key.clone());
        let blank = Self::new(layout, key, self.aggregate.clone(), self.rules.clone());
        Self { codecs: self.codecs.clone(), ..blank }
    }
}

impl<T, K, G, R, L> fmt::Debug for ByKey<T, K, G, R, L>
where
    K: KeyOf<T>,
    G: Aggregate<T>,
    R: Trigger,
    L: Layout<T, G, R>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(L::NAME)
            .field("keys", &self.keys())
            .field("watermark", &self.watermark)
            .finish_non_exhaustive()
    }
}

impl<T, K, G, R, L> Checkpointed for ByKey<T, K, G, R, L>
where
    K: KeyOf<T, Owned: State>,
    G: Aggregate<T, Accumulator: State>,
    R: Trigger,
    L: Layout<T, G, R>,
{
    fn checkpointed(self) -> Self {
        let codecs = Codecs { key: Codec::new(), accumulator: Code(Codec::new()) };
        Self { codecs: Some(codecs), ..self }
    }
}

impl<T, K, G, R, L> Operator<Keyed<T>> for ByKey<T, K, G, R, L>
where
    T: Send + 'static,
    K: KeyOf<T, Owned: Clone>,
    G: Aggregate<T>,
    R: Trigger,
    L: Layout<T, G, R>,
{
    type Out = Windowed<K::Owned, TimeWindow, G::Out>;
    const NAME: &'static str = L::NAME;
    const NEEDS_TIME: bool = true;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock.open(context);
        self.counters = context.counters();
        self.rules.late.open(context);
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<Keyed<T>>,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        let (time, Keyed { hash, value }) = (record.time, record.value);
        self.look_at_clock();
        let scene = Scene::new(&self.aggregate, &self.rules, self.watermark, self.clock.reached());
        let (layout, slots) = (&self.layout, &mut self.slots);
        let placed = self.key.with(&value, |key| {
            slots.add(hash, key, |kept| layout.add(kept, &value, time, &scene))
        });
        match placed {
            Placed::In(plan) if plan.due <= self.watermark => self.go_on(out),
            Placed::In(_) if R::BY_CLOCK => self.clock.set_timer(slots.first_alarm()),
            Placed::In(_) | Placed::Outside => {}
            Placed::Late => self.too_late(value, time),
        }
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        self.watermark = self.watermark.max(watermark);
        self.look_at_clock();
        self.go_on(out);
        Ok(())
    }

    fn on_timer(
        &mut self,
        _now: Instant,
        out: &mut impl Collector<Self::Out>,
    ) -> Result<(), OperatorError> {
        self.clock.on_timer();
        self.ring();
        self.go_on(out);
        Ok(())
    }

    fn on_end(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.on_watermark(Timestamp::MAX, out)
    }

    #[inline]
    fn pending(&self) -> bool {
        self.pending
    }

    fn resume(&mut self, out: &mut impl Collector<Self::Out>) -> Result<(), OperatorError> {
        self.go_on(out);
        Ok(())
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.clock.next_timer()
    }

    #[inline]
    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.rules.late.side()
    }

    /// The watermark and the clock, by instance; and by key group: the watermark again, then each
    /// key with what is kept of it, in the order of the hashes.
    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let codecs = self.codecs.clone().ok_or_else(without_uid)?;
        let watermark = time_bytes(self.watermark);
        state.write([watermark, time_bytes(self.clock.reached())].concat());
        let mut keys = Vec::with_capacity(self.slots.len());
        for (hash, key, kept) in self.slots.iter() {
            let mut bytes = Vec::new();
            codecs.key.write(key, &mut bytes)?;
            self.layout.write(kept, &codecs.accumulator, &mut bytes)?;
            keys.push((key_group(hash), hash, bytes));
        }
        keys.sort_unstable();
        for group in keys.chunk_by(|a, b| a.0 == b.0) {
            let Some((id, _, _)) = group.first() else { continue };
            let of_keys = group.iter().flat_map(|(_, _, bytes)| bytes);
            state.write_key_group(*id, watermark.iter().chain(of_keys).copied().collect());
        }
        Ok(())
    }

    /// With another number of instances than before, some keys may have got further than others:
    /// the watermark begins with the earliest, and each key with its own.
    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let codecs = self.codecs.clone().ok_or_else(without_uid)?;
        let mut earliest: Option<Timestamp> = None;
        for (_, mut bytes) in state.instances() {
            let watermark = read_time(&mut bytes)?;
            self.clock.restore(read_time(&mut bytes)?);
            earliest = Some(earliest.map_or(watermark, |earliest| earliest.min(watermark)));
        }
        for (group, mut bytes) in state.key_groups() {
            let watermark = read_time(&mut bytes)?;
            while !bytes.is_empty() {
                let key = codecs.key.read(&mut bytes)?;
                let scene = Scene { watermark, ..self.scene() };
                let kept = self.layout.read(&codecs.accumulator, &mut bytes, &scene)?;
                let hash = hash_of::<T, K>(&key);
                check_group(hash, group)?;
                if let Some(plan) = self.layout.plan(&kept, &scene) {
                    self.slots.insert(hash, key, kept, plan);
                }
            }
        }
        self.watermark = earliest.unwrap_or(Timestamp::MIN);
        self.clock.set_timer(self.slots.first_alarm());
        Ok(())
    }
}
