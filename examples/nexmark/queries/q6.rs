//! Query 6, average selling price by seller: of the last ten auctions that closed, after each.
//!
//! ```sql
//! SELECT seller, AVG(price) OVER (
//!     PARTITION BY seller ORDER BY expires, id ROWS BETWEEN 9 PRECEDING AND CURRENT ROW
//! ) AS avg_price
//! FROM (
//!     SELECT A.seller, A.expires, A.id, MAX(B.price) AS price
//!     FROM auction A, bid B
//!     WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires
//!     GROUP BY A.id
//! )
//! ```
//!
//! Auctions without a bid don't count.

use millstream::keyed::process::{KeyContext, ListState, ProcessFunction, Timer};
use millstream::prelude::*;
use serde::Serialize;

use super::mean::whole_mean;
use super::winning::{Won, winning_bids};
use crate::model::Event;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Row {
    seller: u64,
    avg_price: u64,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Row, impl Chain<Item = Row>> {
    winning_bids(events, instances)
        .key_by(|won| won.auction.seller)
        .parallel(instances)
        .process(LastTen)
        .named("last ten")
}

#[derive(Clone)]
struct LastTen;

/// An auction that has closed, in the order of closing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Closed {
    expires: i64,
    id: u64,
    price: u64,
}

impl ProcessFunction<u64, Won> for LastTen {
    type Out = Row;
    /// Those that closed just now, and the last ten before.
    type States = (ListState<Closed>, ListState<Closed>);

    fn states(&self) -> Self::States {
        (ListState::new("closed just now"), ListState::new("last ten"))
    }

    /// Several close at once, and come in no particular order: it is waited until all are there.
    fn process(
        &mut self,
        won: Record<Won>,
        context: &mut KeyContext<'_, u64, Self::States>,
        _out: &mut impl Collector<Row>,
    ) -> Result<(), OperatorError> {
        let Won { auction, bid } = won.value;
        let closed = Closed { expires: auction.expires, id: auction.id, price: bid.price };
        context.states.0.push(closed);
        let all_are_there = context.time.saturating_add(std::time::Duration::from_millis(1));
        context.timers.set_event_time(all_are_there);
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut KeyContext<'_, u64, Self::States>,
        out: &mut impl Collector<Row>,
    ) -> Result<(), OperatorError> {
        let (just_now, last) = &mut context.states;
        let (mut closed, later): (Vec<_>, Vec<_>) = (just_now.take().into_iter())
            .partition(|closed| closed.expires < timer.time().as_millis() - 1);
        just_now.extend(later);
        closed.sort_unstable();
        let mut ten = last.take();
        for closed in closed {
            ten.push(closed);
            ten.drain(..ten.len().saturating_sub(10));
            let avg_price = whole_mean(|closed: &Closed| closed.price).over(&ten);
            out.push(Record::at(Row { seller: *context.key, avg_price }, context.time));
        }
        last.extend(ten);
        Ok(())
    }
}
