//! Records as of the version that was valid at their time.

use millstream_engine::metrics::DropReason;
use millstream_engine::random::Random;
use millstream_engine::testing::{
    Event as Out, OperatorHarness, TestDriver, assert_survives_crashes, probe_sink, probe_source,
};
use millstream_operators::prelude::*;

use crate::oracle::is_deletion;
use crate::rig::{Event, Told, any_steps, at, both, left, left_told, ms, operator, right, streams};

fn told(left: u32, version: Option<u32>, time: i64) -> Out<Told> {
    Out::Record(Record::at((Some(left), version), at(time)))
}

#[test]
fn i5_a_record_has_the_version_valid_at_its_time_whatever_came_when() {
    let [lefts, versions] = streams();
    let mut harness = OperatorHarness::new(operator(lefts.as_of_join(versions).left(left_told)));
    harness.push(left(1, 1, 100));
    harness.push(left(1, 2, 89));
    harness.push(left(1, 3, 110));
    harness.push(right(1, 11, 110));
    harness.push(right(1, 12, 90));
    harness.push(right(2, 13, 95));
    harness.watermark(at(100));
    let first = [told(2, None, 89), Out::Watermark(at(100))];
    assert_eq!(harness.events(), first, "a version at 100 may still come");
    harness.push(right(1, 14, 100));
    harness.watermark(at(101));
    assert_eq!(harness.events(), [told(1, Some(14), 100), Out::Watermark(at(101))]);
    harness.push(left(1, 4, 105));
    harness.end();
    assert_eq!(harness.events(), [told(4, Some(14), 105), told(3, Some(11), 110), Out::End]);
}

#[test]
fn i5_of_versions_at_one_time_the_last_counts() {
    let [lefts, versions] = streams();
    let mut harness = OperatorHarness::new(operator(lefts.as_of_join(versions).inner(both)));
    harness.push(right(1, 11, 50));
    harness.push(right(1, 12, 60));
    harness.push(right(1, 13, 50));
    harness.push(left(1, 1, 55));
    harness.push(left(1, 2, 60));
    harness.push(left(9, 3, 60));
    harness.end();
    assert_eq!(harness.values(), [(Some(1), Some(13)), (Some(2), Some(12))]);
}

#[test]
fn i5_a_version_ends_when_it_is_deleted_or_too_old() {
    let [lefts, versions] = streams();
    let join = lefts.as_of_join(versions).deleted_by(is_deletion).valid_for(ms(20));
    let mut harness = OperatorHarness::new(operator(join.left(left_told)));
    harness.push(right(1, 11, 50));
    harness.push(right(1, 15, 60));
    harness.push(right(1, 12, 70));
    for (number, time) in [(1, 59), (2, 60), (3, 69), (4, 70), (5, 90), (6, 91)] {
        harness.push(left(1, number, time));
    }
    harness.end();
    let versions: Vec<_> = harness.values().into_iter().map(|told| told.1).collect();
    assert_eq!(versions, [Some(11), None, None, Some(12), Some(12), None]);
}

#[test]
fn i5_versions_go_when_nobody_can_ask_for_them() {
    let kept = |versions: &[(u32, i64)], life: Option<u64>, watermark: i64| {
        let [lefts, rights] = streams();
        let join = lefts.as_of_join(rights).deleted_by(is_deletion);
        let join = life.into_iter().fold(join, |join, life| join.valid_for(ms(life)));
        let join = join.left(left_told).uid("join");
        let mut harness = OperatorHarness::new(operator(join));
        versions.iter().for_each(|(number, time)| harness.push(right(1, *number, *time)));
        harness.push(left(1, 0, 40));
        harness.watermark(at(watermark));
        let bytes: usize =
            harness.snapshot().unwrap().into_entries().iter().map(|entry| entry.1.len()).sum();
        (harness.operator().keys(), harness.operator().timers(), bytes)
    };
    let one = kept(&[(1, 50)], None, 1_000);
    assert_eq!((one.0, one.1), (1, 0), "the last one stays");
    assert_eq!(kept(&[(2, 50), (1, 60), (3, 55), (1, 50)], None, 1_000).2, one.2, "and no other");
    assert!(
        kept(&[(2, 50), (1, 60)], None, 60).2 > one.2,
        "a record at 60 may come, and one at 59"
    );
    let (keys, timers, _) = kept(&[(2, 50), (1, 60)], Some(30), 91);
    assert_eq!((keys, timers), (0, 0), "nobody is to have one that is older");
    let (keys, timers, _) = kept(&[(2, 50), (5, 60)], None, 61);
    assert_eq!((keys, timers), (0, 0), "nothing is kept of what was deleted");
}

