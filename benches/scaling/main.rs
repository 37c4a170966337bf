//! How does the cost grow: with stages, keys and jobs, with what is counted, and with operators in
//! the compiler?
//!
//! `cargo bench -p millstream-benches --bench scaling` prints a table for each curve;
//! `-- --json FILE` writes what the page of results is made of, `-- stages idle` takes only curves
//! whose names begin so, and `-- --check` fails if one costs more than it may. `ROUNDS=7` takes
//! more rounds.
//!
//! Every point is measured in a process of its own, so that its memory is its own.

#![allow(missing_docs, reason = "a bench has no interface")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its table")]

mod builds;
mod cases;
mod counted;
mod curve;
mod jobs;
mod keys;
mod memory;
mod scratch;
mod stages;
#[path = "../support/ten_steps.rs"]
mod ten_steps;
mod timed;

use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use curve::{Curve, Measured, Point};

fn curves() -> impl Iterator<Item = &'static Curve> {
    let groups = [stages::CURVES, keys::CURVES, jobs::CURVES, counted::CURVES, builds::CURVES];
    groups.into_iter().flatten()
}

/// `[--json FILE] [--check] [CURVE…]`, or `--point CURVE AT` from this program itself.
#[derive(Default)]
struct Arguments {
    json: Option<String>,
    check: bool,
    point: bool,
    names: Vec<String>,
}

impl Arguments {
    fn read() -> Self {
        let mut read = Self::default();
        let mut given = env::args().skip(1);
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--bench" => {} // From cargo.
                "--json" => read.json = given.next(),
                "--check" => read.check = true,
                "--point" => read.point = true,
                _ => read.names.push(argument),
            }
        }
        read
    }

    fn choose(&self, curve: &Curve) -> bool {
        let mut names = self.names.iter();
        self.names.is_empty() || names.any(|name| curve.name.starts_with(name))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let done = if arguments.point { point(&arguments.names) } else { run(&arguments) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures one point in this process, and prints it.
fn point(names: &[String]) -> Result<(), String> {
    let [curve, at] = names else { return Err("--point CURVE AT".into()) };
    let known = curves().find(|known| known.name == curve.as_str());
    let known = known.ok_or_else(|| format!("no curve {curve}"))?;
    println!("{}", (known.measure)(at.parse().map_err(|error| format!("{at}: {error}"))?)?);
    Ok(())
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let rounds = env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let (mut measured, mut verdicts) = (Vec::new(), Vec::new());
    for curve in curves().filter(|curve| arguments.choose(curve)) {
        let one = measure(curve, rounds)?;
        println!("{}", one.table());
        verdicts.extend(one.verdicts());
        measured.push(one);
    }
    if measured.is_empty() {
        return Err("no curve has such a name".into());
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&measured).map_err(|error| error.to_string())?;
        fs::write(path, text + "\n").map_err(|error| format!("{path}: {error}"))?;
    }
    let missed = verdicts.iter().filter(|verdict| verdict.missed).count();
    println!("\n{missed} of {} points miss what is aimed at", verdicts.len());
    let broken = verdicts.into_iter().filter(|verdict| verdict.broken);
    let broken: Vec<_> = broken.map(|verdict| verdict.line).collect();
    if arguments.check && !broken.is_empty() { Err(broken.join("\n")) } else { Ok(()) }
}

/// All points in turn, round after round.
fn measure(curve: &Curve, rounds: usize) -> Result<Measured, String> {
    let mut points: Vec<Point> = curve.points.iter().map(Point::new).collect();
    for round in 1..=rounds.max(1) {
        for point in &mut points {
            eprintln!("{} {round}/{rounds}: {}", curve.name, point.label);
            point.samples.push(in_child(curve.name, point.at)?);
        }
    }
    Ok(Measured::new(curve, points))
}

fn in_child(curve: &str, at: u64) -> Result<f64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["--point", curve, &at.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    let failed = |error| format!("{curve} at {at} said {last:?}: {error} ({})", output.status);
    last.trim().parse().map_err(failed)
}
