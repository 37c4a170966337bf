//! Query 15, bidding statistics: bids, bidders and auctions of each day, in all and by rank of
//! price.
//!
//! ```sql
//! SELECT DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day,
//!     COUNT(*) AS total_bids,
//!     COUNT(*) FILTER (WHERE price < 10000) AS rank1_bids,
//!     COUNT(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
//!     COUNT(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
//!     … the same of COUNT(DISTINCT bidder) AS …_bidders,
//!     … the same of COUNT(DISTINCT auction) AS …_auctions
//! FROM bid
//! GROUP BY day
//! ```

use millstream::prelude::*;
use serde::Serialize;

use super::ranks::by_rank;
use super::time::Day;
use crate::model::{Bid, Event};

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Row {
    day: Day,
    total_bids: u64,
    rank1_bids: u64,
    rank2_bids: u64,
    rank3_bids: u64,
    total_bidders: u64,
    rank1_bidders: u64,
    rank2_bidders: u64,
    rank3_bidders: u64,
    total_auctions: u64,
    rank1_auctions: u64,
    rank2_auctions: u64,
    rank3_auctions: u64,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Row, impl Chain<Item = Row>> {
    let bidders = DistinctCount::exact(|bid: &Bid| bid.bidder);
    let auctions = DistinctCount::exact(|bid: &Bid| bid.auction);
    events
        .filter_map(Event::bid)
        .key_by(|bid| Day::of(bid.date_time))
        .parallel(instances)
        .aggregate((by_rank(Count), by_rank(bidders), by_rank(auctions)))
        .map(|(day, (bids, bidders, auctions))| Row {
            day,
            total_bids: bids.0,
            rank1_bids: bids.1,
            rank2_bids: bids.2,
            rank3_bids: bids.3,
            total_bidders: bidders.0,
            rank1_bidders: bidders.1,
            rank2_bidders: bidders.2,
            rank3_bidders: bidders.3,
            total_auctions: auctions.0,
            rank1_auctions: auctions.1,
            rank2_auctions: auctions.2,
            rank3_auctions: auctions.3,
        })
}
