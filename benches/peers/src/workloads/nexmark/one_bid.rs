//! Queries 0, 1 and 2, which look at one bid at a time.

use std::future::ready;
use std::hash::Hash;

use dfir_rs::dfir_syntax;
use futures::StreamExt as _;
use millstream::prelude::*;
use renoir::operator::ExchangeData;
use timely::dataflow::operators::Inspect as _;
use timely::dataflow::operators::vec::{Map as _, ToStream as _};

use super::super::{Sum, finish, renoir};
use super::{EVENTS, events, mark, q0, q1, q2};
use crate::contender::{By, Work, Workload};
use crate::model::Event;
use crate::results::FASTEST;
use crate::results::Measure::Wall;
use crate::runtime::{run, runtime};

/// What all but Millstream, which has operators for it, do with an event in one step: its row, if
/// there is one. The result marks the rows, as Millstream's does.
trait Query<R>: Fn(Event) -> Option<R> + Copy + Send + Sync + 'static {}

impl<R, F: Fn(Event) -> Option<R> + Copy + Send + Sync + 'static> Query<R> for F {}

trait Row: ExchangeData + Hash {}

impl<R: ExchangeData + Hash> Row for R {}

type Bid = (u64, u64, u64, i64, String);

fn pass_through(event: Event) -> Option<Bid> {
    let bid = event.bid()?;
    Some((bid.auction, bid.bidder, bid.price, bid.date_time, bid.extra))
}

/// In thousandths of a euro.
fn currency_conversion(event: Event) -> Option<Bid> {
    let bid = event.bid()?;
    Some((bid.auction, bid.bidder, bid.price * 908, bid.date_time, bid.extra))
}

fn selection(event: Event) -> Option<(u64, u64)> {
    let bid = event.bid().filter(|bid| bid.auction % 123 == 0)?;
    Some((bid.auction, bid.price))
}

/// Millstream's side of a query of the example.
macro_rules! millstream {
    ($query:ident) => {
        |events: &'static [Event]| {
            let flow = Dataflow::new(stringify!($query));
            let rows =
                $query::query(flow.source("events", source::from_iter(events.iter().cloned())));
            let sum = rows.fold(0_u64, |sum, row| *sum = sum.wrapping_add(mark(&row)));
            run(&runtime(1), &flow, sum)
        }
    };
}

pub(super) fn workloads() -> [Workload; 3] {
    [
        workload(
            "nexmark-q0",
            "What does Nexmark's query 0 cost, every bid as it is?",
            pass_through,
            millstream!(q0),
        ),
        workload(
            "nexmark-q1",
            "What does Nexmark's query 1 cost, every bid in euros?",
            currency_conversion,
            millstream!(q1),
        ),
        workload(
            "nexmark-q2",
            "What does Nexmark's query 2 cost, bids for some auctions?",
            selection,
            millstream!(q2),
        ),
    ]
}

fn workload<R: Row>(
    name: &'static str,
    question: &'static str,
    query: impl Query<R>,
    millstream: fn(&'static [Event]) -> u64,
) -> Workload {
    let work = Work { input: events, expected: move |events| by_hand(events, query) };
    let contenders = vec![
        work.alone("loop by hand", By::Hand, move |events| by_hand(events, query)),
        work.alone("Millstream, fused", By::Millstream, millstream).reach(Wall, 1.0, 0.5, FASTEST),
        work.alone("timely, 1 worker", By::Peer("timely"), move |events| timely(events, query)),
        work.alone("renoir", By::Peer("renoir"), move |events| renoir_assoc(events, query)),
        work.alone("dfir_rs", By::Peer("dfir_rs"), move |events| dfir_rs(events, query)),
        work.alone("futures StreamExt", By::Peer("futures"), move |events| {
            stream_ext(events, query)
        }),
    ];
    Workload { name, question, records: EVENTS, real_time: false, contenders }
}

fn by_hand<R: Row>(events: &'static [Event], query: impl Query<R>) -> u64 {
    let mut sum = 0_u64;
    for event in events.iter().cloned() {
        if let Some(row) = query(event) {
            sum = sum.wrapping_add(mark(&row));
        }
    }
    sum
}

fn timely<R: Row>(events: &'static [Event], query: impl Query<R>) -> u64 {
    timely::execute_directly(move |worker| {
        let sum = Sum::default();
        let total = sum.clone();
        worker.dataflow::<u64, _, _>(|scope| {
            events
                .iter()
                .cloned()
                .to_stream(scope)
                .flat_map(query)
                .inspect(move |row| total.add(mark(row)));
        });
        finish(worker);
        sum.get()
    })
}

fn renoir_assoc<R: Row>(events: &'static [Event], query: impl Query<R>) -> u64 {
    let environment = renoir(1);
    let sum = environment
        .stream_iter(events.iter().cloned())
        .filter_map(query)
        .fold_assoc(
            0_u64,
            |sum, row| *sum = sum.wrapping_add(mark(&row)),
            |sum, part| *sum = sum.wrapping_add(part),
        )
        .collect_vec();
    environment.execute_blocking();
    sum.get().expect("it came to its end").into_iter().fold(0, u64::wrapping_add)
}

fn dfir_rs<R: Row>(events: &'static [Event], query: impl Query<R>) -> u64 {
    let sum = Sum::default();
    let total = sum.clone();
    let mut flow = dfir_syntax! {
        source_iter(events.iter().cloned())
            -> filter_map(query)
            -> for_each(|row| total.add(mark(&row)));
    };
    flow.run_available_sync();
    sum.get()
}

fn stream_ext<R: Row>(events: &'static [Event], query: impl Query<R>) -> u64 {
    let rows =
        futures::stream::iter(events.iter().cloned()).filter_map(|event| ready(query(event)));
    runtime(1).block_on(rows.fold(0_u64, |sum, row| ready(sum.wrapping_add(mark(&row)))))
}
