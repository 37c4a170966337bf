//! Queries of windows.

use std::collections::{BTreeMap, BTreeSet};

use super::{auctions, bids, people};
use crate::model::Event;

const SECOND: i64 = 1000;

pub(super) fn q5(events: &[Event]) -> Vec<String> {
    let mut windows = BTreeMap::<i64, BTreeMap<u64, u64>>::new();
    for bid in bids(events) {
        // The last window that the bid is in, and the four before, begin in even seconds.
        let last = bid.date_time / (2 * SECOND) * (2 * SECOND);
        for start in [0, 2, 4, 6, 8].map(|seconds| last - seconds * SECOND) {
            assert!((start..start + 10 * SECOND).contains(&bid.date_time));
            *windows.entry(start).or_default().entry(bid.auction).or_default() += 1;
        }
    }
    let mut rows = Vec::new();
    for counts in windows.values() {
        let most = counts.values().max().unwrap();
        let hottest = counts.iter().filter(|(_, count)| *count == most);
        rows.extend(hottest.map(|(auction, count)| format!("{auction},{count}")));
    }
    rows
}

/// Both bounds belong to the condition of the join: a bid at the very end of a window is compared
/// with its highest price, too, though it is not in it.
pub(super) fn q7(events: &[Event]) -> Vec<String> {
    let mut highest = BTreeMap::<i64, u64>::new();
    for bid in bids(events) {
        let end = bid.date_time / (10 * SECOND) * (10 * SECOND) + 10 * SECOND;
        let highest = highest.entry(end).or_default();
        *highest = bid.price.max(*highest);
    }
    let mut rows = Vec::new();
    for (end, price) in highest {
        for b in bids(events) {
            if b.price == price && (end - 10 * SECOND..=end).contains(&b.date_time) {
                let (auction, bidder, time, extra) = (b.auction, b.bidder, b.date_time, &b.extra);
                rows.push(format!("{auction},{bidder},{price},{time},{extra}"));
            }
        }
    }
    rows
}

pub(super) fn q8(events: &[Event]) -> Vec<String> {
    let start_of = |time: i64| time / (10 * SECOND) * (10 * SECOND);
    let sellers: BTreeSet<_> =
        auctions(events).map(|auction| (auction.seller, start_of(auction.date_time))).collect();
    let mut rows = BTreeSet::new();
    for person in people(events) {
        let start = start_of(person.date_time);
        if sellers.contains(&(person.id, start)) {
            rows.insert(format!("{},{},{start}", person.id, person.name));
        }
    }
    rows.into_iter().collect()
}

pub(super) fn q11(events: &[Event]) -> Vec<String> {
    let mut times = BTreeMap::<u64, Vec<i64>>::new();
    for bid in bids(events) {
        times.entry(bid.bidder).or_default().push(bid.date_time);
    }
    let mut rows = Vec::new();
    for (bidder, mut times) in times {
        times.sort_unstable();
        for session in times.chunk_by(|one, next| next - one < 10 * SECOND) {
            let (first, last) = (session[0], session[session.len() - 1]);
            rows.push(format!("{bidder},{},{first},{}", session.len(), last + 10 * SECOND));
        }
    }
    rows
}

/// Events come when the clock shows their time, so the windows by the clock are those of the time.
pub(super) fn q12(events: &[Event]) -> Vec<String> {
    let mut counts = BTreeMap::<(u64, i64), u64>::new();
    for bid in bids(events) {
        let start = bid.date_time / (10 * SECOND) * (10 * SECOND);
        *counts.entry((bid.bidder, start)).or_default() += 1;
    }
    let row = |(key, count): (&(u64, i64), &u64)| {
        let (bidder, start) = key;
        format!("{bidder},{count},{start},{}", start + 10 * SECOND)
    };
    counts.iter().map(row).collect()
}
