//! What timers promise, and a naive model of them.

use std::collections::{BTreeMap, BTreeSet};

use millstream_engine::key::stable_hash;
use proptest::prelude::*;

use super::*;

fn ms(time: i64) -> Timestamp {
    Timestamp::from_millis(time)
}

fn timers(registered: &[(i64, &str)]) -> Timers<String> {
    let mut timers = Timers::new();
    for (time, key) in registered {
        assert!(timers.register(ms(*time), stable_hash(*key), *key));
    }
    timers
}

/// What a watermark fires.
fn fired(timers: &mut Timers<String>, watermark: Timestamp) -> Vec<(i64, String)> {
    let pop = || timers.pop_event_time::<str>(watermark);
    std::iter::from_fn(pop).map(|(time, _, key)| (time.as_millis(), key)).collect()
}

fn owned(fired: &[(i64, &str)]) -> Vec<(i64, String)> {
    fired.iter().map(|(time, key)| (*time, (*key).to_owned())).collect()
}

#[test]
fn g4_duplicates_collapse_and_what_is_deleted_never_fires() {
    let (ant, bee) = (stable_hash("ant"), stable_hash("bee"));
    let mut timers = timers(&[(5, "ant"), (7, "ant"), (6, "bee"), (9, "bee")]);
    assert!(!timers.register(ms(5), ant, "ant"));
    assert!(!timers.register(ms(7), ant, "ant"));
    assert!(timers.delete(ms(5), ant, "ant"));
    assert!(!timers.delete(ms(5), ant, "ant"), "it is gone");
    assert!(!timers.delete(ms(6), ant, "ant"), "that one is the bee's");
    assert_eq!((timers.len(), timers.next()), (3, Some(ms(6))));
    assert_eq!(timers.delete_key(bee, "bee"), 2);
    assert_eq!(timers.delete_key(bee, "bee"), 0);
    assert_eq!((timers.len(), timers.next()), (1, Some(ms(7))));
    assert_eq!(fired(&mut timers, Timestamp::MAX), owned(&[(7, "ant")]));
    assert_eq!((timers.len(), timers.next()), (0, None));
}

#[test]
fn g4_event_time_fires_before_the_watermark_and_processing_time_at_now() {
    let mut timers = timers(&[(4, "a"), (5, "b"), (6, "c")]);
    assert_eq!(fired(&mut timers, ms(5)), owned(&[(4, "a")]), "a record at 5 may follow");
    let popped = timers.pop_processing_time::<str>(ms(5));
    assert_eq!(popped, Some((ms(5), stable_hash("b"), "b".to_owned())));
    assert_eq!(timers.pop_processing_time::<str>(ms(5)), None);
    assert_eq!(timers.next(), Some(ms(6)));
}

#[test]
fn g4_hostile_times_fire_in_order_and_the_end_of_time_fires_all() {
    let mut timers = timers(&[(i64::MAX, "end"), (-3, "old"), (i64::MIN, "none"), (0, "epoch")]);
    assert_eq!(fired(&mut timers, Timestamp::MIN), [], "a record at MIN may follow");
    assert_eq!(fired(&mut timers, ms(i64::MIN + 1)), owned(&[(i64::MIN, "none")]));
    assert_eq!(fired(&mut timers, ms(i64::MAX - 1)), owned(&[(-3, "old"), (0, "epoch")]));
    assert_eq!(timers.next(), Some(Timestamp::MAX));
    assert_eq!(fired(&mut timers, Timestamp::MAX), owned(&[(i64::MAX, "end")]));
    assert!(timers.register(Timestamp::MIN, 1, "now"));
    assert!(timers.pop_processing_time::<str>(Timestamp::MIN).is_some());
}

#[test]
fn g4_a_firing_timer_registers_others_in_the_past_and_at_the_same_time() {
    let hash = stable_hash("a");
    let mut timers = timers(&[(10, "a"), (20, "a")]);
    let pop = |timers: &mut Timers<String>| {
        timers.pop_event_time::<str>(ms(15)).map(|(time, _, _)| time.as_millis())
    };
    assert_eq!(pop(&mut timers), Some(10));
    assert!(timers.register(ms(10), hash, "a"), "it has fired, so it is new");
    assert!(timers.register(ms(3), hash, "a"));
    assert!(timers.register(ms(3), stable_hash("b"), "b"));
    let next = [pop(&mut timers), pop(&mut timers), pop(&mut timers), pop(&mut timers)];
    assert_eq!(next, [Some(3), Some(3), Some(10), None], "each pop gives one and comes back");
    assert_eq!(timers.next(), Some(ms(20)));
}

/// Keys in one big table would cost megabytes; what is left must be a few hundred slots at most.
fn assert_small<K>(timers: &Timers<K>) {
    let (slots, marks) = (timers.slots.num_buckets(), timers.marks.capacity());
    assert!(slots <= 8 * FEW && marks <= 8 * FEW, "room for {slots} slots and {marks} marks");
    assert!(timers.slots.len() <= FEW + 2 * timers.len(), "{} slots", timers.slots.len());
}

