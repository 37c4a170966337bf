//! The program: what it writes, and what it says.

use std::error::Error;
use std::ffi::OsString;
use std::fs;

use clap::Parser as _;

use crate::options::Options;
use crate::told;

/// What the program has to say to these arguments.
fn said(arguments: &str) -> Result<String, Box<dyn Error>> {
    program(arguments.split_whitespace().map(OsString::from).collect())
}

fn program(arguments: Vec<OsString>) -> Result<String, Box<dyn Error>> {
    told(
        &Options::try_parse_from([OsString::from("nexmark")].into_iter().chain(arguments))?,
        program,
    )
}

#[test]
fn a_result_and_its_events_can_be_compared_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (result, events) = (folder.path().join("q2.csv"), folder.path().join("events.jsonl"));
    let (result, events) = (result.to_str().unwrap(), events.to_str().unwrap());
    said(&format!("q2 --events 5000 --output {result} --dump {events}")).unwrap();
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
    let all = format!("all --events 1000 --rate 20 --batch 16 --output {results}");
    let table = said(&all).unwrap();
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
    let missing = said("q0 --events 10 --output missing-folder/q0.csv").unwrap_err();
    assert!(missing.to_string().contains("missing-folder/q0.csv"), "{missing}");
    assert!(said("q23").unwrap_err().to_string().contains("q0 to q22"));
}
