//! Whether all contenders are right, and whether the page says what a run came to.

use std::cell::Cell;
use std::rc::Rc;

use crate::contender::{By, Contender};
use crate::curve::{Aim, Measured, Point};
use crate::machine::{Machine, versions};
use crate::notes::Notes;
use crate::results::Measure::{self, Cpu, P50, P99, Wall};
use crate::results::{FASTEST, Latency, Reach, Results, Row, Sample, Side, Table};
use crate::{crates, crossing, curves, harness, page, plot, tables, workloads};

#[test]
fn every_contender_comes_to_the_result_of_the_reference() {
    for workload in workloads::all() {
        for contender in &workload.contenders {
            for records in [1, 2, 1_000, 4_099] {
                let (run, expected) = contender.prepare(records);
                let name = (workload.name, contender.name, records);
                assert_eq!(run().checksum, expected, "{name:?}");
            }
        }
    }
}

#[test]
fn every_workload_begins_with_a_limit_and_has_millstream_and_a_peer() {
    for workload in workloads::all() {
        let with = |is: fn(By) -> bool| workload.contenders.iter().any(|one| is(one.by));
        assert!(with(|by| matches!(by, By::Millstream)), "{}", workload.name);
        assert!(with(|by| matches!(by, By::Peer(_))), "{}", workload.name);
        let mut names: Vec<_> = workload.contenders.iter().map(|one| one.name).collect();
        let reaches = workload.contenders.iter().flat_map(|one| &one.reaches);
        for reach in reaches {
            assert!(
                reach.against == FASTEST || names.contains(&reach.against.as_str()),
                "{}",
                reach.against
            );
        }
        let contenders = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), contenders, "{}: two of one name", workload.name);
    }
}

#[test]
fn the_version_of_every_crate_is_known() {
    let known = versions(crates(&workloads::all()));
    for name in crates(&workloads::all()) {
        assert!(known.contains_key(name), "{name}");
    }
    // The lock file has hashbrown in several versions: this package's own is meant.
    assert!(known["hashbrown"].starts_with("0.17."), "{known:?}");
}

#[test]
#[should_panic(expected = "the checksum")]
fn a_wrong_result_is_no_sample() {
    let wrong = Contender::new("wrong", By::Hand, |records| (move || records + 1, records));
    harness::measure(&wrong, 10);
}

fn row(name: &str, side: Side, walls: &[f64], reach: Option<Reach>) -> Row {
    let sample = |wall: &f64| Sample { wall: *wall, cpu: 2.0 * wall, peak: 9.0, latency: None };
    let samples = walls.iter().map(sample).collect();
    Row { name: name.into(), side, reaches: reach.into_iter().collect(), samples }
}

/// Three rounds, in which Millstream misses its aim, and a peer is faster.
fn table() -> Table {
    let reach = Reach { measure: Wall, must: 2.5, aim: 1.5, against: "loop".into() };
    let rows = vec![
        row("loop", Side::Hand, &[12.0, 10.0, 9.0], None),
        row("Millstream", Side::Millstream, &[21.0, 20.0, 19.0], Some(reach)),
        row("quick & <small>", Side::Peer, &[15.0, 16.0, 14.0], None),
        row("slow", Side::Peer, &[1_500.0, 1_600.0, 1_400.0], None),
    ];
    Table { name: "w0".into(), question: "What?".into(), records: 10, rows, crossings: Vec::new() }
}

fn results(table: Table) -> Results {
    let machine = Machine::default();
    let command = "cargo run".into();
    Results { machine, command, rounds: 3, scale: 1.0, versions: [].into(), tables: vec![table] }
}

fn page_of(results: &Results) -> String {
    page::page(results, &[], &Notes::parse("\n## w0\n\nFor the test.\n")).expect("a page")
}

#[test]
fn medians_and_ranges_are_those_of_the_rounds() {
    let table = table();
    let spread = table.rows[0].spread(Wall).expect("it was measured");
    assert_eq!((spread.least, spread.median, spread.most), (9.0, 10.0, 12.0));
    assert_eq!(table.ratio(&table.rows[1], Cpu), Some(2.0));
    assert!(table.rows[0].median(P50).is_none());
    assert!(
        tables::plain(&table)
            .contains("wall ÷ loop: 2.00 (1.75 to 2.11); must be 2.5: held; aim 1.5: missed")
    );
}

#[test]
fn how_far_apart_the_cores_were_is_said_where_it_is_known() {
    let mut table = table();
    assert!(!tables::plain(&table).contains("core to core"));
    table.crossings = vec![180.0, 25.0, 30.0];
    let told = "A line of cache took 30.0 ns (25.0 to 180) from core to core.";
    assert!(tables::plain(&table).contains(told), "{}", tables::plain(&table));
    assert!(page_of(&results(table)).contains(told));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(crossing::nanos().is_some_and(|nanos| nanos > 1.0), cores > 1);
}

