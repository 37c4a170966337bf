//! The page `RESULTS.md`: where peers win, what is to be reached and why it is missed, a table
//! and a plot for each workload and curve, and what it was measured on.

use std::fmt::Write as _;

use crate::curve::Measured;
use crate::curves;
use crate::harness::ROUNDS_MAX;
use crate::notes::Notes;
use crate::results::{Results, Row, Side, Table};
use crate::tables::{crossing, figure, misses, range, reaches};

/// # Errors
///
/// If an aim is missed and `notes` don't say why.
pub(crate) fn page(
    results: &Results,
    scaling: &[Measured],
    notes: &Notes,
) -> Result<String, String> {
    let workloads = results.tables.iter().filter(|table| misses(table)).map(|table| &table.name);
    let misses = |curve: &&Measured| curve.verdicts().iter().any(|verdict| verdict.missed);
    let missing = scaling.iter().filter(misses);
    let missed = workloads.chain(missing.map(|curve| &curve.name)).map(String::as_str);
    let reasons = notes.about(missed)?;
    let mut page = String::from(
        "# Results\n\n\
         Written by the command in [peers](peers/README.md), which also says what each workload \
         is;\nnot by hand. Medians over interleaved rounds, each measurement in a process of its \
         own, every\nresult checked. Judge by the ratios, medians of those within a round, which \
         lie between the two in\nparentheses in nine of ten cases: absolute figures belong to one \
         machine and minute.\n",
    );
    cautions(&mut page, results);
    measured_on(&mut page, results);
    let _ = writeln!(page, "\n## Where a peer wins\n");
    let wins: Vec<String> = results.tables.iter().flat_map(wins).collect();
    if wins.is_empty() {
        page.push_str("Nowhere in this run.\n");
    }
    for win in wins {
        let _ = writeln!(page, "- {win}");
    }
    let _ = writeln!(page, "\n## What is to be reached\n");
    aims(&mut page, results, scaling);
    if !reasons.is_empty() {
        let _ = writeln!(page, "\n## Why aims are missed");
    }
    for (name, reason) in reasons {
        let _ = writeln!(page, "\n### {name}\n\n{reason}");
    }
    for table in &results.tables {
        section(&mut page, table);
    }
    curves::section(&mut page, scaling);
    Ok(page)
}

/// What keeps the figures from being worth much.
fn cautions(page: &mut String, results: &Results) {
    if results.machine.was_busy() {
        let cores = figure(results.machine.busy);
        let _ = writeln!(
            page,
            "\n**{cores} cores were busy with other things when this was measured: the figures are \
             worth nothing.**"
        );
    }
    if results.scale != 1.0 {
        let _ = writeln!(
            page,
            "\n**A trial with {} times the usual number of records: what it costs to start weighs \
             too much.**",
            results.scale
        );
    }
}

fn measured_on(page: &mut String, results: &Results) {
    let machine = &results.machine;
    let versions: Vec<String> =
        results.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let _ = writeln!(
        page,
        "\n| | |\n|---|---|\n| machine | {}, {} cores, {} GiB, Linux {} |\n| compiler | {} |\n\
         | versions | {} |\n| rounds | {}, and up to {} for those between whom a must \
         was not decided |\n\
         | command | `{}` |",
        machine.processor,
        machine.cores,
        machine.memory_gib,
        machine.kernel,
        machine.rustc,
        versions.join(", "),
        results.rounds,
        ROUNDS_MAX * results.rounds,
        results.command,
    );
}

/// Every measure by which some peer does better than the best of Millstream.
fn wins(table: &Table) -> Vec<String> {
    let won = table.measures().iter().filter_map(|measure| {
        let peer = table.best(Side::Peer, *measure)?;
        let own = table.best(Side::Millstream, *measure)?;
        let ratio = own.ratio(peer, *measure)?;
        let at = |row: &Row| {
            let median = figure(row.median(*measure)?);
            Some(format!("at {median} {}", measure.unit()))
        };
        let (theirs, ours) = (at(peer)?, at(own)?);
        let (name, measured) = (&table.name, measure.name());
        let (peer, own) = (&peer.name, &own.name);
        let told = || {
            format!("`{name}`, {measured}: **{peer}** {theirs}, {own} {ours} ({ratio:.2} times)")
        };
        (ratio > 1.0).then(told)
    });
    won.collect()
}

fn aims(page: &mut String, results: &Results, scaling: &[Measured]) {
    for table in &results.tables {
        for row in &table.rows {
            for reach in reaches(table, row) {
                let _ = writeln!(page, "- `{}`, {}: {reach}", table.name, row.name);
            }
        }
    }
    for verdict in scaling.iter().flat_map(Measured::verdicts) {
        let _ = writeln!(page, "- {}", verdict.line);
    }
}

fn section(page: &mut String, table: &Table) {
    let _ = writeln!(page, "\n## {}: {}\n", table.name, table.question);
    let _ = writeln!(page, "![{0}](plots/{0}.svg)\n", table.name);
    let _ = writeln!(
        page,
        "{} records, fewer for who is slow; ÷ is to the first row.{}\n",
        figure(table.records as f64),
        crossing(table)
    );
    let measures = table.measures();
    page.push_str("| |");
    for measure in measures {
        let _ = write!(page, " {}, {} | min to max | ÷ |", measure.name(), measure.unit());
    }
    page.push_str("\n|---|");
    page.push_str(&"---:|".repeat(3 * measures.len()));
    page.push('\n');
    for row in &table.rows {
        line(page, table, row);
    }
}

fn line(page: &mut String, table: &Table, row: &Row) {
    let name = &row.name;
    let name = if row.side == Side::Millstream { format!("**{name}**") } else { name.clone() };
    let _ = write!(page, "| {name} |");
    for measure in table.measures() {
        let spread = row.spread(*measure).zip(table.ratio(row, *measure));
        let cells = spread.map_or(" | | |".into(), |(spread, ratio)| {
            format!(" {} | {} | {} |", figure(spread.median), range(spread), figure(ratio))
        });
        page.push_str(&cells);
    }
    page.push('\n');
}
