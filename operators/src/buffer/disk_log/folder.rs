//! The seam to the file system, so that a test can crash and tear it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lock::Lock;

/// A folder that belongs to one log.
pub(in crate::buffer) trait Folder: Send + 'static {
    /// An opened file.
    type File: Send + 'static;

    /// The path that errors and the log of the program give for a file.
    fn path(&self, name: &str) -> Arc<str>;
    /// The names of its files, with their lengths.
    fn files(&self) -> io::Result<Vec<(String, u64)>>;
    /// Makes a file that must not be there yet.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Opens a file to read it.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Writes behind everything else.
    fn append(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;
    /// Reads what is at some place, as much as there is and fits.
    fn read(&self, file: &mut Self::File, at: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Ready when what is in the file would survive a loss of power.
    fn sync(&self, file: &mut Self::File) -> io::Result<()>;
    /// Cuts a file to a length, and syncs it.
    fn cut(&self, name: &str, length: u64) -> io::Result<()>;
    /// Gives a file another name, in place of what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Takes a file away.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Ready when names given and taken would survive a loss of power.
    fn sync_names(&self) -> io::Result<()>;
}

/// A folder of the machine, locked for as long as this is there.
#[derive(Debug)]
pub(in crate::buffer) struct LockedFolder {
    path: PathBuf,
    _lock: Lock,
}

impl LockedFolder {
    /// Locks a folder, and makes it if it isn't there.
    pub(in crate::buffer) fn open(path: PathBuf) -> io::Result<Self> {
        if !path.is_dir() {
            fs::create_dir_all(&path)?;
            // The names of new folders are durable when those around them are.
            for around in path.ancestors().skip(1).filter(|around| *around != Path::new("")) {
                if let Ok(around) = File::open(around) {
                    around.sync_all().ok();
                }
            }
        }
        let lock = Lock::take(&path)?;
        Ok(Self { path, _lock: lock })
    }
}

impl Folder for LockedFolder {
    type File = File;

    fn path(&self, name: &str) -> Arc<str> {
        Arc::from(self.path.join(name).to_string_lossy())
    }

    fn files(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().append(true).create_new(true).open(self.path.join(name))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        File::open(self.path.join(name))
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn read(&self, file: &mut File, at: u64, into: &mut [u8]) -> io::Result<usize> {
        file.seek(SeekFrom::Start(at))?;
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read(rest) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn sync(&self, file: &mut File) -> io::Result<()> {
        file.sync_data()
    }

    fn cut(&self, name: &str, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path.join(name))?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        // Not every system can open a folder; where none can be opened, names need no sync.
        match File::open(&self.path) {
            Ok(folder) => folder.sync_all(),
            Err(_) => Ok(()),
        }
    }
}
