//! What is kept of one key in one window, and whether there is anything new to tell of it.

use millstream_engine::state::StateError;

use super::trigger::{Trigger, TriggerResult};
use super::{Accumulation, Firing, WindowRules};
use crate::aggregate::Aggregate;
use crate::state::{Codec, State};

/// What is kept of one key in one window.
pub(super) struct Kept<A, S> {
    accumulator: A,
    /// What its trigger keeps.
    pub(super) trigger: S,
    /// Something has come since it was last told of.
    fresh: bool,
    /// Something is in it.
    held: bool,
    /// It has been told of when its window was complete.
    on_time: bool,
}

impl<A, S: Default> Kept<A, S> {
    /// That of no records.
    #[inline]
    pub(super) fn new(accumulator: A) -> Self {
        Self { accumulator, trigger: S::default(), fresh: false, held: false, on_time: false }
    }
}

impl<A, S: Default> Kept<A, S> {
    /// That of records of which nothing has been told.
    #[inline]
    pub(super) fn untold(accumulator: A) -> Self {
        Self { fresh: true, held: true, ..Self::new(accumulator) }
    }
}

impl<A, S> Kept<A, S> {
    /// Whether there are records, and nothing has been told of them.
    pub(super) const fn is_untold(&self) -> bool {
        self.fresh && self.held && !self.on_time
    }

    pub(super) fn into_accumulator(self) -> A {
        self.accumulator
    }

    /// Adds a record.
    #[inline]
    pub(super) fn add<T, G: Aggregate<T, Accumulator = A>>(&mut self, aggregate: &G, value: &T) {
        aggregate.add(&mut self.accumulator, value);
        self.fresh = true;
        self.held = true;
    }

    /// Tells of it as its trigger has decided. The window is `complete` or not.
    #[inline]
    pub(super) fn tell<T, G, R>(
        &mut self,
        aggregate: &G,
        rules: &WindowRules<T, R>,
        result: TriggerResult,
        complete: bool,
    ) -> Option<(G::Out, Firing)>
    where
        G: Aggregate<T, Accumulator = A>,
        R: Trigger<State = S>,
    {
        if result == TriggerResult::Continue {
            return None;
        }
        rules.trigger.on_fired(&mut self.trigger);
        let firing = self.firing(complete);
        if !self.is_new(firing) {
            return None;
        }
        self.fresh = false;
        self.on_time |= complete;
        let purge = result == TriggerResult::FireAndPurge;
        if purge || rules.accumulation == Accumulation::Discarding {
            self.held = false;
            let accumulator = std::mem::replace(&mut self.accumulator, aggregate.create());
            return Some((aggregate.finish(accumulator), firing));
        }
        Some((aggregate.result(&self.accumulator), firing))
    }

    /// Gives it up, and tells of it if its trigger says so, and in any case if something would be
    /// lost.
    #[inline]
    pub(super) fn give_up<T, G>(
        self,
        aggregate: &G,
        result: TriggerResult,
    ) -> Option<(G::Out, Firing)>
    where
        G: Aggregate<T, Accumulator = A>,
    {
        let firing = self.firing(true);
        let told = self.fresh || (result != TriggerResult::Continue && self.is_new(firing));
        told.then(|| (aggregate.finish(self.accumulator), firing))
    }

    const fn firing(&self, complete: bool) -> Firing {
        match (complete, self.on_time) {
            (false, _) => Firing::Early,
            (true, false) => Firing::OnTime,
            (true, true) => Firing::Late,
        }
    }

    /// Whether it is worth telling: the result on time is in any case.
    const fn is_new(&self, firing: Firing) -> bool {
        self.fresh || (self.held && matches!(firing, Firing::OnTime))
    }
}

/// How it is written down.
pub(super) struct KeptCodec<A, S> {
    accumulator: Codec<A>,
    trigger: Codec<S>,
    flags: Codec<(bool, bool, bool)>,
}

impl<A: State, S: State> KeptCodec<A, S> {
    pub(super) const fn new() -> Self {
        Self { accumulator: Codec::new(), trigger: Codec::new(), flags: Codec::new() }
    }
}

impl<A, S> KeptCodec<A, S> {
    pub(super) fn write(&self, kept: &Kept<A, S>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        self.accumulator.write(&kept.accumulator, bytes)?;
        self.trigger.write(&kept.trigger, bytes)?;
        self.flags.write(&(kept.fresh, kept.held, kept.on_time), bytes)
    }

    /// Writes what [`Kept::untold`] is made of.
    pub(super) fn write_untold(
        &self,
        accumulator: &A,
        bytes: &mut Vec<u8>,
    ) -> Result<(), StateError>
    where
        S: Default,
    {
        self.accumulator.write(accumulator, bytes)?;
        self.trigger.write(&S::default(), bytes)?;
        self.flags.write(&(true, true, false), bytes)
    }

    pub(super) fn read(&self, bytes: &mut &[u8]) -> Result<Kept<A, S>, StateError> {
        let accumulator = self.accumulator.read(bytes)?;
        let trigger = self.trigger.read(bytes)?;
        let (fresh, held, on_time) = self.flags.read(bytes)?;
        Ok(Kept { accumulator, trigger, fresh, held, on_time })
    }
}

impl<A, S> Clone for KeptCodec<A, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, S> Copy for KeptCodec<A, S> {}