#[test]
fn a_short_run_is_repeated_and_its_median_counts() {
    let runs = Rc::new(Cell::new(0));
    let counts = Rc::clone(&runs);
    let short = Contender::new("short", By::Hand, move |records| {
        let runs = Rc::clone(&counts);
        (
            move || {
                runs.set(runs.get() + 1);
                records
            },
            records,
        )
    });
    let sample = harness::measure(&short, 10);
    assert!(runs.get() > 3, "{}", runs.get());
    assert!(sample.wall < 1e6, "{}", sample.wall);
}

#[test]
fn a_ratio_is_that_of_the_rounds_and_not_of_what_changed_between_them() {
    let drifts = |times: f64| [1.0, 8.0, 2.0].map(|slow| slow * times);
    let mut table = table();
    table.rows[0] = row("loop", Side::Hand, &drifts(10.0), None);
    table.rows[1] = row("Millstream", Side::Millstream, &[11.0, 60.0, 22.0], None);
    assert_eq!(table.ratio(&table.rows[1], Wall), Some(1.1));
}

#[test]
fn what_must_be_held_may_be_against_whichever_peer_is_fastest() {
    let mut table = table();
    let reach = &mut table.rows[1].reaches[0];
    (reach.against, reach.must) = (FASTEST.into(), 1.0);
    let told =
        "wall ÷ the fastest peer: 1.36 (1.25 to 1.40); must be 1: **broken**; aim 1.5: reached";
    assert!(tables::plain(&table).contains(told), "{}", tables::plain(&table));
}

#[test]
fn the_middle_of_many_rounds_is_narrow_and_that_of_two_is_all_of_it() {
    let middle = |count: u32| {
        let walls: Vec<f64> = (0..count).rev().map(f64::from).collect();
        let spread = row("loop", Side::Hand, &walls, None).spread(Wall).expect("it was measured");
        (spread.median, spread.middle)
    };
    assert_eq!(middle(2), (0.5, (0.0, 1.0)));
    assert_eq!(middle(7), (3.0, (1.0, 5.0)));
    assert_eq!(middle(21), (10.0, (6.0, 14.0)));
}

#[test]
fn those_go_on_between_whom_a_must_is_not_decided() {
    let mut table = table();
    for (must, against, expected) in [
        (2.5, "loop", vec![]),
        (1.7, "loop", vec![]),
        (1.9, "loop", vec![0, 1]),
        (1.3, FASTEST, vec![1, 2]),
    ] {
        let reach = &mut table.rows[1].reaches[0];
        (reach.must, reach.against) = (must, against.into());
        assert_eq!(table.undecided(), expected, "{must} times {against}");
    }
}

#[test]
fn the_page_says_where_a_peer_wins_and_what_was_missed() {
    let page = page_of(&results(table()));
    let win = "`w0`, wall: **quick & <small>** at 15.0 ns, Millstream at 20.0 ns (1.36 times)";
    assert!(page.contains(win), "{page}");
    assert!(page.contains("missed"), "{page}");
    assert!(page.contains("| slow | 1,500 | 1,400 to 1,600 | 156 |"), "{page}");
    assert!(!page.contains("Nowhere") && !page.contains("worth nothing"), "{page}");
}

#[test]
fn a_page_from_a_busy_machine_or_a_trial_says_so() {
    let mut busy = results(table());
    (busy.machine.busy, busy.scale) = (1.5, 0.1);
    let page = page_of(&busy);
    assert!(page.contains("worth nothing") && page.contains("A trial with 0.1 times"), "{page}");
}

#[test]
fn who_is_timed_by_latency_is_ranked_by_it() {
    let mut table = table();
    for (row, p50) in table.rows.iter_mut().zip([10.0, 5.0, 40.0, 80.0]) {
        let latency = Latency { p50, p99: 2.0 * p50, p999: 3.0 * p50 };
        row.samples.iter_mut().for_each(|sample| sample.latency = Some(latency));
    }
    assert_eq!(table.measures().first().map(|measure| measure.name()), Some("p50"));
    assert_eq!(table.ratio(&table.rows[2], P99), Some(4.0));
    let page = page_of(&results(table));
    assert!(!page.contains("`w0`, p50: **"), "no peer is quicker: {page}");
}

#[test]
fn a_plot_has_a_bar_for_every_contender_and_escapes_their_names() {
    let svg = plot::bars(&table());
    let count = |what: &str| svg.matches(what).count();
    assert_eq!(count("height=\"16\""), 4, "{svg}");
    assert!(svg.contains("quick &amp; &lt;small&gt;"), "{svg}");
    assert!(svg.contains(">1.50</text>") && svg.contains(">150</text>"), "{svg}");
    assert!(!svg.contains("NaN"), "{svg}");
}

#[test]
fn figures_have_as_many_digits_as_they_have_to_say() {
    let told = [0.123, 9.876, 12.34, 567.8, 1_234.5, 1_234_567.0].map(tables::figure);
    assert_eq!(told, ["0.12", "9.88", "12.3", "568", "1,234", "1,234,567"]);
    assert_eq!(Measure::P999.name(), "p99.9");
}

