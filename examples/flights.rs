//! Every flight out of New York: one graph that reads a CSV file, sets rows that can't be parsed
//! aside, and works out three things at once.
//!
//! ```text
//!                                     ╭─▶ by carrier (N instances) ─▶ with names ─▶ file, table
//! rows ─▶ parse (N instances) ─▶ all ─┼─▶ the ten longest delays ─▶ table
//!          ╰─▶ rejected rows ─▶ file  ╰─▶ by route (N instances) ─▶ table
//! ```
//!
//! Try `--replay 20000 --metrics 127.0.0.1:9464`, and ctrl-c while it runs: it drains, and what it
//! has read is counted. Written by hand, this is five tasks, eight channels, and a shutdown to get
//! right.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![allow(clippy::disallowed_methods, reason = "the progress bar follows the terminal's clock")]

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use millstream::console::Console;
use millstream::metrics::StageMetrics;
use millstream::prelude::*;
use millstream::runtime::Output;
use millstream::sink;
use millstream::source::{
    CsvRow, CsvRows, Source, SourceBatch, SourceContext, SourceFactory, SourceStatus,
};
use millstream::time::{Clock, Instant};
use serde::{Deserialize, Deserializer, Serialize};

const HEADER: [&str; 5] = ["carrier", "name", "flights", "cancelled", "mean_dep_delay"];
const MONTH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/flights-2013-01.csv.gz");
const AIRLINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/airlines.csv");

/// Totals by carrier, the longest delays and the busiest routes of flights out of New York.
#[derive(Parser)]
struct Options {
    /// The flights, csv or csv.gz [default: January 2013, shipped with the example]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where to write the totals by carrier, as CSV
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Where to write the rows that can't be parsed, with the reason [default: standard error]
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,
    /// How many instances parse and count
    #[arg(long, default_value_t = 2, value_name = "N")]
    parallelism: usize,
    /// Serve /metrics, /healthz, /readyz and /graph while running
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
    /// Release rows at SPEED times real time, by scheduled departure [default: as fast as possible]
    #[arg(long, value_name = "SPEED", value_parser = speed)]
    replay: Option<f64>,
}

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
    let report = with_progress(job).await?;
    results.show(&report);
    show_stages(&report);
    Ok(())
}

/// What the run leaves in memory.
struct Results {
    carriers: Output<Vec<Carrier>>,
    longest: Output<Vec<Delayed>>,
    routes: Output<Vec<Route>>,
}

/// The whole job.
fn graph(options: &Options) -> Result<(Dataflow, Results), Box<dyn Error>> {
    let instances = options.parallelism;
    let rows = CsvRows::open(options.input.as_deref().unwrap_or(Path::new(MONTH)));
    let names = airlines()?;

    let flow = Dataflow::new("flights");
    let (rejected, rejected_rows) = flow.dead_letters::<CsvRow>("rejected rows");
    let [by_carrier, by_delay, by_route] = flow
        .source("rows", Replay { rows, speed: options.replay })
        .parallel(instances)
        .try_map(OnError::dead_letter(&rejected), CsvRow::decode::<Flight>)
        .named("parse")
        .map(Arc::new)
        .broadcast();

    let carriers = by_carrier
        .named("by carrier")
        .key_by_ref(|flight| flight.carrier.as_str())
        .parallel(instances)
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
        .flat_map_iter(sorted);
    let carriers = match &options.output {
        None => carriers.collect(),
        Some(path) => {
            let [file, shown] = carriers.broadcast();
            file.sink("output", sink::CsvFile::create(path).with_header(HEADER));
            shown.collect()
        }
    };
    let longest = by_delay
        .named("by delay")
        .filter_map(|flight| Delayed::new(&flight))
        .named("departed")
        .gather()
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
    set_aside(options, rejected_rows);
    Ok((flow, Results { carriers, longest, routes }))
}

/// Keeps the rows that can't be parsed, in a file or on the terminal.
fn set_aside(options: &Options, rejected_rows: DataStream<DeadLetter<CsvRow>>) {
    let rejected_rows = rejected_rows.map(|letter| Rejected::new(&letter)).named("reason");
    match &options.dead_letters {
        Some(path) => rejected_rows.sink("dead letters", sink::CsvFile::create(path)),
        None => rejected_rows.for_each(|row| eprintln!("rejected: {}", row.error)),
    }
}

