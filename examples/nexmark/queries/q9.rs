//! Query 9, winning bids: each auction with the bid that has won it.
//!
//! ```sql
//! SELECT id, itemName, description, initialBid, reserve, dateTime, expires, seller, category,
//!     extra, auction, bidder, price, bid_dateTime, bid_extra
//! FROM (
//!     SELECT A.*, B.auction, B.bidder, B.price, B.dateTime AS bid_dateTime,
//!         B.extra AS bid_extra,
//!         ROW_NUMBER() OVER (PARTITION BY A.id ORDER BY B.price DESC, B.dateTime) AS rownum
//!     FROM auction A, bid B
//!     WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires
//! )
//! WHERE rownum <= 1
//! ```
//!
//! Of equal prices in the same millisecond, the bid that came first has the lower row number.

use millstream::prelude::*;
use serde::Serialize;

use super::winning::winning_bids;
use crate::model::Event;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    id: u64,
    item_name: String,
    description: String,
    initial_bid: u64,
    reserve: u64,
    date_time: i64,
    expires: i64,
    seller: u64,
    category: u64,
    extra: String,
    auction: u64,
    bidder: u64,
    price: u64,
    #[serde(rename = "bid_dateTime")]
    bid_date_time: i64,
    #[serde(rename = "bid_extra")]
    bid_extra: String,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Row, impl Chain<Item = Row>> {
    winning_bids(events, instances).map(|won| Row {
        id: won.auction.id,
        item_name: won.auction.item_name,
        description: won.auction.description,
        initial_bid: won.auction.initial_bid,
        reserve: won.auction.reserve,
        date_time: won.auction.date_time,
        expires: won.auction.expires,
        seller: won.auction.seller,
        category: won.auction.category,
        extra: won.auction.extra,
        auction: won.bid.auction,
        bidder: won.bid.bidder,
        price: won.bid.price,
        bid_date_time: won.bid.date_time,
        bid_extra: won.bid.extra,
    })
}
