//! Query 20, bids with their auctions: those of category 10.
//!
//! ```sql
//! SELECT auction, bidder, price, channel, url, B.dateTime AS bid_dateTime, B.extra AS bid_extra,
//!     itemName, description, initialBid, reserve, A.dateTime AS auction_dateTime, expires,
//!     seller, category, A.extra AS auction_extra
//! FROM bid B JOIN auction A ON B.auction = A.id
//! WHERE A.category = 10
//! ```
//!
//! Every bid counts, also one before the auction or behind its end. So nothing is ever over, and
//! both sides are kept for ever.

use millstream::prelude::*;
use serde::Serialize;

use crate::model::{Auction, Bid, Event};

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: String,
    url: String,
    #[serde(rename = "bid_dateTime")]
    bid_date_time: i64,
    #[serde(rename = "bid_extra")]
    bid_extra: String,
    item_name: String,
    description: String,
    initial_bid: u64,
    reserve: u64,
    #[serde(rename = "auction_dateTime")]
    auction_date_time: i64,
    expires: i64,
    seller: u64,
    category: u64,
    #[serde(rename = "auction_extra")]
    auction_extra: String,
}

pub(crate) fn query(
    events: DataStream<Event, impl Chain<Item = Event>>,
    instances: usize,
) -> DataStream<Row, impl Chain<Item = Row>> {
    let (auctions, others) = events.split(Event::is_auction);
    let auctions = auctions.filter_map(Event::auction).filter(|auction| auction.category == 10);
    let bids = others.filter_map(Event::bid);
    auctions
        .key_by(|auction| auction.id)
        .parallel(instances)
        .join(bids.key_by(|bid| bid.auction))
        .keep_all()
        .running(|sides| match sides {
            EitherOrBoth::Both(auction, bid) => Some(row(auction, bid)),
            _ => None,
        })
        .flatten_optional()
}

fn row(auction: &Auction, bid: &Bid) -> Row {
    Row {
        auction: bid.auction,
        bidder: bid.bidder,
        price: bid.price,
        channel: bid.channel.clone(),
        url: bid.url.clone(),
        bid_date_time: bid.date_time,
        bid_extra: bid.extra.clone(),
        item_name: auction.item_name.clone(),
        description: auction.description.clone(),
        initial_bid: auction.initial_bid,
        reserve: auction.reserve,
        auction_date_time: auction.date_time,
        expires: auction.expires,
        seller: auction.seller,
        category: auction.category,
        auction_extra: auction.extra.clone(),
    }
}
