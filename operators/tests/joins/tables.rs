//! `primary_key_join`: how the row of two tables changes with theirs.

use millstream_operators::join::EitherOrBoth;
use millstream_operators::prelude::*;

use super::play::{Play, Stage, quiet};

type Row = (char, Option<u32>);
type Steps<'a> = [(Play<Record<Row>, Record<Row>>, Vec<Change<char, Pair>>)];
type Pair = (Option<u32>, Option<u32>);

fn left(key: char, value: Option<u32>) -> Play<Record<Row>, Record<Row>> {
    Play::Left(Record::from((key, value)))
}

fn right(key: char, value: Option<u32>) -> Play<Record<Row>, Record<Row>> {
    Play::Right(Record::from((key, value)))
}

fn join(kind: &'static str) -> Stage<Row, Row, Change<char, Pair>> {
    Stage::plain(&quiet(), |left, right| {
        let left = left.key_by(|row: &Row| row.0).table(|row| row.1);
        let join = left.primary_key_join(right.key_by(|row: &Row| row.0).table(|row| row.1));
        let both = |left: &u32, right: &u32| (Some(*left), Some(*right));
        match kind {
            "inner" => join.inner(both).boxed(),
            "left" => join.left(|left, right| (Some(*left), right.copied())).boxed(),
            "right" => join.right(|left, right| (left.copied(), Some(*right))).boxed(),
            _ => join
                .outer(|sides| match sides {
                    EitherOrBoth::Left(left) => (Some(*left), None),
                    EitherOrBoth::Right(right) => (None, Some(*right)),
                    EitherOrBoth::Both(left, right) => (Some(*left), Some(*right)),
                })
                .boxed(),
        }
    })
}

fn check(kind: &'static str, steps: &Steps<'_>) {
    let mut stage = join(kind);
    for (number, (step, expected)) in steps.iter().enumerate() {
        stage.play(*step);
        assert_eq!(&stage.read(), expected, "{kind}, step {number}");
    }
    assert_eq!(stage.end().0, []);
}

fn update(old: Pair, new: Pair) -> Vec<Change<char, Pair>> {
    vec![Change::Update { key: 'a', old, new }]
}

#[test]
fn i6_each_side_takes_back_what_it_made() {
    use Change::{Delete, Insert};
    let (one, two, five, six) = (Some(1), Some(2), Some(5), Some(6));
    check(
        "inner",
        &[
            (left('a', one), vec![]),
            (right('a', five), vec![Insert('a', (one, five))]),
            (left('a', two), update((one, five), (two, five))),
            (left('a', two), vec![]),
            (right('b', six), vec![]),
            (right('a', None), vec![Delete('a', (two, five))]),
            (right('a', None), vec![]),
            (right('a', six), vec![Insert('a', (two, six))]),
            (left('a', None), vec![Delete('a', (two, six))]),
        ],
    );
    check(
        "left",
        &[
            (left('a', one), vec![Insert('a', (one, None))]),
            (right('a', five), update((one, None), (one, five))),
            (right('b', five), vec![]),
            (right('a', None), update((one, five), (one, None))),
            (left('a', None), vec![Delete('a', (one, None))]),
        ],
    );
    check(
        "right",
        &[
            (left('a', one), vec![]),
            (right('a', five), vec![Insert('a', (one, five))]),
            (left('a', None), update((one, five), (None, five))),
            (right('a', None), vec![Delete('a', (None, five))]),
        ],
    );
    check(
        "outer",
        &[
            (left('a', one), vec![Insert('a', (one, None))]),
            (right('a', five), update((one, None), (one, five))),
            (left('a', None), update((one, five), (None, five))),
            (right('a', None), vec![Delete('a', (None, five))]),
        ],
    );
}

#[test]
fn i6_where_the_row_remains_nothing_is_told() {
    let mut stage = Stage::plain(&quiet(), |left, right| {
        let left = left.key_by(|row: &Row| row.0).table(|row| row.1);
        let right = right.key_by(|row: &Row| row.0).table(|row| row.1);
        left.primary_key_join(right).inner(|left, right| left / 10 == right / 10).boxed()
    });
    stage.play(left('a', Some(11)));
    stage.play(right('a', Some(12)));
    assert_eq!(stage.read(), [Change::Insert('a', true)]);
    stage.play(left('a', Some(13)));
    assert_eq!(stage.read(), []);
    stage.play(right('a', Some(20)));
    assert_eq!(stage.read(), [Change::Update { key: 'a', old: true, new: false }]);
    assert_eq!(stage.end().0, []);
}

#[test]
fn i6_a_key_that_makes_room_is_told_as_deleted() {
    let mut stage = Stage::plain(&quiet(), |left, right| {
        let left = left.key_by(|row: &Row| row.0).table(|row| row.1);
        let right = right.key_by(|row: &Row| row.0).table(|row| row.1);
        let join = left.primary_key_join(right).left(|left, _| *left);
        join.max_keys(KeyLimit::evict(1)).boxed()
    });
    stage.play(left('a', Some(1)));
    stage.play(left('b', Some(2)));
    let told = [Change::Insert('a', 1), Change::Delete('a', 1), Change::Insert('b', 2)];
    assert_eq!(stage.read(), told);
    assert_eq!(stage.end().0, []);
}
