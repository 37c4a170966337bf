//! Interval joins: what belongs together, and when it is told of.

use std::time::Duration;

use millstream_engine::metrics::DropReason;
use millstream_engine::testing::{Event as Out, OperatorHarness, assert_survives_crashes};
use millstream_operators::prelude::*;

use crate::rig::{
    Alone, Told, any_steps, any_told, at, both, left, left_told, ms, operator, right, streams,
};

/// An inner join alone.
macro_rules! inner {
    ($interval:expr) => {{
        let [lefts, rights] = streams();
        operator(lefts.interval_join(rights, $interval).inner(both))
    }};
}

fn told(left: u32, right: u32, time: i64) -> Out<Told> {
    Out::Record(Record::at((Some(left), Some(right)), at(time)))
}

#[test]
fn i2_bounds_are_inclusive_unless_they_are_excluded() {
    let around = Interval::around(ms(10));
    for (interval, expected) in [
        (around, vec![90, 91, 100, 109, 110]),
        (around.exclude_lower(), vec![91, 100, 109, 110]),
        (around.exclude_upper(), vec![90, 91, 100, 109]),
        (Interval::before(ms(10)), vec![90, 91, 100]),
        (Interval::after(ms(10)), vec![100, 109, 110]),
        (Interval::after(ms(10)).exclude_lower().exclude_upper(), vec![109]),
        (Interval::from_millis(-9, -1), vec![91]),
        (Interval::from_millis(11, 12), vec![111]),
    ] {
        let times = [89, 90, 91, 100, 109, 110, 111];
        for left_first in [true, false] {
            let mut harness = OperatorHarness::new(inner!(interval));
            if left_first {
                harness.push(left(1, 0, 100));
            }
            times.iter().for_each(|time| harness.push(right(1, *time, i64::from(*time))));
            if !left_first {
                assert_eq!(harness.values(), []);
                harness.push(left(1, 0, 100));
            }
            let pairs: Vec<_> = expected.iter().map(|time| (Some(0), Some(*time))).collect();
            assert_eq!(harness.values(), pairs, "{interval:?}");
        }
    }
}

#[test]
fn i2_a_pair_is_told_of_when_the_second_comes_with_the_later_time() {
    let mut harness = OperatorHarness::new(inner!(Interval::around(ms(10))));
    harness.push(left(1, 1, 100));
    harness.push(right(2, 2, 100));
    assert_eq!(harness.events(), [], "of another key");
    harness.push(right(1, 3, 95));
    assert_eq!(harness.events(), [told(1, 3, 100)]);
    harness.push(left(1, 4, 104));
    assert_eq!(harness.events(), [told(4, 3, 104)]);
    harness.watermark(at(104));
    harness.push(right(1, 5, 108));
    let late_comer = [told(1, 5, 108), told(4, 5, 108)];
    assert_eq!(harness.events(), [[Out::Watermark(at(104))].as_slice(), &late_comer].concat());
    harness.end();
    assert_eq!(harness.events(), [Out::End], "nothing is told of twice");
}

#[test]
fn i2_what_is_kept_goes_when_no_partner_can_come() {
    let interval = Interval::from_millis(-5, 20);
    let [lefts, rights] = streams();
    let join = operator(lefts.interval_join(rights, interval).grace(ms(3)).inner(both));
    let mut harness = OperatorHarness::new(join);
    harness.push(left(1, 1, 100));
    harness.push(right(2, 2, 100));
    let kept = |harness: &Alone<_, _>| (harness.operator().keys(), harness.operator().timers());
    harness.watermark(at(108));
    assert_eq!(
        kept(&harness),
        (2, 2),
        "a left one at 95 may still come, late by as much as may be"
    );
    harness.watermark(at(109));
    assert_eq!(kept(&harness), (1, 1));
    harness.watermark(at(123));
    assert_eq!(kept(&harness), (1, 1));
    harness.watermark(at(124));
    assert_eq!(kept(&harness), (0, 0));
    for n in 0..5_000 {
        harness.push(left(n as u8, n, 200));
        harness.push(right(n as u8, n, 205));
    }
    assert_eq!(kept(&harness), (256, 256), "one timer a key");
    harness.watermark(at(1_000));
    assert_eq!(kept(&harness), (0, 0));
    // Who has no partner any more when it comes is not kept either.
    let mut harness = OperatorHarness::new(inner!(Interval::after(ms(10)).exclude_lower()));
    harness.watermark(at(50));
    harness.push(right(1, 1, 50));
    assert_eq!(harness.operator().keys(), 0);
}

