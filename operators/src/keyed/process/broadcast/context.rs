//! What a function sees when the rules change: the time, and every key.

use std::fmt;

use millstream_engine::OperatorError;
use millstream_engine::time::Timestamp;

use crate::keyed::process::store::KeyStore;
use crate::keyed::process::{KeyContext, KeyTimers, StateTime, States};
use crate::time::ProcessingClock;

/// The keys of one instance, at a change of the rules.
pub struct BroadcastContext<'a, K, S: States> {
    /// When the change happened.
    pub time: Timestamp,
    /// How far event time has come.
    pub watermark: Timestamp,
    pub(super) store: &'a mut KeyStore<K, S>,
    pub(super) states: &'a S,
    pub(super) clock: &'a ProcessingClock,
    pub(super) now: StateTime,
}

impl<K: Eq + Clone, S: States> BroadcastContext<'_, K, S> {
    /// Does something about every key of which this instance keeps state, in the order of their
    /// hashes.
    ///
    /// It is done before the next record is looked at, and nothing else of its stage runs
    /// meanwhile: the work grows with the number of keys, and so does the memory for what it emits.
    /// Where that is much, set a timer for each key instead.
    ///
    /// # Errors
    ///
    /// The first error of `act`, which ends it.
    pub fn for_each_key(
        &mut self,
        mut act: impl FnMut(&mut KeyContext<'_, K, S>) -> Result<(), OperatorError>,
    ) -> Result<(), OperatorError> {
        let (time, watermark, now) = (self.time, self.watermark, self.now);
        for place in self.store.places() {
            let KeyStore { keys, event, processing, .. } = &mut *self.store;
            let Some(kept) = keys.get_bucket_mut(place) else {
                continue;
            };
            let (hash, key) = (kept.hash, &kept.key);
            let timers = KeyTimers { event, processing, clock: self.clock, hash, key };
            let states = self.states.view(&mut kept.cells, now);
            act(&mut KeyContext { key, states, timers, time, watermark })?;
            self.store.look_after(place, self.states, now);
        }
        self.store.give_back();
        Ok(())
    }
}

impl<K, S: States> fmt::Debug for BroadcastContext<'_, K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastContext")
            .field("keys", &self.store.keys.len())
            .field("time", &self.time)
            .field("watermark", &self.watermark)
            .finish_non_exhaustive()
    }
}
