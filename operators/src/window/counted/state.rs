//! How windows of keys by themselves are written down.

use std::collections::VecDeque;

use millstream_engine::key::KeyOf;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;

use super::operator::{Counted, Numbered, Slot};
use crate::aggregate::Aggregate;
use crate::keyed::{hash_of, without_uid};
use crate::state::{ByGroup, Codec, State, check_group};
use crate::window::Trigger;
use crate::window::kept::KeptCodec;
use crate::window::reached::ReachedCodec;

/// How the windows of a key are written down.
pub(super) struct SlotCodec<K, A, S> {
    key: Codec<K>,
    /// How many records there have been, and how many windows follow.
    head: Codec<(u64, u64)>,
    /// The number of a window, and its time.
    window: Codec<(u64, i64)>,
    kept: KeptCodec<A, S>,
    reached: ReachedCodec,
}

impl<K: State, A: State, S: State> SlotCodec<K, A, S> {
    pub(super) const fn new() -> Self {
        let (key, head, window) = (Codec::new(), Codec::new(), Codec::new());
        Self { key, head, window, kept: KeptCodec::new(), reached: ReachedCodec::new() }
    }
}

impl<K, A, S> SlotCodec<K, A, S> {
    fn write(&self, slot: &Slot<K, A, S>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        self.key.write(&slot.key, bytes)?;
        self.head.write(&(slot.records, slot.windows.len() as u64), bytes)?;
        for Numbered { number, time, kept } in &slot.windows {
            self.window.write(&(*number, time.as_millis()), bytes)?;
            self.kept.write(kept, bytes)?;
        }
        Ok(())
    }

    fn read(&self, bytes: &mut &[u8]) -> Result<Slot<K, A, S>, StateError> {
        let key = self.key.read(bytes)?;
        let (records, count) = self.head.read(bytes)?;
        let mut windows = VecDeque::new();
        for _ in 0..count {
            let (number, time) = self.window.read(bytes)?;
            let (time, kept) = (Timestamp::from_millis(time), self.kept.read(bytes)?);
            windows.push_back(Numbered { number, time, kept });
        }
        Ok(Slot { key, records, windows })
    }
}

impl<K, A, S> Clone for SlotCodec<K, A, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, A, S> Copy for SlotCodec<K, A, S> {}

impl<T, K, G, R> Counted<T, K, G, R>
where
    T: Send + 'static,
    K: KeyOf<T, Owned: Clone>,
    G: Aggregate<T>,
    R: Trigger,
{
    /// Writes the windows of every key, in the order of the keys' hashes.
    pub(super) fn write_state(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let codec = self.codec.ok_or_else(without_uid)?;
        let mut groups = ByGroup::default();
        for slot in &self.slots {
            let (hash, mut bytes) = (hash_of::<T, K>(&slot.key), Vec::new());
            codec.write(slot, &mut bytes)?;
            groups.add(hash, bytes);
        }
        groups.write(state);
        codec.reached.write(self.watermark, &self.clock, state)
    }

    /// Takes over what [`write_state`](Self::write_state) wrote.
    pub(super) fn read_state(&mut self, state: &StateReader<'_>) -> Result<(), StateError> {
        let codec = self.codec.ok_or_else(without_uid)?;
        for (group, mut bytes) in state.key_groups() {
            while !bytes.is_empty() {
                let slot = codec.read(&mut bytes)?;
                let hash = hash_of::<T, K>(&slot.key);
                check_group(hash, group)?;
                self.slots.insert_unique(hash, slot, |slot| hash_of::<T, K>(&slot.key));
            }
        }
        if let Some(watermark) = codec.reached.read(state, &mut self.clock)? {
            self.watermark = watermark;
        }
        self.collect_timers();
        Ok(())
    }
}
