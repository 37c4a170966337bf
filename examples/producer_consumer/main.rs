//! Producers and consumers on one bounded queue: oldest first, newest first, or most urgent first.
//!
//! ```text
//! producer 1 ─╮              ╭─▶ consumer 1 ─╮
//! producer 2 ─┼─▶ queue ─────┤               ├─▶ taken
//! producer 3 ─╯              ╰─▶ consumer 2 ─╯
//! ```
//!
//! It shows backpressure: the consumers are too slow, the queue fills, and then the producers make
//! no more than is taken. Try `--queue lifo`, `--queue priority` and `--capacity 2`, and see who
//! has to wait: the producers, or the items. Without it, the queue would grow until memory is used
//! up, or items would have to be thrown away.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![allow(
    clippy::disallowed_methods,
    reason = "everybody waits on tokio's clock, as tests pause it"
)]

#[cfg(test)]
mod tests;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use async_stream::stream;
use clap::{Parser, ValueEnum};
use futures::Stream;
use millstream::console::Console;
use millstream::prelude::*;
use millstream::runtime::Output;
use tokio::time::Instant;

const MAKING: Duration = Duration::from_millis(5);
const TAKING: Duration = Duration::from_millis(15);

/// Lets producers and consumers meet at one bounded queue.
#[derive(Parser)]
struct Options {
    /// Which item the queue gives out first
    #[arg(long, value_enum, default_value_t = Queue::Fifo, value_name = "ORDER")]
    queue: Queue,
    /// How many items the queue has room for
    #[arg(long, default_value_t = 24, value_name = "N")]
    capacity: usize,
    /// How many items each producer makes
    #[arg(long, default_value_t = 40, value_name = "N")]
    items: u32,
    /// Print the graph, and end
    #[arg(long)]
    graph: bool,
    /// Serve /metrics, /healthz, /readyz and /graph while running
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Queue {
    /// The oldest
    Fifo,
    /// The newest
    Lifo,
    /// The most urgent
    Priority,
}

#[derive(Clone, Debug)]
struct Item {
    number: u32,
    made: Instant,
    /// How far behind its producer was by then.
    behind: Duration,
    waited: Duration,
}

const fn is_urgent(item: &Item) -> bool {
    item.number.is_multiple_of(5)
}

/// A producer: an async generator, of every third item.
fn producer(first: u32, items: u32) -> impl Stream<Item = Item> {
    stream! {
        let begun = Instant::now();
        for made in 0..items {
            tokio::time::sleep(MAKING).await;
            let behind = begun.elapsed().saturating_sub(MAKING * (made + 1));
            let (number, made, waited) = (first + 3 * made, Instant::now(), Duration::ZERO);
            yield Item { number, made, behind, waited };
        }
    }
}

async fn consume(item: Item) -> Item {
    let waited = item.made.elapsed();
    tokio::time::sleep(TAKING).await;
    Item { waited, ..item }
}

/// The whole job: what was taken, in that order.
fn graph(options: &Options) -> (Dataflow, Output<Vec<Item>>) {
    let flow = Dataflow::new("producers and consumers");
    let [a, b, c] = [1, 2, 3].map(|first| {
        let items = source::from_stream(producer(first, options.items));
        flow.source(&format!("producer {first}"), items).boxed()
    });
    let made = a.merge_all([b, c]).with_capacity(1);
    let queue = match options.queue {
        Queue::Fifo => made.boundary(),
        Queue::Lifo => made.last_in_first_out(),
        Queue::Priority => made.prioritized(|item| i64::from(is_urgent(item))),
    };
    let [one, two] = queue.with_capacity(options.capacity).named("queue").balance();
    let one = one.map_async(1, consume).with_capacity(1).named("consumer 1");
    let two = two.map_async(1, consume).with_capacity(1).named("consumer 2");
    (flow, one.merge(two).named("taken").collect())
}

/// How long the longest wait was of the items that are urgent, or are not.
fn longest(taken: &[Item], urgent: bool) -> Duration {
    let items = taken.iter().filter(|item| is_urgent(item) == urgent);
    items.map(|item| item.waited).max().unwrap_or_default()
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let (flow, taken) = graph(&options);
    if options.graph {
        print!("{}", flow.graph()?.to_mermaid());
        return Ok(ExitCode::SUCCESS);
    }
    let one_by_one = JobOptions::default().with_batch_records(1);
    let job = flow.start_with(&one_by_one.with_drain_on_signals(Duration::from_secs(10)))?;
    let console;
    if let Some(address) = options.metrics {
        console = Console::bind(address).await?;
        console.watch(job.observer())?;
        eprintln!("serving http://{}/metrics", console.local_addr());
    }
    let report = job.await?;
    let taken = report.take(taken).unwrap_or_default();
    let [urgent, others] = [true, false].map(|urgent| longest(&taken, urgent));
    let behind = taken.iter().map(|item| item.behind).max().unwrap_or_default();
    let made = report.records_read();
    println!("{made} items made, {} taken, in {:.1?}", taken.len(), report.elapsed());
    println!("urgent ones waited up to {urgent:.1?}, others {others:.1?}, producers {behind:.1?}");
    Ok(if taken.len() as u64 == made { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
