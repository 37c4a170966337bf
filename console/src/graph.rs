//! Jobs as JSON: the graph with its live numbers, in the shape that the crate's documentation
//! gives.

use std::time::Duration;

use millstream_engine::graph::{Distribution, EdgeView, OperatorView, Role, StageView};
use millstream_engine::metrics::{EdgeMetrics, JobMetrics, OperatorMetrics, StageMetrics, Why};
use serde_json::{Value, json};

use crate::watched::WatchedJob;

pub(crate) fn to_json(jobs: &[WatchedJob]) -> Value {
    let jobs: Vec<_> = jobs.iter().map(job).collect();
    json!({ "jobs": jobs })
}

fn job(job: &WatchedJob) -> Value {
    let (graph, metrics) = (job.observer.graph(), job.observer.metrics());
    // Both list the same things in the same order.
    let operators = graph.operators.iter().zip(&metrics.operators);
    let stages = graph.stages.iter().zip(&metrics.stages);
    let edges = graph.edges.iter().zip(&metrics.edges);
    json!({
        "pipeline": job.pipeline,
        "state": job.status.name(),
        "superseded": job.superseded,
        "held_up_by": held_up_by(&metrics),
        "records_in_flight_max": graph.records_in_flight_max,
        "operators": operators.map(operator).collect::<Vec<_>>(),
        "stages": stages.map(stage).collect::<Vec<_>>(),
        "edges": edges.map(edge).collect::<Vec<_>>(),
    })
}

fn operator((view, metrics): (&OperatorView, &OperatorMetrics)) -> Value {
    let role = match view.role {
        Role::Source => "source",
        Role::Operator => "operator",
        Role::Sink => "sink",
    };
    json!({
        "name": view.name,
        "kind": view.kind,
        "role": role,
        "stage": view.stage,
        "records_in": metrics.records_in,
        "records_out": metrics.records_out,
        "filtered": metrics.filtered,
        "skipped": metrics.skipped,
        "dead_letters": metrics.dead_letters,
        "errors": metrics.errors,
        "retries": metrics.retries,
    })
}

fn stage((view, metrics): (&StageView, &StageMetrics)) -> Value {
    let spent = metrics.busy + metrics.idle + metrics.blocked;
    let ratio = |part: Duration| {
        if spent.is_zero() { 0.0 } else { part.as_secs_f64() / spent.as_secs_f64() }
    };
    json!({
        "name": view.name,
        "operators": view.operators,
        "instances": view.instances,
        "started": metrics.started,
        "finished": metrics.finished,
        "failed": metrics.failed,
        "records_in": metrics.records_in,
        "batches": metrics.batches,
        "busy_seconds": metrics.busy.as_secs_f64(),
        "idle_seconds": metrics.idle.as_secs_f64(),
        "blocked_seconds": metrics.blocked.as_secs_f64(),
        "busy_ratio": ratio(metrics.busy),
        "idle_ratio": ratio(metrics.idle),
        "blocked_ratio": ratio(metrics.blocked),
        "watermark_milliseconds": metrics.watermark.map(|watermark| watermark.as_millis()),
    })
}

fn edge((view, metrics): (&EdgeView, &EdgeMetrics)) -> Value {
    let distribution = match view.distribution {
        Distribution::Forward => "forward",
        Distribution::Rebalance => "rebalance",
        Distribution::Key => "key",
    };
    // A producer that is alone holds nobody back.
    let held_by = metrics.held_by.as_ref();
    let held_by = held_by.filter(|_| metrics.producers.len() > 1);
    json!({
        "name": view.name,
        "producers": view.producers,
        "consumer": view.consumer,
        "distribution": distribution,
        "when_full": view.when_full.to_string(),
        "order": view.order.to_string(),
        "channels": view.channels,
        "depth": metrics.depth,
        "capacity": metrics.capacity,
        "sent": metrics.sent,
        "received": metrics.received,
        "dropped": metrics.dropped.total(),
        "blocked": metrics.blocked,
        "watermark_held_by": held_by.map(|(operator, _)| operator),
    })
}

/// A job that only waits for its sources, or is paused, is not held up.
fn held_up_by(metrics: &JobMetrics) -> Option<String> {
    let culprit = metrics.explain().culprit?;
    (!matches!(culprit.why, Why::SourceIsQuiet | Why::Paused)).then_some(culprit.stage)
}
