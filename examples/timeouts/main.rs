//! A handler of messages that survives those that are slow, missing or poisoned.
//!
//! ```text
//!                      ╭─▶ silences
//! messages ─▶ listen ──┤
//!                      ╰─▶ check ─▶ decode ─▶ handle ─▶ handled
//!                                     ╰─────────┴─▶ given up
//! ```
//!
//! It shows a limit on the time of each attempt, retries, dead letters, an operator that may panic,
//! and how one notices that nothing comes. Try `--messages 200`, `--graph`, and ctrl-c, after which
//! every message that had come is still handled or given up. Without it, one message that hangs
//! would hold up all behind it, and one that makes the handler panic would end the program.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![allow(clippy::disallowed_methods, reason = "messages come by tokio's clock, as tests pause it")]

#[cfg(test)]
mod tests;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_stream::stream;
use clap::Parser;
use futures::Stream;
use millstream::console::Console;
use millstream::prelude::*;
use millstream::runtime::Output;

const SILENCE: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_millis(60);

/// Handles messages, some of which are slow, missing or poisoned.
#[derive(Parser)]
struct Options {
    /// How many messages are sent
    #[arg(long, default_value_t = 40, value_name = "N")]
    messages: u32,
    /// Print the graph, and end
    #[arg(long)]
    graph: bool,
    /// Serve /metrics, /healthz, /readyz and /graph while running
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
}

/// What comes, and how often it was tried to handle it.
#[derive(Clone, Debug)]
struct Message {
    number: u32,
    text: &'static str,
    attempts: Arc<AtomicU32>,
}

/// What the messages say that are not fine; of the missing, nothing is heard.
const fn text(number: u32) -> &'static str {
    match number % 12 {
        3 => "slow",
        5 => "stuck",
        6 => "garbled",
        8 => "poisoned",
        11 => "missing",
        _ => "fine",
    }
}

/// The messages, as they come: an async generator.
fn messages(count: u32, text: fn(u32) -> &'static str) -> impl Stream<Item = Message> {
    stream! {
        for number in 1..=count {
            let message = Message { number, text: text(number), attempts: Arc::default() };
            let missing = message.text == "missing";
            tokio::time::sleep(if missing { 3 * SILENCE } else { SILENCE / 10 }).await;
            if !missing {
                yield message;
            }
        }
    }
}

/// Has a mistake in it, which makes it panic.
fn check(message: Message) -> Message {
    assert!(message.text != "poisoned", "message {} is poisoned", message.number);
    message
}

fn decode(message: &Message) -> Result<Message, OperatorError> {
    let readable = message.text != "garbled";
    readable.then(|| message.clone()).ok_or_else(|| OperatorError::new("it can't be read"))
}

/// Handles a message, which takes much too long for some: at the first attempt, or at each.
async fn handle(message: Message) -> Result<u32, OperatorError> {
    let first = message.attempts.fetch_add(1, Ordering::Relaxed) == 0;
    let hangs = message.text == "stuck" || (message.text == "slow" && first);
    tokio::time::sleep(if hangs { 100 * LIMIT } else { LIMIT / 2 }).await;
    Ok(message.number)
}

/// The whole job.
fn graph(count: u32, text: fn(u32) -> &'static str) -> (Dataflow, [Output<u64>; 3]) {
    let flow = Dataflow::new("timeouts");
    let (dead, given_up) = flow.dead_letters("given up");
    let heard = flow.source("messages", source::from_stream(messages(count, text))).map(Some);
    let heard = heard.keep_alive(SILENCE, || None).named("listen");
    let (messages, silences) = heard.split(Option::is_some);

    let again = OnError::retry(Backoff::default().with_attempts(3)).or_dead_letter(&dead);
    let handled = messages
        .flatten_optional()
        .map(check)
        .named("check")
        .supervise(Supervision::resume())
        .try_map(OnError::dead_letter(&dead), decode)
        .named("decode")
        .try_map_async_unordered(8, CallPolicy::new(again).with_attempt_timeout(LIMIT), handle)
        .named("handle");
    let silences = silences.inspect(|_| println!("nothing for {SILENCE:?}"));
    let given_up = given_up.inspect(|letter| println!("{}: {letter}", letter.original.number));
    (flow, [handled.count(), given_up.count(), silences.count()])
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let (flow, counts) = graph(options.messages, text);
    if options.graph {
        print!("{}", flow.graph()?.to_mermaid());
        return Ok(ExitCode::SUCCESS);
    }
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let job = flow.start_with(&JobOptions::default().with_drain_on_signals(20 * SILENCE))?;
    let console;
    if let Some(address) = options.metrics {
        console = Console::bind(address).await?;
        console.watch(job.observer())?;
        eprintln!("serving http://{}/metrics", console.local_addr());
    }
    let report = job.await?;
    let [handled, given_up, _silences] = counts.map(|count| report.take(count).unwrap_or_default());
    let panics: u64 = report.metrics().operators.iter().map(|one| one.skipped).sum();
    let lost = report.records_read() - handled - given_up - panics;
    println!("{handled} handled, {given_up} given up, {panics} panics, {lost} lost");
    Ok(if lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
