//! What is kept of a bounded number of keys takes bounded memory, whatever the keys are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use millstream_engine::edge::Keyed;
use millstream_engine::graph::Role;
use millstream_engine::key::{Made, key_group, stable_hash};
use millstream_engine::operator::Operator;
use millstream_engine::testing::OperatorHarness;
use millstream_operators::aggregate::Count;
use millstream_operators::keyed::accumulate::{AtEnd, Running};
use millstream_operators::keyed::limit::{BoundedKeys, KeyBound};
use millstream_operators::keyed::process::{
    KeyContext, Process, ProcessFunction, StateTtl, ValueState,
};
use millstream_operators::prelude::*;

/// A key that takes memory of its own.
type Name = String;

const LIMIT: usize = 400;

fn key() -> Made<fn(&u64) -> Name> {
    Made(|value: &u64| name(*value))
}

fn name(value: u64) -> Name {
    format!("{value:032}")
}

fn bounded<O: BoundedKeys<Value = u64>>(operator: O) -> O {
    let flow = Dataflow::new("nowhere");
    let id = flow.blueprint().add_operator(Role::Operator, "bounded", None);
    operator.bounded(KeyBound::new(KeyLimit::evict(LIMIT), id, flow.blueprint()))
}

/// The most bytes that an operator has while so many records come.
fn most_bytes<O: Operator<Keyed<u64>>>(operator: O, records: impl Iterator<Item = u64>) -> u64 {
    allocation_counter::measure(|| {
        let mut harness = OperatorHarness::new(operator);
        for value in records {
            harness.push(Keyed { hash: stable_hash(name(value).as_str()), value });
            harness.values();
        }
        assert!(harness.take_error().is_none());
    })
    .bytes_max
}

/// Keeps a number and two timers for each key.
#[derive(Clone)]
struct Keeps;

impl ProcessFunction<Name, u64> for Keeps {
    type Out = u64;
    type States = ValueState<u64>;

    fn states(&self) -> ValueState<u64> {
        ValueState::new("last").with_ttl(StateTtl::event_time(Duration::from_secs(3600)))
    }

    fn process(
        &mut self,
        record: Record<u64>,
        context: &mut KeyContext<'_, Name, ValueState<u64>>,
        _out: &mut impl Collector<u64>,
    ) -> Result<(), OperatorError> {
        context.timers.set_event_time(Timestamp::from_millis(1_000));
        context.timers.set_processing_time(Timestamp::MAX);
        context.states.set(record.value);
        Ok(())
    }
}

/// Makes the keys of a stream, without end.
type Keys = Box<dyn Fn() -> Box<dyn Iterator<Item = u64>>>;

/// Streams that try to make a table of few keys grow, of any length.
fn hostile() -> Vec<(&'static str, Keys)> {
    let group = |n: &u64| key_group(stable_hash(name(*n).as_str())) == 3;
    vec![
        ("every record a new key", Box::new(|| Box::new(0..))),
        ("keys of one group", Box::new(move || Box::new((0..).filter(group)))),
        ("again and again", Box::new(|| Box::new((0..).map(|n| n % (LIMIT as u64 + 1))))),
        ("in bursts", Box::new(|| Box::new((0..).map(|n| (n / 2_800) * (n % 1_200))))),
    ]
}

fn stays_bounded<O: Operator<Keyed<u64>>>(what: &str, operator: impl Fn() -> O) {
    // What just so many keys take, which never go.
    let few = most_bytes(operator(), (0..10 * LIMIT as u64).map(|n| n % LIMIT as u64));
    for (stream, records) in hostile() {
        let short = most_bytes(operator(), records().take(16 * LIMIT));
        let long = most_bytes(operator(), records().take(64 * LIMIT));
        assert!(long <= short + short / 10, "{what}, {stream}: {long} behind {short}");
        assert!(long <= 3 * few, "{what}, {stream}: {long}, and {few} for as many that stay");
    }
}

#[test]
fn g7_memory_stays_within_the_bound_whatever_the_keys_are() {
    stays_bounded("count", || bounded(AtEnd::new(key(), Count)));
    stays_bounded("running_count", || bounded(Running::new(key(), Count)));
    stays_bounded("process", || bounded(Process::new(key(), Keeps)));
}
