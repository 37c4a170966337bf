//! How much memory this process has, from Linux' `/proc`.

use std::fs;

/// What is resident now, in bytes.
pub(crate) fn resident() -> Result<f64, String> {
    of("VmRSS")
}

/// The most that ever was.
pub(crate) fn peak() -> Result<f64, String> {
    of("VmHWM")
}

fn of(field: &str) -> Result<f64, String> {
    let status = fs::read_to_string("/proc/self/status");
    let status = status.map_err(|error| format!("memory is read from Linux' /proc: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes.map(|kibibytes| kibibytes * 1024.0).ok_or_else(|| format!("/proc tells no {field}"))
}
