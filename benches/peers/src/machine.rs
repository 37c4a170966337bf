//! What the figures were measured on, read from Linux' `/proc`; elsewhere it is not known.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    /// How many cores others kept busy, before the first measurement or after the last one.
    pub(crate) busy: f64,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let first = |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned();
        let kilobytes = first(field(&memory, "MemTotal")).parse::<u64>().unwrap_or_default();
        Self {
            processor: field(&cpu, "model name").into(),
            cores: cores(),
            memory_gib: kilobytes.div_ceil(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().into(),
            rustc: rustc(),
            busy: busy_cores(),
        }
    }

    /// Looks once more whether others are at work.
    pub(crate) fn look_again(&mut self) {
        self.busy = self.busy.max(busy_cores());
    }

    /// Whether others were at work, so that the figures say little.
    pub(crate) fn was_busy(&self) -> bool {
        self.busy > 0.2
    }
}

/// How many cores are busy while this process waits for two seconds. The load average would still
/// tell of the compiler that has just built it.
fn busy_cores() -> f64 {
    const WAIT: Duration = Duration::from_secs(2);
    // Of all cores: ticks of user, nice, system, idle, waiting for disks, and more.
    let ticks = || {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
        let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
        let idle: f64 = ticks.iter().skip(3).take(2).sum();
        (ticks.iter().sum::<f64>(), idle)
    };
    let (all, idle) = ticks();
    thread::sleep(WAIT);
    let (all_then, idle_then) = ticks();
    let spent = all_then - all;
    if spent == 0.0 {
        return 0.0;
    }
    (1.0 - (idle_then - idle) / spent) * cores() as f64
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The value of `name: value`, at its first line.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let of = |line: &'a str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    };
    text.lines().find_map(of).unwrap_or_default()
}

fn rustc() -> String {
    let told = Command::new("rustc").arg("--version").output().map(|output| output.stdout);
    String::from_utf8_lossy(&told.unwrap_or_default()).trim().to_owned()
}

/// The versions of the crates with these names, from the lock file that this was built with. Where
/// it has several of one name, the one that this package asks for.
pub(crate) fn versions<'a>(crates: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
    let lock = include_str!("../Cargo.lock");
    let own = lock.split_once(concat!("name = \"", env!("CARGO_PKG_NAME"), "\"\n"));
    let own = own.map_or("", |(_, after)| after.split("[[package]]").next().unwrap_or_default());
    let of = |name: &str| {
        let after = own
            .split_once(&format!("\"{name} "))
            .or_else(|| lock.split_once(&format!("name = \"{name}\"\nversion = \"")));
        Some((name.to_owned(), after?.1.split_once('"')?.0.to_owned()))
    };
    crates.into_iter().filter_map(of).collect()
}