#[test]
fn g4_memory_comes_back_when_timers_have_fired_or_been_deleted() {
    const KEYS: u64 = 100_000;
    let filled = |of: fn(u64) -> i64| {
        let mut timers = Timers::new();
        for key in 0..KEYS {
            timers.register(ms(of(key)), stable_hash(&key), &key);
        }
        assert!(timers.slots.num_buckets() >= 100_000);
        timers
    };
    let mut fired = filled(u64::cast_signed);
    while fired.pop_event_time::<u64>(ms(99_990)).is_some() {}
    assert_eq!(fired.len(), 10);
    assert_small(&fired);
    let mut deleted = filled(|key| key as i64 % 7);
    for key in 10..KEYS {
        assert!(deleted.delete(ms(key as i64 % 7), stable_hash(&key), &key));
    }
    assert_eq!(deleted.len(), 10);
    assert_small(&deleted);
    let mut evicted = filled(|key| key as i64 % 7);
    for key in 10..KEYS {
        assert_eq!(evicted.delete_key(stable_hash(&key), &key), 1);
    }
    assert_eq!(evicted.len(), 10);
    assert_small(&evicted);
    let mut moved = Timers::new();
    for time in (0..KEYS.cast_signed()).rev() {
        moved.register(ms(time), 7, &7_u64);
        moved.delete(ms(time + 1), 7, &7_u64);
    }
    assert_eq!((moved.len(), moved.next()), (1, Some(ms(0))));
    assert_small(&moved);
}

#[test]
fn g4_one_key_may_have_very_many_timers() {
    let mut timers = Timers::new();
    let scattered = (0..100_000).map(|n| n * 7_919 % 100_003);
    assert!(scattered.clone().all(|time| timers.register(ms(time), 1, "a")));
    assert!(scattered.clone().all(|time| !timers.register(ms(time), 1, "a")));
    assert!(scattered.clone().skip(50).all(|time| timers.delete(ms(time), 1, "a")));
    let mut left: Vec<_> = scattered.take(50).map(|time| (time, "a".to_owned())).collect();
    left.sort_unstable();
    assert_eq!(fired(&mut timers, Timestamp::MAX), left);
}

/// The contract, word for word.
#[derive(Default)]
struct Model {
    timers: BTreeSet<(Timestamp, u64, u64, String)>,
    /// When each key came to have timers.
    since: BTreeMap<String, u64>,
    arrivals: u64,
}

impl Model {
    fn register(&mut self, time: Timestamp, hash: u64, key: &str) -> bool {
        let had = self.of(key).count() > 0;
        let arrivals = &mut self.arrivals;
        let since = self.since.entry(key.to_owned()).or_default();
        if !had {
            *arrivals += 1;
            *since = *arrivals;
        }
        self.timers.insert((time, hash, *since, key.to_owned()))
    }

    fn of(&self, key: &str) -> impl Iterator<Item = &(Timestamp, u64, u64, String)> {
        self.timers.iter().filter(move |timer| timer.3 == key)
    }

    fn delete(&mut self, keep: impl Fn(Timestamp, &str) -> bool) -> usize {
        let before = self.timers.len();
        self.timers.retain(|(time, _, _, key)| keep(*time, key));
        before - self.timers.len()
    }

    fn pop(&mut self, due: impl Fn(Timestamp) -> bool) -> Option<(Timestamp, u64, String)> {
        let first = self.timers.first()?;
        if !due(first.0) {
            return None;
        }
        self.timers.pop_first().map(|(time, hash, _, key)| (time, hash, key))
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Register(Timestamp, u64),
    /// So many times from one on, for one key.
    RegisterRun(Timestamp, u64, u64),
    /// One timer for each of so many keys.
    RegisterKeys(Timestamp, u64),
    Delete(Timestamp, u64),
    DeleteRun(Timestamp, u64, u64),
    DeleteKey(u64),
    DeleteKeys(u64),
    Next,
    PopOne(Timestamp),
    Watermark(Timestamp),
    Now(Timestamp),
    Restore,
}

fn time() -> impl Strategy<Value = Timestamp> {
    let hostile =
        prop_oneof![Just(i64::MIN), Just(i64::MIN + 1), Just(i64::MAX - 1), Just(i64::MAX)];
    prop_oneof![20 => -20..20_i64, 2 => -1000..1000_i64, 1 => hostile].prop_map(ms)
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let key = || prop_oneof![4 => 0..6_u64, 1 => 0..300_u64];
    prop_oneof![
        20 => (time(), key()).prop_map(|(time, key)| Register(time, key)),
        1 => (time(), key(), 0..800_u64).prop_map(|(time, key, run)| RegisterRun(time, key, run)),
        1 => (time(), 0..300_u64).prop_map(|(time, keys)| RegisterKeys(time, keys)),
        14 => (time(), key()).prop_map(|(time, key)| Delete(time, key)),
        1 => (time(), key(), 0..800_u64).prop_map(|(time, key, run)| DeleteRun(time, key, run)),
        2 => key().prop_map(DeleteKey),
        1 => (0..300_u64).prop_map(DeleteKeys),
        3 => Just(Next),
        4 => time().prop_map(PopOne),
        2 => time().prop_map(Watermark),
        2 => time().prop_map(Now),
        1 => Just(Restore),
    ]
}

/// The set and its model, side by side.
struct Pair {
    timers: Timers<String>,
    model: Model,
}

impl Pair {
    fn register(&mut self, time: Timestamp, key: u64) {
        let (hash, key) = named(key);
        let new = self.timers.register(time, hash, key.as_str());
        assert_eq!(new, self.model.register(time, hash, &key), "{time} {key}");
    }

