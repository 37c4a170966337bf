//! W6: counts by key and tumbling window of event time, of events that come out of order.

use std::collections::BTreeMap;
use std::time::Duration;

use hashbrown::HashMap;
use millstream::aggregate::Count;
use millstream::prelude::*;
use millstream::runtime::Output;
use serde::{Deserialize, Serialize};
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator as _;
use timely::dataflow::operators::{Input as _, Inspect as _};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Sum, finish, runtime};
use crate::contender::{By, Contender, Workload};
use crate::results::Measure::Wall;

const MAPS: &str = "by hand, a hash map a window";
const KEYS: u64 = 10_000;
/// All times are in milliseconds.
const WINDOW: u64 = 1_000;
const DISORDER: u64 = 100;
/// How many events timely is given before it works, and told how far time has come.
const CHUNK: u64 = 1024;

pub(super) fn workload() -> Workload {
    let on = |workers: usize, run: fn(&Runtime, u64) -> u64| {
        move |records| {
            let runtime = runtime(workers);
            (move || run(&runtime, records), by_hand(records))
        }
    };
    let alone = |run: fn(u64) -> u64| move |records| (move || run(records), by_hand(records));
    let peer = By::Peer("timely");
    Workload {
        name: "w6",
        question: "What does it cost to count events by key and tumbling window?",
        records: 10_000_000,
        contenders: vec![
            Contender::new(MAPS, By::Hand, alone(by_hand)),
            Contender::new("Millstream, fused with its source", By::Millstream, on(1, fused))
                .reach(Wall, 1.2, 1.0, MAPS),
            Contender::new("Millstream, two instances", By::Millstream, on(2, two_instances))
                .reach(Wall, 1.2, 0.7, MAPS),
            Contender::new("Millstream, two instances, combined", By::Millstream, on(2, combined)),
            Contender::new("timely, 1 worker", peer, alone(|records| timely(1, records))),
            Contender::new("timely, 2 workers", peer, alone(|records| timely(2, records))),
            Contender::new("tokio mpsc, two shards", By::Peer("tokio"), on(2, tokio_mpsc))
                .share(10),
        ],
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Event {
    key: u64,
    time: u64,
}

/// A hundred a millisecond, up to a tenth of a second out of order.
fn event(n: u64) -> Event {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let late = (mixed >> 50) % DISORDER;
    Event { key: (mixed >> 20) % KEYS, time: in_order(n) + DISORDER - late }
}

/// Nothing that comes after the n-th event is earlier.
fn in_order(n: u64) -> u64 {
    n / 100
}

fn checksum(window: u64, key: u64, count: u64) -> u64 {
    let mixed = window.wrapping_mul(31).wrapping_add(key).wrapping_mul(0x9e37_79b9);
    mixed.wrapping_mul(count)
}

/// What all keep but Millstream, which brings its own: a map for each window, the one that was
/// written to last at hand.
#[derive(Default)]
struct Windows {
    others: BTreeMap<u64, HashMap<u64, u64>>,
    start: u64,
    counts: HashMap<u64, u64>,
}

impl Windows {
    fn count(&mut self, event: Event) {
        let start = event.time / WINDOW * WINDOW;
        if start != self.start {
            self.turn_to(start);
        }
        *self.counts.entry(event.key).or_default() += 1;
    }

    fn turn_to(&mut self, start: u64) {
        let counts = self.others.remove(&start).unwrap_or_default();
        let before = std::mem::replace(&mut self.counts, counts);
        if !before.is_empty() {
            self.others.insert(self.start, before);
        }
        self.start = start;
    }

    /// Tells and forgets the windows that end at `time` or before: start, key and count.
    fn close(&mut self, time: u64, mut tell: impl FnMut(u64, u64, u64)) {
        if self.start.saturating_add(WINDOW) <= time {
            // The window at hand is done with as well: none is.
            self.turn_to(u64::MAX);
        }
        while let Some(window) = self.others.first_entry()
            && window.key().saturating_add(WINDOW) <= time
        {
            let (start, counts) = window.remove_entry();
            counts.into_iter().for_each(|(key, count)| tell(start, key, count));
        }
    }
}

/// The limit, and the reference.
fn by_hand(records: u64) -> u64 {
    let (mut windows, mut latest, mut sum) = (Windows::default(), 0, 0_u64);
    let mut add = |start, key, count| sum = sum.wrapping_add(checksum(start, key, count));
    for n in 0..records {
        let event = event(n);
        windows.count(event);
        if event.time > latest {
            latest = event.time;
            windows.close(latest.saturating_sub(DISORDER), &mut add);
        }
    }
    windows.close(u64::MAX, &mut add);
    sum
}

/// The events with their times, and with a watermark.
fn timed<C: Chain<Item = Event>>(
    events: DataStream<Event, C>,
) -> DataStream<Event, impl Chain<Item = Event>> {
    let time = |event: &Event| Timestamp::from_millis(event.time as i64);
    events.event_time(time, Watermarks::bounded_disorder(Duration::from_millis(DISORDER)))
}

/// Every second chunk of the events, as with timely, for one of two instances.
fn part(instance: usize, records: u64) -> impl Iterator<Item = Event> + Clone + Send {
    let nth = move |n| (n / CHUNK * 2 + instance as u64) * CHUNK + n % CHUNK;
    (0..records).map(nth).take_while(move |n| *n < records).map(event)
}

#[allow(clippy::needless_pass_by_value, reason = "so a fold gives it")]
fn add(sum: &mut u64, told: Windowed<u64, TimeWindow, u64>) {
    let start = told.window.start.as_millis() as u64;
    *sum = sum.wrapping_add(checksum(start, told.key, told.value));
}

fn run(runtime: &Runtime, flow: &Dataflow, sum: Output<u64>) -> u64 {
    runtime.block_on(flow.run()).expect("nothing fails").take(sum).expect("it came to its end")
}

fn fused(runtime: &Runtime, records: u64) -> u64 {
    let flow = Dataflow::new("windows");
    let events = timed(flow.source("events", source::from_iter((0..records).map(event))));
    let windows = Tumbling::of(Duration::from_millis(WINDOW));
    let sum = events.key_by(|event| event.key).window(windows).aggregate(Count).fold(0, add);
    run(runtime, &flow, sum)
}

fn two_instances(runtime: &Runtime, records: u64) -> u64 {
    let flow = Dataflow::new("windows");
    let part = move |instance| source::from_iter(part(instance, records));
    let events = timed(flow.parallel_source("events", 2, part));
    let windows = Tumbling::of(Duration::from_millis(WINDOW));
    let sum = events.key_by(|event| event.key).window(windows).aggregate(Count).fold(0, add);
    run(runtime, &flow, sum)
}

/// The same, counted on both sides of the shuffle.
fn combined(runtime: &Runtime, records: u64) -> u64 {
    let flow = Dataflow::new("windows");
    let part = move |instance| source::from_iter(part(instance, records));
    let keyed = timed(flow.parallel_source("events", 2, part)).key_by(|event| event.key);
    let windows = Tumbling::of(Duration::from_millis(WINDOW));
    let sum = keyed.combined(1 << 15).window(windows).aggregate(Count).fold(0, add);
    run(runtime, &flow, sum)
}

/// Each worker makes every so-many-th chunk of the events; windows close by the frontier.
fn timely(workers: usize, records: u64) -> u64 {
    super::timely(workers, move |worker| {
        let sum = Sum::default();
        let total = sum.clone();
        let mut input = InputHandle::<u64, _>::new();
        worker.dataflow(|scope| {
            let by_key = Exchange::new(|event: &Event| event.key);
            scope
                .input_from(&mut input)
                .unary_frontier(by_key, "windows", |_, _| {
                    let (mut windows, mut capabilities) = (Windows::default(), BTreeMap::new());
                    move |(input, frontier), output| {
                        input.for_each(|capability, events: &mut Vec<Event>| {
                            for event in events.drain(..) {
                                windows.count(event);
                                let end = windows.start + WINDOW;
                                if capabilities.last_key_value().is_none_or(|(last, _)| *last < end)
                                {
                                    let port = output.output_index();
                                    capabilities.insert(end, capability.delayed(&end, port));
                                }
                            }
                        });
                        let time = frontier.frontier().first().copied().unwrap_or(u64::MAX);
                        while let Some(end) = capabilities.first_entry()
                            && *end.key() <= time
                        {
                            let (end, capability) = end.remove_entry();
                            let mut session = output.session(&capability);
                            windows
                                .close(end, |start, key, count| session.give((start, key, count)));
                        }
                    }
                })
                .container::<Vec<_>>()
                .inspect(move |(start, key, count)| total.add(checksum(*start, *key, *count)));
        });
        let (index, peers) = (worker.index() as u64, worker.peers() as u64);
        for chunk in (index..records.div_ceil(CHUNK)).step_by(peers as usize) {
            let first = chunk * CHUNK;
            input.advance_to(in_order(first));
            (first..records.min(first + CHUNK)).for_each(|n| input.send(event(n)));
            worker.step();
        }
        input.close();
        finish(worker);
        sum.get()
    })
}

/// Every event with how far time has come, to one of two tasks by its key.
fn tokio_mpsc(runtime: &Runtime, records: u64) -> u64 {
    runtime.block_on(async {
        let (mut senders, mut shards) = (Vec::new(), JoinSet::new());
        for _ in 0..2 {
            let (sender, mut events) = mpsc::channel::<(Event, u64)>(1024);
            senders.push(sender);
            shards.spawn(async move {
                let (mut windows, mut reached, mut sum) = (Windows::default(), 0, 0_u64);
                let mut add =
                    |start, key, count| sum = sum.wrapping_add(checksum(start, key, count));
                while let Some((event, time)) = events.recv().await {
                    windows.count(event);
                    if time > reached {
                        reached = time;
                        windows.close(time, &mut add);
                    }
                }
                windows.close(u64::MAX, &mut add);
                sum
            });
        }
        tokio::spawn(async move {
            for n in 0..records {
                let event = event(n);
                let shard = &senders[(event.key & 1) as usize];
                if shard.send((event, in_order(n))).await.is_err() {
                    break;
                }
            }
        });
        shards.join_all().await.into_iter().fold(0, u64::wrapping_add)
    })
}
