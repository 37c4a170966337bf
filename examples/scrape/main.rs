//! A crawler, let loose on twenty small sites that misbehave in every way there is.
//!
//! ```text
//!     ╭───────────────── links ─────────────────╮
//!     ▼                                         │
//! frontier ─▶ fetch, each host at its own pace ─┴─▶ titles ─▶ count
//!                 ╰─▶ failures ─▶ by reason
//! ```
//!
//! Many pages are fetched at once, one at a time from each host and no faster than the host allows,
//! with a limit on time and size, and another attempt where that helps; what fails all the same is
//! a record like any other. Try ctrl-c, which ends it at once with what there is, `--per-host 400`,
//! and `--in-flight 4`. A loop with a task for each link finds no end, hangs with the first page
//! that does, and is soon locked out.

#![allow(clippy::print_stdout, reason = "a program for people")]

mod fetch;
mod frontier;
mod outcome;
mod site;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use millstream::console::Console;
use millstream::prelude::*;
use millstream::runtime::Output;

use fetch::{Failure, Fetcher};
use frontier::{Address, Frontier};
use outcome::Outcome;
use site::Site;

/// A crawler, let loose on twenty small sites that misbehave in every way there is.
#[derive(Parser)]
struct Options {
    /// How many sites there are, of fifty pages each
    #[arg(long, default_value_t = 20, value_name = "N")]
    hosts: usize,
    /// How many pages may be under way at a time, of all hosts together
    #[arg(long, default_value_t = 32, value_name = "N")]
    in_flight: usize,
    /// How many requests a host gets in a second
    #[arg(long, default_value_t = 40, value_name = "N")]
    per_host: u32,
    /// Print the graph, as Mermaid, and do nothing
    #[arg(long)]
    graph: bool,
    /// Serve /metrics, /healthz, /readyz and /graph while running
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
}

/// What the run leaves in memory.
struct Results {
    titles: Output<BTreeMap<Address, String>>,
    failures: Output<Vec<DeadLetter<Address>>>,
}

/// The whole job. Both outputs together hold no more than the frontier lets in.
fn graph(
    options: &Options,
    frontier: &Frontier,
    fetcher: &Fetcher,
    stop: &KillSwitch,
) -> (Dataflow, Results) {
    let flow = Dataflow::new("scrape");
    let (failed, failures) = flow.dead_letters::<Address>("failures");
    let again = Backoff::default().with_initial(Duration::from_millis(50)).with_attempts(3);
    let policy = OnError::retry(again).only_if(Failure::may_pass).or_dead_letter(&failed);
    let policy = CallPolicy::new(policy).with_timeout(Duration::from_secs(20));
    let (fetcher, found, lost) = (fetcher.clone(), frontier.clone(), frontier.clone());
    let titles = flow
        .source("frontier", source::unfold_async(frontier.clone(), Frontier::hand_out))
        .try_map_async_unordered(options.in_flight, policy, move |address| {
            fetcher.clone().fetch(address)
        })
        .named("fetch")
        .kill_switch(stop)
        .map(move |(address, page)| {
            found.visited(&address, &page.links);
            (address, page.title)
        })
        .named("links")
        .fold(BTreeMap::new(), |titles, title| titles.extend([title]));
    let failures = failures.inspect(move |failure| lost.visited(&failure.original, &[])).collect();
    (flow, Results { titles, failures })
}

/// Crawls the site until nothing is left, or somebody says stop.
async fn crawl(
    options: &Options,
    site: &Site,
    stopped: impl Future,
) -> Result<Outcome, Box<dyn Error>> {
    let frontier = Frontier::new(site.hosts().map(|host| Address::root(&host)));
    let fetcher = Fetcher::new(site.hosts(), site.address(), options.per_host)?;
    let stop = KillSwitch::new("ctrl-c");
    let (flow, results) = graph(options, &frontier, &fetcher, &stop);
    let console = match options.metrics {
        Some(address) => Some(Console::bind(address).await?),
        None => None,
    };
    let mut job = flow.start()?;
    if let Some(console) = &console {
        console.watch(job.observer())?;
    }
    let report = tokio::select! {
        report = &mut job => report?,
        _ = stopped => {
            stop.shutdown();
            job.await?
        }
    };
    let titles = report.take(results.titles).unwrap_or_default();
    let failures = report.take(results.failures).unwrap_or_default();
    Ok(Outcome { titles, failures, unvisited: frontier.unvisited(), elapsed: report.elapsed() })
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let site = Site::serve(options.hosts).await?;
    if options.graph {
        let fetcher = Fetcher::new(site.hosts(), site.address(), options.per_host)?;
        let (flow, _) = graph(&options, &Frontier::new([]), &fetcher, &KillSwitch::new("ctrl-c"));
        println!("{}", flow.graph()?.to_mermaid());
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = crawl(&options, &site, tokio::signal::ctrl_c()).await?;
    outcome.show();
    let busiest = site.busiest();
    println!("{busiest} requests in the busiest quarter second of any host");
    Ok(ExitCode::from(u8::from(busiest > site::allowed(options.per_host))))
}