    fn delete(&mut self, time: Timestamp, key: u64) {
        let (hash, key) = named(key);
        let deleted = self.timers.delete(time, hash, key.as_str());
        assert_eq!(usize::from(deleted), self.model.delete(|at, of| (at, of) != (time, &key)));
    }

    fn delete_key(&mut self, key: u64) {
        let (hash, key) = named(key);
        let deleted = self.timers.delete_key(hash, key.as_str());
        assert_eq!(deleted, self.model.delete(|_, of| of != key));
    }

    fn pop_event_time(&mut self, watermark: Timestamp) -> bool {
        let due = |time| time < watermark || watermark == Timestamp::MAX;
        let popped = self.timers.pop_event_time::<str>(watermark);
        assert_eq!(popped, self.model.pop(due));
        popped.is_some()
    }

    fn pop_processing_time(&mut self, now: Timestamp) -> bool {
        let popped = self.timers.pop_processing_time::<str>(now);
        assert_eq!(popped, self.model.pop(|time| time <= now));
        popped.is_some()
    }

    fn restore(&mut self) {
        let mut restored = Timers::new();
        let mut groups = Vec::new();
        for (hash, key, times) in self.timers.by_key() {
            groups.push(key_group(hash));
            for time in times {
                assert!(restored.register(time, hash, key.as_str()));
            }
        }
        assert!(groups.is_sorted());
        self.timers = restored;
    }

    fn take(&mut self, step: Step) {
        let run = |from: Timestamp, length: u64| {
            (0..length.cast_signed()).map(move |by| ms(from.as_millis().saturating_add(by)))
        };
        match step {
            Step::Register(time, key) => self.register(time, key),
            Step::RegisterRun(from, key, length) => {
                run(from, length).for_each(|time| self.register(time, key));
            }
            Step::RegisterKeys(time, keys) => (0..keys).for_each(|key| self.register(time, key)),
            Step::Delete(time, key) => self.delete(time, key),
            Step::DeleteRun(from, key, length) => {
                run(from, length).for_each(|time| self.delete(time, key));
            }
            Step::DeleteKey(key) => self.delete_key(key),
            Step::DeleteKeys(keys) => (0..keys).for_each(|key| self.delete_key(key)),
            Step::Next => {
                assert_eq!(self.timers.next(), self.model.timers.first().map(|first| first.0));
            }
            Step::PopOne(time) => {
                self.pop_processing_time(time);
            }
            Step::Watermark(time) => while self.pop_event_time(time) {},
            Step::Now(time) => while self.pop_processing_time(time) {},
            Step::Restore => self.restore(),
        }
        assert_eq!(self.timers.len(), self.model.timers.len());
        self.check();
    }

    /// The books of the set itself.
    fn check(&self) {
        let Timers { slots, marks, len, idle, .. } = &self.timers;
        assert_eq!(*len, slots.iter().map(|slot| slot.times.len()).sum::<usize>());
        assert_eq!(*idle, slots.iter().filter(|slot| slot.times.is_empty()).count());
        assert!(slots.iter().all(|slot| slot.place().is_none_or(|place| slot.mark <= place)));
        let marks: BTreeSet<_> = marks.iter().map(|Reverse(mark)| *mark).collect();
        assert!(slots.iter().all(|slot| marks.contains(&slot.mark)));
    }
}

/// A key and its hash: only seven hashes, so that many keys have to share one.
fn named(key: u64) -> (u64, String) {
    (stable_hash(&(key % 7)), format!("key {key}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn g4_timers_do_what_their_model_does(script in prop::collection::vec(step(), 0..120)) {
        let mut pair = Pair { timers: Timers::new(), model: Model::default() };
        for step in script {
            pair.take(step);
        }
        pair.take(Step::Watermark(Timestamp::MAX));
        prop_assert_eq!(pair.timers.slots.len(), 0);
    }
}
