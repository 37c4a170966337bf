//! The hash of a key that is owned.

use std::borrow::Borrow as _;

use millstream_engine::key::{KeyOf, stable_hash};

/// The hash that a record of the key comes with.
#[inline]
pub(crate) fn hash_of<T, K: KeyOf<T>>(key: &K::Owned) -> u64 {
    stable_hash::<K::Key>(key.borrow())
}
