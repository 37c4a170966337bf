//! The bytes of a file or of the standard input, plain or unpacked, and the place reached in them.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Cursor, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use millstream_engine::source::Position;

use super::{CannotGoBack, CutOffHeader, EndsBefore, ForeignPosition};
use crate::file::{FileError, Place as ErrorPlace};

const BUFFER_BYTES: usize = 64 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where bytes come from, and what errors call it.
#[derive(Clone, Debug)]
pub(in crate::source) struct Origin {
    pub(in crate::source) name: Arc<str>,
    /// `None` is the standard input.
    path: Option<PathBuf>,
}

impl Origin {
    pub(in crate::source) fn path(path: &Path) -> Self {
        Self { name: Arc::from(path.to_string_lossy()), path: Some(path.to_owned()) }
    }

    pub(in crate::source) fn stdin() -> Self {
        Self { name: Arc::from("standard input"), path: None }
    }

    /// Whether reading may block without end: a pipe, a terminal, a device. Blocks for a moment.
    pub(super) fn may_block(&self) -> Result<bool, FileError> {
        match &self.path {
            Some(path) => match path.metadata() {
                Ok(metadata) => Ok(!metadata.is_file()),
                Err(error) => Err(FileError::new(&self.name, ErrorPlace::File, error)),
            },
            None => Ok(true),
        }
    }
}

/// A place in an input, counted in unpacked bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::source) struct Place {
    /// How many bytes come before it.
    pub(in crate::source) offset: u64,
    /// How many lines have ended before it.
    pub(in crate::source) lines: u64,
}

impl Place {
    pub(super) fn to_position(self) -> Position {
        let mut bytes = self.offset.to_be_bytes().to_vec();
        bytes.extend(self.lines.to_be_bytes());
        Position(bytes)
    }

    pub(super) fn from_position(position: &Position) -> Result<Self, ForeignPosition> {
        let numbers = match position.0.split_first_chunk() {
            Some((offset, rest)) => rest.try_into().ok().map(|lines| (*offset, lines)),
            None => None,
        };
        let (offset, lines) = numbers.ok_or(ForeignPosition)?;
        Ok(Self { offset: u64::from_be_bytes(offset), lines: u64::from_be_bytes(lines) })
    }
}

/// An opened input. Whoever consumes from `reader` moves `place` along.
pub(in crate::source) struct Input {
    pub(in crate::source) name: Arc<str>,
    pub(in crate::source) reader: BufReader<Box<dyn Read + Send>>,
    pub(in crate::source) place: Place,
    /// Where to go on after what comes first in every run, such as the headers.
    resume: Option<Place>,
    /// The same file once more, where one can seek in it.
    plain: Option<File>,
}

impl Input {
    pub(super) fn open(origin: &Origin, resume: Option<Place>) -> Result<Self, FileError> {
        let failed = |error| FileError::new(&origin.name, ErrorPlace::File, error);
        let (reader, plain) = unpacked(origin).map_err(failed)?;
        let mut input = Self {
            name: Arc::clone(&origin.name),
            reader: BufReader::with_capacity(BUFFER_BYTES, reader),
            place: Place::default(),
            resume,
            plain,
        };
        if let (None, Some(place)) = (&origin.path, resume) {
            return Err(input.error(CannotGoBack(place.offset)));
        }
        input.fill()?;
        if input.reader.buffer().starts_with(BYTE_ORDER_MARK) {
            input.consume(BYTE_ORDER_MARK.len());
        }
        Ok(input)
    }

    /// Goes on from where an earlier run got to, if there was one.
    pub(in crate::source) fn resume(&mut self) -> Result<(), FileError> {
        let Some(place) = self.resume.take() else {
            return Ok(());
        };
        let skipped = match self.plain.take() {
            Some(file) => self.seek(file, place.offset),
            None => self.skip(place.offset),
        };
        match skipped {
            Ok(true) => {
                self.place = place;
                Ok(())
            }
            Ok(false) => Err(self.error(EndsBefore(place.offset))),
            Err(error) => Err(self.error(error)),
        }
    }

    fn seek(&mut self, mut file: File, offset: u64) -> io::Result<bool> {
        if file.metadata()?.len() < offset {
            return Ok(false);
        }
        file.seek(SeekFrom::Start(offset))?;
        self.reader = BufReader::with_capacity(BUFFER_BYTES, Box::new(file));
        Ok(true)
    }

    fn skip(&mut self, offset: u64) -> io::Result<bool> {
        let rest = offset.saturating_sub(self.place.offset);
        let skipped = io::copy(&mut (&mut self.reader).take(rest), &mut io::sink())?;
        Ok(skipped == rest)
    }

    /// Reads into the buffer, if that is empty. It then stays so only at the end.
    pub(in crate::source) fn fill(&mut self) -> Result<(), FileError> {
        match self.reader.fill_buf() {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Appends what comes up to and with the next end of line, at most so many bytes.
    pub(in crate::source) fn read_line(
        &mut self,
        most: u64,
        into: &mut Vec<u8>,
    ) -> Result<u64, FileError> {
        let read = (&mut self.reader).take(most).read_until(b'\n', into);
        let read = read.map_err(|error| self.error(error))? as u64;
        self.place.offset += read;
        Ok(read)
    }

    /// Skips what comes up to and with the next end of line.
    pub(in crate::source) fn skip_line(&mut self) -> Result<(), FileError> {
        let skipped = self.reader.skip_until(b'\n');
        self.place.offset += skipped.map_err(|error| self.error(error))? as u64;
        Ok(())
    }

    /// Takes bytes off the buffer, which has them.
    pub(in crate::source) fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
        self.place.offset += bytes as u64;
    }

    /// An error in the line behind the place that was reached.
    pub(in crate::source) fn error(
        &self,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> FileError {
        FileError::new(&self.name, ErrorPlace::Line(self.place.lines + 1), cause)
    }
}

/// The bytes of an origin, unpacked if they begin like a gzip file, whatever it is called; and the
/// file, if they are plain and it can be sought in.
fn unpacked(origin: &Origin) -> io::Result<(Box<dyn Read + Send>, Option<File>)> {
    let mut plain = None;
    let mut raw: Box<dyn Read + Send> = match &origin.path {
        None => Box::new(io::stdin()),
        Some(path) => {
            let file = File::open(path)?;
            if file.metadata()?.is_file() {
                plain = Some(file.try_clone()?);
            }
            Box::new(file)
        }
    };
    let start = first_bytes(&mut *raw)?;
    let packed = start == GZIP_MAGIC;
    let called_packed = Path::new(&*origin.name)
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    if called_packed && GZIP_MAGIC.starts_with(&start) && !packed {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, CutOffHeader));
    }
    let whole = Cursor::new(start).chain(raw);
    if packed {
        let buffered = BufReader::with_capacity(BUFFER_BYTES, whole);
        return Ok((Box::new(MultiGzDecoder::new(buffered)), None));
    }
    Ok((Box::new(whole), plain))
}

/// As many bytes as it takes to tell what an input begins with, which is one for most: a second one
/// may be long in coming.
fn first_bytes(raw: &mut dyn Read) -> io::Result<Vec<u8>> {
    let is_open = |start: &[u8]| {
        let begins = |known: &[u8]| known.len() > start.len() && known.starts_with(start);
        begins(&GZIP_MAGIC) || begins(BYTE_ORDER_MARK)
    };
    let mut start = Vec::with_capacity(BYTE_ORDER_MARK.len());
    while is_open(&start) {
        let before = start.len();
        (&mut *raw).take(1).read_to_end(&mut start)?;
        if start.len() == before {
            break;
        }
    }
    Ok(start)
}
