//! Queries that look at one bid at a time.

use super::{bids, date, hour, minute};
use crate::model::Event;

pub(super) fn q0(events: &[Event]) -> Vec<String> {
    let row = |b: &crate::model::Bid| {
        format!("{},{},{},{},{}", b.auction, b.bidder, b.price, b.date_time, b.extra)
    };
    bids(events).map(row).collect()
}

/// 0.908 of a price, to three digits.
fn in_euros(price: u64) -> String {
    let thousandths = u128::from(price) * 908;
    let mut digits = format!("{thousandths:04}");
    digits.insert(digits.len() - 3, '.');
    digits
}

pub(super) fn q1(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for b in bids(events) {
        let price = in_euros(b.price);
        rows.push(format!("{},{},{price},{},{}", b.auction, b.bidder, b.date_time, b.extra));
    }
    rows
}

pub(super) fn q2(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for bid in bids(events) {
        if bid.auction % 123 == 0 {
            rows.push(format!("{},{}", bid.auction, bid.price));
        }
    }
    rows
}

pub(super) fn q10(events: &[Event]) -> Vec<String> {
    let row = |b: &crate::model::Bid| {
        let (dt, hm) = (date(b.date_time), minute(b.date_time));
        format!("{},{},{},{},{},{dt},{hm}", b.auction, b.bidder, b.price, b.date_time, b.extra)
    };
    bids(events).map(row).collect()
}

/// The side input has a row `n,n` for each `n` below 10,000.
pub(super) fn q13(events: &[Event]) -> Vec<String> {
    let side_input: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    let mut rows = Vec::new();
    for b in bids(events) {
        let value = &side_input[(b.auction % 10_000) as usize];
        rows.push(format!("{},{},{},{},{value}", b.auction, b.bidder, b.price, b.date_time));
    }
    rows
}

pub(super) fn q14(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for b in bids(events) {
        let thousandths = u128::from(b.price) * 908;
        if thousandths <= 1_000_000_000 || thousandths >= 50_000_000_000 {
            continue;
        }
        let hour = hour(b.date_time);
        let kind = if (8..=18).contains(&hour) {
            "dayTime"
        } else if hour <= 6 || hour >= 20 {
            "nightTime"
        } else {
            "otherTime"
        };
        let letters = b.extra.bytes().filter(|byte| *byte == b'c').count();
        let (auction, bidder, price) = (b.auction, b.bidder, in_euros(b.price));
        let (time, extra) = (b.date_time, &b.extra);
        rows.push(format!("{auction},{bidder},{price},{kind},{time},{extra},{letters}"));
    }
    rows
}

pub(super) fn q21(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for b in bids(events) {
        let id = match b.channel.as_str() {
            "Apple" => "0",
            "Google" => "1",
            "Facebook" => "2",
            "Baidu" => "3",
            _ => match b.url.split_once("&channel_id=") {
                Some((_, id)) => id,
                None => continue,
            },
        };
        rows.push(format!("{},{},{},{},{id}", b.auction, b.bidder, b.price, b.channel));
    }
    rows
}

pub(super) fn q22(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for b in bids(events) {
        let parts: Vec<_> = b.url.split('/').collect();
        let folders = parts[3..6].join(",");
        rows.push(format!("{},{},{},{},{folders}", b.auction, b.bidder, b.price, b.channel));
    }
    rows
}