#[test]
fn i5_what_comes_late_is_counted_and_valid_for_nobody() {
    let [lefts, versions] = streams();
    let join = lefts.as_of_join(versions).grace(ms(5)).left(left_told);
    let mut harness = OperatorHarness::new(operator(join));
    harness.watermark(at(100));
    harness.push(right(1, 11, 94));
    harness.push(left(1, 1, 94));
    harness.push(left(1, 2, 95));
    assert_eq!(harness.counters().drops().of(DropReason::Late), 2);
    harness.watermark(at(101));
    let expected = [Out::Watermark(at(95)), told(2, None, 95), Out::Watermark(at(96))];
    assert_eq!(harness.events(), expected, "told in time for everybody behind it");
}

#[test]
fn i5_thousands_that_wait_are_told_of_as_there_is_room() {
    let [lefts, versions] = streams();
    let join = operator(lefts.as_of_join(versions).left(left_told));
    for room in [1, 7] {
        let mut tight = OperatorHarness::with_room(join.clone(), room);
        (0..3_000).for_each(|n| tight.push(left(1, n, 100)));
        tight.push(right(1, 7, 100));
        tight.watermark(at(200));
        assert!(tight.values().iter().map(|told| told.0.unwrap()).eq(0..3_000));
    }
}

#[test]
fn i5_it_survives_a_crash_at_any_step() {
    for seed in 0..20 {
        let [lefts, versions] = streams();
        let join = lefts.as_of_join(versions).deleted_by(is_deletion).grace(ms(seed % 3));
        let join = join.valid_for(ms(9)).left(left_told).uid("join");
        assert_survives_crashes(&operator(join), &any_steps(seed));
    }
}

/// The same two streams, with no more disorder than is said, put together in some order.
fn table(seed: u64) -> Vec<(u32, Option<u32>)> {
    let stream = |which: u64, count: i64, apart: i64| {
        let mut random = Random::new(which);
        let mut events: Vec<Event> = (0..count)
            .map(|n| (random.below(3) as u8, u32::try_from(n).unwrap(), n * apart))
            .collect();
        // Neighbours change places.
        let mut random = Random::fork(which, usize::try_from(seed).unwrap(), 0);
        events.chunks_mut(2).filter(|_| random.below(2) == 0).for_each(<[_]>::reverse);
        events
    };
    let (lefts, versions) = (stream(1, 60, 2), stream(2, 15, 7));
    let flow = Dataflow::new("replayed");
    let (left_probe, left_source) = probe_source::<Event>();
    let (version_probe, version_source) = probe_source::<Event>();
    let (told, sink) = probe_sink();
    let time = |event: &Event| at(event.2);
    let [left_in, version_in] = [
        flow.source("lefts", left_source).boxed(),
        flow.source("versions", version_source).boxed(),
    ]
    .map(|side| side.event_time(time, Watermarks::bounded_disorder(ms(7))));
    let joined = left_in.key_by(|left| left.0).as_of_join(version_in.key_by(|event| event.0));
    let joined = joined.left(|left, version| (left.1, version.map(|version| version.1)));
    joined.sink("told", sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    told.request(usize::MAX);
    let (mut lefts, mut versions) = (lefts.into_iter(), versions.into_iter());
    let mut random = Random::fork(9, usize::try_from(seed).unwrap(), 0);
    loop {
        let (probe, next) = match random.below(3) {
            0 => (&version_probe, versions.next()),
            _ => (&left_probe, lefts.next()),
        };
        match next {
            Some(event) => driver.push(probe, Record::at(event, at(event.2))),
            None if versions.len() + lefts.len() == 0 => break,
            None => {}
        }
    }
    driver.end(&left_probe);
    driver.end(&version_probe);
    let mut table = driver.read(&told);
    driver.finish().unwrap();
    table.sort_unstable();
    table
}

#[test]
fn i5_streams_that_are_read_again_give_the_same_table() {
    let first = table(0);
    assert_eq!(first.len(), 60);
    assert!(first.iter().filter(|row| row.1.is_some()).count() > 40, "{first:?}");
    (1..30).for_each(|seed| assert_eq!(table(seed), first, "{seed}"));
}
