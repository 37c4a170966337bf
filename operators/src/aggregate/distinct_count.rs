//! `DistinctCount`: how many different keys there were.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash};
use std::marker::PhantomData;

use millstream_engine::key::{Borrowed, KeyOf, Made, StableHasher, stable_hash};

use super::{Aggregate, HyperLogLog};

/// How many different keys the values have, as `u64`.
///
/// - [`exact`](Self::exact) keeps every key: its memory grows with their number.
/// - [`approximate`](Self::approximate) takes at most 4 KiB, however many there are. Up to 256 keys
///   are counted exactly; beyond, two of three results are within 1.6 % and nearly all within 5 %.
///   Keys are hashed by a fixed hash, so that a result is the same in every run.
///
/// Each has a sister for keys that are borrowed from the value.
///
/// ```
/// use millstream_operators::aggregate::{Aggregate, DistinctCount};
///
/// struct Visit {
///     user: String,
///     page: u32,
/// }
///
/// let visits = [("ann", 1), ("bob", 1), ("ann", 2)];
/// let visits = visits.map(|(user, page)| Visit { user: user.to_owned(), page });
/// let both = (
///     DistinctCount::exact(|visit: &Visit| visit.page),
///     DistinctCount::approximate_ref(|visit: &Visit| visit.user.as_str()),
/// );
/// assert_eq!(both.over(&visits), (2, 2));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DistinctCount<K, Method> {
    key: K,
    method: PhantomData<Method>,
}

/// The method that keeps every key.
#[derive(Clone, Copy, Debug)]
pub struct Exact;

/// The method that keeps a [`HyperLogLog`].
#[derive(Clone, Copy, Debug)]
pub struct Approximate;

impl<F> DistinctCount<Made<F>, Exact> {
    /// The number of different keys that `key` gives. Memory grows with it.
    pub fn exact<T, K>(key: F) -> Self
    where
        F: Fn(&T) -> K + Clone + Send + 'static,
        K: Hash + Eq + Clone + Send + 'static,
    {
        Self { key: Made(key), method: PhantomData }
    }
}

impl<F> DistinctCount<Borrowed<F>, Exact> {
    /// The same with a key borrowed from the value, which is cloned when it is new.
    pub fn exact_ref<T, K>(key: F) -> Self
    where
        F: Fn(&T) -> &K + Clone + Send + 'static,
        K: Hash + Eq + ToOwned + ?Sized + 'static,
    {
        Self { key: Borrowed(key), method: PhantomData }
    }
}

impl<F> DistinctCount<Made<F>, Approximate> {
    /// About the number of different keys that `key` gives, in at most 4 KiB.
    pub fn approximate<T, K>(key: F) -> Self
    where
        F: Fn(&T) -> K + Clone + Send + 'static,
        K: Hash + Eq + Clone + Send + 'static,
    {
        Self { key: Made(key), method: PhantomData }
    }
}

impl<F> DistinctCount<Borrowed<F>, Approximate> {
    /// The same with a key borrowed from the value, which is never cloned.
    pub fn approximate_ref<T, K>(key: F) -> Self
    where
        F: Fn(&T) -> &K + Clone + Send + 'static,
        K: Hash + Eq + ToOwned + ?Sized + 'static,
    {
        Self { key: Borrowed(key), method: PhantomData }
    }
}

impl<T, K> Aggregate<T> for DistinctCount<K, Exact>
where
    K: KeyOf<T>,
    K::Owned: Hash + Eq + Clone,
{
    type Accumulator = HashSet<K::Owned, BuildHasherDefault<StableHasher>>;
    type Out = u64;
    const NAME: &'static str = "distinct_count";

    fn create(&self) -> Self::Accumulator {
        HashSet::default()
    }

    #[inline]
    fn add(&self, keys: &mut Self::Accumulator, value: &T) {
        self.key.with(value, |key| {
            if !keys.contains(key) {
                keys.insert(key.to_owned());
            }
        });
    }

    fn merge(&self, keys: &mut Self::Accumulator, other: &Self::Accumulator) {
        keys.extend(other.iter().cloned());
    }

    fn result(&self, keys: &Self::Accumulator) -> u64 {
        keys.len() as u64
    }
}

impl<T, K: KeyOf<T>> Aggregate<T> for DistinctCount<K, Approximate> {
    type Accumulator = HyperLogLog;
    type Out = u64;
    const NAME: &'static str = "approximate_distinct_count";

    fn create(&self) -> HyperLogLog {
        HyperLogLog::new()
    }

    #[inline]
    fn add(&self, keys: &mut HyperLogLog, value: &T) {
        self.key.with(value, |key| keys.add(stable_hash(key)));
    }

    fn merge(&self, keys: &mut HyperLogLog, other: &HyperLogLog) {
        keys.merge(other);
    }

    fn result(&self, keys: &HyperLogLog) -> u64 {
        keys.estimate()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws::{self, Cuts};

    proptest! {
        #![proptest_config(laws::config())]

        #[test]
        fn g18_a_distinct_count_is_the_size_of_the_set(values: Vec<u8>, cuts: Cuts) {
            let words: Vec<String> = values.iter().map(u8::to_string).collect();
            let exact = (
                DistinctCount::exact(|word: &String| word.clone()),
                DistinctCount::exact_ref(|word: &String| word.as_str()),
            );
            laws::hold(&exact, &words, &cuts);
            let expected = values.iter().collect::<BTreeSet<_>>().len() as u64;
            prop_assert_eq!(exact.over(&words), (expected, expected));
        }

        /// On both sides of where it begins to be approximate. The sketches themselves are equal.
        #[test]
        fn g18_an_approximate_count_does_not_depend_on_how_the_input_was_cut(
            values in prop::collection::vec(0..700_u16, 0..1500),
            cuts: Cuts,
        ) {
            let about = DistinctCount::approximate(|n: &u16| *n);
            laws::hold(&about, &values, &cuts);
            let exact = values.iter().collect::<BTreeSet<_>>().len() as f64;
            let off = (about.over(&values) as f64 - exact).abs();
            prop_assert!(off <= 0.07 * exact, "{off} off {exact}");
        }
    }
}
