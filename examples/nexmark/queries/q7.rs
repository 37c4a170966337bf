//! Query 7, highest bid: the highest bids of each ten seconds.
//!
//! ```sql
//! SELECT B.auction, B.bidder, B.price, B.dateTime, B.extra
//! FROM bid B JOIN (
//!     SELECT MAX(price) AS maxprice, window_end AS dateTime
//!     FROM TUMBLE(bid, dateTime, 10 SECONDS)
//!     GROUP BY window_start, window_end
//! ) B1 ON B.price = B1.maxprice
//! WHERE B.dateTime BETWEEN B1.dateTime - 10 SECONDS AND B1.dateTime
//! ```
//!
//! Several may have made the highest bid: there is a row for each. `BETWEEN` includes both ends, so
//! a bid exactly at the end of a window is compared with its highest price, though it lies in the
//! next: such bids, which are the first of their window, are kept beside the highest.

use millstream::prelude::*;
use serde::Serialize;

use super::time::SECOND;
use crate::model::{Bid, Event};

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: i64,
    extra: String,
}

/// The highest bids of a window, and those in its first millisecond.
type Told = Windowed<(), TimeWindow, (Vec<Bid>, Vec<Bid>)>;

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
) -> DataStream<Row, impl Chain<Item = Row>> {
    let highest = TopN::of(1, |bid: &Bid| bid.price).with_ties();
    let at_an_end = ToList.filtered(|bid: &Bid| bid.date_time % 10_000 == 0);
    events
        .filter_map(Event::bid)
        .window_all(Tumbling::of(10 * SECOND))
        .aggregate((highest, at_an_end))
        .named("highest bids")
        .zip_with_previous()
        .flat_map_iter(|(previous, told)| {
            let at_the_end = previous.map(|previous| at_its_end(&previous, &told));
            told.value.0.into_iter().chain(at_the_end.unwrap_or_default())
        })
        .map(|bid| Row {
            auction: bid.auction,
            bidder: bid.bidder,
            price: bid.price,
            date_time: bid.date_time,
            extra: bid.extra,
        })
}

/// The bids that are as high as the highest of a window, and lie at its very end.
fn at_its_end(window: &Told, next: &Told) -> Vec<Bid> {
    let (highest, _) = &window.value;
    let (_, first) = &next.value;
    let price = highest.first().map(|bid| bid.price);
    let is_next = window.window.end == next.window.start;
    first.iter().filter(|bid| is_next && Some(bid.price) == price).cloned().collect()
}
