//! Visits to a web shop, found in clicks that two servers hand over.
//!
//! ```text
//! north ─▶ event time ─╮
//!                      ├─▶ sessions by visitor (2 instances) ─▶ table
//! south ─▶ event time ─╯      ╰─▶ too late ─▶ count
//! ```
//!
//! A visit is over when a visitor has not clicked for half an hour. From noon to half past two the
//! line to the south is cut. Time goes on all the same, as the south is idle: visits are told of by
//! what the north has seen. Then comes everything that the south had to hold back. Visits that
//! ended within the last hour and a half are corrected, and some late clicks join two to one. What
//! is older is too late, and counted.
//!
//! A minute of the day takes two milliseconds.

#![allow(clippy::print_stdout, reason = "a program for people")]

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::time::Duration;

use comfy_table::{Table, presets};
use millstream::prelude::*;
use millstream::random::Random;
use millstream::runtime::Output;
use millstream::source::MissedTicks;

const PACE: Duration = Duration::from_millis(2);
const OPENS: u64 = 9 * 60;
const CLOSES: u64 = 19 * 60;
const CUT: Range<u64> = 12 * 60..14 * 60 + 30;
const GAP: Duration = minutes(30);
const LATENESS: Duration = minutes(90);
const SEED: u64 = 7;
const VISITORS: [&str; 10] =
    ["badger", "dipper", "heron", "marten", "mole", "newt", "otter", "owl", "stoat", "vole"];

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

#[derive(Clone, Debug)]
struct Click {
    visitor: &'static str,
    minute: u64,
}

/// What is told of a visit.
type Visit = Windowed<&'static str, TimeWindow, u64>;

/// What is clicked in one minute, at one of the servers: in each half hour some visitors are about,
/// and a third of their clicks goes by the north.
fn clicks(seed: u64, server: u64, minute: u64) -> impl Iterator<Item = Click> {
    (0..).zip(VISITORS).filter_map(move |(number, visitor)| {
        let minute_of_day = usize::try_from(minute).ok()?;
        let about = Random::fork(seed, number, minute_of_day / 30).below(3) > 0;
        let mut random = Random::fork(seed, number, minute_of_day);
        let clicks = random.below(8) == 0 && random.below(3).min(1) == server;
        (about && clicks).then_some(Click { visitor, minute })
    })
}

/// The same as the south hands it over: late, where the line was cut.
fn south(seed: u64, minute: u64) -> impl Iterator<Item = Click> {
    let at_hand = match minute {
        _ if CUT.contains(&minute) => 0..0,
        _ if minute == CUT.end => CUT.start..minute + 1,
        _ => minute..minute + 1,
    };
    at_hand.flat_map(move |minute| clicks(seed, 1, minute))
}

/// The whole job: what was told of visits, one thing after the other, and what came too late.
fn graph(seed: u64, lateness: Duration) -> (Dataflow, Output<Vec<Visit>>, Output<u64>) {
    let flow = Dataflow::new("sessions");
    let (late, too_late) = flow.side_output::<Click>("too late");
    let minute = |name| {
        let ticks = source::interval(PACE, MissedTicks::Burst);
        flow.source(name, ticks).map(|tick| OPENS + tick).take(CLOSES - OPENS)
    };
    // Each server's clicks are in order. Only both together are not.
    let watermarks = Watermarks::monotonic().idle_after(10 * PACE);
    let time = |click: &Click| Timestamp::from_millis(0).saturating_add(minutes(click.minute));
    let north = minute("north").flat_map_iter(move |minute| clicks(seed, 0, minute));
    let south = minute("south").flat_map_iter(move |minute| south(seed, minute));
    let told = north
        .event_time(time, watermarks.clone())
        .merge(south.event_time(time, watermarks))
        .key_by(|click| click.visitor)
        .parallel(2)
        .window(Session::with_gap(GAP))
        .allowed_lateness(lateness)
        .late_to(&late)
        .count()
        .named("visits")
        .collect();
    (flow, told, too_late.count())
}

/// The visits that stand at the end, each with those told before that it takes the place of: all
/// earlier ones of the visitor that lie within it.
fn standing(told: Vec<Visit>) -> Vec<(Visit, Vec<Visit>)> {
    let mut standing: Vec<(Visit, Vec<Visit>)> = Vec::new();
    for visit in told {
        let within = |one: &mut (Visit, Vec<Visit>)| {
            one.0.key == visit.key && one.0.window.cover(visit.window) == visit.window
        };
        let mut parts = Vec::new();
        for (part, of) in standing.extract_if(.., within) {
            parts.extend(if of.is_empty() { vec![part] } else { of });
        }
        parts.sort_by_key(|part| part.window);
        standing.push((visit, parts));
    }
    standing
}

/// A row of the table.
fn row(visit: &Visit, note: &str) -> [String; 4] {
    let clock = |time: Timestamp| {
        let minute = time.as_millis() / 60_000;
        format!("{:02}:{:02}", minute / 60, minute % 60)
    };
    let [from, to] = [visit.window.start, visit.window.end.saturating_sub(GAP)].map(clock);
    [visit.key.to_owned(), format!("{from} – {to}"), visit.value.to_string(), note.to_owned()]
}

#[tokio::main]
async fn main() -> Result<(), millstream::Error> {
    let (flow, told, too_late) = graph(SEED, LATENESS);
    let report = flow.run().await?;
    let mut visits = standing(report.take(told).unwrap_or_default());
    visits.sort_by_key(|(visit, _)| (visit.key, visit.window));
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(["visitor", "visit", "clicks", ""]);
    for (visit, parts) in visits.iter().filter(|(_, parts)| parts.len() > 1) {
        table.add_rows(parts.iter().map(|part| row(part, "told on time")));
        table.add_row(row(visit, "one visit after all: late clicks join them"));
    }
    let corrected = visits.iter().filter(|(_, parts)| !parts.is_empty()).count();
    let too_late = report.take(too_late).unwrap_or_default();
    println!("{table}\n{} visits, {corrected} of them corrected by late clicks,", visits.len());
    println!("{too_late} clicks too late, in {:.1?}", report.elapsed());
    Ok(())
}
