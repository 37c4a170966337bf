//! An HTTP gateway before three services, any of which may crash at any moment.
//!
//! ```text
//!                                 ╭─▶ users  (2 at a time) ─╮
//! HTTP ─▶ requests ─▶ by service ─┼─▶ orders (2 at a time) ─┼─▶ answers ─▶ HTTP
//!                                 ╰─▶ search (2 at a time) ─╯
//! ```
//!
//! Every request gets one answer: what the service says, 503 where it would have had to wait behind
//! too many others, or 502 where the service has crashed on it, or took too long. Try
//! `--crashes 40 --clients 200`, and `--listen 127.0.0.1:8080` with `curl` at `/users/7`. By hand,
//! a crashed service leaves callers that wait for ever, and one that hangs takes others with it.

#![allow(clippy::print_stdout, reason = "a program for people")]

mod crashes;
mod http;
mod request;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use millstream::console::Console;
use millstream::prelude::*;
use millstream::random::Random;
use millstream::source::{Queue, QueueHandle};
use millstream::time::Clock;

use crashes::Crashes;
use request::{Answer, Request};

const SERVICES: [&str; 3] = ["users", "orders", "search"];
/// How many requests may wait for a service; one more is turned away.
const WAITING: usize = 4;
const TIMEOUT: Duration = Duration::from_millis(500);

/// An HTTP gateway before three services, any of which may crash at any moment.
#[derive(Parser)]
struct Options {
    /// How many clients ask at once
    #[arg(long, default_value_t = 50, value_name = "N")]
    clients: usize,
    /// How many requests each of them makes
    #[arg(long, default_value_t = 40, value_name = "N")]
    requests: usize,
    /// How often one of the services crashes
    #[arg(long, default_value_t = 10, value_name = "N")]
    crashes: u64,
    /// Serve here, and go on until ctrl-c, without clients and crashes of our own
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Print the graph, as Mermaid, and do nothing
    #[arg(long)]
    graph: bool,
    /// Serve /metrics, /healthz, /readyz and /graph while running
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
}

fn name(service: usize) -> &'static str {
    SERVICES.get(service).copied().unwrap_or("nobody")
}

/// What stands here for the services.
async fn serve(service: usize, body: String) -> Result<String, OperatorError> {
    let effort = Random::fork(7, service, body.len()).below(20);
    Clock::system().sleep(Duration::from_millis(5 + effort)).await;
    Ok(format!("{} says: {body}\n", name(service)))
}

/// The whole job. A request that is dropped on the way has been answered by that: see [`Request`].
fn graph<R>(
    requests: Queue<Request>,
    crashes: &Crashes,
    serve: impl Fn(usize, String) -> R + Clone + Send + Sync + 'static,
) -> Dataflow
where
    R: Future<Output = Result<String, OperatorError>> + Send + 'static,
{
    let flow = Dataflow::new("gateway");
    let restarts = Backoff::default().with_initial(Duration::from_millis(20));
    let restarts = RestartPolicy::new(restarts).with_reset_after(Duration::ZERO).with_in_flight(1);
    let service = |number: usize, requests: DataStream<Request>| {
        let (crashes, serve) = (crashes.clone(), serve.clone());
        let life = move |requests: DataStream<Request>| {
            let serve = serve.clone();
            let in_time = CallPolicy::new(OnError::skip()).with_timeout(TIMEOUT);
            requests
                .filter(Request::begin)
                .try_map_async(1, in_time, move |request| request.answered_by(serve.clone()))
                .kill_switch(&crashes.life(number))
        };
        let waiting = requests.when_full(WhenFull::DropNewest).with_capacity(WAITING);
        waiting.parallel(2).restart_section(restarts, life).named(name(number)).gather()
    };
    let by_service = flow.source("requests", requests).partition(|request| request.service);
    let [users, orders, search] = by_service;
    let events = service(0, users).merge_all([service(1, orders), service(2, search)]);
    events.named("answers").for_each(|(request, body)| request.answer(Answer::Result(body)));
    flow
}

/// Asks, and gets an answer, whatever happens.
async fn ask(requests: &QueueHandle<Request>, service: usize, body: String) -> Answer {
    let (request, answer) = Request::new(service, body);
    // A request that is not accepted comes back, is dropped, and so turned away.
    drop(requests.offer(request));
    answer.await.unwrap_or(Answer::Failed)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let (handle, queue) = source::queue(3 * WAITING);
    let crashes = Crashes::new();
    let flow = graph(queue, &crashes, serve);
    if options.graph {
        println!("{}", flow.graph()?.to_mermaid());
        return Ok(ExitCode::SUCCESS);
    }
    let console = match options.metrics {
        Some(address) => Some(Console::bind(address).await?),
        None => None,
    };
    let patience = Duration::from_secs(5);
    let at_once = JobOptions::default().with_batch_records(1).with_edge_capacity(1);
    let mut job = flow.start_with(&at_once.with_drain_on_signals(patience))?;
    if let Some(console) = &console {
        console.watch(job.observer())?;
    }
    let server = http::Server::start(options.listen, handle).await?;
    tokio::select! {
        () = server.load(&options, &crashes) => drop(job.drain(patience).await?),
        // Ctrl-c: what was accepted has been answered, and the clients go home.
        drained = &mut job => drop(drained?),
    }
    Ok(server.show())
}
