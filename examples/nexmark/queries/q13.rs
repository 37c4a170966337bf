//! Query 13, bounded side input: every bid with a value that is looked up.
//!
//! ```sql
//! SELECT B.auction, B.bidder, B.price, B.dateTime, S.value
//! FROM bid B JOIN side_input FOR SYSTEM_TIME AS OF PROCTIME() AS S
//!     ON MOD(B.auction, 10000) = S.key
//! ```
//!
//! A table in memory stands for the file of the side input.

use millstream::prelude::*;
use serde::Serialize;

use crate::model::{Bid, Event};

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: i64,
    value: String,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Row, impl Chain<Item = Row>> {
    let side_input = source::from_iter((0..10_000).map(|key: u64| (key, key.to_string())));
    let side_input = events.flow().source("side input", side_input);
    events
        .filter_map(Event::bid)
        .key_by(|bid| bid.auction % 10_000)
        .parallel(instances)
        .table_join(side_input.key_by(|row| row.0))
        .inner(|bid: &Bid, (_, value)| Row {
            auction: bid.auction,
            bidder: bid.bidder,
            price: bid.price,
            date_time: bid.date_time,
            value: value.clone(),
        })
}
