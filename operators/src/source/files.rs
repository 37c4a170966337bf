//! `Files`: the lines of the files in a folder, those included that appear while it is read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::OperatorError;
use millstream_engine::source::{SourceContext, SourceFactory};
use millstream_engine::time::Clock;

use super::line::Line;
use super::splits::{ReadSplits, Split, SplitEnumerator, Splits};
use super::{FileRows, Lines};
use crate::file::{FileError, Place, call};

/// A source of the [`Line`]s of every file in a folder, plain or gzip, those included that appear
/// while it is read. Each file is a [split](Splits) of its own, by its name.
///
/// The folder is looked at, off the async workers, every poll interval of the job's clock, and new
/// files are read in the order of their names, so many at once. A file is read once, as it is when
/// its turn comes: it has to be whole when it appears, as one that is renamed into the folder is.
/// One that grows is for [`file_tail`](super::file_tail). Names that begin with a dot are left out,
/// and what is not a file. Backpressures by reading no further.
///
/// It ends after the files that were there at the first look, if one
/// [says so](Files::only_those_there), and otherwise never.
///
/// Its position is that of every file, so that a further run reads no line twice. It states no
/// watermarks.
///
/// # Errors
///
/// A folder or a file that can't be read, with its name and the line reached.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// std::fs::write(folder.path().join("1.log"), "a\nb\n")?;
/// std::fs::write(folder.path().join("2.log"), "c\n")?;
/// std::fs::write(folder.path().join("2.txt"), "no log")?;
/// let files = source::Files::in_folder(folder.path()).with_ending(".log").only_those_there();
/// let flow = Dataflow::new("logs");
/// let count = flow.source("logs", files).count();
/// assert_eq!(flow.run().await?.take(count), Some(3));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Files {
    folder: FolderFiles,
    concurrency: usize,
}

impl Files {
    /// The files in a folder, but not those in folders within it.
    #[must_use]
    pub fn in_folder(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_owned();
        let folder = FolderFiles {
            path,
            ending: String::new(),
            interval: Duration::from_secs(1),
            once: false,
            looked: false,
            known: BTreeSet::new(),
            clock: None,
        };
        Self { folder, concurrency: 4 }
    }

    /// Only files whose names end so. Default: all.
    #[must_use]
    pub fn with_ending(mut self, ending: &str) -> Self {
        self.folder.ending = ending.to_owned();
        self
    }

    /// How often to look for new files. Default: every second.
    #[must_use]
    pub const fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.folder.interval = interval;
        self
    }

    /// The most files that are read at once, at least 1. Default: 4.
    #[must_use]
    pub const fn with_concurrency(mut self, files: usize) -> Self {
        self.concurrency = files;
        self
    }

    /// Ends after the files that were there at the first look.
    #[must_use]
    pub const fn only_those_there(mut self) -> Self {
        self.folder.once = true;
        self
    }
}

impl SourceFactory for Files {
    type Source = ReadSplits<FolderFiles>;

    fn create(&self, instance: usize) -> Result<Self::Source, OperatorError> {
        let splits = Splits::new(self.folder.clone()).with_concurrency(self.concurrency);
        splits.create(instance)
    }
}

/// Finds the files of a folder, for [`Files`].
#[derive(Clone, Debug)]
pub struct FolderFiles {
    path: PathBuf,
    ending: String,
    interval: Duration,
    once: bool,
    looked: bool,
    known: BTreeSet<String>,
    clock: Option<Clock>,
}

/// The names of the files in a folder that may be read, in order. Blocks.
fn names_in(path: &Path, ending: &str) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // A name that is no text could not be named in a position, or an error.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let is_meant = !name.starts_with('.') && name.ends_with(ending);
        if is_meant && fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

impl SplitEnumerator for FolderFiles {
    type Reader = FileRows<Line>;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        self.clock = Some(context.clock.clone());
        Ok(())
    }

    async fn discover(&mut self) -> Result<Option<Vec<Split<FileRows<Line>>>>, OperatorError> {
        loop {
            if self.once && self.looked {
                return Ok(None);
            }
            if let Some(clock) = self.clock.as_ref().filter(|_| self.looked) {
                clock.sleep(self.interval).await;
            }
            let (path, ending) = (self.path.clone(), self.ending.clone());
            let names = call(move || names_in(&path, &ending)).await?;
            let name: Arc<str> = Arc::from(self.path.to_string_lossy());
            let names = names.map_err(|error| FileError::new(&name, Place::File, error))?;
            self.looked = true;
            let mut found = Vec::new();
            for id in names {
                if self.known.insert(id.clone()) {
                    let reader = Lines::open(self.path.join(&id)).create(0)?;
                    found.push(Split { id, reader });
                }
            }
            if !found.is_empty() {
                return Ok(Some(found));
            }
        }
    }
}
