//! The weather of the hour, joined in: how late flights leave when the wind blows.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use millstream::prelude::*;
use millstream::source::{CsvRow, CsvRows};
use serde::{Deserialize, Serialize, Serializer};

use crate::rows::{Flight, not_available};
use crate::totals::Totals;

/// The columns of an hour's weather that are used here.
#[derive(Deserialize)]
struct Weather {
    origin: String,
    /// In miles per hour.
    #[serde(deserialize_with = "not_available")]
    wind_speed: Option<f64>,
    time_hour: jiff::Timestamp,
}

/// A band of wind speeds, ten miles per hour wide, by its lower end. Unknown ones come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Band {
    From(u64),
    NotAvailable,
}

impl Band {
    fn of(weather: Option<&Weather>) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a wind speed")]
        let band = |speed: f64| Self::From((speed / 10.0) as u64 * 10);
        weather.and_then(|weather| weather.wind_speed).map_or(Self::NotAvailable, band)
    }
}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(speed) => speed.fmt(f),
            Self::NotAvailable => f.write_str("NA"),
        }
    }
}

impl Serialize for Band {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A row of the file: how flights from an airport left in such wind.
#[derive(Serialize)]
struct Wind {
    origin: String,
    band: Band,
    flights: u64,
    mean_dep_delay: String,
}

impl Wind {
    const HEADER: [&str; 4] = ["origin", "band", "flights", "mean_dep_delay"];

    fn new(((origin, band), totals): ((String, Band), Totals)) -> Self {
        let mean_dep_delay = totals.mean_delay();
        Self { origin, band, flights: totals.flights(), mean_dep_delay }
    }
}

/// Writes how flights left, by airport and wind. A flight belongs to the weather row of its airport
/// and hour; the rows of the weather are read before any flight is looked up.
pub(crate) fn write(
    flights: DataStream<Arc<Flight>>,
    weather: &Path,
    rejected: &DeadLetters<CsvRow>,
    instances: usize,
    output: &Path,
) -> Result<(), Box<dyn Error>> {
    let weather = flights
        .flow()
        .source("weather", CsvRows::open(weather))
        .try_map(OnError::dead_letter(rejected), CsvRow::decode::<Weather>)
        .named("parse weather");
    flights
        .key_by(|flight| (flight.origin.clone(), flight.time_hour))
        .parallel(instances)
        .table_join(weather.key_by(|weather| (weather.origin.clone(), weather.time_hour)))
        .left(|flight, weather| (Arc::clone(flight), Band::of(weather)))
        .named("join weather")
        .key_by(|(flight, band)| (flight.origin.clone(), *band))
        .parallel(instances)
        .fold(Totals::default(), |totals, (flight, _)| totals.add(&flight))
        .named("wind totals")
        .map(Wind::new)
        .named("wind")
        .gather()
        // There are few bands: all of them make one chunk, which comes at the end.
        .chunks(usize::MAX)
        .flat_map_iter(|mut winds| {
            winds.sort_unstable_by(|one, other| {
                (&one.origin, one.band).cmp(&(&other.origin, other.band))
            });
            winds
        })
        .named("by airport and wind")
        .sink("winds", sink::CsvFile::create(output).with_header(Wind::HEADER));
    Ok(())
}
