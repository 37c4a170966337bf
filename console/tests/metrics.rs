//! The numbers at `/metrics` are the job's own, and as many as its graph has parts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use millstream_engine::runtime::JobOptions;
use millstream_operators::{Dataflow, source};
use support::{console, get, job, soon};

/// The value of a series, labels as they are written.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.map(|value| value.trim().parse().unwrap())
}

fn flow(pipeline: &str, records: u64) -> Dataflow {
    let flow = Dataflow::new(pipeline);
    flow.source("numbers", source::from_iter(0..records))
        .filter(|n| n % 3 == 0)
        .parallel(2)
        .map(|n| n + 1)
        .ignore();
    flow
}

#[tokio::test]
async fn they_equal_the_jobs_own() {
    let console = console().await;
    let options = JobOptions::default().with_operator_counts(true);
    let job = flow("equal", 10_000).start_with(&options).unwrap();
    console.watch(job.observer()).unwrap();
    let observer = job.observer();
    soon("the end", job).await.unwrap();
    let (metrics, text) = (observer.metrics(), get(&console, "/metrics").await.body);
    let is = |series: String, expected: f64| {
        let found = value(&text, &series);
        assert_eq!(found, Some(expected), "{series} in\n{text}");
    };
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let float = |n: u64| n as f64;
    for one in &metrics.operators {
        let labels = format!("{{pipeline=\"equal\",operator=\"{}\"", one.name);
        let name = "millstream_operator_records";
        is(format!("{name}_in_total{labels}}}"), float(one.records_in.unwrap()));
        is(format!("{name}_out_total{labels}}}"), float(one.records_out.unwrap()));
        let dropped = format!("{name}_dropped_total{labels},reason=\"filtered\"}}");
        is(dropped, float(one.filtered));
    }
    for one in &metrics.stages {
        let labels = format!("{{pipeline=\"equal\",stage=\"{}\"}}", one.name);
        is(format!("millstream_stage_records_in_total{labels}"), float(one.records_in));
        is(format!("millstream_stage_running_instances{labels}"), 0.0);
    }
    for one in &metrics.edges {
        let labels = format!("{{pipeline=\"equal\",edge=\"{}\"}}", one.name);
        is(format!("millstream_edge_records_total{labels}"), float(one.sent));
        is(format!("millstream_edge_depth_records{labels}"), 0.0);
        is(format!("millstream_edge_capacity_records{labels}"), float(one.capacity));
    }
    let version = env!("CARGO_PKG_VERSION");
    is(format!("millstream_build_info{{version=\"{version}\"}}"), 1.0);
    let state =
        |state| format!("millstream_pipeline_state{{pipeline=\"equal\",state=\"{state}\"}}");
    is(state("completed"), 1.0);
    is(state("running"), 0.0);
}

#[tokio::test]
async fn they_are_as_many_as_the_graph_has_parts() {
    let console = console().await;
    let series = |text: &str| {
        let label = "pipeline=\"counted\"";
        text.lines().filter(|line| line.contains(label)).count()
    };
    let mut counts = Vec::new();
    for records in [10, 100_000] {
        let job = flow("counted", records).start().unwrap();
        console.watch(job.observer()).unwrap();
        soon("the end", job).await.unwrap();
        counts.push(series(&get(&console, "/metrics").await.body));
    }
    assert_eq!(counts[0], counts[1], "more records, or a second run, made more series");
}

#[tokio::test]
async fn every_metric_says_what_it_is() {
    let console = console().await;
    let (feed, job) = job("described");
    console.watch(job.observer()).unwrap();
    drop(feed);
    soon("the end", job).await.unwrap();
    let answer = get(&console, "/metrics").await;
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"));
    for line in answer.body.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        for about in ["HELP", "TYPE"] {
            let told = answer.body.matches(&format!("# {about} {name} ")).count();
            assert_eq!(told, 1, "{about} of {name}");
        }
    }
}

#[tokio::test]
async fn two_consoles_share_a_recorder() {
    let (one, other) = (console().await, console().await);
    let job = flow("shared", 10).start().unwrap();
    one.watch(job.observer()).unwrap();
    soon("the end", job).await.unwrap();
    let series = "millstream_operator_records_in_total{pipeline=\"shared\",operator=\"numbers\"}";
    for console in [one, other] {
        assert_eq!(value(&get(&console, "/metrics").await.body, series), Some(10.0));
    }
}

#[tokio::test]
async fn what_the_program_times_has_buckets() {
    let console = console().await;
    metrics::histogram!("program_answer_seconds").record(0.003);
    let text = get(&console, "/metrics").await.body;
    let below =
        |limit: &str| value(&text, &format!("program_answer_seconds_bucket{{le=\"{limit}\"}}"));
    assert_eq!((below("0.0025"), below("0.005")), (Some(0.0), Some(1.0)));
}
