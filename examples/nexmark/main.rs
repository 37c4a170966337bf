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
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use clap::Parser;
use tokio::runtime::Runtime;

use generator::Generator;
use model::Event;
use options::{Options, Queries};
use rates::Rates;
use run::Run;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let events: Vec<_> = Generator::new(options.seed, options.rate).take(options.events).collect();
    if let Some(path) = &options.dump {
        dump::write(&events, create(path)?)?;
    }
    let (runtime, rates) = (Runtime::new()?, Rates::new(options.events));
    let mut program = Program { runtime, rates, options };
    let output = program.options.output.clone();
    match program.options.queries {
        Queries::One(number) => program.query(number, events, output.as_deref())?,
        Queries::All => {
            output.as_ref().map_or(Ok(()), fs::create_dir_all)?;
            for number in queries::ALL {
                let file = output.as_ref().map(|folder| folder.join(format!("q{number}.csv")));
                program.query(number, events.clone(), file.as_deref())?;
            }
        }
    }
    println!("{}", program.rates);
    Ok(())
}

struct Program {
    options: Options,
    runtime: Runtime,
    rates: Rates,
}

impl Program {
    /// Runs a query, and writes its result if there is somewhere to write it.
    fn query(
        &mut self,
        number: u8,
        events: Vec<Event>,
        output: Option<&Path>,
    ) -> Result<(), Box<dyn Error>> {
        let output = output.map(create).transpose()?;
        let Options { parallelism: instances, batch, .. } = self.options;
        let run = Run { instances, batch, keep: output.is_some() };
        let ran = run.query(number, events, &self.runtime)?;
        self.rates.add(number, &ran);
        if let Some(mut file) = output {
            ran.table.write(&mut file)?;
            file.flush()?;
        }
        Ok(())
    }
}

/// Creates a file, or says which could not be created.
fn create(path: &Path) -> Result<BufWriter<File>, String> {
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(BufWriter::new(file))
}
