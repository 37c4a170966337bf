//! What do the hot paths cost in instructions, and is it more than it was?
//!
//! `cargo bench -p millstream-benches --bench instructions` counts and compares with the baseline
//! in `benches/instructions.json`; with `-- --renew` it writes the baseline. Names of paths, or
//! beginnings of them, limit both to those.
//!
//! Wall time on a machine that others use can't tell 5 % from nothing; a count of instructions can,
//! whatever else runs. Each path runs under valgrind in a process of its own, over so many records
//! and over three times as many, so that what it takes to start is not counted. One thread, a clock
//! that stands still and fixed seeds leave nothing to chance.

#![allow(missing_docs, reason = "a bench has no interface")]
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

mod baseline;
mod paths;
#[path = "../support/ten_steps.rs"]
mod ten_steps;
mod valgrind;

use std::process::{Command, ExitCode};
use std::{env, fs};

use baseline::{Baseline, Comparison};
use paths::{PATHS, Path};

/// Where the baseline lies, for this program and for those who read what it says.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");

/// `[--renew] [PATH…]`, or `--run RECORDS PATH` from this program itself.
struct Arguments {
    /// Writes what was counted into the baseline.
    renew: bool,
    /// Runs one path in this process, and counts nothing: what valgrind is given.
    run: Option<u64>,
    /// Only paths whose names begin so.
    paths: Vec<String>,
}

impl Arguments {
    fn read() -> Self {
        let mut read = Self { renew: false, run: None, paths: Vec::new() };
        let mut given = env::args().skip(1);
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--bench" => {} // From cargo.
                "--renew" => read.renew = true,
                "--run" => read.run = given.next().and_then(|records| records.parse().ok()),
                _ => read.paths.push(argument),
            }
        }
        read
    }

    fn chooses(&self, path: &Path) -> bool {
        let mut names = self.paths.iter();
        match self.run {
            Some(_) => names.any(|name| path.name == name),
            None => self.paths.is_empty() || names.any(|name| path.name.starts_with(name)),
        }
    }

    /// Compares with the baseline, or writes it.
    fn settle(&self, counted: Baseline) -> Result<String, String> {
        if self.renew {
            // Paths that were not counted keep what they had.
            let whole = if self.paths.is_empty() { counted } else { read()?.with(counted)? };
            write(&whole)?;
            return Ok("renewed: say in the commit why it changed".into());
        }
        let mut known = read()?;
        known.keep(|name| PATHS.iter().all(|path| path.name != name || self.chooses(path)));
        let Comparison { table, notes, faults } = Comparison::of(&known, &counted);
        println!("{}\n", table.join("\n"));
        if faults.is_empty() { Ok(notes.join("\n")) } else { Err(faults.join("\n")) }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let chosen: Vec<&Path> = PATHS.iter().filter(|path| arguments.chooses(path)).collect();
    if let Some(records) = arguments.run {
        for path in chosen {
            std::hint::black_box((path.run)(records));
        }
        return ExitCode::SUCCESS;
    }
    if chosen.is_empty() {
        println!("no path has such a name");
        return ExitCode::FAILURE;
    }
    match count(&chosen).and_then(|counted| arguments.settle(counted)) {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Counts every path, and shows its progress by nothing: it takes less than a minute.
fn count(chosen: &[&Path]) -> Result<Baseline, String> {
    let instructions = valgrind::count(chosen)?;
    Ok(Baseline { compiler: compiler()?, instructions })
}

/// The compiler and what it compiles for, as far as they change the instructions.
fn compiler() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output();
    let told = output.map_err(|error| format!("rustc does not say its version: {error}"))?.stdout;
    let told = String::from_utf8_lossy(&told);
    let host = told.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    Ok(format!("{} for {host}", told.lines().next().unwrap_or_default()))
}

fn read() -> Result<Baseline, String> {
    let text = fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{FILE}: {error}"))
}

fn write(baseline: &Baseline) -> Result<(), String> {
    let text = serde_json::to_string_pretty(baseline).map_err(|error| error.to_string())?;
    fs::write(FILE, text + "\n").map_err(|error| format!("{FILE}: {error}"))
}
