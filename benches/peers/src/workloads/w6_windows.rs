//! W6: counts by key and tumbling window of event time, of events that come out of order.

use std::collections::BTreeMap;
use std::convert::identity;

use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator as _;
use timely::dataflow::operators::{Input as _, Inspect as _};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::windows::{
    CHUNK, Event, WINDOW, Windows, by_hand, checksum, combined, event, fused, in_order,
    two_instances,
};
use super::{Sum, finish};
use crate::contender::{By, Work, Workload};
use crate::results::Measure::Wall;

const MAPS: &str = "by hand, a hash map a window";

pub(super) fn workload() -> Workload {
    let work = Work { input: identity, expected: by_hand };
    let peer = By::Peer("timely");
    Workload {
        name: "w6",
        question: "What does it cost to count events by key and tumbling window?",
        records: 10_000_000,
        real_time: false,
        contenders: vec![
            work.alone(MAPS, By::Hand, by_hand),
            work.on(1, "Millstream, fused with its source", By::Millstream, fused)
                .reach(Wall, 1.2, 1.0, MAPS),
            work.on(2, "Millstream, two instances", By::Millstream, two_instances)
                .reach(Wall, 1.2, 0.7, MAPS),
            work.on(2, "Millstream, two instances, combined", By::Millstream, combined),
            work.alone("timely, 1 worker", peer, |records| timely(1, records)),
            work.alone("timely, 2 workers", peer, |records| timely(2, records)),
            work.on(2, "tokio mpsc, two shards", By::Peer("tokio"), tokio_mpsc).share(10),
        ],
    }
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
