//! Query 19, the ten highest bids of each auction.
//!
//! ```sql
//! SELECT *
//! FROM (
//!     SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) AS rank_number
//!     FROM bid
//! )
//! WHERE rank_number <= 10
//! ```
//!
//! Of equal prices the one that came first has the lower number.

use millstream::prelude::*;
use serde::Serialize;

use crate::model::{Bid, Event};

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: String,
    url: String,
    date_time: i64,
    extra: String,
    #[serde(rename = "rank_number")]
    rank_number: u64,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Row, impl Chain<Item = Row>> {
    events
        .filter_map(Event::bid)
        .key_by(|bid| bid.auction)
        .parallel(instances)
        .aggregate(TopN::of(10, |bid: &Bid| bid.price))
        .flat_map_iter(|(_, top)| (1..).zip(top))
        .map(|(rank_number, bid)| Row {
            auction: bid.auction,
            bidder: bid.bidder,
            price: bid.price,
            channel: bid.channel,
            url: bid.url,
            date_time: bid.date_time,
            extra: bid.extra,
            rank_number,
        })
}
