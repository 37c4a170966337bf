//! Random tables: the changes of a join build the join of the two tables, whatever happens.

use std::collections::BTreeMap;
use std::fmt::Debug;

use millstream_engine::random::Random;
use millstream_engine::testing::{TestDriver, probe_sink};
use millstream_operators::join::EitherOrBoth;
use millstream_operators::prelude::*;

use super::play::{Play, Stage, quiet};

/// A key, and the value that it has now, or none: of the left, which row it names, and a number.
type LeftRow = (u8, Option<(u8, u8)>);
type RightRow = (u8, Option<u8>);
type Step = Play<Record<LeftRow>, Record<RightRow>>;
/// Whom the row names, the number, and that of the right.
type Joined = (Option<(u8, u8)>, Option<u8>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Word {
    Inner,
    Left,
    Right,
    Outer,
    ForeignInner,
    ForeignLeft,
}

const WORDS: [Word; 6] =
    [Word::Inner, Word::Left, Word::Right, Word::Outer, Word::ForeignInner, Word::ForeignLeft];

fn both(left: &(u8, u8), right: &u8) -> Joined {
    (Some(*left), Some(*right))
}

fn build(
    word: Word,
    left: DataStream<LeftRow>,
    right: DataStream<RightRow>,
    instances: [usize; 2],
) -> DataStream<Change<u8, Joined>> {
    let left = left.key_by(|row| row.0).parallel(instances[0]).table(|row| row.1).uid("left");
    let right = right.key_by(|row| row.0).parallel(instances[1]).table(|row| row.1).uid("right");
    if matches!(word, Word::ForeignInner | Word::ForeignLeft) {
        let join = left.foreign_key_join(right, |row: &(u8, u8)| row.0).uid("join");
        return match word {
            Word::ForeignInner => join.inner(both),
            _ => join.left(|left, right| (Some(*left), right.copied())),
        };
    }
    let join = left.primary_key_join(right);
    match word {
        Word::Inner => join.inner(both).uid("join").boxed(),
        Word::Left => join.left(|left, right| (Some(*left), right.copied())).uid("join").boxed(),
        Word::Right => join.right(|left, right| (left.copied(), Some(*right))).uid("join").boxed(),
        _ => join
            .outer(|sides| match sides {
                EitherOrBoth::Left(left) => (Some(*left), None),
                EitherOrBoth::Right(right) => (None, Some(*right)),
                EitherOrBoth::Both(left, right) => both(left, right),
            })
            .uid("join")
            .boxed(),
    }
}

fn history(random: &mut Random) -> Vec<Step> {
    let (keys, foreign) = (1 + random.below(6), 1 + random.below(4));
    let mut some = |bound: u64| u8::try_from(random.below(bound)).unwrap();
    let mut one = || {
        let deletes = some(4) == 0;
        if some(5) < 3 {
            let row = (some(keys), (!deletes).then(|| (some(foreign), some(3))));
            return Play::Left(Record::from(row));
        }
        let row = (some(keys.max(foreign)), (!deletes).then(|| some(3)));
        Play::Right(Record::from(row))
    };
    (0..30).map(|_| one()).collect()
}

/// The join of the two final tables, from its definition.
fn oracle(word: Word, steps: &[Step]) -> BTreeMap<u8, Joined> {
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    for step in steps {
        match step {
            Play::Left(Record { value: (key, row), .. }) => drop(left.insert(*key, *row)),
            Play::Right(Record { value: (key, row), .. }) => drop(right.insert(*key, *row)),
            _ => {}
        }
    }
    left.retain(|_, row| row.is_some());
    right.retain(|_, row| row.is_some());
    let mut joined = BTreeMap::new();
    for (key, row) in &left {
        let row = row.unwrap();
        let is_foreign = matches!(word, Word::ForeignInner | Word::ForeignLeft);
        let named = if is_foreign { row.0 } else { *key };
        let partner = right.iter().find(|(other, _)| **other == named).and_then(|other| *other.1);
        if partner.is_some() || matches!(word, Word::Left | Word::Outer | Word::ForeignLeft) {
            joined.insert(*key, (Some(row), partner));
        }
        if partner.is_some() && word == Word::Right {
            joined.insert(*key, (Some(row), partner));
        }
    }
    if matches!(word, Word::Right | Word::Outer) {
        for (key, row) in right.iter().filter(|(key, _)| !left.contains_key(key)) {
            joined.insert(*key, (None, *row));
        }
    }
    joined
}

/// Builds a table from its changes, each of which has to fit what is there.
fn replay<K: Ord + Copy + Debug, V: PartialEq + Debug>(
    table: &mut BTreeMap<K, V>,
    changes: Vec<Change<K, V>>,
    case: &str,
) {
    for change in changes {
        match change {
            Change::Insert(key, new) => {
                assert_eq!(table.insert(key, new), None, "inserted again: {key:?}, {case}");
            }
            Change::Update { key, old, new } => {
                assert_ne!(old, new, "nothing has changed: {key:?}, {case}");
                assert_eq!(table.insert(key, new), Some(old), "updated: {key:?}, {case}");
            }
            Change::Delete(key, old) => {
                assert_eq!(table.remove(&key), Some(old), "deleted: {key:?}, {case}");
            }
        }
    }
}

#[test]
fn i6_changes_build_the_join_of_the_tables_through_crashes() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let word = WORDS[usize::try_from(random.below(6)).unwrap()];
        let steps = history(&mut random);
        let mut some = |bound: u64| usize::try_from(random.below(bound)).unwrap();
        let crash = some(steps.len() as u64 + 1);
        let instances = [1 + some(4), 1 + some(4)];
        let case = format!("seed {seed}, {word:?}, crash at {crash}: {steps:?}");
        let begin = |options: &JobOptions, instances| {
            Stage::plain(options, |left, right| build(word, left, right, instances))
        };
        let mut table = BTreeMap::new();
        let mut stage = begin(&quiet(), instances);
        for (number, step) in steps[..crash].iter().enumerate() {
            stage.play(*step);
            replay(&mut table, stage.read(), &case);
            // Where nothing is on its way, the join is that of the tables at every step.
            assert_eq!(table, oracle(word, &steps[..=number]), "step {number}, {case}");
        }
        let state = stage.snapshot();
        let other = [1 + some(4), 1 + some(4)];
        let mut stage = begin(&quiet().with_state(state), other);
        steps[crash..].iter().for_each(|step| stage.play(*step));
        replay(&mut table, stage.end().0, &case);
        assert_eq!(table, oracle(word, &steps), "{case}");
    }
}

