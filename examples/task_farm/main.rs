//! A task farm: workers that take the next task when they are idle, crash, and are started again.
//!
//! ```text
//!           ╭─▶ worker 1 ─╮
//! tasks ────┼─▶ worker 2 ─┼─▶ collector
//!           ╰─▶ worker 3 ─╯
//! crashes ──▶ one of the workers
//! ```
//!
//! It shows how tasks are balanced over workers, how a worker that crashes is started again with
//! the very task that it had, and how results come with the worker that they are of. Try
//! `--crashes 40`, `--workers 20`, and ctrl-c, after which every task that was handed out is still
//! done. Without it, a crash would lose the task, or have another worker do it a second time.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![allow(clippy::disallowed_methods, reason = "work waits on tokio's clock, which tests pause")]

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_stream::stream;
use clap::Parser;
use futures::Stream;
use millstream::console::Console;
use millstream::prelude::*;
use millstream::random::Random;
use millstream::runtime::Output;

/// Spreads tasks over workers, some of which crash, and gathers what they have done.
#[derive(Parser)]
struct Options {
    /// How many tasks there are
    #[arg(long, default_value_t = 90, value_name = "N")]
    tasks: usize,
    /// How many workers there are, one at least
    #[arg(long, default_value_t = 3, value_name = "N")]
    workers: usize,
    /// How often one of the workers crashes, whatever it is doing
    #[arg(long, default_value_t = 6, value_name = "N")]
    crashes: u64,
    /// Print the graph, and end
    #[arg(long)]
    graph: bool,
    /// Serve /metrics, /healthz, /readyz and /graph while running
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
}

#[derive(Clone, Debug)]
struct Done {
    task: usize,
    worker: usize,
}

async fn work(worker: usize, task: usize) -> Done {
    let effort = 10 + Random::fork(7, 0, task).below(50);
    tokio::time::sleep(Duration::from_millis(effort)).await;
    Done { task, worker }
}

/// Which worker crashes next: an async generator.
fn crashes(count: u64, workers: usize, mut random: Random) -> impl Stream<Item = usize> {
    stream! {
        for _ in 0..count {
            tokio::time::sleep(Duration::from_millis(random.below(100))).await;
            yield 1 + random.below(workers as u64) as usize;
        }
    }
}

/// The whole job: tasks, workers and the collector, and the crashes beside them.
fn graph<R: Future<Output = Done> + Send + 'static>(
    options: &Options,
    seed: u64,
    work: impl Fn(usize, usize) -> R + Clone + Send + Sync + 'static,
) -> (Dataflow, Output<Vec<Done>>) {
    let flow = Dataflow::new("task farm");
    // What a worker is crashed by. With each life it gets another.
    let switches = Arc::new(Mutex::new(BTreeMap::new()));
    // It has one task in hand, which it is given again when it is started again.
    let restarts = RestartPolicy::default().with_reset_after(Duration::ZERO).with_in_flight(1);
    let worker = |(worker, tasks): (usize, DataStream<usize>)| {
        let (switches, work) = (Arc::clone(&switches), work.clone());
        let life = move |tasks: DataStream<usize>| {
            let (switch, work) = (KillSwitch::new("crash"), work.clone());
            switches.lock().unwrap_or_else(PoisonError::into_inner).insert(worker, switch.clone());
            tasks.map_async(1, move |task| work(worker, task)).kill_switch(&switch)
        };
        tasks.restart_section(restarts, life).with_capacity(1).named(&format!("worker {worker}"))
    };
    let tasks = flow.source("tasks", source::from_iter(1..=options.tasks));
    let tasks = (1..).zip(tasks.balance_to(options.workers.max(1)));
    let mut workers: Vec<_> = tasks.map(worker).collect();
    let done = workers.remove(0).merge_all(workers).named("collector").collect();
    let crashes = crashes(options.crashes, options.workers, Random::new(seed));
    flow.source("crashes", source::from_stream(crashes)).for_each(move |worker| {
        let switches = switches.lock().unwrap_or_else(PoisonError::into_inner);
        switches.get(&worker).inspect(|switch| switch.abort("the worker crashed"));
    });
    (flow, done)
}

/// What became of the tasks that were read: how many came to nothing, and how many twice.
fn lost_and_repeated(report: &JobReport, done: &[Done]) -> (u64, u64) {
    let read = report.metrics().operators.iter().find(|one| one.name == "tasks");
    let read = read.and_then(|tasks| tasks.records_out).unwrap_or(0);
    let tasks = done.iter().map(|done| done.task).collect::<BTreeSet<_>>().len() as u64;
    (read.abs_diff(tasks), done.len() as u64 - tasks)
}

fn show(report: &JobReport, done: &[Done]) {
    let operators = report.metrics().operators.iter();
    for (worker, operator) in (1..).zip(operators.filter(|one| one.kind == "restart_section")) {
        let tasks = done.iter().filter(|done| done.worker == worker).count();
        let bar = "█".repeat(90 * tasks / done.len().max(1));
        println!("{}  {bar} {tasks} tasks, {} crashes", operator.name, operator.retries);
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let (flow, done) = graph(&options, 7, work);
    if options.graph {
        print!("{}", flow.graph()?.to_mermaid());
        return Ok(ExitCode::SUCCESS);
    }
    // No task is taken on before there is somebody to do it, so that a drain is quick.
    let one_by_one = JobOptions::default().with_batch_records(1);
    let job = flow.start_with(&one_by_one.with_drain_on_signals(Duration::from_secs(10)))?;
    let console;
    if let Some(address) = options.metrics {
        console = Console::bind(address).await?;
        console.watch(job.observer())?;
        eprintln!("serving http://{}/metrics", console.local_addr());
    }
    let report = job.await?;
    let done = report.take(done).unwrap_or_default();
    show(&report, &done);
    let (lost, repeated) = lost_and_repeated(&report, &done);
    println!("{} results, {lost} lost, {repeated} twice, in {:.1?}", done.len(), report.elapsed());
    Ok(if lost + repeated == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
