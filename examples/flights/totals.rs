//! What is known of all flights at the end: totals by carrier and route, and the longest delays.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::error::Error;

use serde::Serialize;

use crate::rows::Flight;

const AIRLINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/airlines.csv");

/// What is added up for a carrier or a route.
#[derive(Clone, Default)]
pub(crate) struct Totals {
    flights: u64,
    cancelled: u64,
    delayed: i64,
    delay: i64,
}

impl Totals {
    pub(crate) fn add(&mut self, flight: &Flight) {
        self.flights += 1;
        self.cancelled += u64::from(flight.dep_time.is_none());
        self.delayed += i64::from(flight.dep_delay.is_some());
        self.delay += flight.dep_delay.unwrap_or(0);
    }

    pub(crate) const fn flights(&self) -> u64 {
        self.flights
    }

    /// The mean delay in minutes; empty where no flight has one.
    pub(crate) fn mean_delay(&self) -> String {
        if self.delayed == 0 {
            return String::new();
        }
        format!("{:.3}", self.delay as f64 / self.delayed as f64)
    }
}

/// A row of the result.
#[derive(Clone, Serialize)]
pub(crate) struct Carrier {
    carrier: String,
    name: String,
    flights: u64,
    cancelled: u64,
    mean_dep_delay: String,
}

impl Carrier {
    pub(crate) const HEADER: [&str; 5] =
        ["carrier", "name", "flights", "cancelled", "mean_dep_delay"];

    pub(crate) fn new(carrier: String, name: String, totals: &Totals) -> Self {
        let Totals { flights, cancelled, .. } = *totals;
        Self { carrier, name, flights, cancelled, mean_dep_delay: totals.mean_delay() }
    }

    pub(crate) fn cells(self) -> [String; 5] {
        let (flights, cancelled) = (self.flights.to_string(), self.cancelled.to_string());
        [self.carrier, self.name, flights, cancelled, self.mean_dep_delay]
    }
}

/// A route in the table of the busiest ones, in the table's order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    flights: Reverse<u64>,
    route: String,
    cancelled: u64,
    mean_delay: String,
}

impl Route {
    pub(crate) fn new(origin: &str, dest: &str, totals: &Totals) -> Self {
        Self {
            flights: Reverse(totals.flights),
            route: format!("{origin} → {dest}"),
            cancelled: totals.cancelled,
            mean_delay: totals.mean_delay(),
        }
    }

    pub(crate) fn cells(self) -> [String; 4] {
        [self.route, self.flights.0.to_string(), self.cancelled.to_string(), self.mean_delay]
    }
}

/// All carriers, in the order of the result.
pub(crate) fn sorted(mut carriers: Vec<Carrier>) -> Vec<Carrier> {
    carriers.sort_by(|one, other| one.carrier.cmp(&other.carrier));
    carriers
}

/// The airlines' names by carrier.
pub(crate) fn airlines() -> Result<HashMap<String, String>, Box<dyn Error>> {
    let mut rows = csv::Reader::from_path(AIRLINES)?;
    Ok(rows.deserialize().collect::<Result<_, _>>()?)
}

/// A flight as the table of the longest delays shows it, in the table's order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Delayed {
    minutes: Reverse<i64>,
    scheduled: jiff::Timestamp,
    flight: String,
    route: String,
}

impl Delayed {
    pub(crate) fn new(flight: &Flight) -> Option<Self> {
        Some(Self {
            minutes: Reverse(flight.dep_delay?),
            scheduled: flight.scheduled(),
            flight: flight.name(),
            route: flight.route(),
        })
    }

    pub(crate) fn cells(self) -> [String; 4] {
        let scheduled = self.scheduled.strftime("%d %b %H:%M").to_string();
        [self.flight, self.route, scheduled, self.minutes.0.to_string()]
    }
}

/// Keeps the ten that come first.
pub(crate) fn keep_ten<T: Ord>(ten: &mut Vec<T>, one: T) {
    let place = ten.partition_point(|kept| *kept <= one);
    if place < 10 {
        ten.insert(place, one);
        ten.truncate(10);
    }
}
