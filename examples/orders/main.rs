//! Orders, each with what its customer was when it was made, however late the news of that comes.
//!
//! ```text
//! changes of customers ─▶ event time ─╮
//!                                     ├─▶ as of their time, by customer (2 instances) ─▶ table
//! orders ──────────────▶ event time ──╯      ╰─▶ too late ─▶ count
//! ```
//!
//! A database's log says of its customers that from then on one is silver, gold, or gone: up to
//! half an hour late, and out of order, while orders come at once. Whoever looks a customer up in
//! what has come by then is wrong about some, and about others when the day is read again. Here an
//! order waits until nothing about its time can come any more. A minute takes two milliseconds.

#![allow(clippy::print_stdout, reason = "a program for people")]
#![allow(clippy::cast_possible_truncation, clippy::indexing_slicing, reason = "small numbers")]

#[cfg(test)]
mod tests;

use std::time::Duration;

use comfy_table::{Table, presets};
use millstream::fan::Either;
use millstream::prelude::*;
use millstream::random::Random;
use millstream::runtime::Output;
use millstream::source::MissedTicks;

const PACE: Duration = Duration::from_millis(2);
const OPENS: u64 = 8 * 60;
const CLOSES: u64 = 20 * 60;
/// The most minutes that news of a customer is under way.
const DELAY: u64 = 30;
const SEED: u64 = 7;
const CUSTOMERS: [&str; 6] = ["avens", "bryony", "flax", "madder", "oxlip", "woad"];

/// What a customer is: none, if gone.
type Tier = Option<&'static str>;

const TIERS: [Tier; 4] = [None, Some("plain"), Some("silver"), Some("gold")];

#[derive(Clone, Debug)]
struct Change {
    customer: &'static str,
    minute: u64,
    tier: Tier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    minute: u64,
    customer: &'static str,
}

/// An order, and what its customer was when it was made.
type Priced = (Order, Tier);

fn time(minute: u64) -> Timestamp {
    Timestamp::from_millis(0).saturating_add(Duration::from_secs(60 * minute))
}

/// What becomes of customers on a day, with the minutes in which it is heard of, in their order:
/// these depend on the line as well.
fn news(day: u64, line: u64) -> Vec<(u64, Change)> {
    let mut news = Vec::new();
    for (minute, place) in (OPENS..CLOSES).zip(0..) {
        for (number, customer) in (0..).zip(CUSTOMERS) {
            let mut random = Random::fork(day, number, place);
            if minute == OPENS || random.below(60) == 0 {
                let tier = TIERS[random.below(4) as usize];
                let heard = minute + Random::fork(!line, number, place).below(DELAY);
                news.push((heard, Change { customer, minute, tier }));
            }
        }
    }
    news.sort_by_key(|(heard, _)| *heard);
    news
}

/// What is ordered in one minute.
fn ordered(day: u64, minute: u64) -> impl Iterator<Item = Order> {
    let mut random = Random::fork(day, CUSTOMERS.len(), minute as usize);
    let any = random.below(3) == 0;
    let customer = CUSTOMERS[random.below(6) as usize];
    any.then_some(Order { minute, customer }).into_iter()
}

/// The whole job: all orders with what their customers were, and how much came too late.
fn graph(day: u64, line: u64) -> (Dataflow, Output<Vec<Priced>>, Output<u64>) {
    let flow = Dataflow::new("orders");
    let (late, too_late) = flow.side_output::<Either<Order, Change>>("too late");
    let minutes = |name| {
        let ticks = source::interval(PACE, MissedTicks::Burst);
        flow.source(name, ticks).take(CLOSES + DELAY - OPENS).map(|tick| OPENS + tick)
    };
    let news = news(day, line);
    let heard = move |minute| {
        let now = news.iter().filter(move |(heard, _)| *heard == minute);
        now.map(|(_, change)| change.clone()).collect::<Vec<_>>()
    };
    let changes = minutes("changes").flat_map_iter(heard);
    let disorder = Watermarks::bounded_disorder(Duration::from_secs(60 * DELAY));
    let changes = changes.event_time(|change| time(change.minute), disorder);
    let orders = minutes("orders").filter(|minute| *minute < CLOSES);
    let orders = orders.flat_map_iter(move |minute| ordered(day, minute));
    let priced = orders
        .event_time(|order| time(order.minute), Watermarks::monotonic())
        .key_by(|order| order.customer)
        .parallel(2)
        .as_of_join(changes.key_by(|change| change.customer))
        .deleted_by(|change| change.tier.is_none())
        .late_to(&late)
        .left(|order, change| (*order, change.and_then(|change| change.tier)))
        .collect();
    (flow, priced, too_late.count())
}

/// What one would have thought of the customer who had heard all news up to the order.
fn as_heard(news: &[(u64, Change)], order: &Order) -> Tier {
    let heard = news.iter().take_while(|(heard, _)| *heard <= order.minute);
    heard.filter(|(_, change)| change.customer == order.customer).last()?.1.tier
}

#[tokio::main]
async fn main() -> Result<(), millstream::Error> {
    let (flow, priced, too_late) = graph(SEED, SEED);
    let report = flow.run().await?;
    let mut priced = report.take(priced).unwrap_or_default();
    priced.sort_unstable();
    let mut table = Table::new();
    let header = ["time", "customer", "as heard by then", "as it was"];
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header);
    let (news, mut wrong) = (news(SEED, SEED), 0);
    for (order, tier) in &priced {
        let heard = as_heard(&news, order);
        if heard != *tier {
            wrong += 1;
            let clock = format!("{:02}:{:02}", order.minute / 60, order.minute % 60);
            let [heard, tier] = [heard, *tier].map(|tier| tier.unwrap_or("nobody"));
            table.add_row([&clock, order.customer, heard, tier]);
        }
    }
    println!("{table}\n{} orders; {wrong} would have gone by old news,", priced.len());
    println!("{} too late, in {:.1?}", report.take(too_late).unwrap_or_default(), report.elapsed());
    Ok(())
}
