//! Millstream beside its peers: the same work, done by each as its users would write it.
//!
//! `cargo run --release -- run --json results.json` measures, and
//! `cargo run --release -- report results.json` makes the page and its plots.

mod contender;
mod crossing;
#[path = "../../scaling/curve.rs"]
#[allow(dead_code, reason = "the bench measures with more of it")]
mod curve;
mod curves;
#[path = "../../../examples/nexmark/generator.rs"]
#[allow(dead_code, reason = "the example looks at more of it")]
mod generator;
mod harness;
mod machine;
#[path = "../../../examples/nexmark/model.rs"]
#[allow(dead_code, reason = "the example looks at more of it")]
mod model;
mod notes;
mod page;
mod plot;
mod results;
#[path = "../../support/runtime.rs"]
mod runtime;
mod tables;
#[cfg(test)]
mod tests;
mod workloads;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use clap::{Args, Parser, Subcommand};
use serde::de::DeserializeOwned;

use contender::{By, Workload};
use curve::Measured;
use harness::Extent;
use machine::Machine;
use notes::Notes;
use results::Results;

#[derive(Parser)]
#[command(about = "Millstream beside its peers")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs the contenders in turn, checks what they come to and prints tables.
    Run(RunArguments),
    /// Makes RESULTS.md and its plots of what a run has written.
    Report {
        /// What `run --json` wrote.
        json: PathBuf,
        /// What the bench `scaling` wrote with `--json`.
        #[arg(long)]
        scaling: Option<PathBuf>,
        /// What there is to say of aims that are missed.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/notes.md"))]
        notes: PathBuf,
        /// The folder of the page; the plots are put beside it, into `plots`.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.."))]
        folder: PathBuf,
    },
    /// Measures one contender and prints the sample. `run` asks for it in a process of its own.
    #[command(hide = true)]
    Measure { workload: String, contender: usize, records: u64 },
    /// Lists the workloads and their contenders.
    List,
}

#[derive(Args)]
struct RunArguments {
    /// Only workloads whose names begin so, as in `w1,w3-combined`.
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,
    /// How often each contender is measured.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// The part of the usual number of records, as in 0.01 for a trial.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Where to write what was measured.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Run(arguments) => run(&arguments),
        Task::Report { json, scaling, notes, folder } => {
            report(&json, scaling.as_deref(), &notes, &folder)
        }
        Task::Measure { workload, contender, records } => measure(&workload, contender, records),
        Task::List => {
            list();
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &RunArguments) -> Result<(), String> {
    let wanted = |workload: &Workload| {
        let mut names = arguments.workloads.iter();
        arguments.workloads.is_empty() || names.any(|name| workload.name.starts_with(name))
    };
    let workloads: Vec<Workload> = workloads::all().into_iter().filter(wanted).collect();
    if workloads.is_empty() {
        return Err("no workload has such a name: see `list`".into());
    }
    let mut machine = Machine::look();
    let extent = Extent { rounds: arguments.rounds.max(1), scale: arguments.scale };
    let mut tables = Vec::new();
    for workload in &workloads {
        if workload.real_time && !harness::may_be_real_time() {
            eprintln!("{} is left out: `chrt --fifo 1 true` fails", workload.name);
            continue;
        }
        let table = harness::compare(workload, extent)?;
        println!("{}", tables::plain(&table));
        tables.push(table);
    }
    machine.look_again();
    if machine.was_busy() {
        eprintln!("others were at work on this machine: these figures are worth nothing");
    }
    let results = Results {
        machine,
        command: command(),
        rounds: extent.rounds,
        scale: extent.scale,
        versions: machine::versions(crates(&workloads)),
        tables,
    };
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&results).map_err(|error| error.to_string())?;
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn report(json: &Path, scaling: Option<&Path>, notes: &Path, folder: &Path) -> Result<(), String> {
    let results: Results = parsed(json)?;
    let curves: Vec<Measured> = scaling.map_or(Ok(Vec::new()), parsed)?;
    let page = page::page(&results, &curves, &Notes::parse(&text(notes)?))?;
    let plots = folder.join("plots");
    let write = || {
        fs::create_dir_all(&plots)?;
        for table in &results.tables {
            fs::write(plots.join(format!("{}.svg", table.name)), plot::bars(table))?;
        }
        for curve in curves.iter().filter(|curve| curves::is_plotted(curve)) {
            fs::write(plots.join(curves::plot_file(curve)), curves::plot(curve))?;
        }
        fs::write(folder.join("RESULTS.md"), page)
    };
    write().map_err(|error| format!("{}: {error}", folder.display()))
}

fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn parsed<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    serde_json::from_str(&text(path)?).map_err(|error| format!("{}: {error}", path.display()))
}

fn measure(workload: &str, contender: usize, records: u64) -> Result<(), String> {
    let all = workloads::all();
    let workload = all.iter().find(|one| one.name == workload).ok_or("no such workload")?;
    let contender = workload.contenders.get(contender).ok_or("no such contender")?;
    let sample = harness::measure(contender, records);
    println!("{}", serde_json::to_string(&sample).map_err(|error| error.to_string())?);
    Ok(())
}

fn list() {
    for workload in workloads::all() {
        println!("{}: {}", workload.name, workload.question);
        for contender in &workload.contenders {
            println!("    {}", contender.name);
        }
    }
}

/// As it can be typed again.
fn command() -> String {
    let arguments: Vec<String> = env::args().skip(1).collect();
    format!("cargo run --release -- {}", arguments.join(" "))
}

/// The crates whose versions belong to the figures.
fn crates(workloads: &[Workload]) -> impl Iterator<Item = &'static str> {
    let contenders = workloads.iter().flat_map(|workload| &workload.contenders);
    let peers = contenders.filter_map(|contender| match contender.by {
        By::Peer(name) => Some(name),
        By::Hand | By::Millstream => None,
    });
    peers.chain(["millstream", "hashbrown", "rtrb", "tokio"])
}
