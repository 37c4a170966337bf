//! Reading a log, past whatever can't be parsed.

use std::fmt;

use super::frame::{self, Found, Frame, HEADER};
use super::{Folder, Kind, Log, Segment, segment_name};
use crate::file::FileError;

/// So many bytes are read at once.
const CHUNK: u64 = 64 * 1024;

/// How far a log has been read.
pub(super) struct Reader<F> {
    /// The segment that is being read, or was the last to be.
    segment: u64,
    /// Where in it the next frame begins.
    offset: u64,
    /// The number that the next record in it must have.
    expected: u64,
    file: Option<F>,
    window: Window,
}

/// Part of a segment that has been read, but not parsed yet.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    start: usize,
}

impl Window {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
}

impl<F> Reader<F> {
    pub(super) fn new() -> Self {
        Self { segment: 0, offset: 0, expected: 0, file: None, window: Window::default() }
    }

    /// Whether everything in a segment has been read.
    pub(super) const fn is_past(&self, segment: &Segment) -> bool {
        let inside = self.segment == segment.number;
        self.segment > segment.number || inside && self.offset >= segment.bytes
    }

    /// Lets go of a segment: not every system takes away a file that is open.
    pub(super) fn close(&mut self, segment: u64) {
        if self.segment == segment {
            self.file = None;
            self.window.clear();
        }
    }
}

/// What the frame in front turned out to be.
enum Outcome {
    Taken,
    Skipped,
    Refused(String),
    Bad,
}

impl<D: Folder> Log<D> {
    /// Whether there is something to be read.
    pub(in crate::buffer) fn unread(&self) -> bool {
        self.reading().is_some() || self.read < self.next
    }

    /// The segment that the next frame is in.
    fn reading(&self) -> Option<Segment> {
        let past = self.segments.partition_point(|segment| self.reader.is_past(segment));
        self.segments.get(past).copied()
    }

    /// Reads up to `limit` records, and the watermarks among them. What `take` refuses is lost.
    pub(in crate::buffer) fn read<E: fmt::Display>(
        &mut self,
        limit: usize,
        mut take: impl FnMut(Kind, u64, i64, &[u8]) -> Result<(), E>,
    ) -> Result<(), FileError> {
        self.flush()?;
        let mut taken = 0;
        while taken < limit {
            let Some(segment) = self.reading() else {
                // Nothing is left, so what is missing will never come.
                self.skip_to(self.next, &segment_name(self.reader.segment));
                return Ok(());
            };
            let name = segment_name(segment.number);
            if self.reader.segment != segment.number {
                self.enter(&segment);
                continue;
            }
            if self.reader.file.is_none() {
                let opened = self.folder.open(&name);
                self.reader.file = Some(self.named(&name, opened)?);
            }
            match self.read_one(&segment, &mut take)? {
                Outcome::Taken => taken += 1,
                Outcome::Skipped => {}
                Outcome::Refused(why) => {
                    self.lose(1, self.read - 1);
                    self.mark_damaged(segment.number, &why);
                }
                Outcome::Bad => {
                    self.mark_damaged(segment.number, "a frame is not what was written");
                    self.leave(&segment)?;
                }
            }
        }
        Ok(())
    }

    /// Goes to the beginning of a segment.
    fn enter(&mut self, segment: &Segment) {
        self.reader.close(self.reader.segment);
        self.reader.segment = segment.number;
        self.reader.offset = HEADER as u64;
        self.reader.expected = segment.first;
        self.skip_to(segment.first, &segment_name(segment.number));
    }

    /// Gives up what is left of a segment.
    fn leave(&mut self, segment: &Segment) -> Result<(), FileError> {
        if self.segments.back().is_some_and(|last| last.number == segment.number) {
            // It may be the one that is being written: what comes must not be lost behind the hole.
            self.seal()?;
        }
        self.reader.offset = segment.bytes;
        self.reader.close(segment.number);
        Ok(())
    }

