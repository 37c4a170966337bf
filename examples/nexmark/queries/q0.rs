//! Query 0, pass through: every bid as it is.
//!
//! ```sql
//! SELECT auction, bidder, price, dateTime, extra FROM bid
//! ```

use millstream::prelude::*;
use serde::Serialize;

use crate::model::Event;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: i64,
    extra: String,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
) -> DataStream<Row, impl Chain<Item = Row>> {
    events.filter_map(Event::bid).map(|bid| Row {
        auction: bid.auction,
        bidder: bid.bidder,
        price: bid.price,
        date_time: bid.date_time,
        extra: bid.extra,
    })
}