#[test]
fn i2_late_records_are_counted_and_join_nobody() {
    let mut harness = OperatorHarness::new(inner!(Interval::around(ms(10))));
    harness.push(left(1, 1, 100));
    harness.watermark(at(100));
    harness.push(right(1, 2, 99));
    harness.push(left(7, 3, 99));
    harness.push(right(1, 4, 100));
    assert_eq!(harness.values(), [(Some(1), Some(4))]);
    assert_eq!(harness.counters().drops().of(DropReason::Late), 2);
    assert_eq!(harness.operator().keys(), 1, "nothing is kept of a late one");
    let [lefts, rights] = streams();
    let join = lefts.interval_join(rights, Interval::around(ms(10))).grace(ms(5)).inner(both);
    let mut harness = OperatorHarness::new(operator(join));
    harness.push(left(1, 1, 100));
    harness.watermark(at(100));
    harness.push(right(1, 2, 95));
    harness.push(right(1, 3, 94));
    let watermark = Out::Watermark(at(95));
    assert_eq!(harness.events(), [watermark, told(1, 2, 100)], "none behind the join is late");
    assert_eq!(harness.counters().drops().of(DropReason::Late), 1);
}

#[test]
fn i2_thousands_of_partners_wait_for_room() {
    let [lefts, rights] = streams();
    let join = lefts.interval_join(rights, Interval::around(ms(10_000)));
    let join = operator(join.left(left_told));
    for room in [1, 7, 1_000] {
        let mut tight = OperatorHarness::with_room(join.clone(), room);
        (0..3_000).for_each(|n| tight.push(right(1, n, i64::from(n))));
        tight.push(left(1, 9_000, 1_500));
        let told = tight.values();
        assert_eq!(told.len(), 3_000);
        assert!(told.iter().map(|told| told.1.unwrap()).eq(0..3_000), "in the order of time");
        // So do those without a partner.
        (0..3_000).for_each(|n| tight.push(left(2, n, i64::from(n))));
        tight.end();
        assert!(tight.values().iter().map(|told| told.0.unwrap()).eq(0..3_000));
        assert_eq!(tight.operator().keys(), 0);
    }
}

#[test]
fn i2_it_survives_a_crash_at_any_step() {
    for seed in 0..20 {
        let [lefts, rights] = streams();
        let join = lefts.interval_join(rights, Interval::from_millis(-7, 4)).grace(ms(2));
        assert_survives_crashes(&operator(join.outer(any_told).uid("join")), &any_steps(seed));
    }
}

#[test]
fn i2_a_run_that_goes_on_says_again_how_far_time_has_come() {
    let [lefts, rights] = streams();
    let join = lefts.interval_join(rights, Interval::after(ms(10))).left(left_told);
    let join = operator(join.uid("join"));
    let mut before = OperatorHarness::new(join.clone());
    before.watermark(at(100));
    assert_eq!(before.events(), [Out::Watermark(at(90))]);
    let mut after = OperatorHarness::new(join);
    after.restore(before.snapshot().unwrap()).unwrap();
    after.push(left(1, 1, 100));
    assert_eq!(after.events(), [Out::Watermark(at(90))]);
    after.push(left(1, 2, 99));
    assert_eq!(after.counters().drops().of(DropReason::Late), 1, "late is late");
}

#[test]
fn i2_it_needs_event_time_on_both_sides() {
    let flow = Dataflow::new("untimed");
    let numbers = |name| flow.source(name, source::from_iter(0..9_u64));
    let timed = numbers("timed").event_time(|n| at(*n as i64), Watermarks::monotonic());
    let join = timed
        .key_by(|n| *n)
        .interval_join(numbers("untimed").key_by(|n| *n), Interval::around(Duration::ZERO));
    join.inner(|a, b| a + b).ignore();
    let refused = flow.validate().unwrap_err().to_string();
    assert!(refused.contains("interval_join") && refused.contains("event time"), "{refused}");
}

#[test]
fn i2_a_limit_of_keys_holds_and_who_makes_room_is_told_of() {
    let [lefts, rights] = streams();
    let join = lefts.interval_join(rights, Interval::around(ms(10))).left(left_told);
    let mut harness = OperatorHarness::new(operator(join.max_keys(KeyLimit::evict(2))));
    (0..4).for_each(|key| harness.push(left(key, u32::from(key), 100)));
    let mut evicted = harness.values();
    assert_eq!(evicted.len(), 2);
    harness.end();
    evicted.extend(harness.values());
    evicted.sort_unstable();
    assert_eq!(evicted, [0, 1, 2, 3].map(|n| (Some(n), None)));
    let [lefts, rights] = streams();
    let join = lefts.interval_join(rights, Interval::around(ms(10))).left(left_told);
    let mut harness = OperatorHarness::new(operator(join.max_keys(KeyLimit::fail(2))));
    (0..4).for_each(|key| harness.push(left(key, 0, 100)));
    let error = harness.take_error().unwrap().to_string();
    assert!(error.contains("`interval_join`") && error.contains("limit"), "{error}");
}
