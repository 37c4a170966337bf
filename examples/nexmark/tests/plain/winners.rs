//! Queries that bring auctions together with their sellers and bids.

use std::collections::BTreeMap;

use super::{auctions, bids, people};
use crate::model::{Auction, Bid, Event};

pub(super) fn q3(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for auction in auctions(events).filter(|auction| auction.category == 10) {
        for person in people(events) {
            let near = ["OR", "ID", "CA"].contains(&person.state.as_str());
            if auction.seller == person.id && near {
                let (name, city, state) = (&person.name, &person.city, &person.state);
                rows.push(format!("{name},{city},{state},{}", auction.id));
            }
        }
    }
    rows
}

/// Each auction that has been won, with the bid.
fn won(events: &[Event]) -> Vec<(&Auction, &Bid)> {
    let mut won = Vec::new();
    for auction in auctions(events) {
        let mut best: Option<&Bid> = None;
        for bid in bids(events) {
            let in_time = auction.date_time <= bid.date_time && bid.date_time <= auction.expires;
            if bid.auction != auction.id || !in_time {
                continue;
            }
            let better = best.is_none_or(|best| {
                bid.price > best.price
                    || (bid.price == best.price && bid.date_time < best.date_time)
            });
            if better {
                best = Some(bid);
            }
        }
        won.extend(best.map(|best| (auction, best)));
    }
    won
}

pub(super) fn q4(events: &[Event]) -> Vec<String> {
    let mut prices = BTreeMap::<u64, Vec<u64>>::new();
    for (auction, bid) in won(events) {
        prices.entry(auction.category).or_default().push(bid.price);
    }
    let mean = |prices: &Vec<u64>| prices.iter().sum::<u64>() / prices.len() as u64;
    prices.iter().map(|(category, prices)| format!("{category},{}", mean(prices))).collect()
}

pub(super) fn q6(events: &[Event]) -> Vec<String> {
    let mut sold = BTreeMap::<u64, Vec<(i64, u64, u64)>>::new();
    for (auction, bid) in won(events) {
        let closed = (auction.expires, auction.id, bid.price);
        sold.entry(auction.seller).or_default().push(closed);
    }
    let mut rows = Vec::new();
    for (seller, mut sold) in sold {
        sold.sort_unstable();
        for end in 1..=sold.len() {
            let ten = &sold[end.saturating_sub(10)..end];
            let sum = ten.iter().map(|(_, _, price)| price).sum::<u64>();
            rows.push(format!("{seller},{}", sum / ten.len() as u64));
        }
    }
    rows
}

/// The columns of an auction behind its id, without the last.
fn details(auction: &Auction) -> String {
    let Auction { item_name, description, initial_bid, reserve, .. } = auction;
    let Auction { date_time, expires, seller, category, .. } = auction;
    let texts = format!("{item_name},{description}");
    format!("{texts},{initial_bid},{reserve},{date_time},{expires},{seller},{category}")
}

pub(super) fn q9(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for (auction, bid) in won(events) {
        let (id, details, extra) = (auction.id, details(auction), &auction.extra);
        let Bid { auction, bidder, price, date_time, extra: bid_extra, .. } = bid;
        let bid = format!("{auction},{bidder},{price},{date_time},{bid_extra}");
        rows.push(format!("{id},{details},{extra},{bid}"));
    }
    rows
}

pub(super) fn q20(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for bid in bids(events) {
        for auction in auctions(events) {
            if auction.id != bid.auction || auction.category != 10 {
                continue;
            }
            let Bid { auction: id, bidder, price, channel, url, date_time, extra } = bid;
            let bid = format!("{id},{bidder},{price},{channel},{url},{date_time},{extra}");
            rows.push(format!("{bid},{},{}", details(auction), auction.extra));
        }
    }
    rows
}
