//! The most keys that an operator keeps something of, and what happens at one too many.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::edge::Keyed;
use millstream_engine::key::{Made, key_group, stable_hash};
use millstream_engine::operator::Operator;
use millstream_engine::random::Random;
use millstream_engine::testing::{OperatorHarness, TestDriver, probe_sink, probe_source};
use millstream_operators::aggregate::Count;
use millstream_operators::keyed::accumulate::{AtEnd, Running};
use millstream_operators::keyed::limit::{BoundedKeys, KeyBound};
use millstream_operators::keyed::process::{
    KeyContext, Process, ProcessFunction, StateTtl, Timer, ValueState,
};
use millstream_operators::prelude::*;

type Key = Made<fn(&u64) -> u64>;

fn key() -> Key {
    Made(|value: &u64| *value)
}

fn keyed(value: u64) -> Keyed<u64> {
    Keyed { hash: stable_hash(&value), value }
}

/// The operator with a limit that needs no graph.
fn bounded<O: BoundedKeys<Value = u64>>(operator: O, limit: KeyLimit<u64>) -> O {
    let flow = Dataflow::new("nowhere");
    let blueprint = flow.blueprint();
    let id = blueprint.add_operator(millstream_engine::graph::Role::Operator, "bounded", None);
    operator.bounded(KeyBound::new(limit, id, blueprint))
}

/// Streams of keys that are hard on a table of a few of them.
fn hostile(seed: u64) -> Vec<(&'static str, Vec<u64>)> {
    let mut random = Random::fork(seed, 0, 0);
    let all_new = (0..2_000).collect();
    let one_group = (0..).filter(|n| key_group(stable_hash(n)) == 3).take(500).collect();
    let in_turn = (0..1_000).map(|n| n % 9).collect();
    let one_favourite = (0..1_000).map(|n| if n % 2 == 0 { 7 } else { n }).collect();
    let random = (0..2_000).map(|_| random.below(30) * random.below(30)).collect();
    vec![
        ("every record a new key", all_new),
        ("keys of one group", one_group),
        ("one key more than there is room for, in turn", in_turn),
        ("one key again and again among others", one_favourite),
        ("any", random),
    ]
}

fn counts(values: &[u64]) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    values.iter().for_each(|value| *counts.entry(*value).or_default() += 1);
    counts
}

#[test]
fn g7_what_is_kept_of_an_evicted_key_comes_out_and_nothing_is_lost() {
    for (what, values) in hostile(1) {
        for max in [1, 2, 8, 64] {
            let operator = bounded(AtEnd::new(key(), Count), KeyLimit::evict(max));
            let mut harness = OperatorHarness::new(operator);
            for value in &values {
                harness.push(keyed(*value));
                assert!(harness.operator().keys() <= max, "{what}, at most {max}");
            }
            let evicted = harness.counters().evicted_keys.get();
            harness.end();
            let parts = harness.values();
            assert_eq!(parts.len() as u64 - evicted, max.min(counts(&values).len()) as u64);
            let mut sums = BTreeMap::new();
            parts.into_iter().for_each(|(key, count)| *sums.entry(key).or_default() += count);
            assert_eq!(sums, counts(&values), "{what}, at most {max}");
        }
    }
}

#[test]
fn g7_a_key_in_use_is_spared() {
    let operator = bounded(Running::new(key(), Count), KeyLimit::evict(8));
    let mut harness = OperatorHarness::new(operator);
    for n in 100..1_000 {
        harness.push(keyed(7));
        harness.push(keyed(n));
        assert!(harness.operator().keys() <= 8);
    }
    let favourite = harness.values().into_iter().rfind(|(key, _)| *key == 7);
    assert_eq!(favourite, Some((7, 900)));
}

