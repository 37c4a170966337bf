//! The laws of patterns: what comes out is what an oracle finds that tries every sequence of
//! events, whatever the pattern, the disorder, the size of batches and edges, the schedule, the
//! number of instances and the place of a crash.
//!
//! `SEEDS=5000..6000 cargo test -p millstream-operators --test pattern_laws` takes other seeds than
//! the default.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "numbers are small")]

mod oracle;
mod scripts;

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::state::Snapshot;
use millstream_engine::testing::{TestDriver, probe_sink, probe_source};
use millstream_operators::prelude::*;

use oracle::{Told, expected};
use scripts::{Draw, Event, Spec};

/// More matches than this are no use to a test.
const MATCHES_MAX: usize = 3_000;

/// What is told of each key: matches, partial matches whose time was up, late events.
type Output = BTreeMap<u8, (Vec<Told>, Vec<Told>, Vec<u32>)>;

#[derive(Debug)]
enum Outcome {
    Found(u8, Told),
    TimedOut(u8, Told),
    Late(Event),
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Runs a law for each seed, and says how to run a failing one again.
#[allow(clippy::print_stderr, reason = "as a test harness does")]
fn law(name: &str, seeds: Range<u64>, law: impl Fn(&mut Draw)) {
    let chosen = std::env::var("SEEDS").ok().map(|range| {
        let (first, last) = range.split_once("..").expect("SEEDS=first..last");
        first.parse().unwrap()..last.parse().unwrap()
    });
    for seed in chosen.unwrap_or(seeds) {
        let run = || law(&mut Draw::new(seed.wrapping_mul(0x9e37_79b9).wrapping_add(1)));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            let range = format!("SEEDS={seed}..{}", seed + 1);
            eprintln!("{range} cargo test -p millstream-operators --test pattern_laws {name}");
            resume_unwind(panic);
        }
    }
}

fn options(draw: &mut Draw) -> JobOptions {
    let options = JobOptions::default().with_publish_every(None).with_stall_warning(None);
    let options = options.with_batch_records(1 + draw.below(5));
    let options = options.with_edge_capacity(1 + draw.below(4));
    if draw.one_in(4) { options } else { options.with_schedule_seed(draw.random.next_u64()) }
}

/// What the oracle says of all keys; nothing if it finds too much.
fn oracle(spec: &Spec, events: &[Event], disorder: usize) -> Option<Output> {
    let mut output = Output::new();
    let mut by_key: BTreeMap<u8, Vec<Event>> = BTreeMap::new();
    let mut watermark = i64::MIN;
    for event in events {
        if event.time < watermark {
            output.entry(event.key).or_default().2.push(event.id);
        } else {
            by_key.entry(event.key).or_default().push(event.clone());
        }
        watermark = watermark.max(event.time - disorder as i64);
    }
    for (key, mut events) in by_key {
        events.sort_by_key(|event| event.time);
        let (found, timed_out) = expected(spec, &events);
        if found.len() + timed_out.len() > MATCHES_MAX {
            return None;
        }
        if !found.is_empty() || !timed_out.is_empty() {
            let told = output.entry(key).or_default();
            (told.0, told.1) = (found, timed_out);
        }
    }
    Some(output)
}

/// A run, from a state or the beginning.
struct Run<'a> {
    spec: &'a Spec,
    disorder: usize,
    parallel: usize,
    options: JobOptions,
}

