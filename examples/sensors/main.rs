//! Many sensors at once: each is an async generator, and has a processor of its own.
//!
//! ```text
//! sensor 1 ─▶ smooth 1 ─╮
//! sensor 2 ─▶ smooth 2 ─┼─▶ gathered
//! sensor 3 ─▶ smooth 3 ─╯
//! ```
//!
//! It shows how generators are read in real time, each at its own pace and in a task of its own,
//! and how what is made of their readings comes together. Try `--sensors 500`, and ctrl-c, after
//! which everything that had been read is still shown. Without it, each sensor would have a task, a
//! channel and an end to be written by hand, and one that panics would be missing without a word.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![allow(clippy::disallowed_methods, reason = "a sensor waits on tokio's clock, which tests pause")]

#[cfg(test)]
mod tests;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use async_stream::stream;
use clap::Parser;
use comfy_table::{Table, presets};
use futures::Stream;
use millstream::console::Console;
use millstream::prelude::*;
use millstream::random::Random;
use millstream::runtime::Output;

const ROWS_MAX: usize = 12;

/// Reads many thermometers at once, and smooths what each of them says.
#[derive(Parser)]
struct Options {
    /// How many sensors there are, one at least
    #[arg(long, default_value_t = 6, value_name = "N")]
    sensors: usize,
    /// How many readings each of them gives
    #[arg(long, default_value_t = 48, value_name = "N")]
    readings: usize,
    /// Print the graph, and end
    #[arg(long)]
    graph: bool,
    /// Serve /metrics, /healthz, /readyz and /graph while running
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Reading {
    sensor: usize,
    degrees: f64,
}

/// How long a sensor takes for a reading: each has a pace of its own.
const fn pace(sensor: usize) -> Duration {
    Duration::from_millis(15 + (11 * sensor % 36) as u64)
}

/// What a sensor says the so-many-th time: a slow wave, and some noise.
fn degrees(sensor: usize, number: usize) -> f64 {
    let wave = ((number + 9 * sensor) as f64 / 8.0).sin();
    let noise = Random::fork(7, sensor, number).below(100) as f64 / 100.0;
    20.0 + sensor as f64 % 10.0 + 3.0 * wave + 2.0 * noise
}

/// A sensor: an async generator of readings.
fn sensor(sensor: usize, readings: usize) -> impl Stream<Item = Reading> {
    stream! {
        for number in 0..readings {
            tokio::time::sleep(pace(sensor)).await;
            yield Reading { sensor, degrees: degrees(sensor, number) };
        }
    }
}

/// A processor: keeps the smoothed value, in which each reading counts for a quarter.
fn smooth(kept: &mut Option<f64>, reading: Reading) -> Reading {
    let degrees = kept.map_or(reading.degrees, |kept| kept + (reading.degrees - kept) / 4.0);
    *kept = Some(degrees);
    Reading { degrees, ..reading }
}

/// The whole job: every sensor with its processor, and what they give, gathered.
fn graph(options: &Options) -> (Dataflow, Output<Vec<Reading>>) {
    let flow = Dataflow::new("sensors");
    let smoothed = |number| {
        let readings = source::from_stream(sensor(number, options.readings));
        flow.source(&format!("sensor {number}"), readings)
            .stateful_map(|| None, smooth, |_| None)
            .named(&format!("smooth {number}"))
            .boxed()
    };
    let gathered = smoothed(1).merge_all((2..=options.sensors).map(smoothed)).named("gathered");
    (flow, gathered.collect())
}

/// A line of blocks, as high as the values.
fn curve(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::MAX, f64::min);
    let high = values.iter().copied().fold(f64::MIN, f64::max);
    let block = |value: &f64| (7.0 * (value - low) / (high - low).max(0.1)).round() as usize;
    values.iter().filter_map(|value| "▁▂▃▄▅▆▇█".chars().nth(block(value))).collect()
}

fn show(sensors: usize, gathered: &[Reading]) {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["sensor", "one reading every", "readings", "smoothed", "°C"]);
    for sensor in 1..=sensors.clamp(1, ROWS_MAX) {
        let own = gathered.iter().filter(|reading| reading.sensor == sensor);
        let values: Vec<f64> = own.map(|reading| reading.degrees).collect();
        let [sensor, pace] = [sensor.to_string(), format!("{:?}", pace(sensor))];
        let last = values.last().map_or(String::new(), |last| format!("{last:.1}"));
        let newest = values.rchunks(48).next().unwrap_or_default();
        table.add_row([sensor, pace, values.len().to_string(), curve(newest), last]);
    }
    println!("{table}");
    if sensors > ROWS_MAX {
        println!("… and {} more sensors", sensors - ROWS_MAX);
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let (flow, gathered) = graph(&options);
    if options.graph {
        print!("{}", flow.graph()?.to_mermaid());
        return Ok(ExitCode::SUCCESS);
    }
    let draining = JobOptions::default().with_drain_on_signals(Duration::from_secs(10));
    let job = flow.start_with(&draining)?;
    let console;
    if let Some(address) = options.metrics {
        console = Console::bind(address).await?;
        console.watch(job.observer())?;
        eprintln!("serving http://{}/metrics", console.local_addr());
    }
    let report = job.await?;
    let gathered = report.take(gathered).unwrap_or_default();
    show(options.sensors, &gathered);
    let read = report.records_read();
    println!("{read} readings, {} gathered, in {:.1?}", gathered.len(), report.elapsed());
    Ok(if gathered.len() as u64 == read { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
