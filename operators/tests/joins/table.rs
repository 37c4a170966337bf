//! `table_join`: what is found in a table, which is read first.

use millstream_engine::testing::{TestDriver, probe_sink};
use millstream_operators::prelude::*;

use super::play::{Play, Stage, quiet};

type Trip = (u32, char);
type Zone = (char, Option<u32>);

fn trip(number: u32, zone: char) -> Play<Record<Trip>, Record<Zone>> {
    Play::Left(Record::from((number, zone)))
}

fn zone(zone: char, value: Option<u32>) -> Play<Record<Trip>, Record<Zone>> {
    Play::Right(Record::from((zone, value)))
}

fn join(options: &JobOptions, instances: usize) -> Stage<Trip, Zone, (u32, Option<u32>)> {
    Stage::plain(options, |trips, zones| {
        let zones = zones.key_by(|zone: &Zone| zone.0).parallel(instances);
        let trips = trips.key_by(|trip: &Trip| trip.1).parallel(instances);
        let join = trips.table_join(zones).deleted_by(|zone| zone.1.is_none());
        join.left(|trip, zone| (trip.0, zone.and_then(|zone| zone.1))).uid("zones").boxed()
    })
}

#[test]
fn i1_the_table_is_read_to_its_end_before_the_first_lookup() {
    for instances in [1, 3] {
        let mut stage = join(&quiet(), instances);
        let first = [trip(1, 'a'), trip(2, 'b'), zone('a', Some(7)), zone('b', Some(8))];
        first.into_iter().for_each(|step| stage.play(step));
        assert_eq!(stage.read(), [], "there may be more rows");
        [zone('a', Some(9)), zone('b', None)].into_iter().for_each(|step| stage.play(step));
        assert_eq!(stage.read(), []);
        stage.driver.end(&stage.right);
        let mut told = stage.read();
        told.sort_unstable();
        assert_eq!(told, [(1, Some(9)), (2, None)], "the latest row holds, and one was deleted");
        stage.play(trip(3, 'c'));
        stage.play(trip(4, 'a'));
        let mut told = stage.read();
        told.sort_unstable();
        assert_eq!(told, [(3, None), (4, Some(9))]);
        stage.driver.end(&stage.left);
        stage.driver.finish().unwrap();
    }
}

#[test]
fn i1_inner_tells_only_of_records_that_have_a_row() {
    let flow = Dataflow::new("inner");
    let zones = flow.source("zones", source::from_iter([('a', 1), ('b', 2), ('a', 3)]));
    let trips = flow.source("trips", source::from_iter((0..6).zip(['a', 'c', 'b', 'a', 'd', 'c'])));
    let join = trips.key_by(|trip: &Trip| trip.1).table_join(zones.key_by(|zone| zone.0));
    let (out, sink) = probe_sink();
    join.inner(|trip, zone| (trip.0, zone.1)).sink("out", sink);
    let mut driver = TestDriver::start_with(flow.blueprint(), &quiet()).unwrap();
    assert_eq!(driver.read(&out), [(0, 3), (2, 2), (3, 3)]);
    driver.finish().unwrap();
}

