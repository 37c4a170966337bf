//! Joins that tell of who has no partner: when, with which time, and who counts it behind them.

use millstream_engine::testing::{
    Event as Out, OperatorHarness, TestDriver, probe_sink, probe_source,
};
use millstream_operators::prelude::*;

use crate::rig::{Event, Told, any_told, at, left, left_told, ms, operator, right, streams};

fn told(left: Option<u32>, right: Option<u32>, time: i64) -> Out<Told> {
    Out::Record(Record::at((left, right), at(time)))
}

#[test]
fn i4_who_has_no_partner_is_told_of_when_none_can_come() {
    let [lefts, rights] = streams();
    let join = lefts.interval_join(rights, Interval::from_millis(-5, 20)).outer(any_told);
    let mut harness = OperatorHarness::new(operator(join));
    harness.push(left(1, 1, 100));
    harness.push(right(2, 2, 100));
    harness.watermark(at(105));
    assert_eq!(harness.events(), [Out::Watermark(at(85))], "one may come at 105, and one at 120");
    harness.watermark(at(106));
    assert_eq!(harness.events(), [told(None, Some(2), 100), Out::Watermark(at(86))]);
    harness.watermark(at(120));
    assert_eq!(harness.events(), [Out::Watermark(at(100))]);
    harness.watermark(at(121));
    let expected = [told(Some(1), None, 100), Out::Watermark(at(101))];
    assert_eq!(harness.events(), expected, "with its own time, and in time for everybody behind");
    harness.push(left(3, 3, 130));
    harness.push(right(3, 4, 140));
    assert_eq!(harness.events(), [told(Some(3), Some(4), 140)]);
    harness.push(left(4, 5, 150));
    harness.end();
    assert_eq!(harness.events(), [told(Some(5), None, 150), Out::End], "the end is the end");
}

#[test]
fn i4_within_the_grace_a_late_partner_is_still_found() {
    let [lefts, rights] = streams();
    let join = lefts.interval_join(rights, Interval::after(ms(20))).grace(ms(10)).left(left_told);
    let mut harness = OperatorHarness::new(operator(join));
    harness.push(left(1, 1, 100));
    harness.push(left(2, 2, 100));
    harness.watermark(at(130));
    harness.push(right(1, 3, 120));
    let expected = [Out::Watermark(at(100)), told(Some(1), Some(3), 120)];
    assert_eq!(harness.events(), expected);
    harness.watermark(at(131));
    assert_eq!(harness.events(), [told(Some(2), None, 100), Out::Watermark(at(101))]);
}

#[test]
fn i4_only_the_sides_that_were_asked_for_are_told_of_alone() {
    let [lefts, rights] = streams();
    let join = lefts.interval_join(rights, Interval::around(ms(1)));
    let join = join.right(|left, right| (left.map(|left| left.1), Some(right.1)));
    let mut harness = OperatorHarness::new(operator(join));
    harness.push(left(1, 1, 100));
    harness.push(right(1, 2, 200));
    harness.push(left(1, 3, 201));
    harness.push(right(1, 4, 300));
    harness.end();
    assert_eq!(harness.values(), [(Some(3), Some(2)), (None, Some(4))]);
}

#[test]
fn i4_who_can_have_no_partner_any_more_is_told_of_at_once() {
    let [lefts, rights] = streams();
    let join = lefts.interval_join(rights, Interval::from_millis(-20, -10)).left(left_told);
    let mut harness = OperatorHarness::new(operator(join));
    harness.watermark(at(100));
    harness.push(left(1, 1, 109));
    harness.push(left(1, 2, 110));
    assert_eq!(harness.values(), [(Some(1), None)], "a partner of the other may come at 100");
    assert_eq!(harness.operator().keys(), 1);
}

