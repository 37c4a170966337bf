//! Opening a log, in whatever state the last run or a crash has left it.

use std::collections::VecDeque;
use std::io;

use super::frame::{self, Found, HEADER, LEDGER, Ledger, Unreadable};
use super::read::Reader;
use super::{
    BYTES_MIN, CORRUPT, Folder, Kind, LEDGER_NAME, LEDGER_PART, Log, Losses, SEGMENT_MAX, Segment,
    segment_name,
};
use crate::file::FileError;

/// A file is whole, and of a version that this program does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is of version {version}, which this program does not know")]
struct UnknownVersion {
    version: u32,
}

/// What is known of the ledger.
enum Known {
    Ledger(Ledger),
    /// There is none: nothing has ever been synced.
    Nothing,
    /// It could not be parsed, so nothing is known.
    Unreadable,
}

/// The number in a segment's name.
fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(".log")?.parse().ok().filter(|number| segment_name(*number) == name)
}

impl<D: Folder> Log<D> {
    /// Opens the log in a folder. It never grows beyond `max_bytes`.
    pub(in crate::buffer) fn open(folder: D, max_bytes: u64) -> Result<Self, FileError> {
        let mut log = Self {
            folder,
            max_bytes: max_bytes.max(BYTES_MIN),
            segment_bytes: (max_bytes / 8).min(SEGMENT_MAX),
            segments: VecDeque::new(),
            used: 0,
            writer: None,
            reader: Reader::new(),
            ledger: Ledger::default(),
            next_segment: 1,
            own_segment: 0,
            own_record: 0,
            next: 0,
            read: 0,
            acked: 0,
            names_changed: true,
            losses: Losses::default(),
        };
        let files = log.folder.files();
        let mut files = log.named("", files)?;
        // The lengths are in the names, so this is the order in which they were begun.
        files.sort();
        let ledger = log.recover_ledger(&files)?;
        for (name, length) in &files {
            let number = number_of(name.strip_suffix(CORRUPT).unwrap_or(name));
            log.next_segment = log.next_segment.max(number.map_or(0, |number| number + 1));
            if let Some(number) = number_of(name) {
                log.recover_segment(number, *length)?;
            }
        }
        log.recover_positions(&ledger)?;
        log.used = log.segments.iter().map(|segment| segment.bytes).sum();
        Ok(log)
    }

    fn recover_ledger(&mut self, files: &[(String, u64)]) -> Result<Known, FileError> {
        if files.iter().any(|(name, _)| name == LEDGER_PART) {
            let removed = self.folder.remove(LEDGER_PART);
            self.named(LEDGER_PART, removed)?;
        }
        let Some((_, length)) = files.iter().find(|(name, _)| name == LEDGER_NAME) else {
            return Ok(Known::Nothing);
        };
        let bytes = self.beginning(LEDGER_NAME, LEDGER + 1)?;
        match Ledger::read(&bytes) {
            Ok(ledger) => Ok(Known::Ledger(ledger)),
            Err(Unreadable::Version(version)) => Err(self.unknown(LEDGER_NAME, version)),
            Err(Unreadable::Bad) => {
                let taken = |name: &String| files.iter().any(|(other, _)| other == name);
                let mut names = (1_u64..).map(|count| format!("{LEDGER_NAME}-{count}{CORRUPT}"));
                let name = names.find(|name| !taken(name)).unwrap_or_default();
                let path = self.path(&name);
                let why = "the ledger can't be read: everything there is comes again";
                tracing::warn!(%path, length, "{why}");
                let renamed = self.folder.rename(LEDGER_NAME, &name);
                self.named(LEDGER_NAME, renamed)?;
                self.losses.damages += 1;
                Ok(Known::Unreadable)
            }
        }
    }

    fn unknown(&self, name: &str, version: u32) -> FileError {
        let cause = io::Error::new(io::ErrorKind::InvalidData, UnknownVersion { version });
        FileError::new(&self.path(name), crate::file::Place::File, cause)
    }

    fn beginning(&self, name: &str, length: usize) -> Result<Vec<u8>, FileError> {
        let mut bytes = vec![0; length];
        let read = self.folder.open(name);
        let read = read.and_then(|mut file| self.folder.read(&mut file, 0, &mut bytes));
        bytes.truncate(self.named(name, read)?);
        Ok(bytes)
    }

