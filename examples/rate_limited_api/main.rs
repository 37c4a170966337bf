//! Everything that an API with a quota has, page by page, into a file, as fast as the quota allows.
//!
//! ```text
//! north ─▶ pages ─╮    one limiter
//! east  ─▶ pages ─┤    for all four
//! south ─▶ pages ─┼─▶ group ─▶ append to the file
//! west  ─▶ pages ─╯
//! ```
//!
//! Four streams of pages share a quota that changes while they run: every answer says what it is
//! now, and the limiter they share follows. Try `--deaf`, which does not listen, and see how often
//! the API has to refuse; try ctrl-c and the same command again, which goes on behind the last row
//! of the file. By hand, every task waits on its own, all of them come back at once, and after a
//! crash rows are missing or there twice.

#![allow(clippy::print_stdout, reason = "a program for people")]

mod api;
mod file;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use comfy_table::{Table, presets};
use millstream::console::Console;
use millstream::prelude::*;
use millstream::source::Page;
use millstream::time::Clock;

use api::{Api, Ask, Content, Row, STATIONS};

/// Everything that an API with a quota has, into a file, as fast as the quota allows.
#[derive(Parser)]
struct Options {
    /// Where to put the rows, and what to go on from [default: a file that is deleted again]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How many rows each station has
    #[arg(long, default_value_t = 400, value_name = "N")]
    rows: u64,
    /// Keep to the first quota, whatever the API says
    #[arg(long)]
    deaf: bool,
    /// Print the graph, as Mermaid, and do nothing
    #[arg(long)]
    graph: bool,
    /// Serve /metrics, /healthz, /readyz and /graph while running
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
}

/// A page, as soon as the limiter and the API allow it.
async fn page(
    ask: impl Ask,
    limiter: RateLimiter,
    deaf: bool,
    (station, from): (&'static str, u64),
) -> Result<Page<Row, (&'static str, u64)>, OperatorError> {
    loop {
        limiter.acquire(1).await;
        let answer = ask.ask(station, from).await?;
        let quota = Rate::per_second(answer.quota.max(1));
        if quota != limiter.rate() && !deaf {
            limiter.set_rate(quota);
        }
        match answer.content {
            Content::Rows { rows, next } => {
                return Ok(Page { items: rows, next: next.map(|from| (station, from)) });
            }
            Content::TooManyRequests { retry_after } => Clock::system().sleep(retry_after).await,
        }
    }
}

/// The whole job, from where `file` ends.
fn ingest(ask: &impl Ask, deaf: bool, file: &file::Rows) -> Dataflow {
    let flow = Dataflow::new("rate_limited_api");
    let limiter = RateLimiter::new("quota", Rate::per_second(api::FIRST_QUOTA));
    let [north, others @ ..] = STATIONS.map(|station| {
        let (ask, limiter) = (ask.clone(), limiter.clone());
        let pages = source::paginate((station, file.next(station)), move |cursor| {
            page(ask.clone(), limiter.clone(), deaf, cursor)
        });
        flow.source(station, pages).boxed()
    });
    let path = file.path().to_owned();
    north
        .merge_all(others)
        .chunks_timeout(100, Duration::from_millis(200))
        .named("group")
        .map_blocking(1, move |rows| file::append(&path, &rows))
        .named("append to the file")
        .try_for_each(|written| written);
    flow
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let temporary = tempfile::tempdir()?;
    let path = options.output.unwrap_or_else(|| temporary.path().join("rows.jsonl"));
    let before = file::Rows::open(&path)?;
    let api = Api::start(options.rows);
    let client = api::Client::of(&api).await?;
    let flow = ingest(&client, options.deaf, &before);
    if options.graph {
        println!("{}", flow.graph()?.to_mermaid());
        return Ok(ExitCode::SUCCESS);
    }
    let console = match options.metrics {
        Some(address) => Some(Console::bind(address).await?),
        None => None,
    };
    let job =
        flow.start_with(&JobOptions::default().with_drain_on_signals(Duration::from_secs(5)))?;
    if let Some(console) = &console {
        console.watch(job.observer())?;
    }
    let report = job.await?;

    let after = file::Rows::open(&path)?;
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(["station", "before", "now", "of"]);
    for station in STATIONS {
        let [before, after] = [before.next(station), after.next(station)].map(|n| n.to_string());
        table.add_row([station.to_owned(), before, after, options.rows.to_string()]);
    }
    let (asked, refused) = api.asked();
    println!("{table}\n{asked} requests in {:.1?}, {refused} of them refused", report.elapsed());
    let lost = before.total() + report.records_read() != after.total();
    Ok(ExitCode::from(u8::from(lost)))
}
