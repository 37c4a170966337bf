//! The example `nexmark` as a program: what it writes, and what it says. Its queries are tested
//! where they are.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the example, as cargo builds it beside the tests.
fn nexmark(options: &str) -> Output {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile.join("examples").join("nexmark");
    assert!(program.exists(), "build it first: cargo build --example nexmark");
    Command::new(program).args(options.split_whitespace()).output().unwrap()
}

#[test]
fn a_result_and_its_events_can_be_compared_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (result, events) = (folder.path().join("q2.csv"), folder.path().join("events.jsonl"));
    let (result, events) = (result.to_str().unwrap(), events.to_str().unwrap());
    let ran = nexmark(&format!("q2 --events 5000 --output {result} --dump {events}"));
    assert!(ran.status.success(), "{ran:?}");
    let events = fs::read_to_string(events).unwrap();
    let mut expected = Vec::new();
    for line in events.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = |field: &str| event["bid"][field].as_u64();
        if let Some(auction) = number("auction").filter(|auction| auction % 123 == 0) {
            expected.push((auction, number("price").unwrap()));
        }
    }
    expected.sort_unstable();
    let line = |(auction, price): &(u64, u64)| format!("{auction},{price}\n");
    let expected: String = expected.iter().map(line).collect();
    assert!(expected.lines().count() > 5, "{expected}");
    assert_eq!(fs::read_to_string(result).unwrap(), format!("auction,price\n{expected}"));
}

#[test]
fn all_queries_are_run_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    let results = results.to_str().unwrap();
    let ran = nexmark(&format!("all --events 1000 --rate 20 --batch 16 --output {results}"));
    assert!(ran.status.success(), "{ran:?}");
    let table = String::from_utf8(ran.stdout).unwrap();
    for query in 0..=22 {
        let name = format!("│ {:>5} ┆", format!("q{query}"));
        let line = table.lines().find(|line| line.starts_with(&name)).unwrap();
        let rows = line.trim_end_matches('│').split('┆').next_back().unwrap().trim();
        let written = fs::read_to_string(format!("{results}/q{query}.csv")).unwrap();
        assert_eq!(rows, (written.lines().count() - 1).to_string(), "q{query}");
    }
}

#[test]
fn what_can_not_be_done_is_said() {
    let missing = nexmark("q0 --events 10 --output missing-folder/q0.csv");
    assert!(!missing.status.success());
    assert!(String::from_utf8(missing.stderr).unwrap().contains("missing-folder/q0.csv"));
    assert_eq!(nexmark("q23").status.code(), Some(2));
}
