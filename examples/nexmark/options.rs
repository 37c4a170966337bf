//! What the program can be told.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use crate::queries;

/// The queries of the Nexmark benchmark over events in memory.
#[derive(Parser)]
pub(crate) struct Options {
    /// Which query: q0 to q22, or all
    #[arg(default_value = "all", value_name = "QUERY", value_parser = numbers)]
    pub(crate) queries: Queries,
    /// How many events
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub(crate) events: usize,
    /// Where to write the complete, sorted result as CSV; for all, a folder [default: nowhere, rows
    /// are only counted]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Where to write the events as lines of JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) dump: Option<PathBuf>,
    /// In how many instances keys live
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = positive)]
    pub(crate) parallelism: usize,
    /// What the events are made from: the same seed and rate give the same events
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    pub(crate) seed: u64,
    /// How many events there are in a second of event time
    #[arg(long, default_value_t = 10_000.0, value_name = "EVENTS_PER_SECOND", value_parser = rate)]
    pub(crate) rate: f64,
    /// The most records in a batch [default: the engine's]
    #[arg(long, value_name = "RECORDS", value_parser = positive)]
    pub(crate) batch: Option<usize>,
    /// Tell nanoseconds and rows as two numbers, instead of a table
    #[arg(long, hide = true)]
    pub(crate) plain: bool,
}

impl Options {
    /// The arguments for a run of one query.
    pub(crate) fn for_one(&self, number: u8) -> Vec<OsString> {
        let mut arguments = format!(
            "q{number} --plain --events {} --parallelism {} --seed {} --rate {}",
            self.events, self.parallelism, self.seed, self.rate
        );
        if let Some(batch) = self.batch {
            arguments = format!("{arguments} --batch {batch}");
        }
        let mut arguments: Vec<_> = arguments.split(' ').map(OsString::from).collect();
        if let Some(folder) = &self.output {
            arguments.extend(["--output".into(), folder.join(format!("q{number}.csv")).into()]);
        }
        arguments
    }
}

/// What is to be run.
#[derive(Clone, Debug)]
pub(crate) enum Queries {
    One(u8),
    All,
}

fn numbers(text: &str) -> Result<Queries, String> {
    let number = text.strip_prefix('q').and_then(|number| number.parse().ok());
    match number.filter(|number| queries::ALL.contains(number)) {
        Some(number) => Ok(Queries::One(number)),
        None if text == "all" => Ok(Queries::All),
        None => Err("a query is one of q0 to q22, or all".to_owned()),
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("a whole number above zero is needed".to_owned()),
    }
}

/// A thousandth of an event in a second is one in a quarter of an hour: a million of them are
/// thirty years, and no time overflows.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e9).contains(&rate) => Ok(rate),
        _ => Err("a rate is a number from 0.001 to a thousand million".to_owned()),
    }
}
