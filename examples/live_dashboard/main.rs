//! A dashboard for a thousand people at once, ten of whom have stopped reading.
//!
//! ```text
//!                                      ╭─▶ mailbox ─▶ WebSocket ─▶ reader
//! ticks ─▶ measure ─▶ broadcast hub ───┼─▶ mailbox ─▶ WebSocket ─▶ reader   … 1,000 of them
//!                                      ╰─▶ mailbox ─▶ WebSocket ─▶ (frozen)
//! ```
//!
//! One job publishes a measurement every so often, and whoever opens a WebSocket gets what follows,
//! from a mailbox of his own that loses its oldest when it is full. Try `--listen 127.0.0.1:8080`
//! and a browser, and `--wait`, with which the hub waits for everybody: the ten hold up the rest,
//! until they are thrown out. Written as a loop over a thousand sockets it is always like that, or
//! memory grows with everything that somebody does not read.

#![allow(clippy::print_stdout, reason = "a program for people")]

#[cfg(test)]
mod tests;
mod web;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use comfy_table::{Table, presets};
use millstream::console::Console;
use millstream::hub::BroadcastHub;
use millstream::prelude::*;
use millstream::random::Random;
use millstream::source::MissedTicks;
use tokio::task::JoinSet;

use web::{Dashboard, Reader, Seen};

/// A dashboard for a thousand people at once, ten of whom have stopped reading.
#[derive(Parser)]
struct Options {
    /// How many read what is published
    #[arg(long, default_value_t = 990, value_name = "N")]
    readers: usize,
    /// How many subscribe and never read
    #[arg(long, default_value_t = 10, value_name = "N")]
    frozen: usize,
    /// How many measurements there are
    #[arg(long, default_value_t = 60, value_name = "N")]
    updates: u64,
    /// The time from one to the next, in milliseconds
    #[arg(long, default_value_t = 100, value_name = "MS")]
    pace: u64,
    /// Let the hub wait for whoever does not read, for as long as a second
    #[arg(long)]
    wait: bool,
    /// Serve the dashboard to browsers too, and go on until ctrl-c
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Print the graph, as Mermaid, and do nothing
    #[arg(long)]
    graph: bool,
    /// Serve /metrics, /healthz, /readyz and /graph while running
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
}

/// The job: a measurement with every tick.
fn publishing(options: &Options, hub: &BroadcastHub<Arc<str>>) -> Dataflow {
    let flow = Dataflow::new("live_dashboard");
    let pace = Duration::from_millis(options.pace.max(1));
    let updates = if options.listen.is_some() { u64::MAX } else { options.updates };
    flow.source("ticks", source::interval(pace, MissedTicks::Skip))
        .take_while(move |tick| *tick < updates)
        .map(measure)
        .named("measure")
        .sink("hub", hub.publisher());
    flow
}

/// What stands here for a measurement, as JSON.
fn measure(tick: u64) -> Arc<str> {
    let noise = Random::new(tick).ratio();
    let load = 50.0 + 40.0 * (tick as f64 / 20.0).sin() + 5.0 * noise;
    Arc::from(format!(r#"{{"number":{tick},"load":{load:.1}}}"#))
}

/// What has become of a run.
struct Outcome {
    published: u64,
    elapsed: Duration,
    /// What each reader has seen.
    seen: Vec<Seen>,
    /// How many were lost in mailboxes.
    lost: u64,
}

async fn run(options: &Options) -> Result<Outcome, Box<dyn std::error::Error>> {
    let hub = BroadcastHub::new(16).with_max_subscribers(options.readers + options.frozen + 100);
    let hub = if options.wait { hub.evict_after(Duration::from_secs(1)) } else { hub };
    let flow = publishing(options, &hub);
    let dashboard = Dashboard::serve(&hub, options.wait, options.listen).await?;

    // All of them are there before the first tick.
    let mut readers = JoinSet::new();
    for _ in 0..options.readers {
        readers.spawn(Reader::connect(&dashboard).await?.read());
    }
    let mut frozen = Vec::new();
    for _ in 0..options.frozen {
        frozen.push(Reader::connect(&dashboard).await?);
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
    let seen = readers.join_all().await;
    let (published, elapsed) = (report.records_written(), report.elapsed());
    Ok(Outcome { published, elapsed, seen, lost: hub.dropped() })
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let options = Options::parse();
    if options.graph {
        let flow = publishing(&options, &BroadcastHub::new(1));
        println!("{}", flow.graph()?.to_mermaid());
        return Ok(ExitCode::SUCCESS);
    }
    let Outcome { published, elapsed, seen, lost } = run(&options).await?;
    let whole = seen.iter().filter(|seen| seen.measurements == published).count();
    let longest_pause = seen.iter().map(|seen| seen.longest_pause).max().unwrap_or_default();
    let rows = [
        ["readers that saw everything".to_owned(), whole.to_string()],
        ["readers that missed something".to_owned(), (seen.len() - whole).to_string()],
        ["longest time without news".to_owned(), format!("{longest_pause:.1?}")],
        ["frozen".to_owned(), options.frozen.to_string()],
        ["lost in their mailboxes".to_owned(), lost.to_string()],
    ];
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).add_rows(rows);
    println!("{table}\n{published} measurements published in {elapsed:.1?}");
    Ok(ExitCode::from(u8::from(whole < seen.len())))
}
