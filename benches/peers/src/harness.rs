//! Measures all contenders in turn, round after round, each time in a process of its own: so peak
//! memory is one contender's, and no allocator or thread pool is left warm for the next.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use crate::contender::{By, Contender, Outcome, Workload};
use crate::crossing;
use crate::machine::field;
use crate::results::{Row, Sample, Side, Table};

/// How long a child measures at least. Of a tenth of a second, which some take, one interruption is
/// a good part, and the medians of such runs moved by 5 %.
const LONG_ENOUGH: Duration = Duration::from_millis(400);

/// What a whole run takes of the records, and how often.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) rounds: usize,
    /// The part of the usual number of records.
    pub(crate) scale: f64,
}

impl Extent {
    fn records(self, workload: &Workload, contender: &Contender) -> u64 {
        let wanted = workload.records as f64 * self.scale / contender.share as f64;
        (wanted as u64).max(1)
    }
}

/// How many times the usual rounds there are at most, where they do not tell what they are to tell.
pub(crate) const ROUNDS_MAX: usize = 3;

/// Runs every contender of the workload once a round, and tells on standard error who is at work.
/// Those between whom it is [not decided](Table::undecided) then whether a must is held go on.
///
/// # Errors
///
/// If a contender fails, or comes to a result that is not the reference's.
pub(crate) fn compare(workload: &Workload, extent: Extent) -> Result<Table, String> {
    let mut table = Table {
        name: workload.name.into(),
        question: workload.question.into(),
        records: (workload.records as f64 * extent.scale) as u64,
        rows: workload.contenders.iter().map(empty_row).collect(),
        crossings: Vec::new(),
    };
    let mut at_work: Vec<usize> = (0..table.rows.len()).collect();
    for round in 1..=ROUNDS_MAX * extent.rounds {
        if round > extent.rounds {
            let undecided = table.undecided();
            if undecided.is_empty() {
                break;
            }
            // They go on together: the samples of a round stand beside each other.
            if round == extent.rounds + 1 {
                at_work = undecided;
            }
        }
        table.crossings.extend(crossing::nanos());
        for &at in &at_work {
            let (contender, row) = (&workload.contenders[at], &mut table.rows[at]);
            eprintln!("{} {round}/{}: {}", workload.name, extent.rounds, contender.name);
            let records = extent.records(workload, contender);
            let sample = in_child(workload, at, records)
                .map_err(|error| format!("{}, {}: {error}", workload.name, contender.name))?;
            row.samples.push(sample);
        }
    }
    Ok(table)
}

fn empty_row(contender: &Contender) -> Row {
    let side = match contender.by {
        By::Hand => Side::Hand,
        By::Millstream => Side::Millstream,
        By::Peer(_) => Side::Peer,
    };
    let reaches = contender.reaches.clone();
    Row { name: contender.name.into(), side, reaches, samples: Vec::new() }
}

/// Has this program measure one contender, and reads what it says.
fn in_child(workload: &Workload, contender: usize, records: u64) -> Result<Sample, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = if workload.real_time { real_time(&program) } else { Command::new(program) };
    let output = command
        .args(["measure", workload.name, &contender.to_string(), &records.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("failed: {}", output.status));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|error| format!("said {last:?}: {error}"))
}

/// A program all threads of which run before any that has no such priority (`SCHED_FIFO`).
fn real_time(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("chrt");
    command.args(["--fifo", "1"]).arg(program);
    command
}

/// Whether this user may give that priority, and there is a `chrt` to give it.
pub(crate) fn may_be_real_time() -> bool {
    real_time("true").output().is_ok_and(|output| output.status.success())
}

/// What a child does: a small run to warm up, then the one that counts. One that is over at once is
/// repeated, and its median counts; memory is that of the first, which no other was before.
///
/// # Panics
///
/// If a result is not the reference's.
pub(crate) fn measure(contender: &Contender, records: u64) -> Sample {
    let (warm, expected) = contender.prepare(records.div_ceil(10));
    assert_eq!(warm().checksum, expected, "the checksum of the small run");
    let (run, expected) = contender.prepare(records);
    let begun = Instant::now();
    let mut samples = vec![once(&*run, expected, records)];
    let peak = peak();
    while begun.elapsed() < LONG_ENOUGH {
        samples.push(once(&*run, expected, records));
    }
    samples.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    let median = samples.swap_remove(samples.len() / 2);
    Sample { peak, ..median }
}

/// A run, but for what memory it took.
fn once(run: &dyn Fn() -> Outcome, expected: u64, records: u64) -> Sample {
    let (start, cpu) = (Instant::now(), ProcessTime::now());
    let outcome = run();
    let (wall, cpu) = (start.elapsed(), cpu.elapsed());
    assert_eq!(outcome.checksum, expected, "the checksum");
    let each = |spent: Duration| spent.as_nanos() as f64 / records as f64;
    Sample { wall: each(wall), cpu: each(cpu), peak: f64::NAN, latency: outcome.latency }
}

/// The most memory that this process ever held, in MiB; zero where there is no `/proc`.
fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = field(&status, "VmHWM").split_whitespace().next().unwrap_or_default();
    kilobytes.parse::<f64>().unwrap_or_default() / 1024.0
}
