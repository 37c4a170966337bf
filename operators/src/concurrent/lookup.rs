//! `Lookup`: how records are looked up, and what is remembered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millstream_engine::time::Instant;

/// How [`lookup_async`](crate::DataStream::lookup_async) groups keys into calls, and how long it
/// remembers answers.
///
/// ```
/// use std::time::Duration;
/// use millstream_operators::prelude::*;
///
/// let lookup = Lookup::default()
///     .with_keys_per_call(50)
///     .with_calls(2)
///     .with_cache(10_000, Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    pub(super) keys_per_call: usize,
    pub(super) calls: usize,
    pub(super) cached_max: usize,
    pub(super) time_to_live: Duration,
}

impl Default for Lookup {
    fn default() -> Self {
        let (cached_max, time_to_live) = (0, Duration::ZERO);
        Self { keys_per_call: 100, calls: 4, cached_max, time_to_live }
    }
}

impl Lookup {
    /// The most keys in one call; zero counts as one. Default: 100.
    #[must_use]
    pub const fn with_keys_per_call(mut self, keys: usize) -> Self {
        self.keys_per_call = if keys > 0 { keys } else { 1 };
        self
    }

    /// The most calls in flight in each instance; zero counts as one. Default: 4.
    #[must_use]
    pub const fn with_calls(mut self, calls: usize) -> Self {
        self.calls = if calls > 0 { calls } else { 1 };
        self
    }

    /// Remembers the answers for up to `keys` keys, for `time_to_live` from when they came, also
    /// that there was none. When there are more, the oldest is forgotten. Default: nothing is
    /// remembered once its records are out.
    #[must_use]
    pub const fn with_cache(mut self, keys: usize, time_to_live: Duration) -> Self {
        self.cached_max = keys;
        self.time_to_live = time_to_live;
        self
    }

    /// The most records that wait for their answers.
    pub(super) const fn records_max(self) -> usize {
        self.keys_per_call.saturating_mul(self.calls)
    }
}

/// The place of an answer: empty until it comes, and then perhaps that there is none.
pub(super) type Place<V> = Arc<OnceLock<Option<V>>>;

/// What is being asked, and what is remembered.
pub(super) struct Answers<K, V> {
    lookup: Lookup,
    places: BTreeMap<K, Entry<V>>,
    /// What is remembered, the oldest first.
    remembered: VecDeque<K>,
}

struct Entry<V> {
    place: Place<V>,
    /// Until when it is remembered; `None` while it is being asked.
    until: Option<Instant>,
}

impl<K: Ord + Clone, V> Answers<K, V> {
    pub(super) const fn new(lookup: Lookup) -> Self {
        Self { lookup, places: BTreeMap::new(), remembered: VecDeque::new() }
    }

    /// Where the answer for `key` is or will be, and whether it has to be asked for.
    pub(super) fn place(&mut self, key: &K, now: Instant) -> (Place<V>, bool) {
        self.forget(now);
        if let Some(entry) = self.places.get(key) {
            return (Arc::clone(&entry.place), false);
        }
        let place = Place::default();
        let entry = Entry { place: Arc::clone(&place), until: None };
        self.places.insert(key.clone(), entry);
        (place, true)
    }

    /// An answer has come.
    pub(super) fn fill(&mut self, key: K, answer: Option<V>, now: Instant) {
        let Some(entry) = self.places.get_mut(&key) else {
            return;
        };
        // Filled once: whoever asked is the only one who did.
        entry.place.set(answer).ok();
        if self.lookup.cached_max == 0 {
            self.places.remove(&key);
            return;
        }
        entry.until = Some(now + self.lookup.time_to_live);
        self.remembered.push_back(key);
        self.forget(now);
    }

    /// Drops what is too old or too much. All live equally long, so the oldest is the first.
    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.remembered.front() {
            let until = self.places.get(oldest).and_then(|entry| entry.until);
            let too_old = until.is_none_or(|until| until <= now);
            if !too_old && self.remembered.len() <= self.lookup.cached_max {
                return;
            }
            if let Some(oldest) = self.remembered.pop_front() {
                self.places.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Instant {
        Instant::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn c10_the_cache_has_a_time_to_live_and_a_maximum_size() {
        let mut answers = Answers::new(Lookup::default().with_cache(2, Duration::from_secs(10)));
        for (key, second) in [("a", 0), ("b", 1), ("c", 2)] {
            let (place, ask) = answers.place(&key, after(second));
            assert!(ask && place.get().is_none());
            assert!(!answers.place(&key, after(second)).1, "it is being asked already");
            answers.fill(key, Some(second), after(second));
            assert_eq!(place.get(), Some(&Some(second)));
        }
        assert_eq!(answers.places.len(), 2, "the oldest made room");
        assert!(!answers.place(&"b", after(10)).1);
        assert!(answers.place(&"b", after(11)).1, "too old");
        assert!(answers.place(&"a", after(11)).1, "forgotten");
    }

    #[test]
    fn c10_without_a_cache_nothing_is_kept() {
        let mut answers = Answers::new(Lookup::default());
        let (place, _) = answers.place(&1, after(0));
        answers.fill(1, Some("one"), after(0));
        assert_eq!(place.get(), Some(&Some("one")));
        assert!(answers.places.is_empty() && answers.remembered.is_empty());
    }
}
