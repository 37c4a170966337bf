//! `window_join`: which pairs there are, when they come and in which order, and what becomes of
//! late records.

use millstream_engine::metrics::DropReason;
use millstream_engine::testing::{TestDriver, probe_sink, probe_source};
use millstream_operators::fan::Either;
use millstream_operators::join::EitherOrBoth;
use millstream_operators::prelude::*;
use millstream_operators::window::{AlignedWindows, TimeWindow};

use super::play::{Play, Stage, millis, quiet, time};

/// A key and a number, which is its event time too.
type Event = (&'static str, i64);

fn left(key: &'static str, at: i64) -> Play<Record<Event>, Record<Event>> {
    Play::Left(Record::at((key, at), time(at)))
}

fn right(key: &'static str, at: i64) -> Play<Record<Event>, Record<Event>> {
    Play::Right(Record::at((key, at), time(at)))
}

/// Both sides have come so far.
fn both(to: i64) -> [Play<Record<Event>, Record<Event>>; 2] {
    [Play::Watermark(Either::Left(to)), Play::Watermark(Either::Right(to))]
}

fn pair(one: &Event, other: &Event) -> (i64, i64) {
    (one.1, other.1)
}

/// What is told of a pair of numbers, and the window.
type Told = (i64, i64, (i64, i64));

#[allow(clippy::needless_pass_by_value, reason = "it is given to `map`")]
fn told(told: Windowed<&'static str, TimeWindow, (i64, i64)>) -> Told {
    (told.window.start.as_millis(), told.window.end.as_millis(), told.value)
}

fn join<W>(windows: W) -> Stage<Event, Event, Told>
where
    W: millstream_operators::window::TimeWindows<Either<Event, Event>>,
{
    Stage::start(&quiet(), |left, right, tag| {
        let right = right.key_by(|event: &Event| event.0);
        let left = left.key_by(|event: &Event| event.0);
        let join = left.window_join(right, windows).late_to(tag);
        join.inner(pair).map(told).boxed()
    })
}

fn play<O: Send + std::fmt::Debug + 'static>(
    stage: &mut Stage<Event, Event, O>,
    steps: impl IntoIterator<Item = Play<Record<Event>, Record<Event>>>,
) -> Vec<O> {
    steps.into_iter().for_each(|step| stage.play(step));
    stage.read()
}

#[test]
fn i3_pairs_come_when_the_window_is_final_in_the_order_of_time() {
    let mut stage = join(Tumbling::of(millis(10)));
    let records =
        [right("a", 7), left("a", 9), left("a", 2), right("a", 3), left("b", 4), left("a", 12)];
    assert_eq!(play(&mut stage, records), [], "nothing is told of before");
    assert_eq!(play(&mut stage, both(9)), [], "a record at 9 may follow");
    assert_eq!(play(&mut stage, [Play::Watermark(Either::Left(50))]), [], "the right may follow");
    let pairs = [(0, 10, (2, 3)), (0, 10, (2, 7)), (0, 10, (9, 3)), (0, 10, (9, 7))];
    assert_eq!(play(&mut stage, both(10)), pairs);
    let pairs = play(&mut stage, [right("a", 19), right("a", 20)]);
    assert_eq!(pairs, []);
    assert_eq!(stage.end().0, [(10, 20, (12, 19))], "the end tells of every window");
}

#[test]
fn i3_the_result_has_the_last_point_of_its_window_as_its_time() {
    let mut stage = Stage::start(&quiet(), |left, right, tag| {
        let right = right.key_by(|event: &Event| event.0);
        let join =
            left.key_by(|event: &Event| event.0).window_join(right, Tumbling::of(millis(10)));
        let join = join.late_to(tag);
        // A window of the same bounds behind it gets the same results.
        let again = join.inner(pair).key_by(|told| told.key).window(Tumbling::of(millis(10)));
        again.count().map(|told| (told.window.start.as_millis(), told.value)).boxed()
    });
    play(&mut stage, [left("a", 1), left("a", 2), right("a", 3), left("a", 30), right("a", 31)]);
    assert_eq!(stage.end().0, [(0, 2), (30, 1)]);
}

#[test]
fn i3_sliding_windows_share_records_and_pairs_come_in_each_of_them() {
    let mut stage = join(Sliding::of(millis(10), millis(5)));
    let pairs =
        play(&mut stage, [left("a", 3), right("a", 7), left("a", 11)].into_iter().chain(both(10)));
    assert_eq!(pairs, [(0, 10, (3, 7))]);
    // 6 is too late for [0, 10), and not for [5, 15).
    assert_eq!(play(&mut stage, [left("a", 6), left("a", 4)]), []);
    assert_eq!(stage.late(), [Either::Left(("a", 4))]);
    assert_eq!(play(&mut stage, both(15)), [(5, 15, (6, 7)), (5, 15, (11, 7))]);
    let (rest, _) = stage.end();
    assert_eq!(rest, [], "and no pair in [10, 20)");
}

