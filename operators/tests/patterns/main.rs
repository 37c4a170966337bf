//! Patterns in the events of a key: the scenarios that Flink documents, time, what is refused, and
//! what is kept.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod contiguity;
mod kept;
mod loops;
mod refused;
mod skipping;
mod time;

use std::time::Duration;

use millstream_engine::testing::{TestDriver, probe_sink, probe_source};
use millstream_operators::prelude::*;

/// What happened, as `b1`: its kind is the first letter.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Event {
    name: String,
    time: i64,
}

/// A condition: one of these letters.
fn is(letters: &'static str) -> impl Fn(&Event) -> bool + Clone + Send + 'static {
    move |event| letters.contains(&event.name[..1])
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Events, a millisecond apart, or at the time behind an `@`.
fn events(script: &str) -> Vec<Event> {
    let mut time = 0;
    let event = |word: &str| {
        let (name, at) = word.split_once('@').unwrap_or((word, ""));
        time = at.parse().unwrap_or(time + 1);
        Event { name: name.to_owned(), time }
    };
    script.split_whitespace().map(event).collect()
}

/// What came of a script: each match as `a b1 c`, with its time.
#[derive(Debug, Default, PartialEq)]
struct Played {
    found: Vec<(i64, String)>,
    timed_out: Vec<(i64, String)>,
    late: Vec<String>,
}

fn shown(found: &Match<'_, Event>) -> String {
    found.events().map(|(_, event)| event.name.as_str()).collect::<Vec<_>>().join(" ")
}

/// Plays events that may be so much out of order.
fn play(pattern: Pattern<Event>, disorder: u64, script: &str) -> Played {
    let flow = Dataflow::new("patterns");
    let (input, source) = probe_source::<Event>();
    let ((found, to_found), (late, to_late)) = (probe_sink(), probe_sink());
    let (timed_out, to_timed_out) = probe_sink();
    let (late_tag, late_events) = flow.side_output("late");
    let (timed_out_tag, partials) = flow.side_output("timed out");
    flow.source("events", source)
        .event_time(|event| at(event.time), Watermarks::bounded_disorder(ms(disorder)))
        .key_by(|_| ())
        .pattern(pattern)
        .late_to(&late_tag)
        .timed_out_to(&timed_out_tag, shown)
        .select(shown)
        .sink("found", to_found);
    late_events.map(|event: Event| event.name).sink("late events", to_late);
    partials.sink("partial matches", to_timed_out);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    [&found, &late, &timed_out].iter().for_each(|probe| probe.request(usize::MAX));
    for event in events(script) {
        driver.push(&input, Record::at(event.clone(), at(event.time)));
    }
    driver.end(&input);
    let told = |records: Vec<Record<String>>| {
        records.into_iter().map(|record| (record.time.as_millis(), record.value)).collect()
    };
    let found = told(driver.records(&found));
    let timed_out = told(driver.records(&timed_out));
    let late = driver.read(&late);
    driver.finish().unwrap();
    Played { found, timed_out, late }
}

/// The matches in events that come in order.
fn found(pattern: Pattern<Event>, script: &str) -> Vec<String> {
    play(pattern, 0, script).found.into_iter().map(|(_, found)| found).collect()
}

/// A bound for patterns that are not about time.
fn some(pattern: Pattern<Event>) -> Pattern<Event> {
    pattern.max_partial_matches(10_000)
}
