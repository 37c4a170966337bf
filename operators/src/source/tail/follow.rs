//! Following a file by its name, in calls that may block.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_engine::source::Position;

use crate::file::{FileError, Place as ErrorPlace};
use crate::source::file::InputPlace;
use crate::source::line::Line;
use crate::source::line_splitter::LineSplitter;

const CHUNK_BYTES: usize = 64 * 1024;

/// How many bytes one call reads, if they make fewer lines than were asked for.
const STEP_BYTES: usize = 8 * CHUNK_BYTES;

/// Which file it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Where files have no numbers, the time of their making stands for them.
    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        let made = metadata.created().ok();
        let made = made.and_then(|made| made.duration_since(std::time::UNIX_EPOCH).ok());
        let nanos = made.map_or(0, |made| made.as_nanos());
        Self { device: 0, inode: u64::try_from(nanos).unwrap_or(u64::MAX) }
    }
}

/// A file, and where in it to go on.
#[derive(Clone, Copy)]
struct Mark {
    id: FileId,
    place: InputPlace,
}

impl Mark {
    fn to_bytes(self) -> Vec<u8> {
        let numbers = [self.id.device, self.id.inode, self.place.offset, self.place.lines];
        numbers.into_iter().flat_map(u64::to_be_bytes).collect()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let [device, inode, offset, lines] = *numbers else {
            return None;
        };
        let number = u64::from_be_bytes;
        let id = FileId { device: number(device), inode: number(inode) };
        let place = InputPlace { offset: number(offset), lines: number(lines) };
        rest.is_empty().then_some(Self { id, place })
    }
}

/// A position that this source has not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the position is not one of a file that is followed")]
pub(super) struct ForeignPosition;

/// The file that an earlier run had begun to read is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file that was read up to byte {0} is no longer in its folder")]
struct RotatedAway(u64);

/// What one call has read.
pub(super) struct Step {
    pub(super) lines: Vec<Line>,
    pub(super) failure: Option<FileError>,
}

pub(super) struct Follower {
    name: Arc<str>,
    path: PathBuf,
    limit: usize,
    start_anew: bool,
    /// Where an earlier run got to.
    resume: Option<Mark>,
    followed: Option<Followed>,
    chunk: Vec<u8>,
    /// How much of the chunk has been taken apart.
    taken: usize,
}

/// The file that is being read.
struct Followed {
    file: File,
    id: FileId,
    splitter: LineSplitter,
    /// How much of it has been read.
    read: u64,
    /// Another file has its name, and it has been seen to end after that.
    leaving: bool,
}

/// What is at the name of a file that has been read to its end.
enum Now {
    Same,
    Shorter,
    Another,
}

impl Follower {
    pub(super) fn new(
        name: Arc<str>,
        path: PathBuf,
        limit: usize,
        start_anew: bool,
        position: Option<&Position>,
    ) -> Result<Self, ForeignPosition> {
        let resume = position.map(|position| Mark::from_bytes(&position.0).ok_or(ForeignPosition));
        Ok(Self {
            name,
            path,
            limit,
            start_anew,
            resume: resume.transpose()?,
            followed: None,
            chunk: Vec::new(),
            taken: 0,
        })
    }

    /// Where to go on behind the lines so far.
    pub(super) fn mark(&self) -> Option<Vec<u8>> {
        let followed = self.followed.as_ref();
        let mark = followed.map(|of| Mark { id: of.id, place: of.splitter.place() });
        mark.or(self.resume).map(Mark::to_bytes)
    }

    /// Reads what is there: at most so many lines.
    pub(super) fn step(&mut self, lines_max: usize) -> Step {
        let mut lines = Vec::new();
        let failure = self.read(lines_max, &mut lines).err();
        Step { lines, failure }
    }