    /// Looks at the header of a segment, and sets aside what has none.
    fn recover_segment(&mut self, number: u64, bytes: u64) -> Result<(), FileError> {
        let name = segment_name(number);
        if bytes < HEADER as u64 {
            // It was being begun. There is no record in it.
            let removed = self.folder.remove(&name);
            return self.named(&name, removed);
        }
        let header = self.beginning(&name, HEADER)?;
        match frame::read_header(&header, number) {
            Ok(first) => {
                if let Some(before) = self.segments.back_mut() {
                    before.end = first.max(before.first);
                }
                let end = first;
                self.segments.push_back(Segment { number, first, end, bytes, damaged: false });
                Ok(())
            }
            Err(Unreadable::Version(version)) => Err(self.unknown(&name, version)),
            Err(Unreadable::Bad) => {
                let path = self.path(&name);
                tracing::warn!(%path, bytes, "a segment of a disk buffer has no header");
                self.losses.damages += 1;
                let renamed = self.folder.rename(&name, &format!("{name}{CORRUPT}"));
                self.named(&name, renamed)
            }
        }
    }

    /// Finds out where the last segment ends, and so where everything goes on.
    fn recover_positions(&mut self, known: &Known) -> Result<(), FileError> {
        let oldest = self.segments.front().map_or(0, |segment| segment.first);
        let (acked, synced) = match known {
            Known::Ledger(ledger) => {
                self.ledger = *ledger;
                self.next_segment = self.next_segment.max(ledger.next_segment);
                (ledger.acked, ledger.synced)
            }
            Known::Nothing => (oldest, 0),
            Known::Unreadable => (oldest, u64::MAX),
        };
        if let Some(mut last) = self.segments.pop_back() {
            let (end, good) = self.scan(&last)?;
            last.end = end;
            // What was never said to be on disk may have been torn. Anything else is kept, to be
            // told of by whoever reads it.
            if good == last.bytes || end >= synced {
                let torn = last.bytes - good;
                let name = segment_name(last.number);
                if torn > 0 {
                    let path = self.path(&name);
                    tracing::warn!(%path, torn, "the torn end of a disk buffer is cut off");
                }
                let cut = self.folder.cut(&name, good);
                self.named(&name, cut)?;
                last.bytes = good;
            }
            self.segments.push_back(last);
        }
        let written = self.segments.back().map_or(0, |segment| segment.end);
        let promised = if synced == u64::MAX { 0 } else { synced };
        self.next = written.max(promised).max(acked);
        (self.read, self.acked) = (acked, acked);
        (self.own_segment, self.own_record) = (self.next_segment, self.next);
        Ok(())
    }

    /// How far a segment can be parsed: the record behind the last one, and the bytes.
    fn scan(&self, segment: &Segment) -> Result<(u64, u64), FileError> {
        const CHUNK: usize = 256 * 1024;
        let name = segment_name(segment.number);
        let opened = self.folder.open(&name);
        let mut file = self.named(&name, opened)?;
        let (mut end, mut good, mut window) = (segment.first, HEADER as u64, Vec::new());
        let mut start = 0;
        loop {
            let rest = window.get(start..).unwrap_or_default();
            match frame::read_frame(rest, segment.number, segment.bytes - good) {
                Found::Bad => return Ok((end, good)),
                Found::Frame(frame, length) => {
                    if frame.kind == Kind::Record {
                        if frame.sequence != end {
                            return Ok((end, good));
                        }
                        end += 1;
                    }
                    good += length as u64;
                    start += length;
                }
                Found::Part(needed) => {
                    let left = usize::try_from(segment.bytes - good).unwrap_or(usize::MAX);
                    window.clear();
                    window.resize(needed.max(CHUNK).min(left), 0);
                    start = 0;
                    let read = self.folder.read(&mut file, good, &mut window);
                    let read = self.named(&name, read)?;
                    window.truncate(read);
                    if read < needed {
                        return Ok((end, good));
                    }
                }
            }
        }
    }
}
