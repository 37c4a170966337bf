//! Every flight out of New York: one graph that reads a CSV file, sets rows that can't be parsed
//! aside, and works out five things at once, two of them hour by hour in event time; and one more
//! if it is asked to, with the weather joined in.
//!
//! ```text
//!                                  ╭─▶ totals by carrier (N instances) ─▶ names ─▶ file, table
//!                                  ├─▶ the ten longest delays ─▶ table
//! rows ─▶ parse ─▶ event time ─────┼─▶ totals by route (N) ─▶ table
//!          ╰─▶ rejected ─▶ file    ├─▶ hours by carrier (N) ─▶ in order ─▶ file
//!                                  │      ╰─▶ late rows ─▶ table
//!                                  ├─▶ three hours by airport (N) ─▶ worst of each day ─▶ table
//!                                  ╰─▶ with their hour's weather (N) ─▶ by wind (N) ─▶ file
//! hours of weather ─▶ parse ──────────────╯
//! ```
//!
//! Try `--replay 20000 --metrics 127.0.0.1:9464`, and ctrl-c while it runs: it drains, and what it
//! has read is counted. Try `--disorder 1`, which is too little: the rows that come later than that
//! are shown, and none is lost. Written by hand, this is a dozen tasks, twenty channels, and a
//! shutdown to get right.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![allow(clippy::disallowed_methods, reason = "the progress bar follows the terminal's clock")]

mod hours;
mod options;
mod replay;
mod rows;
mod show;
mod totals;
mod weather;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use millstream::console::Console;
use millstream::prelude::*;
use millstream::runtime::Output;
use millstream::source::{CsvRow, CsvRows};

use hours::{Hour, Late, ThreeHours};
use options::Options;
use replay::Replay;
use rows::{Flight, Rejected};
use totals::{Carrier, Delayed, Route, Totals, airlines, keep_ten};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let (flow, results) = graph(&options)?;
    let console = match options.metrics {
        Some(address) => Some(Console::bind(address).await?),
        None => None,
    };
    let job = flow.start_with(
        &JobOptions::default()
            .with_operator_counts(true)
            .with_drain_on_signals(Duration::from_secs(10)),
    )?;
    if let Some(console) = &console {
        console.watch(job.observer())?;
        eprintln!("serving http://{}/metrics", console.local_addr());
    }
    let report = show::with_progress(job).await?;
    results.show(&report);
    show::stages(&report);
    results.summary(&report);
    Ok(())
}

/// What the run leaves in memory.
struct Results {
    carriers: Output<Vec<Carrier>>,
    longest: Output<Vec<Delayed>>,
    routes: Output<Vec<Route>>,
    hours: Output<u64>,
    late: Output<Late>,
    airports: Output<Vec<ThreeHours>>,
}

/// The whole job.
fn graph(options: &Options) -> Result<(Dataflow, Results), Box<dyn Error>> {
    let instances = options.parallelism;
    let flow = Dataflow::new("flights");
    let (rejected, rejected_rows) = flow.dead_letters::<CsvRow>("rejected rows");
    let (late, late_rows) = flow.side_output::<Arc<Flight>>("late rows");
    let rows = Replay { rows: CsvRows::open(options.input()), speed: options.replay };

    // One instance parses, so that rows and watermarks stay in the order of the file, and which
    // rows are late depends on the file alone. Those that count may be many.
    let flights = flow
        .source("rows", rows)
        .boundary()
        .try_map(OnError::dead_letter(&rejected), CsvRow::decode::<Flight>)
        .named("parse")
        .map(Arc::new)
        .event_time(|flight| flight.departure(), options.watermarks());
    let flights = match &options.weather {
        None => flights.boxed(),
        Some(path) => {
            let [by_wind, others] = flights.broadcast();
            let by_wind = by_wind.named("by wind");
            weather::write(by_wind, options.weather_data(), &rejected, instances, path)?;
            others.named("others")
        }
    };
    let [by_carrier, by_delay, by_route, by_hour, by_airport] = flights.broadcast();

    let carriers = totals_by_carrier(options, by_carrier.named("by carrier"))?;
    let longest = by_delay
        .named("by delay")
        .filter_map(|flight| Delayed::new(&flight))
        .named("departed")
        .fold(Vec::new(), keep_ten);
    let routes = by_route
        .named("by route")
        .key_by(|flight| (flight.origin.clone(), flight.dest.clone()))
        .parallel(instances)
        .fold(Totals::default(), |totals, flight| totals.add(&flight))
        .named("route totals")
        .map(|((origin, dest), totals)| Route::new(&origin, &dest, &totals))
        .named("route")
        .fold(Vec::new(), keep_ten);
    let hours = hours::by_carrier(by_hour.named("by hour"), instances, &late);
    let hours = match &options.hourly {
        None => hours.count(),
        Some(path) => {
            let [file, counted] = hours.broadcast();
            file.sink("hourly", sink::CsvFile::create(path).with_header(Hour::HEADER));
            counted.count()
        }
    };
    let late = late_rows.fold(Late::default(), |late, flight| late.add(&flight));
    let airports = hours::worst_by_airport(by_airport.named("by airport"), instances)
        .fold(Vec::new(), keep_ten);
    set_aside(options, rejected_rows);
    Ok((flow, Results { carriers, longest, routes, hours, late, airports }))
}

/// The totals by carrier, for the table and, if it is asked for, the file.
fn totals_by_carrier(
    options: &Options,
    flights: DataStream<Arc<Flight>>,
) -> Result<Output<Vec<Carrier>>, Box<dyn Error>> {
    let names = airlines()?;
    let carriers = flights
        .key_by_ref(|flight| flight.carrier.as_str())
        .parallel(options.parallelism)
        .fold(Totals::default(), |totals, flight| totals.add(&flight))
        .named("carrier totals")
        .map(move |(carrier, totals)| {
            let name = names.get(&carrier).cloned().unwrap_or_default();
            Carrier::new(carrier, name, &totals)
        })
        .named("join airline")
        .gather()
        // There are few carriers: all of them make one chunk, which comes at the end, and is
        // sorted.
        .chunks(usize::MAX)
        .flat_map_iter(totals::sorted);
    Ok(match &options.output {
        None => carriers.collect(),
        Some(path) => {
            let [file, shown] = carriers.broadcast();
            file.sink("output", sink::CsvFile::create(path).with_header(Carrier::HEADER));
            shown.collect()
        }
    })
}

/// Keeps the rows that can't be parsed, in a file or on the terminal.
fn set_aside(options: &Options, rejected_rows: DataStream<DeadLetter<CsvRow>>) {
    let rejected_rows = rejected_rows.map(|letter| Rejected::new(&letter)).named("reason");
    match &options.dead_letters {
        Some(path) => rejected_rows.sink("dead letters", sink::CsvFile::create(path)),
        None => rejected_rows.for_each(|row| eprintln!("rejected: {}", row.error)),
    }
}