/// How many results each window of ten has behind a join, and how many results there were.
fn windows(
    join: impl FnOnce(DataStream<Event>, DataStream<Event>) -> DataStream<(Told, i64)>,
) -> (Vec<(i64, u64)>, usize) {
    let flow = Dataflow::new("windows behind joins");
    let [(lefts, left_source), (rights, right_source)] = [probe_source(), probe_source()];
    let (counted, sink) = probe_sink();
    let (late, too_late) = flow.side_output("late");
    let [lefts_in, rights_in] =
        [flow.source("left", left_source), flow.source("right", right_source)];
    let joined = join(lefts_in.boxed(), rights_in.boxed());
    let windows = joined.window_all(Tumbling::of(ms(10))).late_to(&late).count();
    windows.map(|told| (told.window.start.as_millis(), told.value)).sink("counted", sink);
    let (lost, lost_sink) = probe_sink();
    too_late.sink("lost", lost_sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    [&counted].iter().for_each(|probe| probe.request(usize::MAX));
    lost.request(usize::MAX);
    for n in 0..40_u32 {
        let time = i64::from(n) * 3;
        let event = |time: i64| Record::at(((n % 2) as u8, n, time), at(time));
        driver.push(&lefts, event(time - i64::from(n % 4)));
        if n % 3 == 0 {
            driver.push(&rights, event(time + 6 - i64::from(n % 4)));
        }
        driver.watermark(&lefts, at(time - 3));
        driver.watermark(&rights, at(time - 3));
    }
    driver.end(&lefts);
    driver.end(&rights);
    let (counted, lost) = (driver.read(&counted), driver.read(&lost).len());
    driver.finish().unwrap();
    (counted, lost)
}

/// What is told, and the later time.
fn timed(sides: EitherOrBoth<&Event, &Event>) -> (Told, i64) {
    let (left, right) = (sides.left().map(|left| left.2), sides.right().map(|right| right.2));
    (any_told(sides), left.max(right).unwrap())
}

#[test]
fn i4_a_window_behind_a_join_loses_nothing() {
    type Keys = DataStream<Event>;
    let pair = |lefts: Keys, rights: Keys| {
        let interval = Interval::from_millis(-4, 7);
        lefts.key_by(|left| left.0).interval_join(rights.key_by(|right| right.0), interval)
    };
    let (outer, lost) = windows(|lefts, rights| pair(lefts, rights).outer(timed).boxed());
    assert_eq!(lost, 0);
    let (graceful, lost) =
        windows(|lefts, rights| pair(lefts, rights).grace(ms(9)).outer(timed).boxed());
    assert_eq!((&graceful, lost), (&outer, 0));
    let (inner, lost) = windows(|lefts, rights| {
        let pairs = pair(lefts, rights).inner(|left, right| timed(EitherOrBoth::Both(left, right)));
        pairs.boxed()
    });
    assert_eq!(lost, 0);
    let total = |windows: &[(i64, u64)]| windows.iter().map(|window| window.1).sum::<u64>();
    assert!(total(&outer) > total(&inner) && total(&inner) > 10, "{outer:?} {inner:?}");
    assert!(outer.is_sorted(), "a window is told of once");
}

#[test]
fn i4_a_side_that_is_empty_leaves_the_other_without_partners() {
    for idle in [true, false] {
        let flow = Dataflow::new("one side");
        let (lefts, left_source) = probe_source::<Event>();
        let (rights, right_source) = probe_source::<Event>();
        let (told, sink) = probe_sink();
        let lefts_in = flow.source("left", left_source).key_by(|left| left.0);
        let rights_in = flow.source("right", right_source).key_by(|right| right.0);
        let join = lefts_in.interval_join(rights_in, Interval::after(ms(5)));
        join.left(left_told).sink("told", sink);
        let mut driver = TestDriver::start(flow.blueprint()).unwrap();
        told.request(usize::MAX);
        driver.push(&lefts, Record::at((1, 1, 10), at(10)));
        driver.watermark(&lefts, at(100));
        assert_eq!(driver.read(&told), [], "the other side has said nothing");
        if idle {
            driver.idle(&rights);
        } else {
            driver.end(&rights);
        }
        assert_eq!(driver.read(&told), [(Some(1), None)]);
        driver.push(&lefts, Record::at((1, 2, 100), at(100)));
        if idle {
            driver.end(&rights);
        }
        driver.end(&lefts);
        assert_eq!(driver.read(&told), [(Some(2), None)]);
        driver.finish().unwrap();
    }
}

#[test]
fn i4_a_stream_that_meets_itself_comes_to_its_end_at_the_narrowest_edges() {
    for (capacity, parallel) in [(1, 1), (2, 1), (1, 3), (2, 2)] {
        for zipped in [false, true] {
            let flow = Dataflow::new("diamond");
            let numbers = flow.source("numbers", source::from_iter(0..200_i64));
            let numbers = numbers.event_time(|n| at(*n), Watermarks::monotonic());
            let [one, other] = numbers.broadcast::<2>();
            let (one, other) = (one.key_by(|n| n % 7), other.key_by(|n| n % 7));
            let join = one.parallel(parallel).interval_join(other, Interval::after(ms(7)));
            let joined = join.outer(|sides| (sides.left().copied(), sides.right().copied()));
            let count = if zipped {
                let more = flow.source("more", source::from_iter(0..10_000_i64));
                joined.gather().zip(more).count()
            } else {
                joined.count()
            };
            let driver = TestDriver::start_with(flow.blueprint(), &narrow(capacity)).unwrap();
            let count = driver.finish().unwrap().take(count);
            // Each with itself, and with the next of its key.
            assert_eq!(count, Some(200 + 193), "{capacity} {parallel} {zipped}");
        }
    }
}

fn narrow(capacity: usize) -> JobOptions {
    let options = JobOptions::default().with_edge_capacity(capacity);
    options.with_batch_records(capacity).with_publish_every(None).with_stall_warning(None)
}

#[test]
fn i4_a_join_that_is_zipped_with_what_it_is_of_is_refused() {
    let flow = Dataflow::new("waits for itself");
    let numbers = flow.source("numbers", source::from_iter(0..200_i64));
    let numbers = numbers.event_time(|n| at(*n), Watermarks::monotonic());
    let [one, other, third] = numbers.broadcast::<3>();
    let (one, other) = (one.key_by(|n| n % 7), other.key_by(|n| n % 7));
    let join = one.interval_join(other, Interval::after(ms(7))).inner(|one, other| one + other);
    join.zip(third).ignore();
    let refused = TestDriver::start_with(flow.blueprint(), &narrow(1)).unwrap_err().to_string();
    assert!(refused.contains("may wait for one branch of"), "{refused}");
}
