//! Query 1, currency conversion: every bid, its price in euros.
//!
//! ```sql
//! SELECT auction, bidder, 0.908 * price AS price, dateTime, extra FROM bid
//! ```

use millstream::prelude::*;
use serde::Serialize;

use super::euros::Euros;
use crate::model::Event;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    auction: u64,
    bidder: u64,
    price: Euros,
    date_time: i64,
    extra: String,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
) -> DataStream<Row, impl Chain<Item = Row>> {
    events.filter_map(Event::bid).map(|bid| Row {
        auction: bid.auction,
        bidder: bid.bidder,
        price: Euros::from_dollars(bid.price),
        date_time: bid.date_time,
        extra: bid.extra,
    })
}