/// The columns of a flight that are used here. `NA` stands for a value that isn't there.
#[derive(Deserialize)]
struct Flight {
    carrier: String,
    flight: u32,
    origin: String,
    dest: String,
    #[serde(deserialize_with = "not_available")]
    dep_time: Option<u32>,
    #[serde(deserialize_with = "not_available")]
    dep_delay: Option<i64>,
    minute: i64,
    time_hour: jiff::Timestamp,
}

fn not_available<'de, D: Deserializer<'de>, T: std::str::FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "NA" => Ok(None),
        text => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

impl Flight {
    /// When it was to leave.
    fn scheduled(&self) -> jiff::Timestamp {
        let minute = jiff::SignedDuration::from_mins(self.minute);
        self.time_hour.saturating_add(minute).unwrap_or(self.time_hour)
    }
}

/// What is added up for a carrier or a route.
#[derive(Clone, Default)]
struct Totals {
    flights: u64,
    cancelled: u64,
    delayed: i64,
    delay: i64,
}

impl Totals {
    fn add(&mut self, flight: &Flight) {
        self.flights += 1;
        self.cancelled += u64::from(flight.dep_time.is_none());
        self.delayed += i64::from(flight.dep_delay.is_some());
        self.delay += flight.dep_delay.unwrap_or(0);
    }

    /// The mean delay in minutes; empty where no flight has one.
    fn mean_delay(&self) -> String {
        if self.delayed == 0 {
            return String::new();
        }
        format!("{:.3}", self.delay as f64 / self.delayed as f64)
    }
}

/// A row of the result.
#[derive(Clone, Serialize)]
struct Carrier {
    carrier: String,
    name: String,
    flights: u64,
    cancelled: u64,
    mean_dep_delay: String,
}

impl Carrier {
    fn new(carrier: String, name: String, totals: &Totals) -> Self {
        let Totals { flights, cancelled, .. } = *totals;
        Self { carrier, name, flights, cancelled, mean_dep_delay: totals.mean_delay() }
    }

    fn cells(self) -> [String; 5] {
        let (flights, cancelled) = (self.flights.to_string(), self.cancelled.to_string());
        [self.carrier, self.name, flights, cancelled, self.mean_dep_delay]
    }
}

/// A route in the table of the busiest ones, in the table's order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    flights: Reverse<u64>,
    route: String,
    cancelled: u64,
    mean_delay: String,
}

impl Route {
    fn new(origin: &str, dest: &str, totals: &Totals) -> Self {
        Self {
            flights: Reverse(totals.flights),
            route: format!("{origin} → {dest}"),
            cancelled: totals.cancelled,
            mean_delay: totals.mean_delay(),
        }
    }

    fn cells(self) -> [String; 4] {
        [self.route, self.flights.0.to_string(), self.cancelled.to_string(), self.mean_delay]
    }
}

/// A row that could not be parsed, as the file of dead letters has it.
#[derive(Serialize)]
struct Rejected {
    error: String,
    row: String,
}

impl Rejected {
    fn new(letter: &DeadLetter<CsvRow>) -> Self {
        let fields: Vec<_> = letter.original.fields().iter().map(String::from_utf8_lossy).collect();
        Self { error: letter.error.to_string(), row: fields.join(",") }
    }
}

/// All carriers, in the order of the result.
fn sorted(mut carriers: Vec<Carrier>) -> Vec<Carrier> {
    carriers.sort_by(|one, other| one.carrier.cmp(&other.carrier));
    carriers
}

/// The airlines' names by carrier.
fn airlines() -> Result<HashMap<String, String>, Box<dyn Error>> {
    let mut rows = csv::Reader::from_path(AIRLINES)?;
    Ok(rows.deserialize().collect::<Result<_, _>>()?)
}

/// A flight as the table of the longest delays shows it, in the table's order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Delayed {
    minutes: Reverse<i64>,
    scheduled: jiff::Timestamp,
    flight: String,
    route: String,
}

