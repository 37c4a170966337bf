//! What people see: progress, and the tables at the end.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use millstream::metrics::StageMetrics;
use millstream::prelude::*;

use crate::Results;
use crate::hours::{LateRow, ThreeHours};
use crate::totals::{Carrier, Delayed, Route};

/// Waits for the job, and meanwhile shows on a terminal how many rows have been read.
pub(crate) async fn with_progress(mut job: JobHandle) -> Result<JobReport, millstream::Error> {
    let style =
        ProgressStyle::with_template("{spinner} {human_pos} rows, {rate} a second, {elapsed}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        write!(out, "{:.0}", state.per_sec()).unwrap_or_default();
    };
    let bar = ProgressBar::no_length().with_style(style.with_key("rate", rate));
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let ended = loop {
        tokio::select! {
            ended = &mut job => break ended,
            _ = ticks.tick() => {
                bar.set_position(job.metrics().stages.first().map_or(0, |rows| rows.records_in));
            }
        }
    };
    bar.finish_and_clear();
    ended
}

/// Prints a table whose columns from `numbers` on are numbers.
fn table<const N: usize>(
    title: &str,
    header: [&str; N],
    numbers: usize,
    rows: impl IntoIterator<Item = [String; N]>,
) {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header).add_rows(rows);
    for column in table.column_iter_mut().skip(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("\n{title}\n{table}");
}

impl Results {
    pub(crate) fn show(&self, report: &JobReport) {
        table(
            "Flights by carrier",
            ["carrier", "airline", "flights", "cancelled", "mean delay, min"],
            2,
            report.take(self.carriers).unwrap_or_default().into_iter().map(Carrier::cells),
        );
        table(
            "Longest departure delays",
            ["flight", "route", "scheduled, UTC", "delay, min"],
            3,
            report.take(self.longest).unwrap_or_default().into_iter().map(Delayed::cells),
        );
        table(
            "Busiest routes",
            ["route", "flights", "cancelled", "mean delay, min"],
            1,
            report.take(self.routes).unwrap_or_default().into_iter().map(Route::cells),
        );
        table(
            "Worst three hours of a day",
            ["airport", "from, UTC", "flights", "mean delay, min"],
            2,
            report.take(self.airports).unwrap_or_default().into_iter().map(ThreeHours::cells),
        );
    }

    /// What became of the rows, the late ones shown.
    pub(crate) fn summary(&self, report: &JobReport) {
        let late = report.take(self.late).unwrap_or_default();
        if late.rows > 0 {
            let first = late.first.into_iter().map(LateRow::cells);
            table("Late rows, the first by schedule", LateRow::HEADER, 3, first);
        }
        let operators = &report.metrics().operators;
        let rejected: u64 = operators.iter().map(|operator| operator.dead_letters).sum();
        // Of the first source: hours of weather are no flights.
        let read = report.metrics().stages.first().map_or(0, |rows| rows.records_in);
        let elapsed = report.elapsed();
        println!("\n{read} rows read, {rejected} rejected, in {elapsed:.2?}");
        let hours = report.take(self.hours).unwrap_or_default();
        println!("{hours} hours by carrier, {} rows came too late for theirs", late.rows);
    }
}

/// The graph's metrics, in brief: what each stage took, and how it spent its time.
pub(crate) fn stages(report: &JobReport) {
    let metrics = report.metrics();
    let percent = |part: Duration, stage: &StageMetrics| {
        let whole = (stage.busy + stage.idle + stage.blocked).as_secs_f64();
        format!("{:.0} %", 100.0 * part.as_secs_f64() / whole.max(f64::EPSILON))
    };
    let cells = |stage: &StageMetrics| {
        let (records, instances) = (stage.records_in.to_string(), stage.instances.to_string());
        let [busy, blocked] = [stage.busy, stage.blocked].map(|part| percent(part, stage));
        [stage.name.clone(), instances, records, busy, blocked]
    };
    table(
        "Stages",
        ["operators", "instances", "records in", "busy", "blocked"],
        1,
        metrics.stages.iter().map(cells),
    );
}
