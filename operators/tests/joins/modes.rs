//! Joins by key, without time: what is kept, and when it is told of.

use millstream_engine::state::Snapshot;
use millstream_engine::testing::{
    Event as Out, OperatorHarness, Step, TestDriver, assert_survives_crashes, probe_sink,
    probe_source,
};
use millstream_operators::keyed::process::StateTtl;
use millstream_operators::prelude::*;

use crate::rig::{Event, Told, any_steps, any_told, at, both, left, ms, operator, right, streams};

/// A join alone, by what is said of it.
macro_rules! alone {
    ($join:ident => $said:expr) => {{
        let [lefts, rights] = streams();
        let $join = lefts.join(rights);
        operator($said)
    }};
}

/// What is told of left 1, left 2, right 3, right 4 of one key, and at the end.
macro_rules! told {
    ($join:ident => $said:expr) => {{
        let mut harness = OperatorHarness::new(alone!($join => $said));
        let mut told = Vec::new();
        for record in [left(1, 1, 10), left(1, 2, 20), right(1, 3, 5), right(1, 4, 30)] {
            harness.push(record);
            told.push(harness.values());
        }
        harness.end();
        told.push(harness.values());
        told
    }};
}

const fn two(left: u32, right: u32) -> Told {
    (Some(left), Some(right))
}

#[test]
fn i7_what_is_told_is_what_was_kept() {
    let (one, other) = ((Some(1), None), (Some(2), None));
    let nothing = Vec::new;
    let complete = told!(join => join.complete(both));
    assert_eq!(complete, [nothing(), nothing(), vec![two(2, 3)], nothing(), nothing()]);
    let complete = told!(join => join.keep_first().complete(both));
    assert_eq!(complete, [nothing(), nothing(), vec![two(1, 3)], nothing(), nothing()]);
    let all = vec![two(1, 3), two(2, 3)];
    let complete = told!(join => join.keep_all().complete(both));
    assert_eq!(complete, [nothing(), nothing(), all.clone(), nothing(), nothing()]);

    let running = told!(join => join.keep_last().running(any_told));
    assert_eq!(running, [vec![one], vec![other], vec![two(2, 3)], vec![two(2, 4)], nothing()]);
    let running = told!(join => join.keep_first().running(any_told));
    assert_eq!(running, [vec![one], nothing(), vec![two(1, 3)], nothing(), nothing()]);
    let running = told!(join => join.keep_all().running(any_told));
    let product = vec![two(1, 4), two(2, 4)];
    assert_eq!(running, [vec![one], vec![other], all.clone(), product, nothing()]);

    let end = told!(join => join.at_end(any_told)).concat();
    assert_eq!(end, [two(2, 4)]);
    let end = told!(join => join.keep_first().at_end(any_told)).concat();
    assert_eq!(end, [two(1, 3)]);
    let end = told!(join => join.keep_all().at_end(any_told)).concat();
    assert_eq!(end, [two(1, 3), two(1, 4), two(2, 3), two(2, 4)]);
}

#[test]
fn i7_results_have_the_later_time_and_what_is_complete_is_forgotten() {
    let mut harness = OperatorHarness::new(alone!(join => join.complete(both)));
    harness.push(left(1, 1, 20));
    harness.push(right(1, 2, 10));
    assert_eq!(harness.events(), [Out::Record(Record::at(two(1, 2), at(20)))]);
    assert_eq!(harness.operator().keys(), 0);
    harness.push(right(1, 3, 10));
    harness.end();
    assert_eq!(harness.events(), [Out::End], "the key begins anew, and nobody else comes");
}

#[test]
fn i7_what_comes_at_the_end_is_late_for_nobody() {
    let mut harness = OperatorHarness::new(alone!(join => join.at_end(any_told)));
    harness.push(left(1, 1, 20));
    harness.push(right(2, 2, 10));
    harness.watermark(at(1_000));
    assert_eq!(harness.events(), [], "time does not pass behind it");
    harness.end();
    let mut told = harness.values();
    told.sort_unstable();
    assert_eq!(told, [(None, Some(2)), (Some(1), None)]);
    assert_eq!((harness.operator().keys(), harness.operator().timers()), (0, 0));
    // Whether there is event time is another question, which it does not answer.
    let flow = Dataflow::new("untimed");
    let numbers = |name| flow.source(name, source::from_iter(0..9_u64)).key_by(|n| *n);
    let joined = numbers("left").join(numbers("right")).at_end(|_| 0_u64);
    joined.window_all(Tumbling::of(ms(5))).count().ignore();
    assert!(flow.validate().unwrap_err().to_string().contains("event time"));
}

