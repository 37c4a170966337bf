//! The operator behind `connect_broadcast(…).process(…)`.

use std::fmt;
use std::task::Context;

use millstream_engine::chain::{Boundary, Via};
use millstream_engine::edge::Keyed;
use millstream_engine::key::KeyOf;
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use super::rules::{Ruled, RulesCodec, WithRules};
use super::{BroadcastContext, BroadcastFunction};
use crate::DataStream;
use crate::fan::Either;
use crate::keyed::limit::{BoundedKeys, KeyBound};
use crate::keyed::process::{Process, StateTime, StoredStates};
use crate::keyed::table::without_uid;
use crate::state::{Checkpointed, State};

/// The stream behind [`BroadcastConnected::process`](super::BroadcastConnected::process).
pub type BroadcastProcessed<T, R, K, F> = DataStream<
    <F as BroadcastFunction<<K as KeyOf<T>>::Owned, T, R>>::Out,
    Via<Boundary<Either<Keyed<T>, R>>, BroadcastProcess<T, R, K, F>>,
>;

/// A [`Process`] whose function knows rules.
pub struct BroadcastProcess<T, R: 'static, K: KeyOf<T>, F: BroadcastFunction<K::Owned, T, R>> {
    process: Process<T, K, WithRules<K::Owned, T, R, F>>,
    codec: Option<RulesCodec<F::Rules>>,
}

impl<T, R: 'static, K: KeyOf<T>, F: BroadcastFunction<K::Owned, T, R>>
    BroadcastProcess<T, R, K, F>
{
    /// The operator for records whose key `key` finds.
    #[must_use]
    pub fn new(key: K, function: F) -> Self {
        Self { process: Process::new(key, Ruled::new(function)), codec: None }
    }

    /// The rules as this instance knows them.
    #[must_use]
    pub const fn rules(&self) -> &F::Rules {
        &self.process.bounded.function.rules
    }
}

impl<T, R: 'static, K: KeyOf<T>, F: BroadcastFunction<K::Owned, T, R>> Clone
    for BroadcastProcess<T, R, K, F>
{
    fn clone(&self) -> Self {
        Self { process: self.process.clone(), codec: self.codec }
    }
}

impl<T, R, K, F> Checkpointed for BroadcastProcess<T, R, K, F>
where
    R: 'static,
    K: KeyOf<T, Owned: State>,
    F: BroadcastFunction<K::Owned, T, R, States: StoredStates, Rules: State + PartialEq>,
{
    fn checkpointed(self) -> Self {
        Self { process: self.process.checkpointed(), codec: Some(RulesCodec::new()) }
    }
}

impl<T, R, K, F> BoundedKeys for BroadcastProcess<T, R, K, F>
where
    T: Send + 'static,
    R: 'static,
    K: KeyOf<T>,
    F: BroadcastFunction<K::Owned, T, R>,
{
    type Value = T;

    fn bounded(self, bound: KeyBound<T>) -> Self {
        Self { process: self.process.bounded(bound), ..self }
    }
}

impl<T, R: 'static, K: KeyOf<T>, F: BroadcastFunction<K::Owned, T, R>> fmt::Debug
    for BroadcastProcess<T, R, K, F>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BroadcastProcess").field(&self.process).finish()
    }
}

impl<T, R, K, F> Operator<Either<Keyed<T>, R>> for BroadcastProcess<T, R, K, F>
where
    T: Send + 'static,
    R: Send + 'static,
    K: KeyOf<T, Owned: Eq + Clone>,
    F: BroadcastFunction<K::Owned, T, R>,
{
    type Out = F::Out;
    const NAME: &'static str = "process";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.process.open(context)
    }

    fn process(
        &mut self,
        record: Record<Either<Keyed<T>, R>>,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        let time = record.time;
        let change = match record.value {
            Either::Left(keyed) => return self.process.process(Record::at(keyed, time), out),
            Either::Right(change) => Record::at(change, time),
        };
        self.process.read_clock();
        let Process { bounded, store, states, clock, now, .. } = &mut self.process;
        let watermark = now.event;
        let now = StateTime { event: watermark.max(time), ..*now };
        let mut context = BroadcastContext { time, watermark, store, states, clock, now };
        let Ruled { function, rules, .. } = &mut bounded.function;
        function.process_broadcast(change, rules, &mut context, out)?;
        self.process.set_timer();
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        self.process.on_watermark(watermark, out)
    }

    fn on_timer(
        &mut self,
        now: Instant,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        self.process.on_timer(now, out)
    }

    fn on_end(&mut self, out: &mut impl Collector<F::Out>) -> Result<(), OperatorError> {
        self.process.on_end(out)
    }

    #[inline]
    fn pending(&self) -> bool {
        self.process.pending()
    }

    fn resume(&mut self, out: &mut impl Collector<F::Out>) -> Result<(), OperatorError> {
        self.process.resume(out)
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.process.next_timer()
    }

    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        self.process.poll_outside(cx)
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.process.side()
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let codec = self.codec.as_ref().ok_or_else(without_uid)?;
        self.process.snapshot_with(&codec.write(self.rules())?, state)
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let codec = self.codec.ok_or_else(without_uid)?;
        let written = self.process.restore_with(state)?;
        if let Some(rules) = codec.read(&written)? {
            self.process.bounded.function.rules = rules;
        }
        Ok(())
    }
}
