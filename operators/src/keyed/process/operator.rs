//! The operator behind `process`.

use std::fmt;
use std::task::Context;

use millstream_engine::edge::Keyed;
use millstream_engine::key::KeyOf;
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use super::bounded::Bounded;
use super::store::{KeyStore, StoreCodec};
use super::{KeyContext, KeyTimers, ProcessFunction, StateTime, States as _, StoredStates};
use crate::keyed::hash_of;
use crate::keyed::limit::{BoundedKeys, KeyBound, NewKey};
use crate::keyed::table::without_uid;
use crate::state::{Checkpointed, State, read_time, time_bytes};
use crate::time::ProcessingClock;

/// How many records may pass between two looks at the clock, where it is only for the record.
const CLOCK_EVERY: u8 = 255;

/// The operator behind [`KeyedStream::process`](crate::KeyedStream::process).
pub struct Process<T, K: KeyOf<T>, F: ProcessFunction<K::Owned, T>> {
    key: K,
    pub(super) bounded: Bounded<K::Owned, T, F>,
    pub(super) states: F::States,
    pub(super) store: KeyStore<K::Owned, F::States>,
    codec: Option<StoreCodec<K::Owned, F::States>>,
    pub(super) clock: ProcessingClock,
    pub(super) now: StateTime,
    /// Whether the clock has to be read for each record.
    by_clock: bool,
    /// How many records may still pass before it is.
    unread: u8,
    /// Whether timers that are due have not all fired.
    firing: bool,
    /// The input has ended, and with it event time.
    ended: bool,
    due: Option<Instant>,
    /// The call that has more to emit than there was room for.
    paused: Option<Paused>,
    /// Of a function that holds the watermark: the one that is to be told.
    held: Option<Timestamp>,
}

/// A call about a key that is not over.
#[derive(Clone, Copy)]
struct Paused {
    place: usize,
    time: Timestamp,
    now: StateTime,
}

/// What a call to a function answers.
type Called = Result<(), OperatorError>;

impl<T, K: KeyOf<T>, F: ProcessFunction<K::Owned, T>> Process<T, K, F> {
    /// The operator for records whose key `key` finds.
    #[must_use]
    pub fn new(key: K, function: F) -> Self {
        let states = function.states();
        Self {
            key,
            bounded: Bounded::new(function, None),
            store: KeyStore::new(),
            codec: None,
            clock: ProcessingClock::default(),
            now: StateTime { event: Timestamp::MIN, processing: Timestamp::MIN },
            by_clock: states.shortest_life().is_some(),
            unread: 0,
            firing: false,
            ended: false,
            due: None,
            paused: None,
            held: None,
            states,
        }
    }

    /// How many keys something is kept of.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.store.keys.len()
    }

    /// How many timers are set.
    #[must_use]
    pub const fn timers(&self) -> usize {
        self.store.timers()
    }

    /// How far timers have come: at the end of the input, all the way. State lives on the time of
    /// the last watermark then, so that what was gone does not come back.
    const fn reached(&self) -> Timestamp {
        if self.ended { Timestamp::MAX } else { self.now.event }
    }

    pub(super) fn read_clock(&mut self) {
        self.now.processing = self.now.processing.max(self.clock.now());
        self.unread = CLOCK_EVERY;
    }
}