impl Delayed {
    fn new(flight: &Flight) -> Option<Self> {
        Some(Self {
            minutes: Reverse(flight.dep_delay?),
            scheduled: flight.scheduled(),
            flight: format!("{} {}", flight.carrier, flight.flight),
            route: format!("{} → {}", flight.origin, flight.dest),
        })
    }

    fn cells(self) -> [String; 4] {
        let scheduled = self.scheduled.strftime("%d %b %H:%M").to_string();
        [self.flight, self.route, scheduled, self.minutes.0.to_string()]
    }
}

/// Keeps the ten that come first.
fn keep_ten<T: Ord>(ten: &mut Vec<T>, one: T) {
    let place = ten.partition_point(|kept| *kept <= one);
    if place < 10 {
        ten.insert(place, one);
        ten.truncate(10);
    }
}

/// A source of our own around another one: hands each row over when its scheduled departure has
/// come, on a clock that runs `speed` times as fast as the job's. A row that can't be read comes at
/// once.
struct Paced<S> {
    rows: S,
    speed: Option<f64>,
    clock: Option<Clock>,
    /// The first departure, and when it was handed over.
    start: Option<(i64, Instant)>,
    waiting: VecDeque<Record<CsvRow>>,
    ended: bool,
}

impl<S> Paced<S> {
    fn new(rows: S, speed: Option<f64>) -> Self {
        Self { rows, speed, clock: None, start: None, waiting: VecDeque::new(), ended: false }
    }

    /// When the next row is to be handed over; `None`: now.
    fn due(&mut self) -> Option<Instant> {
        let (speed, now) = (self.speed?, self.clock.as_ref()?.now());
        let row = &self.waiting.front()?.value;
        let hour: jiff::Timestamp = row.get("time_hour")?.parse().ok()?;
        let departure = hour.as_millisecond() + row.get("minute")?.parse::<i64>().ok()? * 60_000;
        let (first, started) = *self.start.get_or_insert((departure, now));
        let after = (departure - first).max(0) as f64 / 1000.0 / speed;
        Some(started + Duration::from_secs_f64(after)).filter(|due| *due > now)
    }
}

impl<S: Source<Item = CsvRow>> Source for Paced<S> {
    type Item = CsvRow;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        self.clock = Some(context.clock.clone());
        self.rows.open(context).await
    }

    async fn next(&mut self, out: &mut SourceBatch<CsvRow>) -> Result<SourceStatus, OperatorError> {
        loop {
            while !out.is_full() && !self.waiting.is_empty() && self.due().is_none() {
                out.extend(self.waiting.pop_front());
            }
            let wait =
                self.due().zip(self.clock.as_ref()).map(|(due, clock)| clock.sleep_until(due));
            match wait {
                _ if !out.is_empty() => return Ok(SourceStatus::More),
                // Dropped here when the job drains: what waits was not handed over yet.
                Some(wait) => wait.await,
                None if self.ended => return Ok(SourceStatus::End),
                None => {
                    let mut batch = SourceBatch::new(out.room());
                    self.ended = self.rows.next(&mut batch).await? == SourceStatus::End;
                    self.waiting.extend(batch.into_parts().0.records);
                }
            }
        }
    }
}

/// Makes the source of each run.
struct Replay {
    rows: CsvRows,
    speed: Option<f64>,
}

impl SourceFactory for Replay {
    type Source = Paced<<CsvRows as SourceFactory>::Source>;

    fn create(&self, instance: usize) -> Result<Self::Source, OperatorError> {
        Ok(Paced::new(self.rows.create(instance)?, self.speed))
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if speed > 0.0 && f64::is_finite(speed) => Ok(speed),
        _ => Err("a speed is a number above zero".to_owned()),
    }
}

/// Waits for the job, and meanwhile shows on a terminal how many rows have been read.
async fn with_progress(mut job: JobHandle) -> Result<JobReport, millstream::Error> {
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
    fn show(&self, report: &JobReport) {
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
    }
}

/// The graph's metrics, in brief: what each stage took, and how it spent its time.
fn show_stages(report: &JobReport) {
    let metrics = report.metrics();
    let rejected: u64 = metrics.operators.iter().map(|operator| operator.dead_letters).sum();
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
    let (read, elapsed) = (report.records_read(), report.elapsed());
    println!("\n{read} rows read, {rejected} rejected, in {elapsed:.2?}");
}
