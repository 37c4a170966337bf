//! How keys are hashed, and which instance owns a key.
//!
//! State that is once written is found again by its key group, so nothing here may ever change: the
//! tests at the end hold golden values. The hash is fixed by this file alone: never the process's
//! random hasher.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

use rapidhash::v3::{DEFAULT_RAPID_SECRETS, rapidhash_v3_inline};

/// How many key groups there are: the unit in which keyed state is written and moved, and with it
/// the largest useful number of instances of a keyed operator.
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
/// Byte strings go through rapidhash v3 (whose output its authors keep stable), integers through
/// one folded multiplication each.
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
        self.mix(rapidhash_v3_inline::<true, false, false>(bytes, &DEFAULT_RAPID_SECRETS));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What state that is already written relies on: hash, key group, and the owner of three.
    fn check(key: &(impl Hash + ?Sized), hash: u64, group: u8, owner_of_three: usize) {
        let is = stable_hash(key);
        let (is_group, is_owner) = (key_group(is), owner(key_group(is), 3));
        assert_eq!(
            (is, is_group, is_owner),
            (hash, group, owner_of_three),
            "{is:#x}, {is_group}, {is_owner}"
        );
    }

    #[test]
    fn golden_hashes_never_change() {
        check(&0_u64, 0xca38_ebe7_037b_6a9c, 103, 2);
        check(&1_u64, 0x177e_ab46_0255_fab5, 70, 1);
        check(&u64::MAX, 0xb81e_76ce_dff0_1324, 78, 1);
        check(&-1_i32, 0x5acb_d97b_814a_e434, 123, 2);
        check(&42_i32, 0xbeb3_b184_d628_cea6, 4, 0);
        check(&7_usize, 0x5282_d9dc_8467_d366, 92, 2);
        check(&true, 0x177e_ab46_0255_fab5, 70, 1);
        check("", 0xf865_96f6_0fb7_d33f, 118, 2);
        check("millstream", 0x6d1c_8d51_03f0_b37f, 81, 1);
        check("größer als sechzehn Bytes", 0x76cf_4b17_c59f_afda, 23, 0);
        check(&[1_u8, 2, 3][..], 0xfcb7_e434_d7a0_7abf, 52, 1);
        check(&("nord", 7_u32), 0x3063_b67a_c97c_2254, 122, 2);
        check(&Some('x'), 0x5534_46bd_1231_5829, 61, 1);
    }

    #[test]
    fn owned_and_borrowed_keys_have_one_hash() {
        assert_eq!(stable_hash("abc"), stable_hash(&"abc".to_owned()));
        assert_eq!(stable_hash(&[1_u8, 2][..]), stable_hash(&vec![1_u8, 2]));
        assert_eq!(stable_hash(&7_usize), stable_hash(&7_u64));
        let made = Made(|word: &String| word.clone()).with(&"abc".to_owned(), stable_hash);
        let borrowed = Borrowed(String::as_str).with(&"abc".to_owned(), stable_hash);
        assert_eq!(made, borrowed);
        assert_ne!(stable_hash(&("ab", "c")), stable_hash(&("a", "bc")));
    }

    #[test]
    fn owners_are_contiguous_ranges_as_even_as_can_be() {
        for instances in 1..=KEY_GROUPS {
            let owners: Vec<_> = (0..128).map(|group| owner(group, instances)).collect();
            assert!(owners.is_sorted());
            let sizes: Vec<_> = owners.chunk_by(|a, b| a == b).map(<[_]>::len).collect();
            assert_eq!(sizes.len(), instances, "nobody is left without");
            let (least, most) = (sizes.iter().min(), sizes.iter().max());
            assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1));
        }
    }

    #[test]
    fn keys_spread_over_all_groups() {
        let mut by_number = [0_u32; KEY_GROUPS];
        let mut by_word = [0_u32; KEY_GROUPS];
        for n in 0..128_000_u64 {
            by_number[usize::from(key_group(stable_hash(&n)))] += 1;
            by_word[usize::from(key_group(stable_hash(&format!("user-{n}"))))] += 1;
        }
        for count in by_number.into_iter().chain(by_word) {
            // A thousand in each, give or take five standard deviations.
            assert!((840..1160).contains(&count), "{count} of 1,000");
        }
    }
}
