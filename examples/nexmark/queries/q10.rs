//! Query 10, log to a file system: every bid, with the partition of the log that it belongs to.
//!
//! ```sql
//! SELECT auction, bidder, price, dateTime, extra,
//!     DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS dt, DATE_FORMAT(dateTime, 'HH:mm') AS hm
//! FROM bid
//! ```
//!
//! The table of the result stands for the file system: its last two columns are those by which the
//! definition partitions the files.

use millstream::prelude::*;
use serde::Serialize;

use super::time::{Day, Minute};
use crate::model::Event;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: i64,
    extra: String,
    dt: Day,
    hm: Minute,
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
        dt: Day::of(bid.date_time),
        hm: Minute::of(bid.date_time),
    })
}
