//! The queries once more, plainly: loops over all events in memory, no streams and no windows but
//! what is written here. A row is a line of the result.

mod bids;
mod totals;
mod windows;
mod winners;

use crate::model::{Auction, Bid, Event, Person};

/// The rows of a query, in any order.
pub(super) fn evaluate(number: u8, events: &[Event]) -> Vec<String> {
    let query = match number {
        0 => bids::q0,
        1 => bids::q1,
        2 => bids::q2,
        3 => winners::q3,
        4 => winners::q4,
        5 => windows::q5,
        6 => winners::q6,
        7 => windows::q7,
        8 => windows::q8,
        9 => winners::q9,
        10 => bids::q10,
        11 => windows::q11,
        12 => windows::q12,
        13 => bids::q13,
        14 => bids::q14,
        15 => totals::q15,
        16 => totals::q16,
        17 => totals::q17,
        18 => totals::q18,
        19 => totals::q19,
        20 => winners::q20,
        21 => bids::q21,
        22 => bids::q22,
        _ => panic!("there is no query {number}"),
    };
    query(events)
}

fn people(events: &[Event]) -> impl Iterator<Item = &Person> {
    events.iter().filter_map(|event| match event {
        Event::Person(person) => Some(&**person),
        _ => None,
    })
}

fn auctions(events: &[Event]) -> impl Iterator<Item = &Auction> {
    events.iter().filter_map(|event| match event {
        Event::Auction(auction) => Some(&**auction),
        _ => None,
    })
}

fn bids(events: &[Event]) -> impl Iterator<Item = &Bid> {
    events.iter().filter_map(|event| match event {
        Event::Bid(bid) => Some(bid),
        _ => None,
    })
}

/// `yyyy-MM-dd`: years and months are counted off the days since 1970.
fn date(time: i64) -> String {
    let mut days = time / 86_400_000;
    let mut year = 1970;
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

fn hour(time: i64) -> i64 {
    time / 3_600_000 % 24
}

/// `HH:mm`.
fn minute(time: i64) -> String {
    format!("{:02}:{:02}", hour(time), time / 60_000 % 60)
}

#[test]
fn dates_are_those_of_the_calendar() {
    assert_eq!(date(0), "1970-01-01");
    assert_eq!(date(951_782_400_000), "2000-02-29");
    assert_eq!(date(1_436_918_399_999), "2015-07-14");
    assert_eq!(minute(1_436_918_399_999), "23:59");
}