#[test]
fn i3_sessions_are_those_of_both_sides_together() {
    let mut stage = join(Session::with_gap(millis(10)));
    // The right one at 8 keeps the session open, and joins it to that of the left one at 15.
    let records = [left("a", 0), left("a", 15), right("a", 8), right("a", 40)];
    assert_eq!(play(&mut stage, records), []);
    assert_eq!(play(&mut stage, both(24)), []);
    assert_eq!(play(&mut stage, both(25)), [(0, 25, (0, 8)), (0, 25, (15, 8))]);
    assert_eq!(play(&mut stage, [left("a", 14), left("a", 16)]), [], "a session of its own");
    assert_eq!(stage.late(), [Either::Left(("a", 14))]);
    assert_eq!(stage.end().0, []);
}

#[test]
fn i3_windows_of_your_own_are_joined_by_too() {
    #[derive(Clone)]
    struct WarmUp;
    impl AlignedWindows for WarmUp {
        fn window_of(&self, at: Timestamp) -> TimeWindow {
            if at < time(100) {
                return TimeWindow::new(Timestamp::MIN, time(100));
            }
            TimeWindow::new(time(100), Timestamp::MAX)
        }
    }
    let mut stage = join(WarmUp);
    let records = [left("a", i64::MIN), right("a", 99), left("a", 100), right("a", i64::MAX)];
    assert_eq!(play(&mut stage, records), []);
    assert_eq!(play(&mut stage, both(100)), [(i64::MIN, 100, (i64::MIN, 99))]);
    assert_eq!(stage.end().0, [(100, i64::MAX, (100, i64::MAX))]);
}

#[test]
fn i3_windows_at_the_ends_of_time_come_to_an_end() {
    let sizes = [(u64::MAX, 1), (u64::MAX, u64::MAX), (10, 3), (3, 10), (1, 1)];
    for (size, step) in sizes {
        let mut stage = join(Sliding::of(millis(size), millis(step)));
        let ends = [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX];
        if size > 10 && step == 1 {
            // More windows than anybody can be told of.
            continue;
        }
        play(&mut stage, ends.map(|end| left("a", end)));
        play(&mut stage, ends.map(|end| right("a", end)));
        let (pairs, late) = stage.end();
        assert_eq!(late, []);
        assert!(!pairs.is_empty(), "{size} by {step}: {pairs:?}");
    }
}

#[test]
fn i3_who_has_no_partner_is_told_of_once_the_window_is_final() {
    fn name(event: Option<&Event>) -> i64 {
        event.map_or(-1, |event| event.1)
    }
    for (kind, expected) in [
        ("left", vec![(2, 3), (14, -1)]),
        ("right", vec![(2, 3), (-1, 25)]),
        ("outer", vec![(2, 3), (14, -1), (-1, 25)]),
    ] {
        let mut stage = Stage::start(&quiet(), |left, right, tag| {
            let right = right.key_by(|event: &Event| event.0);
            let left = left.key_by(|event: &Event| event.0);
            let join = left.window_join(right, Tumbling::of(millis(10))).late_to(tag);
            match kind {
                "left" => join.left(|one, other| (one.1, name(other))).map(|t| t.value).boxed(),
                "right" => join.right(|one, other| (name(one), other.1)).map(|t| t.value).boxed(),
                _ => join
                    .outer(|sides| match sides {
                        EitherOrBoth::Left(one) => (one.1, -1),
                        EitherOrBoth::Right(other) => (-1, other.1),
                        EitherOrBoth::Both(one, other) => pair(one, other),
                    })
                    .map(|t| t.value)
                    .boxed(),
            }
        });
        let records = [left("a", 2), right("a", 3), left("a", 14), right("a", 25)];
        let mut pairs = play(&mut stage, records);
        assert_eq!(pairs, [], "{kind}: there may be partners yet");
        pairs.extend(play(&mut stage, both(20)));
        pairs.extend(stage.end().0);
        assert_eq!(pairs, expected, "{kind}");
    }
}

#[test]
fn i3_an_allowed_lateness_holds_windows_up_and_repeats_none() {
    // The stage sees to it that nothing is behind the watermark.
    let mut stage = Stage::start(&quiet(), |left, right, tag| {
        let right = right.key_by(|event: &Event| event.0);
        let left = left.key_by(|event: &Event| event.0);
        let join = left.window_join(right, Tumbling::of(millis(10))).late_to(tag);
        join.allowed_lateness(millis(5)).inner(pair).map(told).boxed()
    });
    assert_eq!(play(&mut stage, [left("a", 1), right("a", 2)].into_iter().chain(both(14))), []);
    assert_eq!(play(&mut stage, [right("a", 3)]), [], "it is late, and allowed");
    assert_eq!(play(&mut stage, both(15)), [(0, 10, (1, 2)), (0, 10, (1, 3))]);
    assert_eq!(play(&mut stage, [left("a", 4)]), []);
    assert_eq!(stage.late(), [Either::Left(("a", 4))]);
    assert_eq!(stage.end(), (vec![], vec![]));
}