    fn read(&mut self, lines_max: usize, lines: &mut Vec<Line>) -> Result<(), FileError> {
        let mut bytes = 0;
        while bytes < STEP_BYTES {
            self.split(lines_max, lines);
            if lines.len() >= lines_max {
                return Ok(());
            }
            if self.followed.is_none() {
                self.followed = self.open()?;
            }
            let Some(followed) = &mut self.followed else {
                return Ok(());
            };
            self.chunk.resize(CHUNK_BYTES, 0);
            self.taken = 0;
            let read = followed.file.read(&mut self.chunk);
            self.chunk.truncate(*read.as_ref().unwrap_or(&0));
            let line = ErrorPlace::Line(followed.splitter.place().lines + 1);
            let read = read.map_err(|error| FileError::new(&self.name, line, error))?;
            followed.read += read as u64;
            bytes += read;
            if read == 0 && !self.turn(lines)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn split(&mut self, lines_max: usize, lines: &mut Vec<Line>) {
        let Some(followed) = &mut self.followed else {
            return;
        };
        while lines.len() < lines_max && self.taken < self.chunk.len() {
            let rest = self.chunk.get(self.taken..).unwrap_or_default();
            let (taken, line) = followed.splitter.feed(rest);
            self.taken += taken;
            lines.extend(line);
        }
    }

    /// At the end of the file: whether there is something to read all the same.
    fn turn(&mut self, lines: &mut Vec<Line>) -> Result<bool, FileError> {
        let now = self.now().map_err(|error| self.error(error))?;
        let Some(followed) = &mut self.followed else {
            return Ok(false);
        };
        match now {
            Now::Same => return Ok(false),
            // It may have been written to between its end and the look at its name.
            Now::Another if !followed.leaving => followed.leaving = true,
            Now::Another => {
                lines.extend(followed.splitter.finish());
                self.followed = None;
            }
            Now::Shorter => {
                lines.extend(followed.splitter.finish());
                followed.read = 0;
                let (name, place) = (Arc::clone(&self.name), InputPlace::default());
                followed.splitter = LineSplitter::new(name, self.limit, place);
                let sought = followed.file.seek(SeekFrom::Start(0));
                sought.map_err(|error| self.error(error))?;
            }
        }
        Ok(true)
    }

    fn now(&self) -> io::Result<Now> {
        let Some(followed) = &self.followed else {
            return Ok(Now::Same);
        };
        let Some(metadata) = found(fs::metadata(&self.path))? else {
            return Ok(Now::Same);
        };
        if FileId::of(&metadata) == followed.id {
            let shorter = metadata.len() < followed.read;
            return Ok(if shorter { Now::Shorter } else { Now::Same });
        }
        // Whoever made the new file may not write to it yet, but to the old one.
        Ok(if metadata.len() > 0 { Now::Another } else { Now::Same })
    }

    fn open(&mut self) -> Result<Option<Followed>, FileError> {
        let opened = match self.resume {
            Some(mark) => self.reopen(mark),
            None => found(File::open(&self.path))
                .and_then(|file| {
                    file.map(|file| self.follow(file, InputPlace::default())).transpose()
                })
                .map_err(|error| self.error(error)),
        }?;
        if opened.is_some() {
            self.resume = None;
        }
        Ok(opened)
    }

    fn follow(&self, mut file: File, place: InputPlace) -> io::Result<Followed> {
        let metadata = file.metadata()?;
        let place = if metadata.len() < place.offset { InputPlace::default() } else { place };
        file.seek(SeekFrom::Start(place.offset))?;
        Ok(Followed {
            file,
            id: FileId::of(&metadata),
            splitter: LineSplitter::new(Arc::clone(&self.name), self.limit, place),
            read: place.offset,
            leaving: false,
        })
    }

    /// Goes on with the file of an earlier run, whatever it is called by now.
    fn reopen(&self, mark: Mark) -> Result<Option<Followed>, FileError> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let entries = found(fs::read_dir(folder)).map_err(|error| self.error(error))?;
        let others = entries.into_iter().flatten().flatten().map(|entry| entry.path());
        for path in std::iter::once(self.path.clone()).chain(others) {
            let is_it = |metadata: Metadata| metadata.is_file() && FileId::of(&metadata) == mark.id;
            if !fs::metadata(&path).is_ok_and(is_it) {
                continue;
            }
            let followed = found(File::open(&path))
                .and_then(|file| file.map(|file| self.follow(file, mark.place)).transpose());
            match followed.map_err(|error| self.error(error))? {
                Some(followed) if followed.id == mark.id => return Ok(Some(followed)),
                _ => {}
            }
        }
        if !self.start_anew {
            return Err(self.error(RotatedAway(mark.place.offset)));
        }
        let file = found(File::open(&self.path));
        file.and_then(|file| file.map(|file| self.follow(file, InputPlace::default())).transpose())
            .map_err(|error| self.error(error))
    }

    fn error(&self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> FileError {
        FileError::new(&self.name, ErrorPlace::File, cause)
    }
}

/// `None` for what is not there.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
