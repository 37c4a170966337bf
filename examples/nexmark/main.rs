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
mod replay;
mod run;
mod table;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use tokio::runtime::Runtime;

use generator::Generator;
use options::{Options, Queries};
use run::{Ran, Run};

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let runtime = Runtime::new()?;
    let events: Vec<_> = Generator::new(options.seed, options.rate).take(options.events).collect();
    if let Some(path) = &options.dump {
        dump::write(path, &events)?;
    }
    let mut rates = Rates::new(options.events);
    let run = Run {
        instances: options.parallelism,
        batch: options.batch,
        keep: options.output.is_some(),
    };
    match options.queries {
        Queries::One(number) => {
            let ran = run.query(number, events, &runtime)?;
            rates.add(number, &ran);
            write(ran, options.output)?;
        }
        Queries::All => {
            options.output.as_ref().map_or(Ok(()), fs::create_dir_all)?;
            for number in queries::ALL {
                let ran = run.query(number, events.clone(), &runtime)?;
                rates.add(number, &ran);
                let folder = options.output.as_ref();
                write(ran, folder.map(|folder| folder.join(format!("q{number}.csv"))))?;
            }
        }
    }
    println!("{}", rates.table);
    Ok(())
}

fn write(ran: Ran, to: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let Some(path) = to else { return Ok(()) };
    let mut file = BufWriter::new(File::create(path)?);
    ran.table.write(&mut file)?;
    Ok(file.flush()?)
}

/// How fast each query was.
struct Rates {
    table: Table,
    events: usize,
}

impl Rates {
    fn new(events: usize) -> Self {
        let mut table = Table::new();
        let header = ["query", "events", "seconds", "events/s", "rows"];
        table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header);
        table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        Self { table, events }
    }

    fn add(&mut self, number: u8, ran: &Ran) {
        let seconds = ran.elapsed.as_secs_f64();
        let rate = self.events as f64 / seconds;
        self.table.add_row([
            format!("q{number}"),
            grouped(self.events as u64),
            format!("{seconds:.3}"),
            grouped(rate as u64),
            grouped(ran.table.rows()),
        ]);
    }
}

/// A number as people read it: 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
