//! Query 18, last bid: the last that somebody made for an auction.
//!
//! ```sql
//! SELECT auction, bidder, price, channel, url, dateTime, extra
//! FROM (
//!     SELECT *, ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY dateTime DESC) AS rank
//!     FROM bid
//! )
//! WHERE rank <= 1
//! ```
//!
//! Of several in the same millisecond it is the one that came last.

use millstream::prelude::*;
use serde::Serialize;

use crate::model::Event;

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
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Row, impl Chain<Item = Row>> {
    events
        .filter_map(Event::bid)
        .key_by(|bid| (bid.bidder, bid.auction))
        .parallel(instances)
        .reduce(|last, bid| {
            if bid.date_time >= last.date_time {
                *last = bid;
            }
        })
        .map(|(_, bid)| Row {
            auction: bid.auction,
            bidder: bid.bidder,
            price: bid.price,
            channel: bid.channel,
            url: bid.url,
            date_time: bid.date_time,
            extra: bid.extra,
        })
}
