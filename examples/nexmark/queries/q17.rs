//! Query 17, auction statistics: bids and prices of each auction on each day.
//!
//! ```sql
//! SELECT auction, DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day,
//!     COUNT(*) AS total_bids,
//!     COUNT(*) FILTER (WHERE price < 10000) AS rank1_bids,
//!     COUNT(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
//!     COUNT(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
//!     MIN(price) AS min_price, MAX(price) AS max_price,
//!     AVG(price) AS avg_price, SUM(price) AS sum_price
//! FROM bid
//! GROUP BY auction, day
//! ```
//!
//! The average is a whole number, as that of `BIGINT`s is: what is behind the point is cut off.

use millstream::prelude::*;
use serde::Serialize;

use super::mean::whole_mean;
use super::ranks::by_rank;
use super::time::Day;
use crate::model::{Bid, Event};

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Row {
    auction: u64,
    day: Day,
    total_bids: u64,
    rank1_bids: u64,
    rank2_bids: u64,
    rank3_bids: u64,
    min_price: u64,
    max_price: u64,
    avg_price: u64,
    sum_price: u128,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Row, impl Chain<Item = Row>> {
    let price = |bid: &Bid| bid.price;
    events
        .filter_map(Event::bid)
        .key_by(|bid| (bid.auction, Day::of(bid.date_time)))
        .parallel(instances)
        .aggregate((
            by_rank(Count),
            Min::of(price),
            Max::of(price),
            whole_mean(price),
            Sum::of(price),
        ))
        .map(|((auction, day), (bids, min, max, mean, sum))| Row {
            auction,
            day,
            total_bids: bids.0,
            rank1_bids: bids.1,
            rank2_bids: bids.2,
            rank3_bids: bids.3,
            min_price: min.unwrap_or_default(),
            max_price: max.unwrap_or_default(),
            avg_price: mean,
            sum_price: sum,
        })
}
