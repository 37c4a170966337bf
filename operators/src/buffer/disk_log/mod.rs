//! A write-ahead log in segments: written at one end, read and given back at the other.
//!
//! A segment is a file of bounded size, and never written again once it is full or the log has
//! been opened anew. The ledger says what has been read for good; it is replaced by renaming, so
//! there is always a whole one. Three orders make it hold through every crash:
//!
//! * A segment is on disk before the next one is begun, so what a crash takes is an end.
//! * A segment is on disk before a ledger that says so, and what is read for good is on disk.
//! * A segment is taken away after a ledger that says that it is read for good is on disk.
//!
//! What can't be parsed is never taken for the end of the log, and never tried twice: reading goes
//! on with the next segment, the sequence numbers tell how many records are missing, and the file
//! gets another name instead of being taken away. The log is blocking code; nothing of it runs on
//! an async worker.

mod folder;
mod frame;
mod lock;
mod read;
mod recovery;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

pub(super) use folder::{Folder, LockedFolder};
pub(super) use frame::Kind;
use frame::{FRAME, Frame, HEADER, LEDGER, Ledger};
pub use lock::Locked;
use read::Reader;

use crate::file::{FileError, Place};

/// The name of the ledger, and that of one that is not whole yet.
const LEDGER_NAME: &str = "ledger";
const LEDGER_PART: &str = "ledger.new";
/// What the name of a file ends in that could not be parsed.
const CORRUPT: &str = ".corrupt";
/// The largest segment, where nothing smaller follows from the size of the log.
const SEGMENT_MAX: u64 = 16 * 1024 * 1024;
/// So many bytes are collected before they are written.
const CHUNK: usize = 128 * 1024;

/// The smallest log there can be: room for the ledger, twice, and something to keep.
pub(super) const BYTES_MIN: u64 = 4096;

/// What became of something that was to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// It is in the log.
    Done,
    /// There is no room for it before something else has been read for good.
    Full,
    /// There will never be room for it.
    TooLarge,
}

/// What has been found missing since it was last asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// Records that had been written before the log was opened.
    pub(super) earlier: u64,
    /// Records that have been written since.
    pub(super) own: u64,
    /// Places that could not be parsed.
    pub(super) damages: u64,
}

/// An opened log.
pub(super) struct Log<D: Folder> {
    folder: D,
    max_bytes: u64,
    segment_bytes: u64,
    /// Oldest first.
    segments: VecDeque<Segment>,
    /// The bytes of all of them.
    used: u64,
    /// The last segment, as long as it is being written.
    writer: Option<Writer<D::File>>,
    reader: Reader<D::File>,
    /// The ledger that is on disk.
    ledger: Ledger,
    next_segment: u64,
    /// The first segment that was written since the log was opened.
    own_segment: u64,
    /// The same, for records.
    own_record: u64,
    /// The record to be written next.
    next: u64,
    /// The record to be read next.
    read: u64,
    /// Records before this one have been read for good.
    acked: u64,
    /// Names have been given or taken since they were last synced.
    names_changed: bool,
    losses: Losses,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u64,
    /// The records in it: from this one,
    first: u64,
    /// up to this one.
    end: u64,
    /// What of the file counts, and what is still to be written to it.
    bytes: u64,
    /// There is something in it that can't be parsed.
    damaged: bool,
}

struct Writer<F> {
    file: F,
    pending: Vec<u8>,
    /// There is something in the file that has not been synced.
    dirty: bool,
}

fn segment_name(number: u64) -> String {
    format!("{number:020}.log")
}

impl<D: Folder> Log<D> {
    /// Appends a record or a watermark. It is on disk after the next [`sync`](Log::sync).
    pub(super) fn append(
        &mut self,
        kind: Kind,
        time: i64,
        payload: &[u8],
    ) -> Result<Appended, FileError> {
        let length = (FRAME + payload.len()) as u64;
        if u32::try_from(payload.len()).is_err() || HEADER as u64 + length > self.room_at_all() {
            return Ok(Appended::TooLarge);
        }
        let mut begins = self.begins_with(length);
        if !self.has_room(length, begins) {
            self.reclaim()?;
            begins = self.begins_with(length);
            if !self.has_room(length, begins) {
                return Ok(Appended::Full);
            }
        }
        if begins {
            self.seal()?;
            self.begin()?;
        }
        let (Some(writer), Some(segment)) = (&mut self.writer, self.segments.back_mut()) else {
            return Ok(Appended::Full);
        };
        let frame = Frame { kind, sequence: self.next, time, payload };
        frame::write_frame(&mut writer.pending, segment.number, &frame);
        segment.bytes += length;
        self.used += length;
        if kind == Kind::Record {
            self.next += 1;
            segment.end = self.next;
        }
        if writer.pending.len() >= CHUNK {
            self.flush()?;
        }
        Ok(Appended::Done)
    }

    /// What a whole segment may take up when there is no other: the rest is the ledger's.
    const fn room_at_all(&self) -> u64 {
        self.max_bytes.saturating_sub(2 * LEDGER as u64)
    }

    /// Whether a frame would begin another segment.
    fn begins_with(&self, length: u64) -> bool {
        let active = self.segments.back().filter(|_| self.writer.is_some());
        let fits = |segment: &Segment| segment.bytes + length <= self.segment_bytes;
        !active.is_some_and(|segment| segment.bytes == HEADER as u64 || fits(segment))
    }

    fn has_room(&self, length: u64, begins: bool) -> bool {
        let header = if begins { HEADER as u64 } else { 0 };
        self.used + header + length <= self.room_at_all()
    }