#[test]
fn i6_whatever_overtakes_what_the_join_comes_to_be_that_of_the_tables() {
    let mut moves = 0;
    for seed in 1_000..1_300 {
        let mut random = Random::new(seed);
        let word = WORDS[usize::try_from(random.below(8)).unwrap().min(5)];
        let steps = history(&mut random);
        let mut some = |bound: u64| usize::try_from(random.below(bound)).unwrap();
        let instances = [1 + some(4), 1 + some(4)];
        let options = quiet().with_schedule_seed(seed).with_edge_capacity(1 + some(4));
        let options = options.with_batch_records(1 + some(3));
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for step in &steps {
            match step {
                Play::Left(record) => left.push(record.value),
                Play::Right(record) => right.push(record.value),
                _ => {}
            }
        }
        moves += left.len();
        let flow = Dataflow::new("law");
        let left = flow.source("left rows", source::from_iter(left)).boxed();
        let right = flow.source("right rows", source::from_iter(right)).boxed();
        let joined = build(word, left, right, instances);
        let (out, sink) = probe_sink();
        joined.gather().sink("out", sink);
        let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
        let changes = driver.read(&out);
        driver.finish().unwrap();
        let case = format!("seed {seed}, {word:?}: {steps:?}");
        let mut table = BTreeMap::new();
        replay(&mut table, changes, &case);
        assert_eq!(table, oracle(word, &steps), "{case}");
    }
    assert!(moves > 4_000, "{moves}");
}
