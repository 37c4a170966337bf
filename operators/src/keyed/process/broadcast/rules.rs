//! A function with the rules at hand, and how rules are written down.

use std::fmt;
use std::marker::PhantomData;

use millstream_engine::operator::{Collector, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::StateError;
use millstream_engine::{Error, OperatorError, Record};

use super::BroadcastFunction;
use crate::keyed::process::{KeyContext, ProcessFunction, Timer};
use crate::state::{Codec, State};

/// The function, as one over the records of keys alone.
pub type WithRules<K, T, R, F> = Ruled<R, F, <F as BroadcastFunction<K, T, R>>::Rules>;

/// A function over keyed records and changes of `R`, and its rules `B`: to those who only know of
/// keyed records, a function over these.
pub struct Ruled<R, F, B> {
    pub(super) function: F,
    pub(super) rules: B,
    marker: PhantomData<fn(R)>,
}

impl<R, F, B: Default> Ruled<R, F, B> {
    pub(super) fn new(function: F) -> Self {
        Self { function, rules: B::default(), marker: PhantomData }
    }
}

impl<R, F: Clone, B: Default> Clone for Ruled<R, F, B> {
    fn clone(&self) -> Self {
        Self::new(self.function.clone())
    }
}

impl<R, F, B> fmt::Debug for Ruled<R, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ruled").finish_non_exhaustive()
    }
}

impl<K, T, R, F> ProcessFunction<K, T> for Ruled<R, F, F::Rules>
where
    R: 'static,
    F: BroadcastFunction<K, T, R>,
{
    type Out = F::Out;
    type States = F::States;

    fn states(&self) -> F::States {
        self.function.states()
    }

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.function.open(context)
    }

    fn process(
        &mut self,
        record: Record<T>,
        context: &mut KeyContext<'_, K, F::States>,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        self.function.process(record, &self.rules, context, out)
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut KeyContext<'_, K, F::States>,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        self.function.on_timer(timer, &self.rules, context, out)
    }

    fn on_evict(
        &mut self,
        context: &mut KeyContext<'_, K, F::States>,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        self.function.on_evict(&self.rules, context, out)
    }

    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.function.side()
    }
}

/// How rules are written, and when two of them are the same.
pub(super) struct RulesCodec<B> {
    codec: Codec<B>,
    same: fn(&B, &B) -> bool,
}

impl<B: State + PartialEq> RulesCodec<B> {
    pub(super) const fn new() -> Self {
        Self { codec: Codec::new(), same: B::eq }
    }
}

impl<B> RulesCodec<B> {
    pub(super) fn write(&self, rules: &B) -> Result<Vec<u8>, StateError> {
        let mut bytes = Vec::new();
        self.codec.write(rules, &mut bytes)?;
        Ok(bytes)
    }

    /// The rules that all instances have written.
    pub(super) fn read(&self, written: &[&[u8]]) -> Result<Option<B>, StateError> {
        let Some((first, others)) = written.split_first() else {
            return Ok(None);
        };
        let read = |mut bytes: &[u8]| self.codec.read(&mut bytes);
        let rules = read(first)?;
        for other in others.iter().filter(|other| *other != first) {
            if !(self.same)(&rules, &read(other)?) {
                let why = "two instances knew different rules: what becomes of them has depended \
                    on something else than their changes";
                return Err(StateError::new(why));
            }
        }
        Ok(Some(rules))
    }
}

impl<B> Clone for RulesCodec<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for RulesCodec<B> {}
