//! Two peers that talk through typed channels in both directions, and do not wait for ever.
//!
//! ```text
//! alice ──questions──▶ bob
//!   ▲                   │
//!   ╰──────answers──────╯
//! ```
//!
//! It shows how each peer hears something or, after a while, that there is nothing to hear: alice
//! asks again, and bob goes home. Try `--silent-after 3` and `--questions 30`. Without it, both
//! would wait for ever for a message that is lost, and for each other when both channels are full:
//! a question that finds no room is dropped, as alice asks it again.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![allow(clippy::disallowed_methods, reason = "bob thinks by tokio's clock, which tests pause")]

#[cfg(test)]
mod tests;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use futures::stream::poll_fn;
use millstream::console::Console;
use millstream::prelude::*;
use millstream::random::Random;
use millstream::runtime::Output;
use tokio::sync::mpsc::channel;

const PATIENCE: Duration = Duration::from_millis(150);
const TRIES: u64 = 6;
const ROOM: usize = 4;

/// Lets alice and bob talk, though not every message arrives.
#[derive(Parser)]
struct Options {
    /// How many questions alice has
    #[arg(long, default_value_t = 8, value_name = "N")]
    questions: u64,
    /// After which question bob says nothing any more [default: he answers all of them]
    #[arg(long, value_name = "N")]
    silent_after: Option<u64>,
    /// Print the graph, and end
    #[arg(long)]
    graph: bool,
    /// Serve /metrics, /healthz, /readyz and /graph while running
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Question {
    number: u64,
    attempt: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Answer(u64, u64); // A number and its square.

/// What alice heard, if anything, and what she says to it.
#[derive(Clone, Debug)]
struct Turn {
    heard: Option<Answer>,
    says: Option<Question>,
    over: bool,
}

/// Alice's next turn: she goes on, asks again, or has had enough.
fn turn(asked: &mut Question, heard: Option<Answer>, questions: u64) -> Turn {
    match &heard {
        None => asked.attempt += 1,
        Some(Answer(n, _)) if *n == asked.number => *asked = Question { number: n + 1, attempt: 1 },
        // It was asked again, and answered again.
        Some(_) => return Turn { heard, says: None, over: false },
    }
    let over = asked.number > questions || asked.attempt > TRIES;
    Turn { heard, says: (!over).then(|| asked.clone()), over }
}

/// What bob says to a question: soon, too late, or never.
async fn think(Question { number, attempt }: Question, silent_after: u64) -> Option<Answer> {
    let mut random = Random::fork(3, number as usize, attempt as usize);
    let (quick, lost) = (random.below(5) > 0, random.below(5) == 0);
    tokio::time::sleep(Duration::from_millis(if quick { random.below(80) } else { 300 })).await;
    (!lost && number <= silent_after).then_some(Answer(number, number * number))
}

/// Both peers, and every turn of alice's.
fn graph(options: &Options) -> (Dataflow, Output<Vec<Turn>>) {
    let flow = Dataflow::new("chat");
    let (to_bob, mut questions) = channel(ROOM);
    let (to_alice, mut answers) = channel(ROOM);
    let (all, silent_after) = (options.questions, options.silent_after.unwrap_or(u64::MAX));
    let [said, turns] = flow
        .source("alice hears", source::from_stream(poll_fn(move |cx| answers.poll_recv(cx))))
        .start_with([Answer(0, 0)])
        .map(Some)
        .keep_alive(PATIENCE, || None)
        .stateful_map(Question::default, move |asked, heard| turn(asked, heard, all), |_| None)
        .named("alice thinks")
        .take_until(|turn| turn.over)
        .broadcast();
    let said = said.filter_map(|turn| turn.says).buffer(ROOM, WhenFull::DropNewest);
    said.sink("alice asks", sink::channel(to_bob));
    flow.source("bob hears", source::from_stream(poll_fn(move |cx| questions.poll_recv(cx))))
        .map(Some)
        .keep_alive(12 * PATIENCE, || None)
        .take_while(Option::is_some)
        .flatten_optional()
        .map_async(1, move |question| think(question, silent_after))
        .named("bob thinks")
        .flatten_optional()
        .sink("bob answers", sink::channel(to_alice));
    (flow, turns.inspect(show).collect())
}

fn show(turn: &Turn) {
    match &turn.heard {
        Some(Answer(0, _)) => println!("alice and bob meet"),
        Some(Answer(number, square)) => println!("  bob  {number} times {number} is {square}"),
        None => println!("       nothing for {PATIENCE:?}"),
    }
    let asks = |says: &Question| println!("alice  what is {0} times {0}?", says.number);
    turn.says.iter().for_each(asks);
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let (flow, turns) = graph(&options);
    if options.graph {
        print!("{}", flow.graph()?.to_mermaid());
        return Ok(ExitCode::SUCCESS);
    }
    let job = flow.start_with(&JobOptions::default().with_drain_on_signals(12 * PATIENCE))?;
    let console;
    if let Some(address) = options.metrics {
        console = Console::bind(address).await?;
        console.watch(job.observer())?;
        eprintln!("serving http://{}/metrics", console.local_addr());
    }
    let report = job.await?;
    let turns = report.take(turns).unwrap_or_default();
    let gave_up = turns.iter().filter(|turn| turn.over && turn.heard.is_none()).count();
    println!("{} turns, {gave_up} given up, in {:.1?}", turns.len(), report.elapsed());
    Ok(if gave_up == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
