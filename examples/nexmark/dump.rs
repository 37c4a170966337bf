//! The events, written down: one JSON object a line, in the order in which the queries see them.

use std::io::{self, Write};

use crate::model::Event;

/// Writes `{"bid":{"auction":1000,…}}` and the like.
pub(crate) fn write(events: &[Event], mut to: impl Write) -> io::Result<()> {
    for event in events {
        serde_json::to_writer(&mut to, event)?;
        to.write_all(b"\n")?;
    }
    to.flush()
}