#[test]
fn i3_late_records_are_counted_where_there_is_no_place_for_them() {
    let (one, one_source) = probe_source::<Event>();
    let (other, other_source) = probe_source::<Event>();
    let (out, sink) = probe_sink();
    let flow = Dataflow::new("counted");
    let right = flow.source("right", other_source).key_by(|event| event.0);
    let left = flow.source("left", one_source).key_by(|event| event.0);
    let join = left.window_join(right, Tumbling::of(millis(10))).inner(pair).named("pairs");
    join.map(told).sink("out", sink);
    let mut driver = TestDriver::start_with(flow.blueprint(), &quiet()).unwrap();
    [&one, &other].into_iter().for_each(|input| driver.watermark(input, time(10)));
    driver.push(&one, Record::at(("a", 4), time(4)));
    driver.push(&other, Record::at(("b", 9), time(9)));
    driver.push(&other, Record::at(("b", 10), time(10)));
    let operators = driver.metrics().operators;
    let pairs = operators.iter().find(|operator| operator.name == "pairs").unwrap();
    assert_eq!(pairs.dropped.of(DropReason::Late), 2);
    [&one, &other].into_iter().for_each(|input| driver.end(input));
    assert_eq!(driver.read(&out), []);
    driver.finish().unwrap();
}

#[test]
fn i3_an_idle_side_holds_up_no_windows() {
    let mut stage = join(Tumbling::of(millis(10)));
    play(&mut stage, [left("a", 1), right("a", 2), Play::Idle(Either::Right(()))]);
    assert_eq!(play(&mut stage, [Play::Watermark(Either::Left(10))]), [(0, 10, (1, 2))]);
    assert_eq!(stage.end(), (vec![], vec![]));
}

#[test]
fn i3_however_many_pairs_a_window_has_they_wait_for_room() {
    let flow = Dataflow::new("many");
    // So many that they would be 160,000 at once.
    let numbers = |name: &str| {
        let numbers = flow.source(name, source::from_iter(0..400_i64));
        numbers.event_time(|n| time(*n), Watermarks::monotonic()).key_by(|_| ())
    };
    let (out, sink) = probe_sink();
    let join = numbers("left").window_join(numbers("right"), Tumbling::of(millis(1_000)));
    join.inner(|one, other| (*one, *other)).map(|told| told.value).sink("out", sink);
    let options = quiet().with_batch_records(64).with_edge_capacity(64);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    out.request(10);
    let first: Vec<_> = driver.records(&out).into_iter().map(|record| record.value).collect();
    assert_eq!(first, (0..10).map(|n| (0, n)).collect::<Vec<_>>());
    let pending = |driver: &TestDriver| -> u64 {
        driver
            .metrics()
            .operators
            .iter()
            .map(|operator| operator.records_out)
            .max()
            .flatten()
            .unwrap()
    };
    assert!(pending(&driver) < 2_500, "{} are on their way", pending(&driver));
    let rest = driver.read(&out);
    let all = (0..400).flat_map(|one| (0..400).map(move |other| (one, other)));
    assert!(all.skip(10).eq(rest), "each pair once, in order");
    driver.finish().unwrap();
}

#[test]
fn i3_a_key_that_makes_room_tells_of_its_windows() {
    let mut stage = Stage::start(&quiet(), |left, right, tag| {
        let right = right.key_by(|event: &Event| event.0);
        let left = left.key_by(|event: &Event| event.0);
        let join = left.window_join(right, Sliding::of(millis(10), millis(5))).late_to(tag);
        let join = join.inner(pair);
        join.max_keys(KeyLimit::evict(1)).map(told).boxed()
    });
    assert_eq!(play(&mut stage, [left("a", 6), right("a", 7), left("a", 12)]), []);
    let pairs = [(0, 10, (6, 7)), (5, 15, (6, 7)), (5, 15, (12, 7))];
    assert_eq!(play(&mut stage, [left("b", 6)]), pairs);
    assert_eq!(stage.end().0, []);
}

#[test]
fn i3_without_event_time_the_graph_is_refused() {
    let flow = Dataflow::new("timeless");
    let numbers = |name: &str| flow.source(name, source::from_iter(0..9)).key_by(|n| n % 2);
    let join = numbers("left").window_join(numbers("right"), Tumbling::of(millis(10)));
    join.inner(|one, other| one + other).ignore();
    let mistake = flow.validate().unwrap_err().to_string();
    assert!(mistake.contains("window_join") && mistake.contains("event"), "{mistake}");
}

#[test]
fn i3_a_closure_that_panics_fails_the_job_by_name() {
    let flow = Dataflow::new("panics");
    let numbers = |name: &str| {
        let numbers = flow.source(name, source::from_iter(0..20_i64));
        numbers.event_time(|n| time(*n), Watermarks::monotonic()).key_by(|n| n % 2)
    };
    let join = numbers("left").window_join(numbers("right"), Tumbling::of(millis(10)));
    let join = join.inner(|one, other| {
        assert!(one + other < 20, "too much");
        one + other
    });
    join.ignore();
    let driver = TestDriver::start_with(flow.blueprint(), &quiet()).unwrap();
    let error = driver.finish().unwrap_err().to_string();
    assert!(error.contains("window_join") && error.contains("too much"), "{error}");
}
