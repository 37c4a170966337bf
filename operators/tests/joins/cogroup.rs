//! `cogroup`: what there is of a key in a window, on both sides.

use millstream_operators::fan::Either;
use millstream_operators::prelude::*;

use super::play::{Play, Stage, millis, quiet, time};

type Event = (&'static str, i64);

fn left(key: &'static str, at: i64) -> Play<Record<Event>, Record<Event>> {
    Play::Left(Record::at((key, at), time(at)))
}

fn right(key: &'static str, at: i64) -> Play<Record<Event>, Record<Event>> {
    Play::Right(Record::at((key, at), time(at)))
}

fn both(to: i64) -> [Play<Record<Event>, Record<Event>>; 2] {
    [Play::Watermark(Either::Left(to)), Play::Watermark(Either::Right(to))]
}

#[test]
fn i3_a_cogroup_has_all_of_both_sides_wherever_either_has_something() {
    let mut stage = Stage::start(&quiet(), |left, right, tag| {
        let right = right.key_by(|event: &Event| event.0);
        let left = left.key_by(|event: &Event| event.0);
        let groups = left.cogroup(right, Tumbling::of(millis(10))).late_to(tag);
        let groups = groups.allowed_lateness(millis(2)).apply(|group| {
            let times = |event: &Event| event.1;
            assert_eq!(group.left().len() + group.right().len(), {
                group.left().count() + group.right().rev().count()
            });
            let left: Vec<_> = group.left().map(times).collect();
            let right: Vec<_> = group.right().map(times).collect();
            (*group.key, group.window.start.as_millis(), left, right)
        });
        groups.map(|told| told.value).boxed()
    });
    let records = [left("a", 7), left("a", 2), right("a", 5), left("b", 3), right("c", 15)];
    records.into_iter().chain(both(11)).for_each(|step| stage.play(step));
    assert_eq!(stage.read(), []);
    [right("b", 1)].into_iter().chain(both(12)).for_each(|step| stage.play(step));
    let mut told = stage.read();
    told.sort();
    assert_eq!(told, [("a", 0, vec![2, 7], vec![5]), ("b", 0, vec![3], vec![1])]);
    stage.play(left("a", 9));
    assert_eq!(stage.late(), [Either::Left(("a", 9))]);
    assert_eq!(stage.end().0, [("c", 10, vec![], vec![15])]);
}

#[test]
fn g14_one_accumulator_is_kept_for_each_side_and_told_of_once() {
    let mut stage = Stage::start(&quiet(), |left, right, tag| {
        let right = right.key_by(|event: &Event| event.0);
        let left = left.key_by(|event: &Event| event.0);
        let groups = left.cogroup(right, Session::with_gap(millis(10))).late_to(tag);
        let sum = Sum::of(|event: &Event| event.1);
        let sums = groups.aggregate((Count, sum), Max::of(|event: &Event| event.1));
        sums.map(|told| (told.key, told.value)).boxed()
    });
    let records = [left("a", 0), left("a", 15), right("a", 8), left("b", 1)];
    records.into_iter().chain(both(24)).for_each(|step| stage.play(step));
    assert_eq!(stage.read(), [("b", ((1, 1), None))]);
    both(25).into_iter().for_each(|step| stage.play(step));
    assert_eq!(stage.read(), [("a", ((2, 15), Some(8)))]);
    stage.play(right("a", 9));
    assert_eq!(stage.late(), [Either::Right(("a", 9))]);
    assert_eq!(stage.end().0, []);
}
