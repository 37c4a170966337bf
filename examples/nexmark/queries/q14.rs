//! Query 14, calculation: bids in a range of prices, with the kind of hour and a count of letters.
//!
//! ```sql
//! SELECT auction, bidder, 0.908 * price AS price,
//!     CASE
//!         WHEN HOUR(dateTime) >= 8 AND HOUR(dateTime) <= 18 THEN 'dayTime'
//!         WHEN HOUR(dateTime) <= 6 OR HOUR(dateTime) >= 20 THEN 'nightTime'
//!         ELSE 'otherTime'
//!     END AS bidTimeType,
//!     dateTime, extra, count_char(extra, 'c') AS c_counts
//! FROM bid
//! WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000
//! ```

use millstream::prelude::*;
use serde::Serialize;

use super::euros::Euros;
use super::time::Minute;
use crate::model::Event;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    auction: u64,
    bidder: u64,
    price: Euros,
    bid_time_type: &'static str,
    date_time: i64,
    extra: String,
    #[serde(rename = "c_counts")]
    c_counts: usize,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
) -> DataStream<Row, impl Chain<Item = Row>> {
    events.filter_map(Event::bid).filter_map(|bid| {
        let price = Euros::from_dollars(bid.price);
        let asked_for = price > Euros::whole(1_000_000) && price < Euros::whole(50_000_000);
        asked_for.then(|| Row {
            auction: bid.auction,
            bidder: bid.bidder,
            price,
            bid_time_type: match Minute::of(bid.date_time).hour() {
                8..=18 => "dayTime",
                ..=6 | 20.. => "nightTime",
                _ => "otherTime",
            },
            date_time: bid.date_time,
            c_counts: count_char(&bid.extra, 'c'),
            extra: bid.extra,
        })
    })
}

fn count_char(text: &str, letter: char) -> usize {
    text.matches(letter).count()
}
