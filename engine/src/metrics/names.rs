//! The names of what is published. Labels are `pipeline` and one of `stage`, `operator` or `edge`,
//! `reason` on dropped records, `percentile` on times and `producer` on what concerns an input of
//! an edge; their values come from the graph, never from the data.

use metrics::Unit;

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
/// Keys whose state an operator gave up to make room for others.
pub const OPERATOR_EVICTED_KEYS: &str = "millstream_operator_evicted_keys_total";
/// Records put into an edge.
pub const EDGE_RECORDS: &str = "millstream_edge_records_total";
/// Records that an edge dropped because it was full, by reason.
pub const EDGE_RECORDS_DROPPED: &str = "millstream_edge_records_dropped_total";
/// Records in an edge.
pub const EDGE_DEPTH: &str = "millstream_edge_depth_records";
/// Records that an edge may hold.
pub const EDGE_CAPACITY: &str = "millstream_edge_capacity_records";
/// Records that reached the end of a stage when nobody wanted them any more.
pub const STAGE_RECORDS_CANCELLED: &str = "millstream_stage_records_cancelled_total";
/// Seconds that the watermark of a stage is behind the wall clock.
pub const STAGE_WATERMARK_LAG: &str = "millstream_stage_watermark_lag_seconds";
/// Seconds for which an instance of a stage has had work and got nowhere with it.
pub const STAGE_STALLED: &str = "millstream_stage_stalled_seconds";
/// Quantiles of the seconds that a stage works on a record, of those since the last time.
pub const STAGE_RUNNING: &str = "millstream_stage_running_seconds";
/// How full an edge is, between 0 and 1.
pub const EDGE_UTILISATION: &str = "millstream_edge_utilisation_ratio";
/// Records that the reader of an edge found on average when it looked.
pub const EDGE_DEPTH_MEAN: &str = "millstream_edge_mean_depth_records";
/// Seconds that the writers of an edge waited for room.
pub const EDGE_BACKPRESSURED: &str = "millstream_edge_backpressured_seconds";
/// Quantiles of the seconds that records wait in an edge, by a sample since the last time.
pub const EDGE_QUEUEING: &str = "millstream_edge_queueing_seconds";
/// Seconds that the watermark of an input of an edge is behind the wall clock.
pub const INPUT_WATERMARK_LAG: &str = "millstream_input_watermark_lag_seconds";

/// Tells the installed recorder what each metric means. Harmless without a recorder.
pub fn describe() {
    describe_counters();
    describe_gauges();
}

fn describe_counters() {
    let counters = [
        (STAGE_RECORDS_IN, Unit::Count, "Records taken by the first operator of a stage."),
        (OPERATOR_RECORDS_IN, Unit::Count, "Records taken by an operator."),
        (OPERATOR_RECORDS_OUT, Unit::Count, "Records emitted by an operator."),
        (
            OPERATOR_RECORDS_DROPPED,
            Unit::Count,
            "Records that an operator took and did not pass on, by reason.",
        ),
        (OPERATOR_ERRORS, Unit::Count, "Errors that user code in an operator returned."),
        (OPERATOR_RETRIES, Unit::Count, "Attempts that an operator made again."),
        (EDGE_RECORDS, Unit::Count, "Records put into an edge."),
        (
            EDGE_RECORDS_DROPPED,
            Unit::Count,
            "Records that an edge dropped because it was full, by reason.",
        ),
        (
            STAGE_RECORDS_CANCELLED,
            Unit::Count,
            "Records that reached the end of a stage when nobody wanted them any more.",
        ),
    ];
    for (name, unit, text) in counters {
        metrics::describe_counter!(name, unit, text);
    }
}

fn describe_gauges() {
    // Seconds have fractions, and the facade's counters are whole: these gauges only ever grow.
    let gauges = [
        (STAGE_BUSY, Unit::Seconds, "Time that the instances of a stage spent working."),
        (STAGE_IDLE, Unit::Seconds, "Time that the instances of a stage waited for input."),
        (
            STAGE_BACKPRESSURED,
            Unit::Seconds,
            "Time that the instances of a stage waited for room downstream.",
        ),
        (STAGE_INSTANCES, Unit::Count, "Instances of a stage that are running."),
        (STAGE_WATERMARK, Unit::Seconds, "Event time that a stage has reached."),
        (EDGE_DEPTH, Unit::Count, "Records in an edge."),
        (EDGE_CAPACITY, Unit::Count, "Records that an edge may hold."),
        (STAGE_WATERMARK_LAG, Unit::Seconds, "How far event time is behind the wall clock."),
        (STAGE_STALLED, Unit::Seconds, "Time that a stage has had work and got nowhere with it."),
        (STAGE_RUNNING, Unit::Seconds, "Quantiles of the time that a stage works on a record."),
        (EDGE_UTILISATION, Unit::Count, "How full an edge is, between 0 and 1."),
        (EDGE_DEPTH_MEAN, Unit::Count, "Records that the reader of an edge found on average."),
        (EDGE_BACKPRESSURED, Unit::Seconds, "Time that the writers of an edge waited for room."),
        (EDGE_QUEUEING, Unit::Seconds, "Quantiles of the time that records wait in an edge."),
        (INPUT_WATERMARK_LAG, Unit::Seconds, "How far an input is behind the wall clock."),
    ];
    for (name, unit, text) in gauges {
        metrics::describe_gauge!(name, unit, text);
    }
}
