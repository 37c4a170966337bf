//! Whether all contenders are right, and whether the page says what a run came to.

use crate::contender::{By, Contender};
use crate::machine::{Machine, versions};
use crate::results::Measure::{self, Cpu, P50, P99, Wall};
use crate::results::{Latency, Reach, Results, Row, Sample, Side, Table};
use crate::{crates, harness, page, plot, tables, workloads};

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
            assert!(names.contains(&reach.against.as_str()), "{}", reach.against);
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
    let reach = Reach { measure: Wall, ratio: 1.5, against: "loop".into() };
    let rows = vec![
        row("loop", Side::Hand, &[12.0, 10.0, 9.0], None),
        row("Millstream", Side::Millstream, &[21.0, 20.0, 19.0], Some(reach)),
        row("quick & <small>", Side::Peer, &[15.0, 16.0, 14.0], None),
        row("slow", Side::Peer, &[1_500.0, 1_600.0, 1_400.0], None),
    ];
    Table { name: "w0".into(), question: "What?".into(), records: 10, rows }
}

fn results(table: Table) -> Results {
    let machine = Machine::default();
    let command = "cargo run".into();
    Results { machine, command, rounds: 3, scale: 1.0, versions: [].into(), tables: vec![table] }
}

#[test]
fn medians_and_ranges_are_those_of_the_rounds() {
    let table = table();
    let spread = table.rows[0].spread(Wall).expect("it was measured");
    assert_eq!((spread.least, spread.median, spread.most), (9.0, 10.0, 12.0));
    assert_eq!(table.ratio(&table.rows[1], Cpu), Some(2.0));
    assert!(table.rows[0].median(P50).is_none());
    assert!(tables::plain(&table).contains("wall ÷ loop: 2.00, aimed at 1.5: missed"));
}

#[test]
fn the_page_says_where_a_peer_wins_and_what_was_missed() {
    let page = page::page(&results(table()));
    let win = "`w0`, wall: **quick & <small>** at 15.0 ns, Millstream at 20.0 ns (1.33 times)";
    assert!(page.contains(win), "{page}");
    assert!(page.contains("missed"), "{page}");
    assert!(page.contains("| slow | 1,500 | 1,400 to 1,600 | 150 |"), "{page}");
    assert!(!page.contains("Nowhere") && !page.contains("worth nothing"), "{page}");
}

#[test]
fn a_page_from_a_busy_machine_or_a_trial_says_so() {
    let mut busy = results(table());
    (busy.machine.busy, busy.scale) = (1.5, 0.1);
    let page = page::page(&busy);
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
    let page = page::page(&results(table));
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
