//! Queries 3, 5, 7 and 8, which keep something: state and what ends with time are the same by hand
//! and in timely, so that they differ in the engine alone.

use std::hash::Hash;
use std::time::Duration;

use millstream::prelude::*;
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator as _;
use timely::dataflow::operators::{Input as _, Inspect as _};

use super::super::{Sum, finish};
use super::highest_bids::HighestBids;
use super::hot_items::HotItems;
use super::new_users::NewUsers;
use super::suggestions::Suggestions;
use super::{EVENTS, events, mark, q3, q5, q7, q8};
use crate::contender::{By, Work, Workload};
use crate::model::Event;
use crate::results::FASTEST;
use crate::results::Measure::Wall;
use crate::runtime::{run, runtime};

/// By how many milliseconds events may come out of order, as the definition of the benchmark says.
const DISORDER: i64 = 4_000;
/// How far time has to come until windows are looked at, in milliseconds.
const STEP: i64 = 100;
/// How many events timely is given before it works.
const CHUNK: usize = 1024;

/// A query as one would write it by hand.
pub(super) trait Query: Default + 'static {
    type Row: Hash + Clone + 'static;

    fn take(&mut self, event: Event, tell: &mut impl FnMut(Self::Row));

    /// Tells and forgets what ends at `time`, in milliseconds, or before.
    fn close(&mut self, time: i64, tell: &mut impl FnMut(Self::Row));
}

/// Millstream's side of a query of the example, with one instance where it has several.
macro_rules! millstream {
    ($query:ident $(, $instances:literal)?) => {
        |events: &'static [Event]| {
            let flow = Dataflow::new(stringify!($query));
            let watermarks = Watermarks::bounded_disorder(Duration::from_millis(DISORDER as u64))
                .with_step(Duration::from_millis(STEP as u64));
            let events = flow.source("events", source::from_iter(events.iter().cloned()));
            let rows = $query::query(events.event_time(Event::time, watermarks) $(, $instances)?);
            let sum = rows.fold(0_u64, |sum, row| *sum = sum.wrapping_add(mark(&row)));
            run(&runtime(1), &flow, sum)
        }
    };
}

pub(super) fn workloads() -> [Workload; 4] {
    [
        workload::<Suggestions>(
            "nexmark-q3",
            "What does Nexmark's query 3 cost, a join that keeps both sides?",
            millstream!(q3, 1),
        ),
        workload::<HotItems>(
            "nexmark-q5",
            "What does Nexmark's query 5 cost, the hottest auctions in a sliding window?",
            millstream!(q5, 1),
        ),
        workload::<HighestBids>(
            "nexmark-q7",
            "What does Nexmark's query 7 cost, the highest bids of a window?",
            millstream!(q7),
        ),
        workload::<NewUsers>(
            "nexmark-q8",
            "What does Nexmark's query 8 cost, a join within a window?",
            millstream!(q8, 1),
        ),
    ]
}

fn workload<Q: Query>(
    name: &'static str,
    question: &'static str,
    millstream: fn(&'static [Event]) -> u64,
) -> Workload {
    let work = Work { input: events, expected: by_hand::<Q> };
    let contenders = vec![
        work.alone("loop by hand", By::Hand, by_hand::<Q>),
        work.alone("Millstream, one instance", By::Millstream, millstream)
            .reach(Wall, 1.0, 0.5, FASTEST),
        work.alone("timely, 1 worker", By::Peer("timely"), timely::<Q>),
    ];
    Workload { name, question, records: EVENTS, real_time: false, contenders }
}

/// The limit, and the reference.
fn by_hand<Q: Query>(events: &'static [Event]) -> u64 {
    let (mut query, mut reached, mut sum) = (Q::default(), i64::MIN, 0_u64);
    let mut add = |row| sum = sum.wrapping_add(mark(&row));
    for event in events.iter().cloned() {
        let time = event.time().as_millis() - DISORDER;
        query.take(event, &mut add);
        if time >= reached.saturating_add(STEP) {
            reached = time;
            query.close(time, &mut add);
        }
    }
    query.close(i64::MAX, &mut add);
    sum
}

/// An operator that is told by its frontier how far time has come.
fn timely<Q: Query>(events: &'static [Event]) -> u64 {
    timely::execute_directly(move |worker| {
        let sum = Sum::default();
        let total = sum.clone();
        let mut input = InputHandle::<i64, _>::new();
        worker.dataflow(|scope| {
            scope
                .input_from(&mut input)
                .unary_frontier(Pipeline, "query", |capability, _| {
                    let (mut query, mut capability) = (Q::default(), Some(capability));
                    move |(input, frontier), output| {
                        let Some(held) = &mut capability else { return };
                        let time = frontier.frontier().first().copied();
                        let mut session = output.session(&*held);
                        let mut tell = |row| session.give(row);
                        input.for_each(|_, events: &mut Vec<Event>| {
                            events.drain(..).for_each(|event| query.take(event, &mut tell));
                        });
                        query.close(time.unwrap_or(i64::MAX), &mut tell);
                        drop(session);
                        match time {
                            Some(time) => held.downgrade(&time),
                            None => capability = None,
                        }
                    }
                })
                .container::<Vec<_>>()
                .inspect(move |row| total.add(mark(row)));
        });
        for chunk in events.chunks(CHUNK) {
            let first = chunk.first().map_or(i64::MIN, |event| event.time().as_millis());
            input.advance_to(first.saturating_sub(DISORDER));
            chunk.iter().cloned().for_each(|event| input.send(event));
            worker.step();
        }
        input.close();
        finish(worker);
        sum.get()
    })
}
