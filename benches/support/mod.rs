//! What the benches share: contestants that run in turn, checked against each other, and a table of
//! medians and of ratios to the limit.
//!
//! Absolute figures depend on the machine and on what else it does; the ratios within one run are
//! what counts. CPU time is that of the whole process, and says whether speed was bought with a
//! second core.

#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::time::Duration;

/// One way to do the work; it answers a checksum of what it did.
pub(crate) struct Contestant<'a> {
    name: &'static str,
    must: Option<f64>,
    run: Box<dyn FnMut() -> u64 + 'a>,
}

/// The limit, or a peer: shown, and held to nothing.
pub(crate) fn shown<'a>(name: &'static str, run: impl FnMut() -> u64 + 'a) -> Contestant<'a> {
    Contestant { name, must: None, run: Box::new(run) }
}

/// A contestant that must stay within `ratio` times the limit: with `-- --check` the bench fails
/// otherwise.
pub(crate) fn must<'a>(
    ratio: f64,
    name: &'static str,
    run: impl FnMut() -> u64 + 'a,
) -> Contestant<'a> {
    Contestant { name, must: Some(ratio), run: Box::new(run) }
}

#[derive(Clone, Copy)]
struct Sample {
    wall: f64,
    cpu: f64,
}

/// Runs all contestants in turn, round after round, and prints what came of it. The first is the
/// limit.
///
/// # Panics
///
/// If two contestants disagree on the checksum, or one breaks its promise and `--check` was given.
pub(crate) fn compare(question: &str, items: u64, mut contestants: Vec<Contestant<'_>>) {
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    println!("\n{question}");
    println!("{items} records, median of {rounds} interleaved rounds, ns a record\n");
    let expected = contestants.iter_mut().map(|one| (one.run)()).collect::<Vec<_>>();
    assert!(expected.windows(2).all(|two| two.first() == two.last()), "checksums: {expected:?}");
    let mut samples: Vec<Vec<Sample>> = contestants.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (contestant, samples) in contestants.iter_mut().zip(&mut samples) {
            samples.push(measure(items, &mut contestant.run));
        }
    }
    report(&contestants, &samples);
}

fn report(contestants: &[Contestant<'_>], samples: &[Vec<Sample>]) {
    println!(
        "{:<44} {:>7} {:>15} {:>7} {:>8} {:>8}",
        "", "wall", "min to max", "CPU", "÷ wall", "÷ CPU"
    );
    let limit = samples.first().map_or(Sample { wall: 1.0, cpu: 1.0 }, |limit| median(limit));
    let mut broken = Vec::new();
    for (contestant, samples) in contestants.iter().zip(samples) {
        let Sample { wall, cpu } = median(samples);
        let walls = samples.iter().map(|sample| sample.wall);
        let (least, most) = (walls.clone().fold(f64::MAX, f64::min), walls.fold(0.0, f64::max));
        let ratio = wall / limit.wall;
        let range = format!("{least:.2} to {most:.2}");
        println!(
            "{:<44} {wall:>7.2} {range:>15} {cpu:>7.2} {ratio:>8.2} {:>8.2}",
            contestant.name,
            cpu / limit.cpu
        );
        if let Some(most) = contestant.must.filter(|most| ratio > *most) {
            broken.push(format!("{}: {ratio:.2} times the limit, must be {most}", contestant.name));
        }
    }
    let check = std::env::args().any(|argument| argument == "--check");
    assert!(!check || broken.is_empty(), "{broken:?}");
}

#[allow(clippy::disallowed_methods, clippy::cast_precision_loss, reason = "a bench measures")]
fn measure(items: u64, run: &mut dyn FnMut() -> u64) -> Sample {
    let (start, cpu) = (std::time::Instant::now(), cpu_time());
    std::hint::black_box(run());
    let (wall, cpu) = (start.elapsed(), cpu_time().saturating_sub(cpu));
    let each = |spent: Duration| spent.as_nanos() as f64 / items as f64;
    Sample { wall: each(wall), cpu: each(cpu) }
}

fn median(samples: &[Sample]) -> Sample {
    let middle = |of: fn(&Sample) -> f64| {
        let mut sorted: Vec<f64> = samples.iter().map(of).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Sample { wall: middle(|sample| sample.wall), cpu: middle(|sample| sample.cpu) }
}

/// User and system time of the process, from Linux' `/proc` in ticks of 10 ms; zero elsewhere.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}
