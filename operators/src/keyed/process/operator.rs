//! `process`: puts a function over keyed records into a stream.

use std::borrow::Borrow as _;
use std::fmt;
use std::task::Context;

use millstream_engine::chain::{Boundary, Chain, Via};
use millstream_engine::edge::Keyed;
use millstream_engine::graph::{Blueprint, OperatorId};
use millstream_engine::key::{KeyOf, stable_hash};
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use super::store::{KeyStore, StoreCodec};
use super::{KeyContext, KeyTimers, ProcessFunction, StateTime, States as _, StoredStates};
use crate::keyed::without_uid;
use crate::state::{Checkpointed, State};
use crate::time::ProcessingClock;
use crate::{DataStream, KeyedStream};

/// How many records may pass between two looks at the clock, where it is only for the record.
const CLOCK_EVERY: u8 = 255;

/// The stream behind [`process`](KeyedStream::process).
pub type Processed<T, K, F> = DataStream<
    <F as ProcessFunction<<K as KeyOf<T>>::Owned, T>>::Out,
    Via<Boundary<Keyed<T>>, Process<T, K, F>>,
>;

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> KeyedStream<T, C, K> {
    /// Does with each record, and with the timers of its key, what `function` says, given what it
    /// keeps of that key.
    ///
    /// Emits what the function emits. Timers by event time fire when the watermark has passed them,
    /// in the order of their times, and all that are left when the input ends; those by the clock
    /// fire when it is time, whether or not records come. A key of which nothing is kept and which
    /// has no timers takes no memory.
    ///
    /// ```
    /// use millstream_operators::keyed::process::{
    ///     KeyContext, ProcessFunction, Timer, ValueState,
    /// };
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// /// Tells of a key when nothing has come of it for ten milliseconds of event time.
    /// #[derive(Clone)]
    /// struct Silence;
    ///
    /// impl ProcessFunction<&'static str, (&'static str, i64)> for Silence {
    ///     type Out = String;
    ///     type States = ValueState<Timestamp>;
    ///
    ///     fn states(&self) -> ValueState<Timestamp> {
    ///         ValueState::new("deadline")
    ///     }
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: Record<(&'static str, i64)>,
    ///         context: &mut KeyContext<'_, &'static str, ValueState<Timestamp>>,
    ///         _out: &mut impl Collector<String>,
    ///     ) -> Result<(), OperatorError> {
    ///         if let Some(deadline) = context.states.take() {
    ///             context.timers.delete_event_time(deadline);
    ///         }
    ///         let deadline = record.time.saturating_add(Duration::from_millis(10));
    ///         context.states.set(deadline);
    ///         context.timers.set_event_time(deadline);
    ///         Ok(())
    ///     }
    ///
    ///     fn on_timer(
    ///         &mut self,
    ///         timer: Timer,
    ///         context: &mut KeyContext<'_, &'static str, ValueState<Timestamp>>,
    ///         out: &mut impl Collector<String>,
    ///     ) -> Result<(), OperatorError> {
    ///         context.states.clear();
    ///         out.push(context.record(format!("{} is silent at {}", context.key, timer.time())));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("silence");
    /// let signs = [("a", 0), ("b", 4), ("a", 8), ("a", 15)];
    /// let silent = flow
    ///     .source("signs of life", source::from_iter(signs))
    ///     .event_time(|(_, at)| Timestamp::from_millis(*at), Watermarks::monotonic())
    ///     .key_by(|(key, _)| *key)
    ///     .process(Silence)
    ///     .collect();
    /// let silent = flow.run().await?.take(silent).unwrap();
    /// assert_eq!(silent, ["b is silent at 14 ms", "a is silent at 25 ms"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// State needs a key:
    ///
    /// ```compile_fail
    /// # use millstream_operators::prelude::*;
    /// # #[derive(Clone)]
    /// # struct Silence;
    /// # let flow = Dataflow::new("doc");
    /// flow.source("numbers", source::from_iter(0..9)).process(Silence).ignore();
    /// ```
    pub fn process<F: ProcessFunction<K::Owned, T>>(self, function: F) -> Processed<T, K, F>
    where
        K::Owned: Eq + Clone,
    {
        self.process_with(|_, _| function)
    }

    /// As [`process`](KeyedStream::process), for a function that has to know its place in the
    /// graph: to [connect](crate::fan::SideTag::port) itself to side outputs.
    pub fn process_with<F: ProcessFunction<K::Owned, T>>(
        self,
        function: impl FnOnce(OperatorId, &Blueprint) -> F,
    ) -> Processed<T, K, F>
    where
        K::Owned: Eq + Clone,
    {
        self.via_keyed_with(|key, operator, blueprint| {
            Process::new(key, function(operator, blueprint))
        })
    }
}

/// The operator behind [`KeyedStream::process`].
pub struct Process<T, K: KeyOf<T>, F: ProcessFunction<K::Owned, T>> {
    key: K,
    function: F,
    states: F::States,
    store: KeyStore<K::Owned, F::States>,
    codec: Option<StoreCodec<K::Owned, F::States>>,
    clock: ProcessingClock,
    now: StateTime,
    /// Whether the clock has to be read for each record.
    by_clock: bool,
    /// How many records may still pass before it is.
    unread: u8,
    /// Whether timers that are due have not all fired.
    firing: bool,
    /// The input has ended, and with it event time.
    ended: bool,
    due: Option<Instant>,
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
            function,
            store: KeyStore::new(),
            codec: None,
            clock: ProcessingClock::default(),
            now: StateTime { event: Timestamp::MIN, processing: Timestamp::MIN },
            by_clock: states.shortest_life().is_some(),
            unread: 0,
            firing: false,
            ended: false,
            due: None,
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

    fn read_clock(&mut self) {
        self.now.processing = self.now.processing.max(self.clock.now());
        self.unread = CLOCK_EVERY;
    }
}

impl<T, K, F> Process<T, K, F>
where
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
        let KeyStore { keys, event, processing, .. } = &mut self.store;
        let Some(kept) = keys.get_bucket_mut(place) else {
            return Ok(());
        };
        let (hash, key) = (kept.hash, &kept.key);
        let timers = KeyTimers { event, processing, clock: &self.clock, hash, key };
        let states = self.states.view(&mut kept.cells, now);
        let watermark = self.now.event;
        call(&mut self.function, &mut KeyContext { key, states, timers, time, watermark })?;
        self.store.leave(place, &self.states, now);
        Ok(())
    }

    /// Lets timers fire as long as there is room, and then forgets state that has lived its time.
    fn fire(&mut self, out: &mut impl Collector<F::Out>) -> Result<(), OperatorError> {
        while self.firing && !out.is_full() {
            if self.function.side().is_some_and(|side| side.is_full()) {
                break;
            }
            let Some((timer, hash, key)) = self.store.pop_due(self.now) else {
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

    fn set_timer(&mut self) {
        // At the end of the input the clock is waited for no longer.
        let next = if self.ended { None } else { self.store.next_processing() };
        self.due = next.and_then(|time| self.clock.when(time));
    }
}

impl<T, K: KeyOf<T>, F: ProcessFunction<K::Owned, T>> Clone for Process<T, K, F> {
    fn clone(&self) -> Self {
        Self { codec: self.codec, ..Self::new(self.key.clone(), self.function.clone()) }
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
    const NAME: &'static str = "process";

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
        self.function.open(context)
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
        let place = self.key.with(&value, |key| self.store.place(hash, key));
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
        self.now.event = Timestamp::MAX;
        self.ended = true;
        self.firing = true;
        self.fire(out)
    }

    #[inline]
    fn pending(&self) -> bool {
        self.firing
    }

    fn resume(&mut self, out: &mut impl Collector<F::Out>) -> Result<(), OperatorError> {
        self.fire(out)
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
        self.function.side()
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let codec = self.codec.as_ref().ok_or_else(without_uid)?;
        state.write(self.now.event.as_millis().to_le_bytes().to_vec());
        self.store.snapshot(&self.states, codec, state)
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let codec = self.codec.as_ref().ok_or_else(without_uid)?;
        for (_, bytes) in state.instances() {
            let bytes = bytes.try_into().map_err(|_| StateError::new("a watermark has 8 bytes"))?;
            let watermark = Timestamp::from_millis(i64::from_le_bytes(bytes));
            self.now.event = self.now.event.max(watermark);
        }
        let hash = |key: &K::Owned| stable_hash::<K::Key>(key.borrow());
        self.store.restore(&self.states, codec, state, self.now, hash)?;
        self.set_timer();
        Ok(())
    }
}
