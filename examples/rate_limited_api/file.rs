//! The file with the rows, which is also the only record of how far the ingestion is: a row is
//! either in it, and not asked for again, or it is not, and is.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::api::Row;

/// What is in the file.
pub(crate) struct Rows {
    path: PathBuf,
    next: BTreeMap<String, u64>,
}

impl Rows {
    /// Reads the file, if there is one, and cuts off a row that a crash has left half written.
    ///
    /// # Errors
    ///
    /// A row that is no row, or not the one that follows the station's last.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut rows = Self { path: path.to_owned(), next: BTreeMap::new() };
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(rows),
            text => text?,
        };
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            OpenOptions::new().write(true).open(path)?.set_len(whole as u64)?;
        }
        for line in text.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty()) {
            if let Ok(row) = serde_json::from_slice::<Row>(line) {
                rows.add(row)?;
            }
        }
        Ok(rows)
    }

    fn add(&mut self, row: Row) -> io::Result<()> {
        let next = self.next.entry(row.station).or_default();
        if row.number != *next {
            return Err(io::Error::other(format!("row {} where {next} belongs", row.number)));
        }
        *next += 1;
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the first row of a station that is not in the file.
    pub(crate) fn next(&self, station: &str) -> u64 {
        self.next.get(station).copied().unwrap_or_default()
    }

    pub(crate) fn total(&self) -> u64 {
        self.next.values().sum()
    }
}

/// Adds rows, in one write.
pub(crate) fn append(path: &Path, rows: &[Row]) -> io::Result<()> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row)?;
        text.push(b'\n');
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(&text)?;
    file.sync_data()
}
