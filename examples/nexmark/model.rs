//! What happens at the auction house: people register, put things up for auction, and bid.
//!
//! Fields and their names are those of the published model. Times are milliseconds since 1970, UTC.

use millstream::prelude::*;
use serde::Serialize;

/// Somebody has registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Person {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) email_address: String,
    pub(crate) credit_card: String,
    pub(crate) city: String,
    pub(crate) state: String,
    pub(crate) date_time: i64,
    pub(crate) extra: String,
}

/// Something can be bid for, from `date_time` up to and including `expires`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Auction {
    pub(crate) id: u64,
    pub(crate) item_name: String,
    pub(crate) description: String,
    pub(crate) initial_bid: u64,
    pub(crate) reserve: u64,
    pub(crate) date_time: i64,
    pub(crate) expires: i64,
    pub(crate) seller: u64,
    pub(crate) category: u64,
    pub(crate) extra: String,
}

/// Somebody offers a price, in cents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bid {
    pub(crate) auction: u64,
    pub(crate) bidder: u64,
    pub(crate) price: u64,
    pub(crate) channel: String,
    pub(crate) url: String,
    pub(crate) date_time: i64,
    pub(crate) extra: String,
}

/// One of the three. Nearly all are bids, so what is rare and larger is boxed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event {
    Person(Box<Person>),
    Auction(Box<Auction>),
    Bid(Bid),
}

impl Event {
    /// When it happened.
    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_millis(match self {
            Self::Person(person) => person.date_time,
            Self::Auction(auction) => auction.date_time,
            Self::Bid(bid) => bid.date_time,
        })
    }

    pub(crate) const fn is_person(&self) -> bool {
        matches!(self, Self::Person(_))
    }

    pub(crate) const fn is_auction(&self) -> bool {
        matches!(self, Self::Auction(_))
    }

    pub(crate) const fn is_bid(&self) -> bool {
        matches!(self, Self::Bid(_))
    }

    pub(crate) fn person(self) -> Option<Person> {
        match self {
            Self::Person(person) => Some(*person),
            _ => None,
        }
    }

    pub(crate) fn auction(self) -> Option<Auction> {
        match self {
            Self::Auction(auction) => Some(*auction),
            _ => None,
        }
    }

    pub(crate) fn bid(self) -> Option<Bid> {
        match self {
            Self::Bid(bid) => Some(bid),
            _ => None,
        }
    }
}
