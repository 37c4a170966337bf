//! Parts that several operators are made of.

use std::collections::VecDeque;

use millstream_engine::Record;
use millstream_engine::operator::Collector;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::Timestamp;

use crate::state::{Codec, Part};

/// The event time of something made of several records: the latest of theirs, or the watermark if
/// that has passed them all, so that what is emitted late is never behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LatestTime {
    records: Timestamp,
    watermark: Timestamp,
}

impl LatestTime {
    pub(crate) const fn new() -> Self {
        Self { records: Timestamp::MIN, watermark: Timestamp::MIN }
    }

    /// One more record belongs to it.
    #[inline]
    pub(crate) fn add(&mut self, time: Timestamp) {
        self.records = self.records.max(time);
    }

    /// No earlier record may follow.
    #[inline]
    pub(crate) fn pass(&mut self, watermark: Timestamp) {
        self.watermark = self.watermark.max(watermark);
    }

    /// The time of one record that is emitted now.
    #[inline]
    pub(crate) fn of(&self, time: Timestamp) -> Timestamp {
        time.max(self.watermark)
    }

    /// The time of the records so far. The next ones begin anew.
    #[inline]
    pub(crate) fn take(&mut self) -> Timestamp {
        let latest = self.records.max(self.watermark);
        self.records = Timestamp::MIN;
        latest
    }
}

impl<T> Part<T> for LatestTime {
    fn write(&self, codec: Codec<T>, bytes: &mut Vec<u8>) -> Result<(), StateError> {
        self.records.write(codec, bytes)?;
        self.watermark.write(codec, bytes)
    }

    fn read(&mut self, codec: Codec<T>, bytes: &mut &[u8]) -> Result<(), StateError> {
        let mut read = Self::new();
        read.records.read(codec, bytes)?;
        read.watermark.read(codec, bytes)?;
        self.add(read.records);
        self.pass(read.watermark);
        Ok(())
    }
}

/// What is left of an iterator whose items are emitted as there is room.
#[derive(Debug)]
pub(crate) struct Remainder<I> {
    items: Option<(I, Timestamp)>,
}

impl<I: Iterator> Remainder<I> {
    pub(crate) const fn none() -> Self {
        Self { items: None }
    }

    #[inline]
    pub(crate) const fn is_some(&self) -> bool {
        self.items.is_some()
    }

    /// Emits items at `time` until there are no more, or no more room.
    #[inline]
    pub(crate) fn emit(&mut self, items: I, time: Timestamp, out: &mut impl Collector<I::Item>) {
        let mut items = items;
        while !out.is_full() {
            match items.next() {
                Some(item) => out.push(Record::at(item, time)),
                None => return,
            }
        }
        self.items = Some((items, time));
    }

    /// Goes on with what is left.
    pub(crate) fn resume(&mut self, out: &mut impl Collector<I::Item>) {
        if let Some((items, time)) = self.items.take() {
            self.emit(items, time, out);
        }
    }
}

/// Records that are on their way out, and wait for room.
#[derive(Debug)]
pub(crate) struct Backlog<T>(VecDeque<Record<T>>);

impl<T> Backlog<T> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Emits a record, or keeps it until there is room for it.
    #[inline]
    pub(crate) fn emit(&mut self, record: Record<T>, out: &mut impl Collector<T>) {
        if self.0.is_empty() && !out.is_full() {
            out.push(record);
        } else {
            self.0.push_back(record);
        }
    }

    /// Emits all of them, as far as there is room.
    pub(crate) fn extend(
        &mut self,
        records: impl IntoIterator<Item = Record<T>>,
        out: &mut impl Collector<T>,
    ) {
        self.0.extend(records);
        self.resume(out);
    }

    /// Goes on with what is left.
    #[inline]
    pub(crate) fn resume(&mut self, out: &mut impl Collector<T>) {
        while !out.is_full() {
            match self.0.pop_front() {
                Some(record) => out.push(record),
                None => return,
            }
        }
    }
}

/// Writes a count as an operator's whole state.
pub(crate) fn write_count(state: &mut StateWriter, count: u64) {
    state.write(count.to_le_bytes().to_vec());
}

/// Reads what [`write_count`] wrote, if it wrote anything.
pub(crate) fn read_count(state: &StateReader<'_>) -> Result<Option<u64>, StateError> {
    let Some(bytes) = state.read() else {
        return Ok(None);
    };
    let bytes = bytes
        .try_into()
        .map_err(|_| StateError::new(format!("a count has 8 bytes, not {}", bytes.len())))?;
    Ok(Some(u64::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_survives_and_nonsense_is_refused() {
        let mut state = StateWriter::new(0);
        write_count(&mut state, 513);
        let entries = state.into_entries();
        assert_eq!(read_count(&StateReader::new(0, 2, &entries)), Ok(Some(513)));
        assert_eq!(read_count(&StateReader::new(1, 2, &entries)), Ok(None));
        let mut state = StateWriter::new(0);
        state.write(vec![1]);
        let entries = state.into_entries();
        assert!(read_count(&StateReader::new(0, 2, &entries)).is_err());
    }

    #[test]
    fn the_latest_time_is_never_behind_the_watermark() {
        let at = Timestamp::from_millis;
        let mut latest = LatestTime::new();
        assert_eq!(latest.take(), Timestamp::MIN);
        latest.add(at(7));
        latest.add(at(3));
        assert_eq!(latest.take(), at(7));
        latest.add(at(3));
        latest.pass(at(5));
        assert_eq!(latest.take(), at(5));
    }
}
