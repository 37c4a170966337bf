//! The Nexmark benchmark: the 23 queries about an auction house that engines are compared by.
//!
//! ```text
//! generator ─▶ events ─▶ event time ─▶ query ─▶ rows ─▶ file
//!                  ╰─▶ dump
//! ```
//!
//! Each query is a file in [`queries`], and begins with its definition. The events are made first,
//! so that a rate is that of the query. The [README](README.md) has the exact rules, and how a
//! result can be checked by others.

#![allow(clippy::print_stdout, reason = "a program for people")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "numbers are far within bounds"
)]

mod dump;
mod generator;
mod model;
mod options;
mod queries;
mod rates;
mod replay;
mod run;
mod table;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Runtime;

use generator::Generator;
use model::Event;
use options::{Options, Queries};
use rates::Rates;
use run::Run;

fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", told(&Options::parse(), in_a_process)?);
    Ok(())
}

/// Does what the options ask for, and answers what there is to say. `program` is this program with
/// other arguments: it answers what that has to say.
fn told(
    options: &Options,
    program: impl Fn(Vec<OsString>) -> Result<String, Box<dyn Error>>,
) -> Result<String, Box<dyn Error>> {
    let mut rates = Rates::new(options.events);
    match options.queries {
        Queries::One(number) => {
            let (elapsed, rows) = one(number, options)?;
            if options.plain {
                return Ok(format!("{} {rows}", elapsed.as_nanos()));
            }
            rates.add(number, elapsed, rows);
        }
        Queries::All => {
            if options.dump.is_some() {
                events(options)?;
            }
            options.output.as_ref().map_or(Ok(()), fs::create_dir_all)?;
            for number in queries::ALL {
                let said = program(options.for_one(number))?;
                let numbers = said.trim().split_once(' ');
                let (nanos, rows) = numbers.ok_or(format!("q{number} has failed"))?;
                rates.add(number, Duration::from_nanos(nanos.parse()?), rows.parse()?);
            }
        }
    }
    Ok(rates.to_string())
}

/// Runs the program in a process of its own: in one that has had events before, new ones lie where
/// the old ones have left gaps, and to walk through them takes several times as long.
fn in_a_process(arguments: Vec<OsString>) -> Result<String, Box<dyn Error>> {
    let mut program = Command::new(std::env::current_exe()?);
    let said = program.args(arguments).stderr(Stdio::inherit()).output()?;
    Ok(String::from_utf8(said.stdout)?)
}

/// Runs a query, and writes its result if there is somewhere to write it. Answers how long it took,
/// and how many rows there are.
fn one(number: u8, options: &Options) -> Result<(Duration, u64), Box<dyn Error>> {
    let output = options.output.as_deref().map(create).transpose()?;
    let events = events(options)?;
    let Options { parallelism: instances, batch, .. } = *options;
    let run = Run { instances, batch, keep: output.is_some() };
    let ran = run.query(number, events, &Runtime::new()?)?;
    let rows = ran.table.rows();
    if let Some(mut file) = output {
        ran.table.write(&mut file)?;
        file.flush()?;
    }
    Ok((ran.elapsed, rows))
}

/// Makes the events, and writes them down if that is asked for.
fn events(options: &Options) -> Result<Vec<Event>, Box<dyn Error>> {
    let events: Vec<_> = Generator::new(options.seed, options.rate).take(options.events).collect();
    if let Some(path) = &options.dump {
        dump::write(&events, create(path)?)?;
    }
    Ok(events)
}

/// Creates a file, or says which could not be created.
fn create(path: &Path) -> Result<BufWriter<File>, String> {
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(BufWriter::new(file))
}
