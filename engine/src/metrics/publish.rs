//! Handing a job's numbers to the `metrics` facade, and from there to Prometheus or wherever the
//! program exports to.

use std::collections::HashMap;

use metrics::{Label, Unit};

use super::{DropReason, JobMetrics};

/// The names of what is published. Labels are `pipeline` and one of `stage`, `operator` or `edge`,
/// and `reason` on dropped records; their values come from the graph, never from the data.
pub mod names {
    /// Records taken by the first operator of a stage.
    pub const STAGE_RECORDS_IN: &str = "millstream_stage_records_in_total";
    /// Seconds that the instances of a stage spent working.
    pub const STAGE_BUSY: &str = "millstream_stage_busy_seconds";
    /// Seconds that the instances of a stage spent waiting for input.
    pub const STAGE_IDLE: &str = "millstream_stage_idle_seconds";
    /// Seconds that the instances of a stage spent waiting for room downstream.
    pub const STAGE_BACKPRESSURED: &str = "millstream_stage_backpressured_seconds";
    /// Instances of a stage that are running.
    pub const STAGE_INSTANCES: &str = "millstream_stage_running_instances";
    /// Event time of the watermark that a stage has reached.
    pub const STAGE_WATERMARK: &str = "millstream_stage_watermark_timestamp_seconds";
    /// Records taken by an operator.
    pub const OPERATOR_RECORDS_IN: &str = "millstream_operator_records_in_total";
    /// Records emitted by an operator.
    pub const OPERATOR_RECORDS_OUT: &str = "millstream_operator_records_out_total";
    /// Records that an operator took and did not pass on, by reason.
    pub const OPERATOR_RECORDS_DROPPED: &str = "millstream_operator_records_dropped_total";
    /// Errors that user code in an operator returned.
    pub const OPERATOR_ERRORS: &str = "millstream_operator_errors_total";
    /// Attempts that an operator made again after an error.
    pub const OPERATOR_RETRIES: &str = "millstream_operator_retries_total";
    /// Records put into an edge.
    pub const EDGE_RECORDS: &str = "millstream_edge_records_total";
    /// Records in an edge.
    pub const EDGE_DEPTH: &str = "millstream_edge_depth_records";
    /// Records that an edge may hold.
    pub const EDGE_CAPACITY: &str = "millstream_edge_capacity_records";
}

/// Tells the installed recorder what each metric means. Harmless without a recorder.
pub fn describe() {
    describe_counters();
    describe_gauges();
}

fn describe_counters() {
    use names as n;
    let counters = [
        (n::STAGE_RECORDS_IN, Unit::Count, "Records taken by the first operator of a stage."),
        (n::OPERATOR_RECORDS_IN, Unit::Count, "Records taken by an operator."),
        (n::OPERATOR_RECORDS_OUT, Unit::Count, "Records emitted by an operator."),
        (
            n::OPERATOR_RECORDS_DROPPED,
            Unit::Count,
            "Records that an operator took and did not pass on, by reason.",
        ),
        (n::OPERATOR_ERRORS, Unit::Count, "Errors that user code in an operator returned."),
        (n::OPERATOR_RETRIES, Unit::Count, "Attempts that an operator made again."),
        (n::EDGE_RECORDS, Unit::Count, "Records put into an edge."),
    ];
    for (name, unit, text) in counters {
        metrics::describe_counter!(name, unit, text);
    }
}

fn describe_gauges() {
    use names as n;
    // Seconds have fractions, and the facade's counters are whole: these gauges only ever grow.
    let gauges = [
        (n::STAGE_BUSY, Unit::Seconds, "Time that the instances of a stage spent working."),
        (n::STAGE_IDLE, Unit::Seconds, "Time that the instances of a stage waited for input."),
        (
            n::STAGE_BACKPRESSURED,
            Unit::Seconds,
            "Time that the instances of a stage waited for room downstream.",
        ),
        (n::STAGE_INSTANCES, Unit::Count, "Instances of a stage that are running."),
        (n::STAGE_WATERMARK, Unit::Seconds, "Event time that a stage has reached."),
        (n::EDGE_DEPTH, Unit::Count, "Records in an edge."),
        (n::EDGE_CAPACITY, Unit::Count, "Records that an edge may hold."),
    ];
    for (name, unit, text) in gauges {
        metrics::describe_gauge!(name, unit, text);
    }
}

