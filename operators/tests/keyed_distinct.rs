//! The first record of each key, as far as is remembered.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::state::Snapshot;
use millstream_engine::testing::{TestDriver, probe_sink, probe_source};
use millstream_operators::keyed::process::StateTtl;
use millstream_operators::prelude::*;

type Order = (u32, &'static str);

/// What becomes of a graph of one word, record by record.
struct Running {
    driver: TestDriver,
    input: millstream_engine::testing::SourceProbe<Order>,
    output: millstream_engine::testing::SinkProbe<Order>,
}

#[derive(Clone, Copy)]
enum Remember {
    Within(StateTtl),
    Among(usize),
}

impl Running {
    fn start(remember: Remember, parallel: usize, state: Option<Snapshot>) -> Self {
        let (input, source) = probe_source::<Order>();
        let (output, sink) = probe_sink();
        let flow = Dataflow::new("orders");
        let orders = flow.source("orders", source).key_by(|order| order.0).parallel(parallel);
        let distinct = match remember {
            Remember::Within(ttl) => orders.distinct_within(ttl),
            Remember::Among(max) => orders.distinct_among(max),
        };
        distinct.uid("orders").boundary().sink("out", sink);
        let options = JobOptions::default().with_publish_every(None).with_stall_warning(None);
        let options = state.into_iter().fold(options, JobOptions::with_state);
        let driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
        Self { driver, input, output }
    }

    /// Whether a record goes through.
    fn passes(&mut self, order: u32, millis: i64) -> bool {
        self.driver.push(&self.input, Record::at((order, "tea"), Timestamp::from_millis(millis)));
        !self.driver.read(&self.output).is_empty()
    }

    fn snapshot(&mut self) -> Snapshot {
        self.driver.barrier(&self.input, Barrier(1));
        self.driver.snapshot(Barrier(1))
    }
}

#[test]
fn g6_the_first_of_a_key_goes_through_while_it_is_remembered() {
    let ttl = StateTtl::event_time(Duration::from_millis(100));
    let mut run = Running::start(Remember::Within(ttl), 2, None);
    assert!(run.passes(1, 0));
    assert!(run.passes(2, 50));
    assert!(!run.passes(1, 99));
    assert!(run.passes(1, 100), "it is forgotten, whatever came of it meanwhile");
    assert!(!run.passes(2, 149));

    let ttl = StateTtl::processing_time(Duration::from_millis(100)).refreshed_on_read();
    let mut run = Running::start(Remember::Within(ttl), 2, None);
    assert!(run.passes(1, 0));
    run.driver.advance(Duration::from_millis(60));
    assert!(!run.passes(1, 0));
    run.driver.advance(Duration::from_millis(60));
    assert!(!run.passes(1, 0), "each duplicate keeps it in mind");
    run.driver.advance(Duration::from_millis(100));
    assert!(run.passes(1, 0));
}

#[test]
fn g6_a_key_is_remembered_among_so_many_others() {
    let mut run = Running::start(Remember::Among(10), 1, None);
    assert!((0..10).all(|order| run.passes(order, 0)));
    assert!((0..10).all(|order| !run.passes(order, 0)));
    assert!((10..15).all(|order| run.passes(order, 0)));
    let again = (0..15).filter(|order| run.passes(*order, 0)).count();
    assert!((5..15).contains(&again), "{again}: at least as many as had to make room");
}

#[test]
fn g6_what_is_remembered_survives_a_crash_behind_every_record_with_any_number_of_instances() {
    let orders: Vec<u32> = (0..24).map(|n| n * n % 13).collect();
    let distinct = orders.iter().collect::<BTreeSet<_>>().len();
    let ttl = StateTtl::event_time(Duration::from_secs(60));
    for remember in [Remember::Within(ttl), Remember::Among(100)] {
        for crash in 0..=orders.len() {
            let mut run = Running::start(remember, 3, None);
            let (before, after) = orders.split_at(crash);
            let first = before.iter().filter(|order| run.passes(**order, 0)).count();
            let mut run = Running::start(remember, 2, Some(run.snapshot()));
            let second = after.iter().filter(|order| run.passes(**order, 0)).count();
            assert_eq!(first + second, distinct, "crash behind {crash} records");
        }
    }
}
