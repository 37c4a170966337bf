//! Query 16, channel statistics: the same as query 15 for each channel, with the minute of the last
//! bid of the day.
//!
//! ```sql
//! SELECT channel, DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day,
//!     MAX(DATE_FORMAT(dateTime, 'HH:mm')) AS minute,
//!     COUNT(*) AS total_bids,
//!     COUNT(*) FILTER (WHERE price < 10000) AS rank1_bids,
//!     COUNT(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
//!     COUNT(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
//!     … the same of COUNT(DISTINCT bidder) AS …_bidders,
//!     … the same of COUNT(DISTINCT auction) AS …_auctions
//! FROM bid
//! GROUP BY channel, day
//! ```

use millstream::prelude::*;
use serde::Serialize;

use super::ranks::by_rank;
use super::time::{Day, Minute};
use crate::model::{Bid, Event};

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Row {
    channel: String,
    day: Day,
    minute: Minute,
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
    let minute = Max::of(|bid: &Bid| Minute::of(bid.date_time));
    let bidders = DistinctCount::exact(|bid: &Bid| bid.bidder);
    let auctions = DistinctCount::exact(|bid: &Bid| bid.auction);
    events
        .filter_map(Event::bid)
        .key_by(|bid| (bid.channel.clone(), Day::of(bid.date_time)))
        .parallel(instances)
        .aggregate((minute, by_rank(Count), by_rank(bidders), by_rank(auctions)))
        .map(|((channel, day), (minute, bids, bidders, auctions))| Row {
            channel,
            day,
            minute: minute.unwrap_or_default(),
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
