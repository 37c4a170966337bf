//! The graph as DOT, Mermaid and JSON, with the numbers of a run on it.

use millstream_engine::testing::{TestDriver, probe_sink, probe_source};
use millstream_operators::prelude::*;

/// A source with a name that has to be escaped, a filter, and a sink behind an edge of four.
fn driven() -> TestDriver {
    let (input, source) = probe_source::<u64>();
    let (_output, sink) = probe_sink();
    let flow = Dataflow::new("pictured");
    let stream = flow.source("say \"hi\"\n", source).filter(|n| n % 2 == 0);
    stream.boundary().with_capacity(4).sink("out", sink);
    let options = JobOptions::default().with_batch_records(1).with_operator_counts(true);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    (0..12).for_each(|n| driver.push(&input, n));
    driver
}

#[test]
fn m5_dot_and_mermaid_carry_the_numbers() {
    let driver = driven();
    let (graph, metrics) = (driver.job().unwrap().graph(), driver.metrics());
    let (dot, mermaid) = (graph.to_dot_with(&metrics), graph.to_mermaid_with(&metrics));
    let depth = metrics.edges[0].depth;
    assert!(depth > 0);
    for picture in [&dot, &mermaid] {
        assert!(picture.contains("filter (12 → 6)"), "{picture}");
        assert!(picture.contains(&format!("{depth} of 4")), "{picture}");
        assert!(picture.contains("% busy"), "{picture}");
    }
    // The same picture, but for the numbers.
    let lines = |picture: &str| picture.lines().count();
    assert_eq!(lines(&dot), lines(&graph.to_dot()));
    assert_eq!(lines(&mermaid), lines(&graph.to_mermaid()));
}

#[cfg(feature = "files")]
#[test]
fn m5_json_can_be_read_and_names_every_part() {
    let driver = driven();
    let (graph, metrics) = (driver.job().unwrap().graph(), driver.metrics());
    let read = |json: String| -> serde_json::Value { serde_json::from_str(&json).unwrap() };
    let plain = read(graph.to_json(None));
    let live = read(graph.to_json(Some(&metrics)));
    for json in [&plain, &live] {
        assert_eq!(json["name"], "pictured");
        assert_eq!(json["operators"][0]["name"], "say \"hi\"\n");
        assert_eq!(json["edges"][0]["producers"][0], 1);
        assert_eq!(json["stages"].as_array().unwrap().len(), 2);
    }
    assert!(plain["operators"][0].get("records_out").is_none());
    assert_eq!(live["operators"][1]["records_out"], 6);
    assert_eq!(live["edges"][0]["capacity"], 4);
    assert_eq!(live["edges"][0]["depth"], metrics.edges[0].depth);
    assert!(live["stages"][0]["watermark_milliseconds"].is_null());
    assert_eq!(live["held_up_by"], "boundary → out");
    let ratios = ["busy_ratio", "idle_ratio", "blocked_ratio"];
    let sum: f64 = ratios.iter().map(|key| live["stages"][0][key].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
}

#[test]
fn m5_names_are_the_same_in_every_run() {
    let json = |driver: &TestDriver| driver.job().unwrap().graph().to_json(None);
    assert_eq!(json(&driven()), json(&driven()));
}

#[cfg(feature = "files")]
#[test]
fn m5_json_tells_what_an_edge_does_when_it_is_full_and_in_which_order() {
    let (input, source) = probe_source::<u64>();
    let (_output, sink) = probe_sink();
    let flow = Dataflow::new("lossy");
    let stream = flow.source("in", source).buffer(2, WhenFull::DropNewest).last_in_first_out();
    stream.sink("out", sink);
    let options = JobOptions::default().with_batch_records(1).with_edge_capacity(2);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    (0..20).for_each(|n| driver.push(&input, n));
    let (graph, metrics) = (driver.job().unwrap().graph(), driver.metrics());
    let live: serde_json::Value = serde_json::from_str(&graph.to_json(Some(&metrics))).unwrap();
    let edges = live["edges"].as_array().unwrap();
    let said = |key: &str| edges.iter().map(|edge| edge[key].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(said("when_full"), ["drop newest", "block"]);
    assert_eq!(said("order"), ["first in first out", "newest first"]);
    let dropped = metrics.edges[0].dropped.total();
    assert!(dropped > 0);
    assert_eq!(live["edges"][0]["dropped"]["overflow"], dropped);
    assert_eq!(live["stages"][0]["failed"], 0);
}