impl<T, K, F> Process<T, K, F>
where
    T: Send + 'static,
    K: KeyOf<T, Owned: Eq + Clone>,
    F: ProcessFunction<K::Owned, T>,
{
    /// Makes a call about the key in `place`, and sees to what is kept of it.
    fn call(
        &mut self,
        place: usize,
        time: Timestamp,
        now: StateTime,
        call: impl FnOnce(&mut F, &mut KeyContext<'_, K::Owned, F::States>) -> Called,
    ) -> Result<(), OperatorError> {
        self.about(place, time, now, call)?;
        if self.bounded.function.pending() {
            self.paused = Some(Paused { place, time, now });
        } else {
            self.store.leave(place, &self.states, now);
        }
        Ok(())
    }

    /// Makes a call about the key in `place`.
    fn about(
        &mut self,
        place: usize,
        time: Timestamp,
        now: StateTime,
        call: impl FnOnce(&mut F, &mut KeyContext<'_, K::Owned, F::States>) -> Called,
    ) -> Result<(), OperatorError> {
        let watermark = self.reached();
        let KeyStore { keys, event, processing, .. } = &mut self.store;
        let Some(kept) = keys.get_bucket_mut(place) else {
            return Ok(());
        };
        let (hash, key) = (kept.hash, &kept.key);
        let timers = KeyTimers { event, processing, clock: &self.clock, hash, key };
        let states = self.states.view(&mut kept.cells, now);
        let mut context = KeyContext { key, states, timers, time, watermark };
        call(&mut self.bounded.function, &mut context)
    }

    /// Makes room for a new key, if there is to be any.
    fn make_room(
        &mut self,
        time: Timestamp,
        now: StateTime,
        out: &mut impl Collector<F::Out>,
    ) -> Result<bool, OperatorError> {
        let keys = self.keys();
        let new = self.bounded.bound.as_ref().map(|bound| bound.new_key(keys)).transpose()?;
        let Some(NewKey::Enters(evicted)) = new else {
            return Ok(new.is_none());
        };
        for _ in 0..evicted {
            let Some(place) = self.store.oldest() else {
                break;
            };
            self.about(place, time, now, |function, context| function.on_evict(context, out))?;
            self.store.forget(place);
        }
        Ok(true)
    }

    /// Lets timers fire as long as there is room, and then forgets state that has lived its time.
    fn fire(&mut self, out: &mut impl Collector<F::Out>) -> Result<(), OperatorError> {
        while self.firing && self.paused.is_none() && !out.is_full() {
            if self.bounded.side().is_some_and(|side| side.is_full()) {
                break;
            }
            let reached = StateTime { event: self.reached(), ..self.now };
            let Some((timer, hash, key)) = self.store.pop_due(reached) else {
                self.firing = false;
                self.store.sweep(&self.states, self.now);
                break;
            };
            let place = self.store.place_of(hash, key);
            self.call(place, timer.time(), self.now, |function, context| {
                function.on_timer(timer, context, out)
            })?;
        }
        self.set_timer();
        Ok(())
    }

    /// The watermark that a function which holds it back lets through.
    fn hold(&mut self) {
        if F::HOLDS_WATERMARK && self.now.event > Timestamp::MIN {
            let reached = self.now.event;
            let delay = self.bounded.function.watermark_delay();
            let ends = reached == Timestamp::MAX;
            let told = if ends { reached } else { reached.saturating_sub(delay) };
            self.held = (told > Timestamp::MIN).then_some(told);
        }
    }

    pub(super) fn set_timer(&mut self) {
        // At the end of the input the clock is waited for no longer.
        let next = if self.ended { None } else { self.store.next_processing() };
        self.due = next.and_then(|time| self.clock.when(time));
    }
}

impl<T, K, F> Process<T, K, F>
where
    T: Send + 'static,
    K: KeyOf<T, Owned: Eq + Clone>,
    F: ProcessFunction<K::Owned, T>,
{
    /// Writes what it keeps; and behind the watermark, which is state of the instance and of no
    /// key, what else there is of that kind.
    pub(super) fn snapshot_with(
        &self,
        more: &[u8],
        state: &mut StateWriter,
    ) -> Result<(), StateError> {
        let codec = self.codec.as_ref().ok_or_else(without_uid)?;
        state.write([&time_bytes(self.now.event), more].concat());
        self.store.snapshot(&self.states, codec, state)
    }

    /// Takes that over, and gives what else each instance has written.
    pub(super) fn restore_with<'a>(
        &mut self,
        state: &StateReader<'a>,
    ) -> Result<Vec<&'a [u8]>, StateError> {
        let codec = self.codec.as_ref().ok_or_else(without_uid)?;
        let mut more = Vec::new();
        for (_, mut bytes) in state.instances() {
            self.now.event = self.now.event.max(read_time(&mut bytes)?);
            more.push(bytes);
        }
        self.store.restore(&self.states, codec, state, self.now, hash_of::<T, K>)?;
        self.set_timer();
        self.hold();
        Ok(more)
    }
}

impl<T, K: KeyOf<T>, F: ProcessFunction<K::Owned, T>> Clone for Process<T, K, F> {
    fn clone(&self) -> Self {
        let blank = Self::new(self.key.clone(), self.bounded.function.clone());
        let blank = Self { codec: self.codec, ..blank };
        match &self.bounded.bound {
            Some(bound) => blank.with_bound(bound.clone()),
            None => blank,
        }
    }
}

