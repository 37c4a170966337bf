//! What is known hour by hour, in event time: a flight belongs to the hour in which it was to
//! leave, wherever it stands in the file.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use millstream::prelude::*;
use serde::Serialize;

use crate::rows::Flight;
use crate::totals::keep_ten;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Each carrier in each hour, in order of hour and carrier.
pub(crate) fn by_carrier(
    flights: DataStream<Arc<Flight>>,
    instances: usize,
    late: &SideTag<Arc<Flight>>,
) -> DataStream<Hour, impl Chain<Item = Hour>> {
    flights
        .key_by_ref(|flight| flight.carrier.as_str())
        .parallel(instances)
        .window(Tumbling::of(HOUR))
        .late_to(late)
        .aggregate((
            Count,
            Count.filtered(|flight: &Arc<Flight>| flight.dep_time.is_none()),
            Mean::of(|flight: &Arc<Flight>| flight.dep_delay),
        ))
        .named("carrier hours")
        .map(Hour::new)
        .named("hour")
        // The instances tell of one hour in no order between them. The same hour once more, now of
        // all carriers, brings them together: it is complete when each instance is through with
        // it, hours come one behind the other, and no more than the open ones are in memory.
        .window_all(Tumbling::of(HOUR))
        .aggregate(ToList)
        .named("whole hours")
        .flat_map_iter(|mut hour| {
            hour.value.sort_unstable_by(|one: &Hour, other| one.carrier.cmp(&other.carrier));
            hour.value
        })
        .named("in order")
}

/// The worst three hours of each day at each airport. Days begin where the night is quietest, at
/// five in the morning in New York, so that few bad evenings are cut in two.
///
/// Late rows are dropped here, and counted: they are shown by the hours above.
pub(crate) fn worst_by_airport(
    flights: DataStream<Arc<Flight>>,
    instances: usize,
) -> DataStream<ThreeHours, impl Chain<Item = ThreeHours>> {
    flights
        .key_by_ref(|flight| flight.origin.as_str())
        .parallel(instances)
        .window(Sliding::of(3 * HOUR, HOUR))
        .aggregate((Count, Mean::of(|flight: &Arc<Flight>| flight.dep_delay)))
        .named("airport means")
        .filter_map(ThreeHours::new)
        .named("busy")
        .key_by_ref(|three| three.airport.as_str())
        .parallel(instances)
        .window(Tumbling::of(24 * HOUR).offset(10 * HOUR))
        .aggregate(MaxBy::of(|three: &ThreeHours| three.mean_delay))
        .named("worst of a day")
        .filter_map(|day| day.value)
        .named("three hours")
}

/// A row of the file of hours.
#[derive(Clone, Serialize)]
pub(crate) struct Hour {
    window_start: jiff::Timestamp,
    carrier: String,
    flights: u64,
    cancelled: u64,
    mean_dep_delay: String,
}

impl Hour {
    pub(crate) const HEADER: [&str; 5] =
        ["window_start", "carrier", "flights", "cancelled", "mean_dep_delay"];

    fn new(hour: Windowed<String, TimeWindow, (u64, u64, Option<f64>)>) -> Self {
        let (flights, cancelled, mean) = hour.value;
        let mean_dep_delay = mean.map(|mean| format!("{mean:.3}")).unwrap_or_default();
        let window_start = instant(hour.window.start);
        Self { window_start, carrier: hour.key, flights, cancelled, mean_dep_delay }
    }
}

/// Three hours at an airport, in the order of the table of the worst.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ThreeHours {
    worst_first: Reverse<aggregate::Ordered>,
    mean_delay: aggregate::Ordered,
    start: jiff::Timestamp,
    airport: String,
    flights: u64,
}

impl ThreeHours {
    /// None if there is no delay to tell of, or next to no traffic.
    fn new(three: Windowed<String, TimeWindow, (u64, Option<f64>)>) -> Option<Self> {
        let (flights, mean) = three.value;
        let mean_delay = aggregate::Ordered(mean.filter(|_| flights >= 10)?);
        let (worst_first, start) = (Reverse(mean_delay), instant(three.window.start));
        Some(Self { worst_first, mean_delay, start, airport: three.key, flights })
    }

    pub(crate) fn cells(self) -> [String; 4] {
        let start = self.start.strftime("%d %b %H:%M").to_string();
        [self.airport, start, self.flights.to_string(), format!("{:.1}", self.mean_delay.0)]
    }
}

/// A point in event time, as people write it.
fn instant(time: Timestamp) -> jiff::Timestamp {
    let earliest_or_latest =
        if time.as_millis() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(time.as_millis()).unwrap_or(earliest_or_latest)
}

/// The rows that came when their hour had been told of: how many, and the first of them by
/// schedule.
#[derive(Clone, Default)]
pub(crate) struct Late {
    pub(crate) rows: u64,
    pub(crate) first: Vec<LateRow>,
}

/// A late row, in the order of the table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LateRow {
    scheduled: jiff::Timestamp,
    flight: String,
    route: String,
}

impl Late {
    pub(crate) fn add(&mut self, flight: &Flight) {
        self.rows += 1;
        let (scheduled, flight, route) = (flight.scheduled(), flight.name(), flight.route());
        keep_ten(&mut self.first, LateRow { scheduled, flight, route });
    }
}

impl LateRow {
    pub(crate) const HEADER: [&str; 3] = ["flight", "route", "scheduled, UTC"];

    pub(crate) fn cells(self) -> [String; 3] {
        [self.flight, self.route, self.scheduled.strftime("%d %b %H:%M").to_string()]
    }
}
