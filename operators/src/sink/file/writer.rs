//! The bytes of a file sink, on their way to a file or to the standard output.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream_engine::OperatorError;
use millstream_engine::sink::{Committable, SinkStatus};

use crate::file::call;

/// Where bytes go, and what errors call it.
#[derive(Clone, Debug)]
pub(in crate::sink) struct Target {
    name: Arc<str>,
    /// `None` is the standard output.
    path: Option<PathBuf>,
}

impl Target {
    pub(in crate::sink) fn path(path: &Path) -> Self {
        Self { name: Arc::from(path.to_string_lossy()), path: Some(path.to_owned()) }
    }

    pub(in crate::sink) fn stdout() -> Self {
        Self { name: Arc::from("standard output"), path: None }
    }

    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }
}

/// An opened target. It belongs to the one blocking call that is under way, if there is one.
pub(super) struct Writer {
    output: Option<Output>,
    /// The file that a part becomes when it is committed.
    whole: Option<PathBuf>,
    status: SinkStatus,
}

enum Output {
    Part(Part),
    /// A pipe or a device, which can't be replaced by a part of it.
    Special(File),
    Stdout,
}

impl Writer {
    pub(super) async fn open(target: &Target) -> Result<io::Result<Self>, OperatorError> {
        let Some(path) = target.path.clone() else {
            return Ok(Ok(Self::of(Output::Stdout, None)));
        };
        call(move || open(&path)).await
    }

    const fn of(output: Output, whole: Option<PathBuf>) -> Self {
        Self { output: Some(output), whole, status: SinkStatus::More }
    }

    pub(super) const fn status(&self) -> SinkStatus {
        self.status
    }

    /// Writes what is in the buffer, and leaves it empty.
    pub(super) async fn write(
        &mut self,
        buffer: &mut Vec<u8>,
    ) -> Result<io::Result<SinkStatus>, OperatorError> {
        let output = self.output.take_if(|_| !buffer.is_empty());
        let Some(mut output) = output else {
            return Ok(Ok(self.status));
        };
        let mut bytes = std::mem::take(buffer);
        let work = move || {
            let written = output.write_all(&bytes);
            bytes.clear();
            (output, bytes, written)
        };
        let (output, emptied, written) = call(work).await?;
        *buffer = emptied;
        let reader_gone = matches!(&written, Err(error) if error.kind() == ErrorKind::BrokenPipe);
        if reader_gone && !matches!(output, Output::Part(_)) {
            self.status = SinkStatus::Enough;
            return Ok(Ok(self.status));
        }
        self.output = Some(output);
        Ok(written.map(|()| self.status))
    }

    /// Makes what was written durable, and says how to find it again.
    pub(super) async fn prepare(&mut self) -> Result<io::Result<Committable>, OperatorError> {
        match self.output.take() {
            Some(Output::Part(part)) => call(move || part.prepare()).await,
            other => {
                self.output = other;
                Ok(Ok(Committable::default()))
            }
        }
    }

    /// Gives the part its own name. Does nothing if it has got that already.
    pub(super) async fn commit(
        &self,
        committable: &Committable,
    ) -> Result<io::Result<()>, OperatorError> {
        let (Some(whole), false) = (self.whole.clone(), committable.0.is_empty()) else {
            return Ok(Ok(()));
        };
        let suffix = suffix_of(committable)?.to_owned();
        call(move || publish(&part_path(&whole, &suffix), &whole)).await
    }
}

fn open(path: &Path) -> io::Result<Writer> {
    let (whole, permissions) = match fs::metadata(path) {
        // A link stays, and what it leads to is replaced.
        Ok(metadata) if metadata.is_file() => {
            (fs::canonicalize(path)?, Some(metadata.permissions()))
        }
        Ok(_) => {
            let special = OpenOptions::new().write(true).open(path)?;
            return Ok(Writer::of(Output::Special(special), None));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => (path.to_owned(), None),
        Err(error) => return Err(error),
    };
    let part = Part::create(&whole)?;
    if let Some(permissions) = permissions {
        part.file.set_permissions(permissions)?;
    }
    Ok(Writer::of(Output::Part(part), Some(whole)))
}

impl Output {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Part(part) => part.file.write_all(bytes),
            Self::Special(file) => file.write_all(bytes),
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
        }
    }
}

/// A file that is not whole yet. Dropped before it is, it takes itself away.
struct Part {
    // Dropped first: some systems don't remove a file that is open.
    file: File,
    suffix: String,
    remains: Remains,
}

impl Part {
    /// How many other parts may stand in the way: those of processes that were killed, and had the
    /// same number, as in containers.
    const TRIES: usize = 1000;

    fn create(whole: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut tries = 0;
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let suffix = format!("{}-{count}", std::process::id());
            let path = part_path(whole, &suffix);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && tries < Self::TRIES => {
                    tries += 1;
                }
                Err(error) => return Err(error),
                Ok(file) => {
                    let remains = Remains { path: Some(path) };
                    return Ok(Self { file, suffix, remains });
                }
            }
        }
    }

    fn prepare(mut self) -> io::Result<Committable> {
        self.file.sync_all()?;
        // From here on it is for whoever holds the committable to publish it.
        self.remains.path = None;
        Ok(Committable(self.suffix.into_bytes()))
    }
}

struct Remains {
    path: Option<PathBuf>,
}

impl Drop for Remains {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Nobody is left to hear of an error; what remains is named as what it is.
            fs::remove_file(path).ok();
        }
    }
}

fn part_path(whole: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(whole.file_name().unwrap_or_default());
    name.push(".part-");
    name.push(suffix);
    whole.with_file_name(name)
}

/// The suffix in a committable. It becomes part of a path, so it may hold nothing else.
fn suffix_of(committable: &Committable) -> Result<&str, ForeignCommittable> {
    let is_ours = |suffix: &&str| {
        let mut letters = suffix.bytes();
        letters.all(|letter| letter == b'-' || letter.is_ascii_digit())
    };
    let suffix = str::from_utf8(&committable.0).ok().filter(is_ours);
    suffix.ok_or(ForeignCommittable)
}

fn publish(part: &Path, whole: &Path) -> io::Result<()> {
    match fs::rename(part, whole) {
        Err(error) if error.kind() == ErrorKind::NotFound && whole.is_file() => return Ok(()),
        renamed => renamed?,
    }
    // The name is durable when its folder is. Not every system can open one.
    let folder = whole.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
        folder.sync_all()?;
    }
    Ok(())
}

/// A committable that no file sink has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the committable is not one of a file sink")]
struct ForeignCommittable;