/// Publishes one job's numbers, as what has been added since the last time: a second run of the
/// same pipeline counts on where the first stopped.
#[derive(Debug, Default)]
pub struct Publisher {
    published: HashMap<(&'static str, String, &'static str), f64>,
}

impl Publisher {
    /// Publishes what has changed.
    pub fn publish(&mut self, job: &JobMetrics) {
        for stage in &job.stages {
            let at = At { pipeline: &job.pipeline, kind: "stage", name: &stage.name, reason: "" };
            self.count(names::STAGE_RECORDS_IN, &at, stage.records_in);
            self.seconds(names::STAGE_BUSY, &at, stage.busy.as_secs_f64());
            self.seconds(names::STAGE_IDLE, &at, stage.idle.as_secs_f64());
            self.seconds(names::STAGE_BACKPRESSURED, &at, stage.blocked.as_secs_f64());
            gauge(
                names::STAGE_INSTANCES,
                &at,
                (stage.started - stage.finished.min(stage.started)) as u64,
            );
            if let Some(watermark) = stage.watermark {
                #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
                let seconds = watermark.as_millis() as f64 / 1000.0;
                metrics::gauge!(names::STAGE_WATERMARK, at.labels()).set(seconds);
            }
        }
        for operator in &job.operators {
            let name = &operator.name;
            let at = At { pipeline: &job.pipeline, kind: "operator", name, reason: "" };
            if let Some(records) = operator.records_in {
                self.count(names::OPERATOR_RECORDS_IN, &at, records);
            }
            if let Some(records) = operator.records_out {
                self.count(names::OPERATOR_RECORDS_OUT, &at, records);
            }
            self.count(names::OPERATOR_ERRORS, &at, operator.errors);
            self.count(names::OPERATOR_RETRIES, &at, operator.retries);
            let explained = operator.dropped.total();
            // Without counts by operator nobody knows what was filtered, and zero would be a lie.
            let filtered =
                operator.records_out.map(|_| operator.filtered.saturating_sub(explained));
            let filtered = filtered.map(|records| ("filtered", records));
            // The rare reasons show up with their first record, the common ones at once.
            let common = [DropReason::Skipped, DropReason::DeadLetter];
            let reasons = DropReason::ALL.into_iter().filter_map(|reason| {
                let records = operator.dropped.of(reason);
                (records > 0 || common.contains(&reason)).then(|| (reason.label(), records))
            });
            for (reason, records) in filtered.into_iter().chain(reasons) {
                self.count(names::OPERATOR_RECORDS_DROPPED, &At { reason, ..at }, records);
            }
        }
        for edge in &job.edges {
            let at = At { pipeline: &job.pipeline, kind: "edge", name: &edge.name, reason: "" };
            self.count(names::EDGE_RECORDS, &at, edge.sent);
            gauge(names::EDGE_DEPTH, &at, edge.depth);
            gauge(names::EDGE_CAPACITY, &at, edge.capacity);
        }
    }

    fn count(&mut self, name: &'static str, at: &At<'_>, total: u64) {
        #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53 records")]
        let added = self.advance(name, at, total as f64);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole count"
        )]
        metrics::counter!(name, at.labels()).increment(added as u64);
    }

    fn seconds(&mut self, name: &'static str, at: &At<'_>, total: f64) {
        let added = self.advance(name, at, total);
        metrics::gauge!(name, at.labels()).increment(added);
    }

    /// What has come on top of what was published last.
    fn advance(&mut self, name: &'static str, at: &At<'_>, total: f64) -> f64 {
        let key = (name, at.name.to_owned(), at.reason);
        let before = self.published.insert(key, total).unwrap_or(0.0);
        (total - before).max(0.0)
    }
}

fn gauge(name: &'static str, at: &At<'_>, value: u64) {
    #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
    metrics::gauge!(name, at.labels()).set(value as f64);
}

/// Whose number it is.
#[derive(Clone, Copy)]
struct At<'a> {
    pipeline: &'a str,
    kind: &'static str,
    name: &'a str,
    reason: &'static str,
}

impl At<'_> {
    fn labels(&self) -> Vec<Label> {
        let mut labels = vec![
            Label::new("pipeline", self.pipeline.to_owned()),
            Label::new(self.kind, self.name.to_owned()),
        ];
        if !self.reason.is_empty() {
            labels.push(Label::from_static_parts("reason", self.reason));
        }
        labels
    }
}
