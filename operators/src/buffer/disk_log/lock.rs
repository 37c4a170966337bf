//! One job at a time: a lock on a folder that goes with the process, however that ends.
//!
//! A lock that outlives a crash would keep the next start from happening, so it is the system that
//! holds it: on Linux a socket without a file, named after the folder; on Windows a file that
//! nobody else may open. Elsewhere it is a file that has to be removed by hand after a crash. The
//! standard library's `File::try_lock` would do for all of them, in Rust 1.89 and later.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The folder belongs to a job already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The file that is in the way, where it may have been left by a crash.
    pub remains: Option<PathBuf>,
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another job has this buffer open")?;
        match &self.remains {
            None => Ok(()),
            Some(file) => write!(f, ", or has crashed: then remove {}", file.display()),
        }
    }
}

impl Error for Locked {}

impl From<Locked> for io::Error {
    fn from(locked: Locked) -> Self {
        Self::new(io::ErrorKind::ResourceBusy, locked)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod held {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt as _;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::{Locked, Path, io};

    #[derive(Debug)]
    pub(super) struct Held(#[allow(dead_code, reason = "held, never used")] UnixDatagram);

    pub(super) fn take(folder: &Path) -> io::Result<Held> {
        let metadata = std::fs::metadata(folder)?;
        // By what the folder is: it may have several paths.
        let name = format!("millstream-buffer-{}-{}", metadata.dev(), metadata.ino());
        let address = SocketAddr::from_abstract_name(name)?;
        match UnixDatagram::bind_addr(&address) {
            Ok(socket) => Ok(Held(socket)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(Locked { remains: None }.into())
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(windows)]
mod held {
    use std::fs::{File, OpenOptions};
    use std::os::windows::fs::OpenOptionsExt as _;

    use super::{Locked, Path, io};

    #[derive(Debug)]
    pub(super) struct Held(#[allow(dead_code, reason = "held, never used")] File);

    pub(super) fn take(folder: &Path) -> io::Result<Held> {
        const SHARING_VIOLATION: i32 = 32;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).share_mode(0);
        match options.open(folder.join("lock")) {
            Ok(file) => Ok(Held(file)),
            Err(error) if error.raw_os_error() == Some(SHARING_VIOLATION) => {
                Err(Locked { remains: None }.into())
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", windows)))]
mod held {
    use std::fs::{File, remove_file};

    use super::{Locked, Path, PathBuf, io};

    #[derive(Debug)]
    pub(super) struct Held(PathBuf);

    impl Drop for Held {
        fn drop(&mut self) {
            // Nobody is left to hear of an error; the next start says which file is in its way.
            remove_file(&self.0).ok();
        }
    }

    pub(super) fn take(folder: &Path) -> io::Result<Held> {
        let path = folder.join("lock");
        match File::create_new(&path) {
            Ok(_) => Ok(Held(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Locked { remains: Some(path) }.into())
            }
            Err(error) => Err(error),
        }
    }
}

/// A lock, released when it is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[allow(dead_code, reason = "held, never used")] held::Held);

impl Lock {
    pub(super) fn take(folder: &Path) -> io::Result<Self> {
        held::take(folder).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d8_a_folder_is_locked_once_and_free_again_when_the_lock_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        let refused = Lock::take(folder.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        drop(lock);
        Lock::take(folder.path()).unwrap();
    }
}
