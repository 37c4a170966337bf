//! The way of a record to the instance that owns its key, where streams of several types meet.

use std::fmt;

use millstream_engine::edge::{Keyed, Outbox, Router};
use millstream_engine::key::{KeyOf, key_group, owner, stable_hash};
use millstream_engine::tail::{Flow, Tail as _};
use millstream_engine::{OperatorError, Record};

/// Sends each record to the instance that owns its key, as one of the things that travel there.
pub(crate) struct ToOwner<T, O, K> {
    key: K,
    side: fn(Keyed<T>) -> O,
}

impl<T, O, K> ToOwner<T, O, K> {
    pub(crate) const fn new(key: K, side: fn(Keyed<T>) -> O) -> Self {
        Self { key, side }
    }
}

impl<T, O, K: Clone> Clone for ToOwner<T, O, K> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), side: self.side }
    }
}

impl<T: Send, O: Send, K: KeyOf<T>> Router<T> for ToOwner<T, O, K> {
    type Out = O;

    #[inline]
    fn route(
        &mut self,
        record: Record<T>,
        outboxes: &mut [Outbox<O>],
    ) -> Result<Flow, OperatorError> {
        let hash = self.key.with(&record.value, stable_hash);
        let instance = owner(key_group(hash), outboxes.len());
        let record = record.with(|value| (self.side)(Keyed { hash, value }));
        Ok(outboxes.get_mut(instance).map_or(Flow::More, |outbox| outbox.push(record)))
    }
}

impl<T, O, K: fmt::Debug> fmt::Debug for ToOwner<T, O, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ToOwner").field(&self.key).finish()
    }
}
