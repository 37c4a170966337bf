//! A row of the file: as a flight, or set aside.

use millstream::prelude::*;
use millstream::source::CsvRow;
use serde::{Deserialize, Deserializer, Serialize};

/// The columns of a flight that are used here. `NA` stands for a value that isn't there.
#[derive(Deserialize)]
pub(crate) struct Flight {
    pub(crate) carrier: String,
    flight: u32,
    pub(crate) origin: String,
    pub(crate) dest: String,
    #[serde(deserialize_with = "not_available")]
    pub(crate) dep_time: Option<u32>,
    #[serde(deserialize_with = "not_available")]
    pub(crate) dep_delay: Option<i64>,
    minute: i64,
    pub(crate) time_hour: jiff::Timestamp,
}

pub(crate) fn not_available<
    'de,
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "NA" => Ok(None),
        text => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

impl Flight {
    /// When it was to leave.
    pub(crate) fn scheduled(&self) -> jiff::Timestamp {
        let minute = jiff::SignedDuration::from_mins(self.minute);
        self.time_hour.saturating_add(minute).unwrap_or(self.time_hour)
    }

    /// The same, as the event time of the job.
    pub(crate) fn departure(&self) -> Timestamp {
        Timestamp::from_millis(self.scheduled().as_millisecond())
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.carrier, self.flight)
    }

    pub(crate) fn route(&self) -> String {
        format!("{} → {}", self.origin, self.dest)
    }
}

/// A row that could not be parsed, as the file of dead letters has it.
#[derive(Serialize)]
pub(crate) struct Rejected {
    pub(crate) error: String,
    row: String,
}

impl Rejected {
    pub(crate) fn new(letter: &DeadLetter<CsvRow>) -> Self {
        let fields: Vec<_> = letter.original.fields().iter().map(String::from_utf8_lossy).collect();
        Self { error: letter.error.to_string(), row: fields.join(",") }
    }
}