impl Run<'_> {
    /// Plays events, to the end or to a crash. Gives what came out, and the state at the crash.
    fn play(&self, events: &[Event], crash: bool, state: Option<Snapshot>) -> (Output, Snapshot) {
        let flow = Dataflow::new("patterns");
        let (input, source) = probe_source::<Event>();
        let [(found, to_found), (late, to_late), (timed_out, to_timed_out)] =
            std::array::from_fn(|_| probe_sink());
        let (late_tag, late_events) = flow.side_output::<Event>("late");
        let (timed_out_tag, partials) = flow.side_output::<Outcome>("timed out");
        let show = |found: &Match<'_, Event>| {
            let key = found.events().next().unwrap().1.key;
            (key, found.events().map(|(step, event)| (step.to_owned(), event.id)).collect())
        };
        let disorder = Duration::from_millis(self.disorder as u64);
        flow.source("events", source)
            .event_time(|event| at(event.time), Watermarks::bounded_disorder(disorder))
            .uid("time")
            .key_by(|event| event.key)
            .parallel(self.parallel)
            .pattern(self.spec.pattern())
            .late_to(&late_tag)
            .timed_out_to(&timed_out_tag, move |partial| {
                let (key, events) = show(partial);
                Outcome::TimedOut(key, (0, events))
            })
            .select(move |found| {
                let (key, events) = show(found);
                Outcome::Found(key, (0, events))
            })
            .uid("pattern")
            .sink("found", to_found);
        late_events.map(Outcome::Late).sink("late events", to_late);
        partials.sink("partial matches", to_timed_out);
        let options = state.into_iter().fold(self.options.clone(), JobOptions::with_state);
        let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
        let probes = [found, late, timed_out];
        probes.iter().for_each(|probe| probe.request(usize::MAX));
        for event in events {
            driver.push(&input, Record::at(event.clone(), at(event.time)));
        }
        let mut state = Snapshot::default();
        if crash {
            driver.barrier(&input, Barrier(1));
            state = Snapshot::from_bytes(&driver.snapshot(Barrier(1)).to_bytes()).unwrap();
        } else {
            driver.end(&input);
        }
        let mut output = Output::new();
        for record in probes.iter().flat_map(|probe| driver.records(probe)) {
            let time = record.time.as_millis();
            match record.value {
                Outcome::Found(key, (_, found)) => {
                    output.entry(key).or_default().0.push((time, found));
                }
                Outcome::TimedOut(key, (_, partial)) => {
                    output.entry(key).or_default().1.push((time, partial));
                }
                Outcome::Late(event) => output.entry(event.key).or_default().2.push(event.id),
            }
        }
        if !crash {
            driver.finish().unwrap();
        }
        (output, state)
    }
}

#[test]
fn what_is_found_is_what_the_definition_says() {
    let (matches, partials) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    law("what_is_found_is_what_the_definition_says", 0..3_000, |draw| {
        let spec = draw.spec();
        let (disorder, most) = (draw.below(6), 1 + draw.below(18));
        let events = draw.events(most, disorder);
        let Some(expected) = oracle(&spec, &events, disorder) else { return };
        let (options, parallel) = (options(draw), 1 + draw.below(4));
        let run = Run { spec: &spec, disorder, parallel, options };
        let (got, _) = run.play(&events, false, None);
        assert_eq!(got, expected, "{:?} {spec:#?} {events:?}", spec.pattern());
        matches.set(matches.get() + got.values().map(|told| told.0.len()).sum::<usize>());
        partials.set(partials.get() + got.values().map(|told| told.1.len()).sum::<usize>());
    });
    if std::env::var("SEEDS").is_err() {
        let found = (matches.get(), partials.get());
        assert!(found.0 > 4_000 && found.1 > 4_000, "hardly anything is found: {found:?}");
    }
}

#[test]
fn a_crash_at_any_event_changes_nothing_whatever_the_instances_are() {
    law("a_crash_at_any_event_changes_nothing", 0..500, |draw| {
        let spec = draw.spec();
        let (disorder, most) = (draw.below(6), 1 + draw.below(14));
        let events = draw.events(most, disorder);
        let Some(expected) = oracle(&spec, &events, disorder) else { return };
        let crash = draw.below(events.len() + 1);
        let runs = [0; 2].map(|_| {
            let (options, parallel) = (options(draw), 1 + draw.below(4));
            Run { spec: &spec, disorder, parallel, options }
        });
        let (mut got, state) = runs[0].play(&events[..crash], true, None);
        let (_, again) = runs[0].play(&[], true, Some(state.clone()));
        assert_eq!(again.to_bytes(), state.to_bytes(), "equal state is equal bytes");
        let (rest, _) = runs[1].play(&events[crash..], false, Some(state));
        for (key, told) in rest {
            let before = got.entry(key).or_default();
            before.0.extend(told.0);
            before.1.extend(told.1);
            before.2.extend(told.2);
        }
        assert_eq!(got, expected, "crash at {crash}: {:?} {events:?}", spec.pattern());
    });
}
