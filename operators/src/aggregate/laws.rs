//! The laws of aggregates, as a check for the tests of each.

use std::fmt::Debug;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Aggregate;

/// Where an input is cut, as any numbers: those beyond the first few are not looked at.
pub(crate) type Cuts = Vec<u16>;

/// How the tests of aggregates run.
pub(crate) fn config() -> ProptestConfig {
    ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() }
}

/// Checks that however the values are cut, the result is that of the whole.
pub(crate) fn hold<T, G>(aggregate: &G, values: &[T], cuts: &[u16])
where
    G: Aggregate<T, Accumulator: Serialize + DeserializeOwned, Out: Debug + PartialEq>,
{
    hold_nearly(aggregate, values, cuts, PartialEq::eq);
}

/// The same for results that are only near to each other.
pub(crate) fn hold_nearly<T, G>(
    aggregate: &G,
    values: &[T],
    cuts: &[u16],
    near: impl Fn(&G::Out, &G::Out) -> bool,
) where
    G: Aggregate<T, Accumulator: Serialize + DeserializeOwned, Out: Debug>,
{
    let whole = aggregate.over(values);
    let agrees = |accumulator: G::Accumulator, how: &str| {
        let seen = aggregate.result(&accumulator);
        assert!(near(&whole, &seen), "{how}: {seen:?}, of the whole {whole:?}");
        let last = aggregate.finish(accumulator);
        assert!(near(&whole, &last), "{how}, finished: {last:?}, of the whole {whole:?}");
    };
    let parts = cut(values, cuts);
    let part = |at: usize| sum_up(aggregate, parts[at]);
    let count = parts.len();

    let mut earlier = aggregate.create();
    (0..count).for_each(|at| aggregate.merge(&mut earlier, &part(at)));
    agrees(earlier, "merged from the left");

    let later = (0..count).rev().fold(aggregate.create(), |later, at| {
        let mut merged = part(at);
        aggregate.merge(&mut merged, &later);
        merged
    });
    agrees(later, "merged from the right");

    let mut restored = aggregate.create();
    for part in &parts {
        part.iter().for_each(|value| aggregate.add(&mut restored, value));
        restored = round_trip(&restored);
    }
    agrees(restored, "restored after every part");

    let mut restored = round_trip(&aggregate.create());
    (0..count).for_each(|at| aggregate.merge(&mut restored, &round_trip(&part(at))));
    agrees(restored, "merged from restored parts");
}

fn cut<'a, T>(values: &'a [T], cuts: &[u16]) -> Vec<&'a [T]> {
    let cuts = cuts.iter().take(8);
    let mut cuts: Vec<_> = cuts.map(|at| usize::from(*at) % (values.len() + 1)).collect();
    cuts.sort_unstable();
    let begins = [0].into_iter().chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([values.len()]);
    begins.zip(ends).map(|(begin, end)| &values[begin..end]).collect()
}

fn sum_up<T, G: Aggregate<T>>(aggregate: &G, values: &[T]) -> G::Accumulator {
    let mut accumulator = aggregate.create();
    values.iter().for_each(|value| aggregate.add(&mut accumulator, value));
    accumulator
}

/// Through the format of checkpoints.
fn round_trip<S: Serialize + DeserializeOwned>(state: &S) -> S {
    let bytes = rmp_serde::to_vec_named(state).expect("an accumulator can be written");
    rmp_serde::from_slice(&bytes).expect("an accumulator can be read")
}

#[test]
fn whoever_breaks_a_law_is_found() {
    /// A count that is written without what it counted.
    #[derive(Default, serde::Deserialize, serde::Serialize)]
    struct Unwritten {
        #[serde(skip)]
        count: u64,
    }

    fn is_found<G>(broken: G) -> bool
    where
        G: Aggregate<u8, Accumulator: Serialize + DeserializeOwned, Out: Debug + PartialEq>,
    {
        let held = move || hold(&broken, &[1, 2, 3], &[1, 2]);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(held)).is_err()
    }

    let forgetful = super::from_fns(
        || 0_u64,
        |count: &mut u64, _: &u8| *count += 1,
        |count, other| *count = *other,
        |count| *count,
    );
    assert!(is_found(forgetful), "a merge that keeps only one side");
    let begins_with_one = super::from_fns(
        || 1_u64,
        |count: &mut u64, _: &u8| *count += 1,
        |count, other| *count += other,
        |count| *count,
    );
    assert!(is_found(begins_with_one), "a beginning that is not neutral");
    let differences = super::from_fns(
        || 0_i64,
        |sum: &mut i64, n: &u8| *sum += i64::from(*n),
        |sum, other| *sum -= other,
        |sum| *sum,
    );
    assert!(is_found(differences), "a merge that is not associative");
    let unwritten = super::from_fns(
        Unwritten::default,
        |state: &mut Unwritten, _: &u8| state.count += 1,
        |state, other| state.count += other.count,
        |state| state.count,
    );
    assert!(is_found(unwritten), "an accumulator that is not written whole");
}
