//! Queries that tell of all bids of a day, a channel, an auction or a bidder.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{bids, date, minute};
use crate::model::{Bid, Event};

/// The bids of each group.
fn groups<K: Ord>(events: &[Event], key: impl Fn(&Bid) -> K) -> BTreeMap<K, Vec<&Bid>> {
    let mut groups = BTreeMap::<K, Vec<&Bid>>::new();
    for bid in bids(events) {
        groups.entry(key(bid)).or_default().push(bid);
    }
    groups
}

/// All bids, and those of each of the three ranks.
fn ranks<'a>(bids: &[&'a Bid]) -> [Vec<&'a Bid>; 4] {
    let within = |least, below| {
        bids.iter().copied().filter(|bid| least <= bid.price && bid.price < below).collect()
    };
    [bids.to_vec(), within(0, 10_000), within(10_000, 1_000_000), within(1_000_000, u64::MAX)]
}

/// Twelve numbers: bids, bidders and auctions, each in all and by rank.
fn statistics(bids: &[&Bid]) -> String {
    let different = |bids: &Vec<&Bid>, of: fn(&Bid) -> u64| {
        bids.iter().map(|bid| of(bid)).collect::<BTreeSet<_>>().len()
    };
    let ranks = ranks(bids);
    let mut numbers: Vec<usize> = ranks.iter().map(Vec::len).collect();
    numbers.extend(ranks.iter().map(|rank| different(rank, |bid| bid.bidder)));
    numbers.extend(ranks.iter().map(|rank| different(rank, |bid| bid.auction)));
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

pub(super) fn q15(events: &[Event]) -> Vec<String> {
    let days = groups(events, |bid| date(bid.date_time));
    days.iter().map(|(day, bids)| format!("{day},{}", statistics(bids))).collect()
}

pub(super) fn q16(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for ((channel, day), bids) in groups(events, |bid| (bid.channel.clone(), date(bid.date_time))) {
        let last = bids.iter().map(|bid| minute(bid.date_time)).max().unwrap();
        rows.push(format!("{channel},{day},{last},{}", statistics(&bids)));
    }
    rows
}

pub(super) fn q17(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for ((auction, day), bids) in groups(events, |bid| (bid.auction, date(bid.date_time))) {
        let [all, one, two, three] = ranks(&bids).map(|rank| rank.len());
        let prices: Vec<u64> = bids.iter().map(|bid| bid.price).collect();
        let (min, max) = (prices.iter().min().unwrap(), prices.iter().max().unwrap());
        let sum = prices.iter().sum::<u64>();
        let mean = sum / all as u64;
        rows.push(format!("{auction},{day},{all},{one},{two},{three},{min},{max},{mean},{sum}"));
    }
    rows
}

/// All columns of a bid.
fn whole(b: &Bid) -> String {
    let (numbers, texts) = ((b.auction, b.bidder, b.price), (&b.channel, &b.url, &b.extra));
    let (auction, bidder, price) = numbers;
    let (channel, url, extra) = texts;
    format!("{auction},{bidder},{price},{channel},{url},{},{extra}", b.date_time)
}

pub(super) fn q18(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for mut bids in groups(events, |bid| (bid.bidder, bid.auction)).into_values() {
        // A stable sort: of equal times, the one that came last stays the last.
        bids.sort_by_key(|bid| bid.date_time);
        rows.push(whole(bids.last().unwrap()));
    }
    rows
}

pub(super) fn q19(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for mut bids in groups(events, |bid| bid.auction).into_values() {
        // A stable sort: of equal prices, the one that came first stays the first.
        bids.sort_by_key(|bid| Reverse(bid.price));
        let ten = bids.iter().take(10).enumerate();
        rows.extend(ten.map(|(place, bid)| format!("{},{}", whole(bid), place + 1)));
    }
    rows
}
