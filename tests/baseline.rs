//! What the bench `instructions` says of a count beside the baseline. The benches are built without
//! tests, so that nobody compiles them who only tests.

#[path = "../benches/instructions/baseline.rs"]
mod baseline;

use std::collections::BTreeMap;

use baseline::{Baseline, Comparison, MOST};

fn of(compiler: &str, counts: &[(&str, f64)]) -> Baseline {
    let instructions = counts.iter().map(|(name, count)| ((*name).into(), *count)).collect();
    Baseline { compiler: compiler.into(), instructions }
}

fn compare(before: &[(&str, f64)], now: &[(&str, f64)]) -> Comparison {
    Comparison::of(&of("one", before), &of("one", now))
}

#[test]
fn a_path_may_cost_five_per_cent_more_and_no_further() {
    assert!(compare(&[("edge", 100.0)], &[("edge", 105.0)]).faults.is_empty());
    let told = compare(&[("edge", 100.0), ("fan", 9.0)], &[("edge", 105.1), ("fan", 9.0)]);
    let [fault] = told.faults.as_slice() else { panic!("{told:?}") };
    for said in ["`edge`", "105.10", "5.1 %", "100.00", "--renew edge", "at most 5 %"] {
        assert!(fault.contains(said), "{said}: {fault}");
    }
    assert!(told.notes.is_empty(), "{told:?}");
}

#[test]
fn what_costs_less_is_worth_a_note() {
    let told = compare(&[("edge", 100.0)], &[("edge", 80.0)]);
    assert!(told.faults.is_empty() && told.notes.len() == 1, "{told:?}");
    assert!(told.notes[0].contains("20.0 % less") && told.notes[0].contains("--renew edge"));
}

#[test]
fn every_path_has_a_baseline_and_every_baseline_a_path() {
    let told = compare(&[("old", 1.0), ("same", 1.0)], &[("new", 1.0), ("same", 1.0)]);
    assert_eq!(told.faults.len(), 2, "{told:?}");
    assert!(told.faults.iter().any(|fault| fault.starts_with("`new`")), "{told:?}");
    assert!(told.faults.iter().any(|fault| fault.starts_with("`old`")), "{told:?}");
}

#[test]
fn another_compiler_is_said_and_fails_nothing() {
    let told = Comparison::of(&of("one", &[("edge", 1.0)]), &of("two", &[("edge", 2.0)]));
    assert!(told.faults.is_empty(), "{told:?}");
    let said = told.notes.join("\n");
    assert!(said.contains("baseline: one") && said.contains("here:     two"), "{said}");
    assert!(said.contains("100.0 % more"), "the difference is still told: {said}");
}

#[test]
fn some_counts_are_renewed_only_beside_others_of_the_same_compiler() {
    let renewed = of("one", &[("edge", 1.0), ("fan", 2.0)]).with(of("one", &[("edge", 3.0)]));
    let counts: BTreeMap<_, _> = renewed.expect("the same compiler").instructions;
    assert_eq!(counts, of("one", &[("edge", 3.0), ("fan", 2.0)]).instructions);
    let mixed = of("one", &[("edge", 1.0)]).with(of("two", &[("edge", 3.0)]));
    assert!(mixed.expect_err("two compilers").contains("renew all of it"));
}

/// The file that is committed can be read, and holds what can be a count.
#[test]
fn the_baseline_is_whole() {
    let known: Baseline = serde_json::from_str(include_str!("../benches/instructions.json"))
        .expect("it is a baseline");
    assert!(known.compiler.starts_with("rustc ") && known.instructions.len() > 10);
    assert!(known.instructions.values().all(|count| *count > 1.0), "{known:?}");
    let mut some = of("one", &[("edge", 1.0), ("fan", 2.0)]);
    some.keep(|name| name == "fan");
    assert_eq!(some.instructions.len(), 1);
    assert!((MOST - 5.0).abs() < f64::EPSILON, "the README and DESIGN say five");
}
