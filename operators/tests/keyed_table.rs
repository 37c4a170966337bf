//! The latest value of each key, as a stream of its changes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use millstream_engine::edge::Keyed;
use millstream_engine::graph::Role;
use millstream_engine::key::{Made, stable_hash};
use millstream_engine::operator::Operator;
use millstream_engine::random::Random;
use millstream_engine::testing::{Event, OperatorHarness, Step, assert_survives_crashes};
use millstream_engine::testing::{TestDriver, probe_sink, probe_source};
use millstream_operators::keyed::limit::{BoundedKeys, KeyBound};
use millstream_operators::keyed::process::{Process, ProcessFunction};
use millstream_operators::keyed::{Table, TableByWatermark};
use millstream_operators::prelude::*;
use millstream_operators::state::Checkpointed as _;

/// What a record says of a key.
type Upsert = (u8, Option<u32>);
type Key = Made<fn(&Upsert) -> u8>;
type Closure = fn(Upsert) -> Option<u32>;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn operator<F: ProcessFunction<u8, Upsert>>(function: F) -> Process<Upsert, Key, F> {
    Process::new(Made(|upsert: &Upsert| upsert.0), function)
}

fn table() -> Table<u32, Closure> {
    Table::new(|upsert| upsert.1)
}

fn by_watermark() -> TableByWatermark<u32, Closure> {
    TableByWatermark::new(|upsert| upsert.1)
}

fn script(seed: u64) -> Vec<Step<Keyed<Upsert>>> {
    let mut random = Random::fork(seed, 0, 0);
    let mut time = 0;
    let mut below = move |n| u32::try_from(random.below(n)).unwrap();
    let step = |_| {
        time += 1;
        let key = u8::try_from(below(5)).unwrap();
        let value = match below(8) {
            0 => return Step::Watermark(at(time)),
            1..=2 => None,
            _ => Some(below(4)),
        };
        let value = Keyed { hash: stable_hash(&key), value: (key, value) };
        Step::Record(Record::at(value, at(time)))
    };
    (0..80).map(step).chain([Step::End]).collect()
}

/// Does to a table what a change says, which has to fit.
fn apply(table: &mut BTreeMap<u8, u32>, change: &Change<u8, u32>) {
    match *change {
        Change::Insert(key, new) => assert_eq!(table.insert(key, new), None),
        Change::Update { key, old, new } => assert_eq!(table.insert(key, new), Some(old)),
        Change::Delete(key, old) => assert_eq!(table.remove(&key), Some(old)),
    }
}

/// What has been put in so far.
fn put(table: &mut BTreeMap<u8, u32>, step: &Step<Keyed<Upsert>>) {
    if let Step::Record(Record { value: Keyed { value: (key, value), .. }, .. }) = step {
        match value {
            Some(value) => table.insert(*key, *value),
            None => table.remove(key),
        };
    }
}

#[test]
fn g9_the_changes_rebuild_the_table_record_by_record() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut harness = OperatorHarness::new(operator(table()));
        let (mut expected, mut rebuilt) = (BTreeMap::new(), BTreeMap::new());
        for step in script(seed) {
            put(&mut expected, &step);
            harness.play(&step);
            harness.values().into_iter().for_each(|change| apply(&mut rebuilt, &change));
            assert_eq!(rebuilt, expected);
            assert_eq!(harness.operator().keys(), expected.len(), "a deleted key takes no place");
        }
    }
}

#[test]
fn g9_collapsed_changes_rebuild_the_table_at_every_watermark_and_come_once_a_key() {
    let mut saved = 0;
    for seed in 0..20 {
        println!("seed {seed}");
        let mut harness = OperatorHarness::new(operator(by_watermark()));
        let (mut expected, mut rebuilt) = (BTreeMap::new(), BTreeMap::new());
        for step in script(seed) {
            put(&mut expected, &step);
            harness.play(&step);
            let changes = harness.events().into_iter().filter_map(|event| match event {
                Event::Record(record) => Some(record.value),
                Event::Watermark(_) | Event::End => None,
            });
            let changes: Vec<_> = changes.collect();
            if matches!(step, Step::Record(_)) {
                assert_eq!(changes, []);
                saved += 1;
                continue;
            }
            let mut keys: Vec<_> = changes.iter().map(|change| *change.key()).collect();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), changes.len(), "once a key");
            for change in changes {
                let same = matches!(&change, Change::Update { old, new, .. } if old == new);
                assert!(!same, "nothing has come of it");
                saved -= 1;
                apply(&mut rebuilt, &change);
            }
            assert_eq!(rebuilt, expected);
        }
    }
    assert!(saved > 200, "fewer changes than records: {saved}");
}

#[test]
fn g9_a_crash_at_any_step_changes_nothing() {
    for seed in 0..8 {
        println!("seed {seed}");
        assert_survives_crashes(&operator(table()).checkpointed(), &script(seed));
        assert_survives_crashes(&operator(by_watermark()).checkpointed(), &script(seed));
    }
}

fn keeps_in_step<F: ProcessFunction<u8, Upsert, Out = Change<u8, u32>>>(function: F) {
    let flow = Dataflow::new("nowhere");
    let id = flow.blueprint().add_operator(Role::Operator, "bounded", None);
    let bound = KeyBound::new(KeyLimit::evict(2), id, flow.blueprint());
    let mut harness = OperatorHarness::new(operator(function).bounded(bound));
    let mut rebuilt = BTreeMap::new();
    for step in script(3) {
        harness.play(&step);
        harness.values().into_iter().for_each(|change| apply(&mut rebuilt, &change));
        assert!(rebuilt.len() <= 2 && harness.operator().keys() <= 2);
    }
    assert!(!rebuilt.is_empty());
}

#[test]
fn g9_a_key_that_makes_room_is_told_as_deleted() {
    keeps_in_step(table());
    keeps_in_step(by_watermark());
}

#[test]
fn g9_any_number_of_instances_tells_the_same() {
    let told = |parallel: usize| {
        let (input, source) = probe_source::<Upsert>();
        let (output, sink) = probe_sink();
        let flow = Dataflow::new("table");
        let keyed = flow.source("upserts", source).key_by(|upsert| upsert.0).parallel(parallel);
        keyed.table(|upsert| upsert.1).boundary().sink("out", sink);
        let mut driver = TestDriver::start(flow.blueprint()).unwrap();
        for step in script(5) {
            if let Step::Record(record) = step {
                driver.push(&input, record.with(|keyed| keyed.value));
            }
        }
        let mut told: Vec<String> =
            driver.read(&output).iter().map(|change| format!("{change:?}")).collect();
        told.sort();
        driver.end(&input);
        driver.finish().unwrap();
        told
    };
    assert!(told(1).len() > 40);
    assert_eq!(told(1), told(3));
    type Plain = Process<Upsert, Key, Table<u32, Closure>>;
    assert_eq!(<Plain as Operator<Keyed<Upsert>>>::NAME, "table");
}