#[test]
fn a_missed_aim_needs_a_paragraph() {
    let results = results(table());
    let refused = |notes: &str| {
        let made = page::page(&results, &[], &Notes::parse(notes));
        made.expect_err("nothing says why").contains("w0 missed an aim")
    };
    assert!(refused("# Notes\n\n## w1\n\nAnother.\n"));
    assert!(refused("# Notes\n\n## w0\n\n## w1\n\nNothing of w0.\n"), "a heading is no reason");
    let notes = Notes::parse("# Notes\n\n## w0\n\nIt yields.\n\n## w1\n\nNot missed.\n");
    let page = page::page(&results, &[], &notes).expect("it says why");
    assert!(page.contains("## Why aims are missed\n\n### w0\n\nIt yields.\n"), "{page}");
    assert!(!page.contains("Not missed."), "{page}");
}

#[test]
fn a_page_without_a_missed_aim_needs_no_notes() {
    let mut table = table();
    table.rows[1].reaches[0].aim = 3.0;
    let page = page::page(&results(table), &[], &Notes::parse("")).expect("nothing is missed");
    assert!(!page.contains("Why aims are missed"), "{page}");
}

/// Costs at sizes, in three rounds each.
fn curve(aim: Aim, costs: &[(u64, f64)]) -> Measured {
    let point = |(at, cost): &(u64, f64)| Point {
        at: *at,
        label: format!("<{at}>"),
        samples: vec![*cost, cost * 2.0, cost / 2.0],
    };
    let [name, question, x, y] = ["stages", "How?", "stages", "ns"].map(str::to_owned);
    Measured { name, question, x, y, aim, points: costs.iter().map(point).collect() }
}

#[test]
fn a_cliff_is_found_however_gently_it_begins() {
    let lines = |curve: Measured| curve.verdicts().into_iter().map(|verdict| verdict.line);
    let flat = curve(Aim::Flat(3.0), &[(1, 8.0), (10, 2.0), (100, 5.0)]);
    assert_eq!(lines(flat).count(), 0);
    let cliff = curve(Aim::Flat(3.0), &[(1, 2.0), (10, 5.0), (100, 6.5)]);
    let cliff: Vec<_> = lines(cliff).collect();
    // Each is near the one before.
    assert_eq!(cliff, ["stages, <100>: 6.50 ns; must be 6.00: **broken**"]);
}

#[test]
fn what_may_cost_so_much_is_told_from_what_should() {
    let held = |must| {
        let points = [(1, 3.0), (10, 4.5), (100, 6.0)];
        curve(Aim::AtMost { aim: 4.0, must }, &points).verdicts()
    };
    let told = held(Some(5.0)).into_iter().map(|told| (told.broken, told.missed));
    assert_eq!(told.collect::<Vec<_>>(), [(false, false), (false, true), (true, true)]);
    assert_eq!(held(Some(5.0))[1].line, "stages, <10>: 4.50 ns; must be 5: held; aim 4: missed");
    assert_eq!(held(None)[2].line, "stages, <100>: 6.00 ns; aim 4: missed");
}

#[test]
fn the_page_shows_how_costs_grow_and_asks_why_when_they_grow_too_much() {
    let mut reached = results(table());
    reached.tables.clear();
    let curves = [curve(Aim::Flat(3.0), &[(1, 2.0), (10, 8.0)])];
    let made = page::page(&reached, &curves, &Notes::parse(""));
    assert!(made.expect_err("a cliff").contains("stages missed an aim"));
    let page = page::page(&reached, &curves, &Notes::parse("\n## stages\n\nCaches.\n"));
    let page = page.expect("it says why");
    for part in [
        "## Scaling",
        "![stages](plots/scaling-stages.svg)",
        "| <10> | 8.00 | 4.00 to 16.0 |",
        "### stages\n\nCaches.",
        "must be 6.00: **broken**",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn a_curve_is_drawn_through_every_point() {
    let aim = Aim::AtMost { aim: 9.0, must: None };
    let svg = curves::plot(&curve(aim, &[(0, 2.0), (10, 4.0), (1_000, 3.0)]));
    assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
    assert!(svg.contains("&lt;10&gt;") && svg.contains("stroke-dasharray"), "{svg}");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    let cases = Measured { x: String::new(), ..curve(Aim::Shown, &[(0, 2.0), (1, 4.0)]) };
    assert!(!curves::is_plotted(&cases), "a line from case to case means nothing");
}

/// What the bench writes is what is read here.
#[test]
fn a_curve_survives_its_file() {
    let curves = vec![curve(Aim::Flat(3.0), &[(1, 2.0)]), curve(Aim::Shown, &[(1, 2.0)])];
    let text = serde_json::to_string(&curves).expect("it can be written");
    let read: Vec<Measured> = serde_json::from_str(&text).expect("and read");
    assert_eq!(serde_json::to_string(&read).expect("and written"), text);
}