#[test]
fn i7_keys_of_which_nothing_comes_are_forgotten() {
    let ttl = StateTtl::event_time(ms(100));
    let mut harness = OperatorHarness::new(alone!(join => join.ttl(ttl).complete(both)));
    harness.push(left(1, 1, 20));
    harness.push(left(2, 2, 60));
    harness.watermark(at(121));
    assert_eq!(harness.operator().keys(), 1);
    harness.push(right(1, 3, 130));
    harness.push(right(2, 4, 130));
    assert_eq!(harness.values(), [two(2, 4)]);
    let [lefts, rights] = streams();
    let join = lefts.join(rights).ttl(ttl);
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(join.at_end(any_told));
    }));
    assert!(refused.is_err());
}

#[test]
fn i7_a_limit_of_keys_holds() {
    let mut harness =
        OperatorHarness::new(alone!(join => join.at_end(any_told).max_keys(KeyLimit::evict(1))));
    harness.push(left(1, 1, 20));
    harness.push(right(1, 2, 20));
    harness.push(left(2, 3, 20));
    assert_eq!(harness.values(), [two(1, 2)], "told of while there is time");
    let mut harness =
        OperatorHarness::new(alone!(join => join.running(any_told).max_keys(KeyLimit::evict(1))));
    harness.push(left(1, 1, 20));
    harness.push(left(2, 3, 20));
    assert_eq!(harness.values(), [(Some(1), None), (Some(3), None)], "of this one all was told");
}

#[test]
fn i7_a_product_waits_for_room() {
    for room in [1, 3, 50] {
        let join = alone!(join => join.keep_all().at_end(any_told));
        let mut tight = OperatorHarness::with_room(join, room);
        (0..40).for_each(|n| tight.push(left(1, n, 0)));
        (0..30).for_each(|n| tight.push(right(1, n, 0)));
        tight.end();
        let product = (0..40).flat_map(|l| (0..30).map(move |r| two(l, r)));
        assert!(tight.values().into_iter().eq(product), "{room}");
        let join = alone!(join => join.keep_all().complete(both));
        let mut tight = OperatorHarness::with_room(join, room);
        (0..40).for_each(|n| tight.push(left(1, n, 0)));
        tight.push(right(1, 7, 0));
        assert!(tight.values().into_iter().eq((0..40).map(|l| two(l, 7))), "{room}");
        assert_eq!(tight.operator().keys(), 0);
    }
}

#[test]
fn i7_it_survives_a_crash_at_any_step() {
    for seed in 0..10 {
        let steps = any_steps(seed);
        assert!(steps.contains(&Step::End));
        assert_survives_crashes(&alone!(join => join.complete(both).uid("j")), &steps);
        assert_survives_crashes(&alone!(join => join.keep_all().at_end(any_told).uid("j")), &steps);
        let running = alone!(join => join.keep_first().running(any_told).uid("j"));
        assert_survives_crashes(&running, &steps);
        let ttl = StateTtl::event_time(ms(9)).refreshed_on_read();
        let running = alone!(join => join.keep_all().ttl(ttl).running(any_told).uid("j"));
        assert_survives_crashes(&running, &steps);
    }
}

#[test]
fn i7_other_instances_go_on_from_what_was_kept() {
    let run = |parallel: usize, state: Option<Snapshot>, events: [&[Event]; 2]| {
        let flow = Dataflow::new("moved");
        let (lefts, left_source) = probe_source::<Event>();
        let (rights, right_source) = probe_source::<Event>();
        let (told, sink) = probe_sink();
        let lefts_in = flow.source("left", left_source).key_by(|left| left.0).parallel(parallel);
        let join = lefts_in.join(flow.source("right", right_source).key_by(|right| right.0));
        join.complete(both).uid("join").parallel(1).sink("told", sink);
        let options = JobOptions::default().with_publish_every(None).with_stall_warning(None);
        let options = state.into_iter().fold(options, JobOptions::with_state);
        let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
        told.request(usize::MAX);
        events[0].iter().for_each(|event| driver.push(&lefts, *event));
        events[1].iter().for_each(|event| driver.push(&rights, *event));
        let mut values: Vec<Told> = driver.read(&told);
        values.sort_unstable();
        let barrier = millstream_engine::batch::Barrier(1);
        driver.barrier(&lefts, barrier);
        driver.barrier(&rights, barrier);
        (values, driver.snapshot(barrier))
    };
    let events: Vec<Event> = (0..20).map(|n| (n, u32::from(n), 0)).collect();
    for (from, to) in [(1, 3), (3, 1), (2, 4)] {
        let (told, state) = run(from, None, [&events, &events[..5]]);
        assert_eq!(told.len(), 5);
        let (told, state) = run(to, Some(state), [&[], &events]);
        assert!(told.into_iter().eq((5..20).map(|n| two(n, n))), "{from} -> {to}");
        let (told, _) = run(from, Some(state), [&events[..5], &[]]);
        assert_eq!(told.len(), 5, "the five right ones that came twice");
    }
}
