//! The events, written down: one JSON object a line, in the order in which the queries see them.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use crate::model::Event;

/// Writes `{"bid":{"auction":1000,…}}` and the like.
pub(crate) fn write(path: &Path, events: &[Event]) -> Result<(), Box<dyn std::error::Error>> {
    let mut file = BufWriter::new(File::create(path)?);
    for event in events {
        serde_json::to_writer(&mut file, event)?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}
