//! Query 5, hot items: the auctions with the most bids in the last ten seconds, every two seconds.
//!
//! ```sql
//! WITH counts AS (
//!     SELECT auction, COUNT(*) AS num, window_start, window_end
//!     FROM HOP(bid, dateTime, 2 SECONDS, 10 SECONDS)
//!     GROUP BY auction, window_start, window_end
//! )
//! SELECT auction, num FROM counts
//! WHERE num >= (SELECT MAX(num) FROM counts OF THE SAME window)
//! ```
//!
//! Several auctions may be the hottest: there is a row for each.

use millstream::prelude::*;
use serde::Serialize;

use super::time::SECOND;
use crate::model::Event;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct Row {
    auction: u64,
    num: u64,
}

/// An auction in a window, and how many bids it has there.
type Auction = Windowed<u64, TimeWindow, u64>;

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Row, impl Chain<Item = Row>> {
    events
        .filter_map(Event::bid)
        .key_by(|bid| bid.auction)
        .parallel(instances)
        .window(Sliding::of(10 * SECOND, 2 * SECOND))
        .count()
        .named("bids by auction")
        // A count lies at the end of its window, and one window ends in each two seconds.
        .window_all(Tumbling::of(2 * SECOND))
        .aggregate(TopN::of(1, |auction: &Auction| auction.value).with_ties())
        .named("hottest")
        .flat_map_iter(|window| window.value)
        .map(|auction| Row { auction: auction.key, num: auction.value })
}
