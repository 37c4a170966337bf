//! The log of a web server, followed while it grows and is rotated, and counted minute by minute.
//!
//! ```text
//!                ╭─▶ ship (slow)
//! log ─▶ parse ──┴─▶ event time ─▶ minutes by page ─▶ export ─▶ totals
//!          │                            ╰─▶ late ─▶ count
//!          ╰─▶ bad lines ─▶ count
//! ```
//!
//! What can't be parsed is set aside with its reason, requests are counted by the time in the log
//! and not by the clock, and a tap sends what it can to a slow archive: it never slows the rest.
//! Try `--ship 0` and `--ship 50`, which change the last line of the report only; and
//! `--metrics 127.0.0.1:9464` with `/metrics`, and `--log FILE` for a log of your own. Without it,
//! a rotation loses lines, a bad line ends the program, and the archive sets the pace.

#![allow(clippy::print_stdout, reason = "a program for people")]

mod log;
mod rows;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use millstream::console::Console;
use millstream::prelude::*;
use millstream::runtime::Output;
use millstream::source::Line;
use millstream::time::Clock;

use log::Hit;
use rows::{Row, Totals, add, export};

const MINUTE: Duration = Duration::from_secs(60);

/// The log of a web server, followed while it grows and is rotated, and counted minute by minute.
#[derive(Parser)]
struct Options {
    /// A log to follow until ctrl-c [default: one that is written meanwhile, ten minutes of it]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How long it takes to ship one request to the archive, in milliseconds
    #[arg(long, default_value_t = 5, value_name = "MS")]
    ship: u64,
    /// Print the graph, as Mermaid, and do nothing
    #[arg(long)]
    graph: bool,
    /// Serve /metrics, /healthz, /readyz and /graph while running
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
}

/// What the run leaves in memory.
struct Results {
    totals: Output<Totals>,
    bad: Output<u64>,
    late: Output<u64>,
}

/// The whole job.
fn graph<F>(log: &Path, ship: Duration, export: F) -> (Dataflow, Results)
where
    F: FnMut(&Row) + Clone + Send + 'static,
{
    let flow = Dataflow::new("log_metrics");
    let (bad, bad_lines) = flow.dead_letters::<Line>("bad lines");
    let (late, late_hits) = flow.side_output::<Hit>("late");
    let (hits, tap) = flow
        .source("log", source::file_tail(log).with_poll_interval(Duration::from_millis(50)))
        .try_map(OnError::dead_letter(&bad), Hit::parse)
        .named("parse")
        .wire_tap();
    tap.with_capacity(64).for_each_concurrent(1, move |_hit| Clock::system().sleep(ship));
    let errors = Count.filtered(|hit: &Hit| hit.status >= 500);
    let slow = Quantiles::of(|hit: &Hit| hit.millis, [0.99]);
    let totals = hits
        .event_time(|hit| hit.time, Watermarks::bounded_disorder(Duration::from_secs(2)))
        .key_by_ref(|hit| hit.page.as_str())
        .window(Tumbling::of(MINUTE))
        .late_to(&late)
        .aggregate((Count, errors, slow))
        .named("minutes by page")
        .map(Row::of)
        .named("row")
        .inspect(export)
        .named("export")
        .fold(Totals::new(), add);
    let (bad, late) = (bad_lines.count(), late_hits.count());
    (flow, Results { totals, bad, late })
}

/// How many requests went through the tap, and how many it had no room for.
fn tapped(report: &JobReport) -> (u64, u64) {
    let tap = report.edges().find(|(name, _)| name.starts_with("wire_tap"));
    tap.map_or((0, 0), |(_, tap)| (tap.handled, tap.dropped))
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let folder = tempfile::tempdir()?;
    let log = options.log.clone().unwrap_or_else(|| folder.path().join("access.log"));
    let (flow, results) = graph(&log, Duration::from_millis(options.ship), export);
    if options.graph {
        println!("{}", flow.graph()?.to_mermaid());
        return Ok(ExitCode::SUCCESS);
    }
    let console = match options.metrics {
        Some(address) => Some(Console::bind(address).await?),
        None => None,
    };
    let patience = Duration::from_secs(60);
    let mut job = flow.start_with(&JobOptions::default().with_drain_on_signals(patience))?;
    if let Some(console) = &console {
        console.watch(job.observer())?;
    }
    let (report, written) = tokio::select! {
        report = &mut job => (report?, None),
        written = log::write(&log, 10), if options.log.is_none() => {
            (job.drain(patience).await?, Some(written?.lines))
        }
    };

    let totals = report.take(results.totals).unwrap_or_default();
    let [bad, late] =
        [results.bad, results.late].map(|count| report.take(count).unwrap_or_default());
    let (shipped, left_out) = tapped(&report);
    let counted: u64 = totals.values().map(|row| row.requests).sum();
    let table = rows::table(&totals);
    println!("{table}\n{counted} requests counted, {late} too late, {bad} bad lines");
    println!("{shipped} shipped to the archive, {left_out} left out for want of room");
    let lost = written.unwrap_or(report.records_read()) != counted + late + bad;
    Ok(ExitCode::from(u8::from(lost)))
}
