//! How windows are written down: by key group, and in it by window.

use std::collections::BTreeMap;

use millstream_engine::key::{KeyOf, key_group};
use millstream_engine::state::{StateError, StateReader, StateWriter};

use super::AlignedWindows;
use super::operator::Aligned;
use super::slots::{Slot, Untold};
use crate::aggregate::Aggregate;
use crate::keyed::{hash_of, without_uid};
use crate::state::{Codec, State, check_group};
use crate::window::kept::KeptCodec;
use crate::window::reached::ReachedCodec;
use crate::window::{TimeWindow, Trigger};

/// How the windows of keys are written down.
pub(super) struct PaneCodec<K, A, S> {
    /// The window, and how many keys of the group follow.
    head: Codec<(TimeWindow, u64)>,
    key: Codec<K>,
    kept: KeptCodec<A, S>,
    reached: ReachedCodec,
}

impl<K: State, A: State, S: State> PaneCodec<K, A, S> {
    pub(super) const fn new() -> Self {
        let (head, key, kept) = (Codec::new(), Codec::new(), KeptCodec::new());
        Self { head, key, kept, reached: ReachedCodec::new() }
    }
}

impl<K, A, S> Clone for PaneCodec<K, A, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, A, S> Copy for PaneCodec<K, A, S> {}

/// What is written of one window in one key group, each key by its hash.
type Written = (TimeWindow, Vec<(u64, Vec<u8>)>);

impl<T, W, K, G, R> Aligned<T, W, K, G, R>
where
    T: Send + 'static,
    W: AlignedWindows,
    K: KeyOf<T, Owned: Clone>,
    G: Aggregate<T>,
    R: Trigger,
{
    /// Writes every window in the order of the windows, and its keys in the order of their hashes,
    /// so that the same state is always the same bytes.
    pub(super) fn write_state(&self, state: &mut StateWriter) -> Result<(), StateError> {
        let codec = self.codec.ok_or_else(without_uid)?;
        let mut groups: BTreeMap<u8, Vec<Written>> = BTreeMap::new();
        for pane in self.panes.iter() {
            let mut note =
                |key: &K::Owned, kept: &dyn Fn(&mut Vec<u8>) -> Result<(), StateError>| {
                    let hash = hash_of::<T, K>(key);
                    let mut bytes = Vec::new();
                    codec.key.write(key, &mut bytes)?;
                    kept(&mut bytes)?;
                    let windows = groups.entry(key_group(hash)).or_default();
                    match windows.last_mut() {
                        Some((window, slots)) if *window == pane.window => {
                            slots.push((hash, bytes))
                        }
                        _ => windows.push((pane.window, vec![(hash, bytes)])),
                    }
                    Ok(())
                };
            for Untold { key, accumulator } in &pane.slots.untold {
                note(key, &|bytes| codec.kept.write_untold(accumulator, bytes))?;
            }
            for Slot { key, kept } in pane.slots.iter_kept() {
                note(key, &|bytes| codec.kept.write(kept, bytes))?;
            }
        }
        for (group, windows) in groups {
            let mut bytes = Vec::new();
            for (window, mut slots) in windows {
                slots.sort_unstable();
                codec.head.write(&(window, slots.len() as u64), &mut bytes)?;
                bytes.extend(slots.into_iter().flat_map(|(_, bytes)| bytes));
            }
            state.write_key_group(group, bytes);
        }
        codec.reached.write(self.watermark, &self.clock, state)
    }

    /// Takes over what [`write_state`](Self::write_state) wrote.
    pub(super) fn read_state(&mut self, state: &StateReader<'_>) -> Result<(), StateError> {
        let codec = self.codec.ok_or_else(without_uid)?;
        for (group, mut bytes) in state.key_groups() {
            while !bytes.is_empty() {
                let (window, keys) = codec.head.read(&mut bytes)?;
                for _ in 0..keys {
                    let key = codec.key.read(&mut bytes)?;
                    let kept = codec.kept.read(&mut bytes)?;
                    let hash = hash_of::<T, K>(&key);
                    check_group(hash, group)?;
                    self.put_back(window, Slot { key, kept });
                }
            }
        }
        if let Some(watermark) = codec.reached.read(state, &mut self.clock)? {
            self.watermark = watermark;
            self.complete = watermark;
        }
        self.collect_timers();
        self.set_due();
        Ok(())
    }
}
