//! What is told of a page: minute by minute, for whoever scrapes `/metrics`, and in the end.

use std::collections::BTreeMap;

use comfy_table::{Table, presets};
use metrics::gauge;
use millstream::prelude::*;

/// What is told of a page in a minute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) minute: Timestamp,
    pub(crate) page: String,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    /// What only one in a hundred requests takes longer than, in milliseconds.
    pub(crate) slow: f64,
}

pub(crate) type Totals = BTreeMap<String, Row>;

impl Row {
    pub(crate) fn of(told: Windowed<String, TimeWindow, (u64, u64, Option<[f64; 1]>)>) -> Self {
        let (requests, errors, slow) = told.value;
        let [slow] = slow.unwrap_or_default();
        Self { minute: told.window.start, page: told.key, requests, errors, slow }
    }
}

pub(crate) fn add(totals: &mut Totals, row: Row) {
    let total =
        totals.entry(row.page.clone()).or_insert_with(|| Row { requests: 0, errors: 0, ..row });
    total.requests += row.requests;
    total.errors += row.errors;
    total.slow = total.slow.max(row.slow);
}

/// For whoever scrapes `/metrics`: the last minute of each page.
pub(crate) fn export(row: &Row) {
    gauge!("log_requests", "page" => row.page.clone()).set(row.requests as f64);
    gauge!("log_errors", "page" => row.page.clone()).set(row.errors as f64);
    gauge!("log_slow_seconds", "page" => row.page.clone()).set(row.slow / 1000.0);
}

pub(crate) fn table(totals: &Totals) -> Table {
    let mut table = Table::new();
    let header = ["page", "requests", "errors", "slowest minute, ms"];
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header);
    for Row { page, requests, errors, slow, .. } in totals.values() {
        table.add_row([
            page.clone(),
            requests.to_string(),
            errors.to_string(),
            format!("{slow:.0}"),
        ]);
    }
    table
}
