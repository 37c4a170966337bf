//! What the program can be told.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use millstream::prelude::*;
use millstream::time::BoundedDisorder;

use crate::hours::HOUR;

const MONTH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/flights-2013-01.csv.gz");

const WEATHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/weather-2013-01.csv.gz");

/// Totals by carrier, the longest delays and the busiest routes of flights out of New York, and
/// hour by hour how each carrier and airport did; and, if
/// asked, by the wind.
#[derive(Parser)]
pub(crate) struct Options {
    /// The flights, csv or csv.gz [default: January 2013, shipped with the example]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where to write the totals by carrier, as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Where to write each hour by carrier, as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) hourly: Option<PathBuf>,
    /// Where to write how flights left by airport and wind, in bands of 10 mph, as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) weather: Option<PathBuf>,
    /// The weather of each hour, csv or csv.gz [default: January 2013, shipped with the example]
    #[arg(long, value_name = "FILE")]
    weather_data: Option<PathBuf>,
    /// How many hours a row may come behind one of a later departure: what comes later still is
    /// left out of the hours, and shown
    #[arg(long, default_value_t = 24, value_name = "HOURS")]
    disorder: u32,
    /// Where to write the rows that can't be parsed, with the reason [default: standard error]
    #[arg(long, value_name = "FILE")]
    pub(crate) dead_letters: Option<PathBuf>,
    /// How many instances count, by carrier, route, hour and airport
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) parallelism: usize,
    /// Serve /metrics, /healthz, /readyz and /graph while running
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<SocketAddr>,
    /// Release rows at SPEED times real time, by scheduled departure [default: as fast as possible]
    #[arg(long, value_name = "SPEED", value_parser = speed)]
    pub(crate) replay: Option<f64>,
}

impl Options {
    pub(crate) fn input(&self) -> &Path {
        self.input.as_deref().unwrap_or(Path::new(MONTH))
    }

    pub(crate) fn weather_data(&self) -> &Path {
        self.weather_data.as_deref().unwrap_or(Path::new(WEATHER))
    }

    /// Watermarks in whole hours: every window here ends at one, so finer ones would tell no more.
    pub(crate) fn watermarks(&self) -> Watermarks<BoundedDisorder> {
        Watermarks::bounded_disorder(HOUR * self.disorder).with_step(HOUR)
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if speed > 0.0 && f64::is_finite(speed) => Ok(speed),
        _ => Err("a speed is a number above zero".to_owned()),
    }
}