#[test]
fn g7_at_the_limit_the_job_fails_with_the_operator_s_name() {
    let flow = Dataflow::new("too many");
    let words = flow.source("numbers", source::from_iter(0..5_u64)).key_by(|n| *n);
    words.count().max_keys(KeyLimit::fail(3)).named("by number").ignore();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(flow.run()).unwrap_err().to_string();
    let expected = "`by number` failed: a record of a new key came while something was kept of 3 \
        keys, which is the limit";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn g7_records_of_keys_too_many_go_to_a_side_output() {
    let flow = Dataflow::new("diverted");
    let (tag, rest) = flow.side_output::<u64>("rest");
    let (input, source) = probe_source::<u64>();
    let (output, sink) = probe_sink();
    let (beside, beside_sink) = probe_sink();
    let numbers = flow.source("numbers", source).key_by(|n| n % 10);
    let counted = numbers.running_count().max_keys(KeyLimit::divert(2, &tag));
    counted.sink("out", sink);
    rest.sink("rest sink", beside_sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    [1, 2, 3, 11, 13, 2].into_iter().for_each(|n| driver.push(&input, n));
    assert_eq!(driver.read(&output), [(1, 1), (2, 1), (1, 2), (2, 2)]);
    assert_eq!(driver.read(&beside), [3, 13]);
    driver.end(&input);
    driver.finish().unwrap();
}

/// Counts, with a time to live and timers, and tells of who has to go.
#[derive(Clone)]
struct Counts {
    ttl: Option<StateTtl>,
    timers: bool,
    state: bool,
}

impl ProcessFunction<u64, u64> for Counts {
    type Out = (u64, u64);
    type States = ValueState<u64>;

    fn states(&self) -> ValueState<u64> {
        self.ttl.into_iter().fold(ValueState::new("count"), ValueState::with_ttl)
    }

    fn process(
        &mut self,
        record: Record<u64>,
        context: &mut KeyContext<'_, u64, ValueState<u64>>,
        _out: &mut impl Collector<(u64, u64)>,
    ) -> Result<(), OperatorError> {
        if self.state {
            context.states.update(|| 0, |count| *count += 1);
        }
        if self.timers {
            context.timers.set_event_time(record.time.saturating_add(Duration::from_secs(60)));
            context.timers.set_after(Duration::from_secs(60));
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        _timer: Timer,
        context: &mut KeyContext<'_, u64, ValueState<u64>>,
        out: &mut impl Collector<(u64, u64)>,
    ) -> Result<(), OperatorError> {
        let count = context.states.take().unwrap_or_default();
        out.push(context.record((*context.key, count)));
        Ok(())
    }

    fn on_evict(
        &mut self,
        context: &mut KeyContext<'_, u64, ValueState<u64>>,
        out: &mut impl Collector<(u64, u64)>,
    ) -> Result<(), OperatorError> {
        let count = context.states.get().copied().unwrap_or_default();
        out.push(context.record((*context.key, count)));
        // In vain: it goes with the rest.
        context.timers.set_event_time(Timestamp::from_millis(1));
        Ok(())
    }
}

#[test]
fn g7_a_function_tells_of_the_keys_that_have_to_go_and_their_timers_go_too() {
    let lives = [None, Some(StateTtl::event_time(Duration::from_secs(60)))];
    for (what, values) in hostile(2) {
        for ttl in lives {
            let function = Counts { ttl, timers: true, state: true };
            let operator = bounded(Process::new(key(), function), KeyLimit::evict(8));
            let mut harness = OperatorHarness::new(operator);
            for value in &values {
                harness.push(keyed(*value));
                assert!(harness.operator().keys() <= 8, "{what}");
                assert!(harness.operator().timers() <= 16, "{what}");
            }
            harness.end();
            let mut sums = BTreeMap::new();
            for (key, count) in harness.values() {
                *sums.entry(key).or_default() += count;
            }
            assert_eq!(sums, counts(&values), "{what}");
        }
    }
}

#[test]
fn g7_a_key_with_nothing_but_timers_counts() {
    let function = Counts { ttl: None, timers: true, state: false };
    let operator = bounded(Process::new(key(), function), KeyLimit::evict(8));
    let mut harness = OperatorHarness::new(operator);
    for value in 0..500 {
        harness.push(keyed(value));
        assert!(harness.operator().keys() <= 8);
        assert!(harness.operator().timers() <= 16);
    }
    harness.end();
    assert_eq!(harness.values().len(), 500, "each told once, by its timer or when it went");
}

/// Counts in so many instances, and gives what comes out, with the state.
fn run<const N: usize>(
    values: [u64; N],
    parallel: usize,
    limit: KeyLimit<u64>,
    state: Option<millstream_engine::state::Snapshot>,
) -> (Vec<(u64, u64)>, millstream_engine::state::Snapshot) {
    let (input, source) = probe_source::<u64>();
    let (output, sink) = probe_sink();
    let flow = Dataflow::new("fewer");
    let keyed = flow.source("numbers", source).key_by(|n| *n).parallel(parallel);
    keyed.count().max_keys(limit).uid("count").boundary().sink("out", sink);
    let options = JobOptions::default().with_publish_every(None).with_stall_warning(None);
    let options = state.into_iter().fold(options, JobOptions::with_state);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    values.into_iter().for_each(|value| driver.push(&input, value));
    driver.barrier(&input, Barrier(1));
    let snapshot = driver.snapshot(Barrier(1));
    (driver.read(&output), snapshot)
}

#[test]
fn g7_a_run_that_begins_with_too_many_keys_gives_up_two_for_each_new_one() {
    let (none, state) = run([1, 2, 3, 4, 5, 6], 4, KeyLimit::evict(6), None);
    assert_eq!(none, []);
    let (two, state) = run([7], 1, KeyLimit::evict(4), Some(state));
    assert_eq!(two.len(), 2);
    let (three, _) = run([8, 9], 1, KeyLimit::evict(4), Some(state));
    assert_eq!(three.len(), 3, "two, and then one that is the limit");
}

#[test]
fn g7_a_clone_has_the_limit_and_blank_state() {
    let operator = bounded(AtEnd::new(key(), Count), KeyLimit::evict(2));
    let mut harness = OperatorHarness::new(operator);
    (0..9).for_each(|value| harness.push(keyed(value)));
    let mut clone = OperatorHarness::new(harness.operator().clone());
    (0..9).for_each(|value| clone.push(keyed(value)));
    assert_eq!(clone.values(), harness.values());
    assert_eq!(clone.operator().keys(), 2);
    assert_eq!(<AtEnd<u64, Key, Count> as Operator<Keyed<u64>>>::NAME, "count");
}