impl<T, K: KeyOf<T>, F: ProcessFunction<K::Owned, T>> Process<T, K, F> {
    fn with_bound(self, bound: KeyBound<T>) -> Self {
        let store = KeyStore::bounded(bound.evicts());
        Self { store, bounded: Bounded::new(self.bounded.function, Some(bound)), ..self }
    }
}

impl<T: Send + 'static, K: KeyOf<T>, F: ProcessFunction<K::Owned, T>> BoundedKeys
    for Process<T, K, F>
{
    type Value = T;

    fn bounded(self, bound: KeyBound<T>) -> Self {
        self.with_bound(bound)
    }
}

impl<T, K, F> Checkpointed for Process<T, K, F>
where
    K: KeyOf<T, Owned: State>,
    F: ProcessFunction<K::Owned, T, States: StoredStates>,
{
    fn checkpointed(self) -> Self {
        Self { codec: Some(StoreCodec::new()), ..self }
    }
}

impl<T, K: KeyOf<T>, F: ProcessFunction<K::Owned, T>> fmt::Debug for Process<T, K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("keys", &self.keys())
            .field("timers", &self.timers())
            .finish_non_exhaustive()
    }
}

impl<T, K, F> Operator<Keyed<T>> for Process<T, K, F>
where
    T: Send + 'static,
    K: KeyOf<T, Owned: Eq + Clone>,
    F: ProcessFunction<K::Owned, T>,
{
    type Out = F::Out;
    const NAME: &'static str = F::NAME;
    const NEEDS_TIME: bool = F::NEEDS_TIME;
    const SETS_TIME: bool = F::HOLDS_WATERMARK;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.clock = ProcessingClock::start(context.clock());
        self.read_clock();
        let mut names = Vec::new();
        self.states.names(&mut names);
        names.sort_unstable();
        if let Some(&[name, ..]) = names.windows(2).find(|two| two.first() == two.last()) {
            let why = StateError::new(format!("two pieces of its state are called `{name}`"));
            return Err(Error::operator(&context.name(), why.into()));
        }
        if let Some(bound) = &mut self.bounded.bound {
            bound.open(context);
        }
        self.bounded.function.open(context)
    }

    fn process(
        &mut self,
        record: Record<Keyed<T>>,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        if self.by_clock || self.unread == 0 {
            self.read_clock();
        }
        self.unread -= 1;
        let (time, Keyed { hash, value }) = (record.time, record.value);
        let now = StateTime { event: self.now.event.max(time), ..self.now };
        let place = if self.bounded.bound.is_none() {
            self.key.with(&value, |key| self.store.place(hash, key))
        } else {
            match self.key.with(&value, |key| self.store.find(hash, key)) {
                Ok(place) => place,
                Err(key) => {
                    if !self.make_room(time, now, out)? {
                        self.bounded.divert(Record::at(value, time));
                        return Ok(());
                    }
                    self.store.insert(hash, key)
                }
            }
        };
        let record = Record::at(value, time);
        self.call(place, time, now, |function, context| function.process(record, context, out))?;
        self.set_timer();
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        if watermark <= self.now.event {
            return Ok(());
        }
        self.now.event = watermark;
        self.hold();
        self.read_clock();
        self.firing = true;
        self.fire(out)
    }

    fn on_timer(
        &mut self,
        now: Instant,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        self.now.processing = self.now.processing.max(self.clock.at(now));
        self.firing = true;
        self.fire(out)
    }

    fn on_end(&mut self, out: &mut impl Collector<F::Out>) -> Result<(), OperatorError> {
        self.ended = true;
        self.firing = true;
        self.fire(out)
    }

    #[inline]
    fn pending(&self) -> bool {
        self.firing || self.paused.is_some()
    }

    fn resume(&mut self, out: &mut impl Collector<F::Out>) -> Result<(), OperatorError> {
        if let Some(Paused { place, time, now }) = self.paused.take() {
            self.call(place, time, now, |function, context| function.resume(context, out))?;
        }
        self.fire(out)
    }

    #[inline]
    fn watermark(&mut self) -> Option<Timestamp> {
        self.held.take()
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.due
    }

    fn poll_outside(&mut self, _cx: &mut Context<'_>) -> Result<(), OperatorError> {
        // The stage comes to rest: who knows what time it will be at the next record.
        self.unread = 0;
        Ok(())
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.bounded.side()
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        self.snapshot_with(&[], state)
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.restore_with(state).map(drop)
    }
}