    /// Makes room, if anything is read for good.
    fn reclaim(&mut self) -> Result<(), FileError> {
        if self.acked == self.next && !self.unread() {
            self.seal()?;
        }
        let last = self.writer.as_ref().and(self.segments.back()).map(|segment| segment.number);
        let first = self.segments.front();
        let frees = |segment: &Segment| segment.end <= self.acked && last != Some(segment.number);
        if first.is_some_and(frees) { self.sync() } else { Ok(()) }
    }

    /// Begins a segment.
    fn begin(&mut self) -> Result<(), FileError> {
        let number = self.next_segment;
        let created = self.folder.create(&segment_name(number));
        let file = self.named(&segment_name(number), created)?;
        self.next_segment += 1;
        self.names_changed = true;
        let mut pending = Vec::new();
        frame::write_header(&mut pending, number, self.next);
        self.writer = Some(Writer { file, pending, dirty: true });
        let (first, end, bytes) = (self.next, self.next, HEADER as u64);
        self.used += bytes;
        self.segments.push_back(Segment { number, first, end, bytes, damaged: false });
        Ok(())
    }

    /// Hands what has been appended to the system: it survives this process.
    pub(super) fn flush(&mut self) -> Result<(), FileError> {
        let (Some(writer), Some(segment)) = (&mut self.writer, self.segments.back()) else {
            return Ok(());
        };
        if writer.pending.is_empty() {
            return Ok(());
        }
        writer.dirty = true;
        let written = self.folder.append(&mut writer.file, &writer.pending);
        let before = segment.bytes - writer.pending.len() as u64;
        writer.pending.clear();
        let name = segment_name(segment.number);
        if written.is_err() {
            // Part of it may be there. Should this fail too, the next start cuts it off.
            self.folder.cut(&name, before).ok();
        }
        self.named(&name, written)
    }

    /// Writes and syncs all there is, then the ledger, and takes away what is read for good.
    pub(super) fn sync(&mut self) -> Result<(), FileError> {
        self.sync_writer()?;
        let (acked, synced, next_segment) = (self.acked, self.next, self.next_segment);
        let ledger = Ledger { acked, synced, next_segment };
        if ledger != self.ledger {
            let written = self.write_ledger(ledger);
            self.named(LEDGER_NAME, written)?;
            self.ledger = ledger;
        }
        self.take_away()
    }

    fn sync_writer(&mut self) -> Result<(), FileError> {
        self.flush()?;
        if let (Some(writer), Some(segment)) = (&mut self.writer, self.segments.back())
            && writer.dirty
        {
            let synced = self.folder.sync(&mut writer.file);
            writer.dirty = false;
            let name = segment_name(segment.number);
            self.named(&name, synced)?;
        }
        self.sync_names()
    }

    fn write_ledger(&self, ledger: Ledger) -> io::Result<()> {
        let mut file = self.folder.create(LEDGER_PART)?;
        self.folder.append(&mut file, &ledger.write())?;
        self.folder.sync(&mut file)?;
        self.folder.rename(LEDGER_PART, LEDGER_NAME)?;
        self.folder.sync_names()
    }

    /// Ends the segment that is being written. What comes next begins another.
    pub(super) fn seal(&mut self) -> Result<(), FileError> {
        self.sync_writer()?;
        self.writer = None;
        Ok(())
    }

    /// Takes away the segments that the ledger on disk has no use for.
    fn take_away(&mut self) -> Result<(), FileError> {
        while let Some(&segment) = self.segments.front() {
            let active = self.writer.is_some() && self.segments.len() == 1;
            let done = segment.end <= self.ledger.acked && self.reader.is_past(&segment);
            if active || !done {
                break;
            }
            self.reader.close(segment.number);
            let name = segment_name(segment.number);
            let gone = if segment.damaged {
                self.folder.rename(&name, &format!("{name}{CORRUPT}"))
            } else {
                self.folder.remove(&name)
            };
            self.named(&name, gone)?;
            self.names_changed = true;
            self.used = self.used.saturating_sub(segment.bytes);
            self.segments.pop_front();
        }
        // Before the room is used again: a crash that brought back what had been taken away would
        // leave more than fits.
        self.sync_names()
    }

    fn sync_names(&mut self) -> Result<(), FileError> {
        if std::mem::take(&mut self.names_changed) {
            let synced = self.folder.sync_names();
            self.named("", synced)?;
        }
        Ok(())
    }

    /// Records before `sequence` have been read for good.
    pub(super) fn acknowledge(&mut self, sequence: u64) {
        self.acked = self.acked.max(sequence.min(self.read));
    }

    /// Whether the ledger on disk says all there is to say.
    pub(super) fn is_synced(&self) -> bool {
        self.ledger.acked == self.acked && self.ledger.synced == self.next
    }

    /// Whether there is nothing in the log at all.
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The record to be read next.
    pub(super) const fn position(&self) -> u64 {
        self.read
    }

    /// The first record that was written since the log was opened.
    pub(super) const fn own_record(&self) -> u64 {
        self.own_record
    }

    /// What has been found missing since the last time.
    pub(super) fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// The path of a file of the log, or of its folder.
    pub(super) fn path(&self, name: &str) -> Arc<str> {
        self.folder.path(name)
    }

    /// Gives an error the name of the file that it is about.
    fn named<R>(&self, name: &str, result: io::Result<R>) -> Result<R, FileError> {
        result.map_err(|error| FileError::new(&self.folder.path(name), Place::File, error))
    }
}