#[test]
fn i1_what_is_found_depends_on_no_schedule() {
    for seed in 0..60 {
        let flow = Dataflow::new("schedules");
        let rows = (0..200_u32).map(|n| (n % 17, n));
        let rows = flow.source("rows", source::from_iter(rows));
        let records = flow.source("records", source::from_iter(0..100_u32));
        let instances = 1 + usize::try_from(seed % 4).unwrap();
        let table = rows.key_by(|row| row.0);
        let join = records.key_by(|n| n % 20).parallel(instances).table_join(table);
        let (out, sink) = probe_sink();
        join.left(|n, row| (*n, row.map(|row| row.1))).gather().sink("out", sink);
        let options = quiet().with_schedule_seed(seed).with_edge_capacity(3).with_batch_records(2);
        let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
        let mut found = driver.read(&out);
        driver.finish().unwrap();
        found.sort_unstable();
        // The last of 200 rows with that key.
        let last = |key: u32| (key < 17).then(|| (0..200).rev().find(|n| n % 17 == key).unwrap());
        assert_eq!(found, (0..100).map(|n| (n, last(n % 20))).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn i1_rows_outlive_a_crash_at_every_record_in_any_number_of_instances() {
    let zones = [('a', Some(1)), ('b', Some(2)), ('a', Some(3)), ('b', None), ('c', Some(4))];
    let trips = ['a', 'b', 'c', 'd', 'a'];
    for crash in 0..=zones.len() + trips.len() {
        let mut stage = join(&quiet(), 1 + crash % 3);
        let before = crash.min(zones.len());
        zones[..before].iter().for_each(|row| stage.play(zone(row.0, row.1)));
        let mut told = Vec::new();
        let passed = crash - before;
        if before == zones.len() && passed > 0 {
            stage.driver.end(&stage.right);
            let first = (0..).zip(&trips[..passed]);
            first.for_each(|(number, zone)| stage.play(trip(number, *zone)));
            told.extend(stage.read());
        }
        let state = if passed > 0 {
            // The table is over: only the records are still there to be held.
            let barrier = millstream_engine::batch::Barrier(1);
            stage.driver.barrier(&stage.left, barrier);
            stage.driver.snapshot(barrier)
        } else {
            let barrier = millstream_engine::batch::Barrier(1);
            stage.driver.barrier(&stage.right, barrier);
            stage.driver.snapshot(barrier)
        };
        let mut stage = join(&quiet().with_state(state), 1 + (crash + 1) % 4);
        zones[before..].iter().for_each(|row| stage.play(zone(row.0, row.1)));
        stage.driver.end(&stage.right);
        let rest = (0..).zip(&trips).skip(passed);
        rest.for_each(|(number, zone)| stage.play(trip(number, *zone)));
        told.extend(stage.read());
        told.sort_unstable();
        let expected = [(0, Some(3)), (1, None), (2, Some(4)), (3, None), (4, Some(3))];
        assert_eq!(told, expected, "crash behind {crash}");
        stage.driver.end(&stage.left);
        stage.driver.finish().unwrap();
    }
}

#[test]
fn i1_the_end_of_the_table_makes_no_record_late() {
    let flow = Dataflow::new("times");
    let time = |n: &i64| Timestamp::from_millis(*n);
    let rows = flow.source("rows", source::from_iter([900, 1_000]));
    let rows = rows.event_time(time, Watermarks::monotonic()).key_by(|_| ());
    let records = flow.source("records", source::from_iter([1, 2, 12, 25]));
    let records = records.event_time(time, Watermarks::monotonic()).key_by(|_| ());
    let joined = records.table_join(rows).inner(|n, row| n + row);
    let ten = Tumbling::of(std::time::Duration::from_millis(10));
    let counts =
        joined.window_all(ten).count().map(|told| (told.window.start.as_millis(), told.value));
    let (out, sink) = probe_sink();
    counts.sink("out", sink);
    let mut driver = TestDriver::start_with(flow.blueprint(), &quiet()).unwrap();
    assert_eq!(driver.read(&out), [(0, 2), (10, 1), (20, 1)]);
    driver.finish().unwrap();
}

#[test]
fn i1_a_table_of_the_stream_itself_is_refused_and_says_why() {
    let flow = Dataflow::new("diamond");
    let numbers = flow.source("numbers", source::from_iter(0..9_u32));
    let [one, other] = numbers.broadcast::<2>();
    let join = one.key_by(|n| n % 3).table_join(other.key_by(|n| n % 3));
    join.inner(|one, other| one + other).ignore();
    let options = quiet().with_edge_capacity(1);
    let mistake = TestDriver::start_with(flow.blueprint(), &options).unwrap_err().to_string();
    assert!(mistake.contains("table_join") && mistake.contains("may wait for"), "{mistake}");
}

#[test]
fn i1_a_key_that_makes_room_has_no_row() {
    let flow = Dataflow::new("bounded");
    let rows = flow.source("rows", source::from_iter(0..10_u32)).key_by(|n| *n);
    let records = flow.source("records", source::from_iter(0..10_u32)).key_by(|n| *n);
    let joined = records.table_join(rows).inner(|n, _| *n).max_keys(KeyLimit::evict(4));
    let (out, sink) = probe_sink();
    joined.sink("out", sink);
    let mut driver = TestDriver::start_with(flow.blueprint(), &quiet()).unwrap();
    assert!(driver.read(&out).len() <= 4);
    driver.finish().unwrap();
}
