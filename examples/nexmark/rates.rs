//! How fast each query was, as a table.

use std::fmt;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

pub(crate) struct Rates {
    table: Table,
    events: usize,
}

impl Rates {
    /// The header of the table: all queries are of so many events.
    pub(crate) fn new(events: usize) -> Self {
        let mut table = Table::new();
        let header = ["query", "events", "seconds", "events/s", "rows"];
        table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header);
        table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        Self { table, events }
    }

    pub(crate) fn add(&mut self, number: u8, elapsed: Duration, rows: u64) {
        let seconds = elapsed.as_secs_f64();
        let rate = self.events as f64 / seconds;
        self.table.add_row([
            format!("q{number}"),
            grouped(self.events as u64),
            format!("{seconds:.3}"),
            grouped(rate as u64),
            grouped(rows),
        ]);
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)
    }
}

/// A number as people read it: 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
