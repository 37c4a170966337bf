//! How keys are hashed, and which instance owns a key.
//!
//! State that is once written is found again by its key group, so nothing here may ever change: the
//! tests at the end hold golden values. The hash is fixed by this file alone: never the process's
//! random hasher.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

use rapidhash::v3::{DEFAULT_RAPID_SECRETS, rapidhash_v3_inline};

/// How many key groups there are: the unit in which keyed state is written and moved, and with it the
/// largest useful number of instances of a keyed operator.
pub const KEY_GROUPS: usize = 128;

/// The fixed hash of a key. Integers are written in little-endian order and `usize` as 64 bits, so
/// that every machine gets the same.
#[must_use]
pub fn stable_hash<K: Hash + ?Sized>(key: &K) -> u64 {
    let mut hasher = StableHasher::default();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The key group of a hash: bits 32 to 38. Hash tables take their tag from the top bits and their
/// slot from the low ones; a group cut from either would give every key of a group the same.
#[inline]
#[must_use]
pub const fn key_group(hash: u64) -> u8 {
    ((hash >> 32) & 0x7f) as u8
}

/// The instance that owns a key group, of `instances`: contiguous ranges, as even as can be.
#[inline]
#[must_use]
pub const fn owner(group: u8, instances: usize) -> usize {
    group as usize * instances / KEY_GROUPS
}

/// A hasher whose results are part of the state format.
///
/// Byte strings go through rapidhash v3 (whose output its authors keep stable), integers through one
/// folded multiplication each.
#[derive(Clone, Copy, Debug)]
pub struct StableHasher(u64);

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const MULTIPLIER: u64 = 0xd6e8_feb8_6659_fd93;

impl Default for StableHasher {
    fn default() -> Self {
        Self(SEED)
    }
}

impl StableHasher {
    #[inline]
    fn mix(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word) * u128::from(MULTIPLIER);
        #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
        let folded = (wide as u64) ^ ((wide >> 64) as u64);
        self.0 = folded.wrapping_add(SEED);
    }
}

impl Hasher for StableHasher {
    #[inline]
    fn finish(&self) -> u64 {
        let wide = u128::from(self.0) * u128::from(SEED);
        #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
        let folded = (wide as u64) ^ ((wide >> 64) as u64);
        folded
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.mix(rapidhash_v3_inline::<true, false, false>(
            bytes,
            &DEFAULT_RAPID_SECRETS,
        ));
    }

    #[inline]
    fn write_u8(&mut self, word: u8) {
        self.mix(u64::from(word));
    }

    #[inline]
    fn write_u16(&mut self, word: u16) {
        self.mix(u64::from(word));
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.mix(u64::from(word));
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    #[inline]
    fn write_u128(&mut self, word: u128) {
        #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
        let (low, high) = (word as u64, (word >> 64) as u64);
        self.mix(low);
        self.mix(high);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    #[inline]
    fn write_isize(&mut self, word: isize) {
        self.mix(word as i64 as u64);
    }
}

/// How a record's key is found: one contract for keys that are made and keys that are borrowed.
///
/// A borrowed key (`by_ref(|word: &String| word.as_str())`) costs no allocation a record; state
/// makes it its own at first sight only.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not give a key of `{T}`",
    note = "give a closure `Fn(&{T}) -> Key` to `key_by`, or `Fn(&{T}) -> &Key` to `key_by_ref`"
)]
pub trait KeyOf<T>: Clone + Send + 'static {
    /// The key as it is looked at.
    type Key: Hash + Eq + ToOwned<Owned = Self::Owned> + ?Sized;
    /// The key as it is kept.
    type Owned: Borrow<Self::Key> + Send + 'static;

    /// Shows the key of `value` to `look`.
    fn with<R>(&self, value: &T, look: impl FnOnce(&Self::Key) -> R) -> R;
}

/// A key that a closure makes anew for each record.
#[derive(Clone, Copy, Debug)]
pub struct Made<F>(pub F);

/// A key that a closure borrows from the record.
#[derive(Clone, Copy, Debug)]
pub struct Borrowed<F>(pub F);

impl<T, K, F> KeyOf<T> for Made<F>
where
    K: Hash + Eq + Clone + Send + 'static,
    F: Fn(&T) -> K + Clone + Send + 'static,
{
    type Key = K;
    type Owned = K;

    #[inline]
    fn with<R>(&self, value: &T, look: impl FnOnce(&K) -> R) -> R {
        look(&(self.0)(value))
    }
}

impl<T, K, F> KeyOf<T> for Borrowed<F>
where
    K: Hash + Eq + ToOwned + ?Sized + 'static,
    K::Owned: Send + 'static,
    F: Fn(&T) -> &K + Clone + Send + 'static,
{
    type Key = K;
    type Owned = K::Owned;

    #[inline]
    fn with<R>(&self, value: &T, look: impl FnOnce(&K) -> R) -> R {
        look((self.0)(value))
    }
}
