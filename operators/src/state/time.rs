//! Times as operators write them that write nothing else of the kind: eight bytes.

use millstream_engine::state::StateError;
use millstream_engine::time::Timestamp;

pub(crate) const fn time_bytes(time: Timestamp) -> [u8; 8] {
    time.as_millis().to_le_bytes()
}

/// Takes a time off the front.
pub(crate) fn read_time(bytes: &mut &[u8]) -> Result<Timestamp, StateError> {
    let too_short = || StateError::new("a time has 8 bytes");
    let (time, rest) = bytes.split_first_chunk().ok_or_else(too_short)?;
    *bytes = rest;
    Ok(Timestamp::from_millis(i64::from_le_bytes(*time)))
}
