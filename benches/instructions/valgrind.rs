//! Runs this program under valgrind, and reads how many instructions it took.
//!
//! Directly, and not by way of a crate: such a crate's runner has to be installed beside it and
//! keeps its baselines among the build's output, and what is needed of it is one number.

use std::collections::BTreeMap;
use std::path::{Path as File, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, thread};

use crate::paths::Path;

/// How many times the records of the smaller run the larger one has.
const LARGER: u64 = 3;

/// Counts the instructions of each path for each record, as many paths at a time as there are
/// cores. What else the machine does changes no count.
pub(crate) fn count(paths: &[&Path]) -> Result<BTreeMap<String, f64>, String> {
    let (next, counts) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || -> Result<(), String> {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            let each = for_each_record(path)?;
            let mut counts = counts.lock().map_err(|error| error.to_string())?;
            counts.insert(path.name.to_owned(), each);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let panicked = |_| Err("a thread that counts has panicked".into());
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(panicked))
    })?;
    counts.into_inner().map_err(|error| error.to_string())
}

fn for_each_record(path: &Path) -> Result<f64, String> {
    let (few, many) = (path.records, path.records * LARGER);
    let spent = run(path.name, many)?.saturating_sub(run(path.name, few)?);
    // As many digits as the file has: a comparison must not see more.
    Ok((spent as f64 / (many - few) as f64 * 100.0).round() / 100.0)
}

/// The instructions of one run, from start to end of its process.
fn run(path: &str, records: u64) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let counted = counted_file(&program, path, records);
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--branch-sim=no"])
        .arg(format!("--cachegrind-out-file={}", counted.display()))
        .arg(program)
        .args([path, "--run", &records.to_string()])
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind can't be run ({error}): install it"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{path} failed under valgrind: {said}"));
    }
    let text = fs::read_to_string(&counted).map_err(|error| error.to_string())?;
    let total = text.lines().find_map(|line| line.strip_prefix("summary: "));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.ok_or_else(|| format!("{} has no summary", counted.display()))
}

/// Beside the program, so that two of them don't write over each other.
fn counted_file(program: &File, path: &str, records: u64) -> PathBuf {
    program.with_extension(format!("{path}.{records}.counted"))
}