    /// Counts what is missing before `sequence`.
    fn skip_to(&mut self, sequence: u64, before: &str) {
        if self.read < sequence {
            let (missing, from) = (sequence - self.read, self.read);
            let path = self.folder.path(before);
            tracing::warn!(%path, missing, from, "records of a disk buffer are lost");
            self.lose(missing, from);
            self.read = sequence;
        }
    }

    fn lose(&mut self, records: u64, from: u64) {
        let earlier = self.own_record.saturating_sub(from).min(records);
        self.losses.earlier += earlier;
        self.losses.own += records - earlier;
    }

    fn mark_damaged(&mut self, number: u64, why: &str) {
        let path = self.folder.path(&segment_name(number));
        let offset = self.reader.offset;
        tracing::warn!(%path, offset, why, "part of a disk buffer can't be read");
        self.losses.damages += 1;
        let found = self.segments.iter_mut().find(|segment| segment.number == number);
        if let Some(segment) = found {
            segment.damaged = true;
        }
    }

    /// Parses the next frame. Only what is whole moves the reader.
    fn read_one<E: fmt::Display>(
        &mut self,
        segment: &Segment,
        take: &mut impl FnMut(Kind, u64, i64, &[u8]) -> Result<(), E>,
    ) -> Result<Outcome, FileError> {
        let left = segment.bytes.saturating_sub(self.reader.offset);
        let mut needed = match frame::read_frame(self.reader.window.rest(), segment.number, left) {
            Found::Part(needed) => needed,
            Found::Bad => return Ok(Outcome::Bad),
            Found::Frame(..) => 0,
        };
        // Once for the length of the frame, and once for the frame.
        while needed > 0 {
            if !self.load(segment, needed)? {
                return Ok(Outcome::Bad);
            }
            needed = match frame::read_frame(self.reader.window.rest(), segment.number, left) {
                Found::Part(needed) => needed,
                Found::Bad => return Ok(Outcome::Bad),
                Found::Frame(..) => 0,
            };
        }
        let rest = self.reader.window.rest();
        let Found::Frame(frame, length) = frame::read_frame(rest, segment.number, left) else {
            return Ok(Outcome::Bad);
        };
        let Frame { kind, sequence, time, payload } = frame;
        let record = kind == Kind::Record;
        if record && sequence != self.reader.expected {
            return Ok(Outcome::Bad);
        }
        // Watermarks of an earlier run say nothing about this one, in which time begins anew.
        let skipped = if record { sequence < self.read } else { segment.number < self.own_segment };
        let result = if skipped { Ok(()) } else { take(kind, sequence, time, payload) };
        self.reader.window.start += length;
        self.reader.offset += length as u64;
        if record {
            self.reader.expected += 1;
            self.read = self.read.max(self.reader.expected);
        }
        Ok(match result {
            Err(error) => Outcome::Refused(error.to_string()),
            Ok(()) if skipped || !record => Outcome::Skipped,
            Ok(()) => Outcome::Taken,
        })
    }

    /// Reads on until `needed` bytes are in the window. Tells whether there were that many.
    fn load(&mut self, segment: &Segment, needed: usize) -> Result<bool, FileError> {
        let Self { reader, folder, .. } = self;
        let Reader { window, file: Some(file), offset, .. } = reader else {
            return Ok(false);
        };
        window.bytes.drain(..window.start);
        window.start = 0;
        let had = window.bytes.len();
        let at = *offset + had as u64;
        let there = segment.bytes.saturating_sub(at);
        let missing = needed.saturating_sub(had) as u64;
        if missing > there {
            return Ok(false);
        }
        let length = usize::try_from(missing.max(CHUNK).min(there)).unwrap_or(usize::MAX);
        window.bytes.resize(had + length, 0);
        let into = window.bytes.get_mut(had..).unwrap_or_default();
        let read = folder.read(file, at, into);
        window.bytes.truncate(had + read.as_ref().map_or(0, |read| *read));
        let enough = window.bytes.len() >= needed;
        self.named(&segment_name(segment.number), read)?;
        Ok(enough)
    }
}
