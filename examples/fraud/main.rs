//! Card fraud: somebody tries a card with a small charge, then makes a large one within a minute,
//! and the card's owner, who is asked, does not confirm it.
//!
//! ```text
//! events of cards ─▶ event time ─▶ pattern, by card (2 instances) ─▶ table
//!                                    ├─▶ small charges that nothing came of ─▶ count
//!                                    ╰─▶ too late ─▶ count
//! ```
//!
//! Events come up to twenty seconds late, a confirmation before its charge if need be, and are
//! looked at in the order in which they happened. What is kept of a card is what has happened since
//! a small charge, for a minute at most. By hand, this is a table of open suspicions with timers,
//! and a sorting buffer in front. A second takes a millisecond.

#![allow(clippy::print_stdout, reason = "a program for people")]
#![allow(clippy::indexing_slicing, reason = "every step of a match has an event")]

#[cfg(test)]
mod tests;

use std::time::Duration;

use comfy_table::{Table, presets};
use millstream::prelude::*;
use millstream::random::Random;
use millstream::runtime::Output;
use millstream::source::MissedTicks;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_millis(1);
const HOUR: u64 = 3600;
/// The most seconds that an event is under way.
const DELAY: u64 = 20;
const WITHIN: Duration = Duration::from_secs(60);
const CARDS: usize = 30;
const SEED: u64 = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Event {
    card: usize,
    /// Since midnight, in milliseconds.
    millis: i64,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    Charged { cents: u64 },
    Confirmed,
}

/// The small charge and the large one.
type Alarm = (Event, Event);

/// An hour of events, each with the second in which it comes, in that order. Most are shopping, and
/// large charges are mostly confirmed, if not at once.
fn hour(seed: u64) -> Vec<(u64, Event)> {
    let mut events = Vec::new();
    for card in 0..CARDS {
        let mut random = Random::fork(seed, 0, card);
        let mut millis = 0;
        while millis < 3_600_000 {
            millis += 1 + random.below(90_000).cast_signed();
            let cents = match random.below(6) {
                0 => random.below(200),
                1 => 50_000 + random.below(90_000),
                _ => random.below(20_000),
            };
            events.push(Event { card, millis, what: What::Charged { cents } });
            if cents >= 50_000 && random.below(10) > 0 {
                millis += 1 + random.below(30_000).cast_signed();
                events.push(Event { card, millis, what: What::Confirmed });
            }
        }
    }
    let mut line = Random::new(!seed);
    let comes = |event: Event| (event.millis.unsigned_abs() / 1000 + line.below(DELAY), event);
    let mut events: Vec<_> = events.into_iter().map(comes).collect();
    events.sort_by_key(|(second, _)| *second);
    events
}

/// What is asked of the events of a card.
fn fraud() -> Pattern<Event> {
    Pattern::begin("small")
        .when(|event: &Event| matches!(event.what, What::Charged { cents: ..200 }))
        .followed_by("large")
        .when(|event| matches!(event.what, What::Charged { cents: 50_000.. }))
        .not_followed_by("confirmed")
        .when(|event| event.what == What::Confirmed)
        .within(WITHIN)
}

/// What is told of: alarms, small charges that nothing came of, and events that came too late.
type Told = (Output<Vec<Alarm>>, Output<u64>, Output<u64>);

/// The whole job behind its events.
fn job(events: DataStream<Event, impl Chain<Item = Event>>) -> Told {
    let (nothing, came_of) = events.flow().side_output::<Event>("nothing came of");
    let (late, too_late) = events.flow().side_output("too late");
    let disorder = Watermarks::bounded_disorder(Duration::from_secs(DELAY));
    let alarms = events
        .event_time(|event| Timestamp::from_millis(event.millis), disorder)
        .key_by(|event| event.card)
        .parallel(2)
        .pattern(fraud())
        .timed_out_to(&nothing, |partial| *partial["small"][0])
        .late_to(&late)
        .select(|found| (*found["small"][0], *found["large"][0]))
        .uid("fraud")
        .collect();
    (alarms, came_of.count(), too_late.count())
}

#[tokio::main]
async fn main() -> Result<(), millstream::Error> {
    let flow = Dataflow::new("fraud");
    let events = hour(SEED);
    let comes = move |second| {
        let now = events.iter().filter(move |(comes, _)| *comes == second);
        now.map(|(_, event)| *event).collect::<Vec<_>>()
    };
    let seconds = flow.source("seconds", source::interval(SECOND, MissedTicks::Burst));
    let events = seconds.take(HOUR + DELAY).flat_map_iter(comes).named("events");
    let (alarms, nothing, too_late) = job(events);
    let report = flow.run().await?;
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(["card", "tried", "charged", "€"]);
    let alarms = report.take(alarms).unwrap_or_default();
    for (small, large) in &alarms {
        let clock = |event: &Event| {
            let seconds = event.millis / 1000;
            format!("{:02}:{:02}", seconds / 60, seconds % 60)
        };
        let What::Charged { cents } = large.what else { continue };
        let euros = format!("{}.{:02}", cents / 100, cents % 100);
        table.add_row([large.card.to_string(), clock(small), clock(large), euros]);
    }
    let [nothing, too_late] = [nothing, too_late].map(|count| report.take(count).unwrap_or(0));
    println!("{table}\n{} alarms; nothing came of {nothing} small charges;", alarms.len());
    println!("{too_late} events too late, in {:.1?}", report.elapsed());
    Ok(())
}
