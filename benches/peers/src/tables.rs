//! Tables of medians and of ratios to the limit, for the terminal.

use std::fmt::Write as _;

use crate::results::{Measure, Row, Spread, Table};

const MISSED: &str = "missed";

/// A figure with as many digits as it has to say.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 1_000.0 => grouped(&format!("{value:.0}")),
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// With a comma before every three digits from the end.
fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn range(spread: Spread) -> String {
    format!("{} to {}", figure(spread.least), figure(spread.most))
}

/// How far apart the machine's cores were, as a sentence, where that is known.
pub(crate) fn crossing(table: &Table) -> String {
    table.crossing().map_or_else(String::new, |spread| {
        let (median, range) = (figure(spread.median), range(spread));
        format!(" A line of cache took {median} ns ({range}) from core to core.")
    })
}

/// How a row did in what it is to reach: one line a reach.
pub(crate) fn reaches(table: &Table, row: &Row) -> Vec<String> {
    let told = row.reaches.iter().filter_map(|reach| {
        let ratios = row.ratios(table.against(reach)?, reach.measure)?;
        let (ratio, (low, high)) = (ratios.median, ratios.middle);
        let held = if ratio <= reach.must { "held" } else { "**broken**" };
        let reached = if ratio <= reach.aim { "reached" } else { MISSED };
        let (measure, against) = (reach.measure.name(), &reach.against);
        let (must, aim) = (reach.must, reach.aim);
        Some(format!(
            "{measure} ÷ {against}: {ratio:.2} ({low:.2} to {high:.2}); must be {must}: {held}; \
             aim {aim}: {reached}"
        ))
    });
    told.collect()
}

/// Whether a row of the table has missed an aim.
pub(crate) fn misses(table: &Table) -> bool {
    let told = table.rows.iter().flat_map(|row| reaches(table, row));
    told.into_iter().any(|line| line.ends_with(MISSED))
}

/// The table as lines of fixed width.
pub(crate) fn plain(table: &Table) -> String {
    let mut text = format!("\n{}\n", table.question);
    let (name, records, crossing) = (&table.name, table.records, crossing(table));
    let _ = writeln!(text, "{name}: {records} records; ÷ is to the first row.{crossing}\n");
    let _ = write!(text, "{:<46}", "");
    for measure in table.measures() {
        let head = format!("{} {}", measure.name(), measure.unit());
        let _ = write!(text, " {head:>9} {:>20} {:>6}", "min to max", "÷");
    }
    text.push('\n');
    for row in &table.rows {
        let _ = write!(text, "{:<46}", row.name);
        for measure in table.measures() {
            let _ = write!(text, " {}", cells(table, row, *measure));
        }
        text.push('\n');
    }
    for row in &table.rows {
        for reach in reaches(table, row) {
            let _ = writeln!(text, "{}: {reach}", row.name);
        }
    }
    text
}

fn cells(table: &Table, row: &Row, measure: Measure) -> String {
    let Some(spread) = row.spread(measure) else { return " ".repeat(37) };
    let ratio = table.ratio(row, measure).map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    format!("{:>9} {:>20} {ratio:>6}", figure(spread.median), range(spread))
}
