//! What the file sources and file sinks have in common: how they speak of what went wrong, and
//! where.

use std::error::Error as StdError;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;

use millstream_engine::OperatorError;
use tokio::task::{JoinError, JoinSet};

/// Reading or writing a file failed. The message names the file, and how far one got.
///
/// As with the engine's error, the message holds its cause, [`cause`](FileError::cause) gives the
/// cause itself, and [`source`](StdError::source) what lies behind that, so that a printed chain
/// says nothing twice.
#[derive(Debug)]
pub struct FileError {
    file: Arc<str>,
    place: Place,
    cause: Box<dyn StdError + Send + Sync>,
}

/// Where in a file something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// At the file as a whole.
    File,
    /// In this line that was being read, counted from 1.
    Line(u64),
    /// At this record that was being written, counted from 1. When a write fails, it is the first
    /// one that may not have reached the file.
    Record(u64),
}

impl FileError {
    pub(crate) fn new(
        file: &Arc<str>,
        place: Place,
        cause: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { file: Arc::clone(file), place, cause: cause.into() }
    }

    /// The file, as it was named.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where in the file.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    /// What went wrong, for downcasting; most often an [`std::io::Error`].
    #[must_use]
    pub fn cause(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.cause
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match self.place {
            Place::File => {}
            Place::Line(line) => write!(f, ", line {line}")?,
            Place::Record(record) => write!(f, ", record {record}")?,
        }
        write!(f, ": {}", self.cause)
    }
}

impl StdError for FileError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

/// Runs a function on a blocking thread. It is owned by this future, and not begun if that is gone.
pub(crate) async fn call<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, OperatorError> {
    let mut calls = JoinSet::new();
    calls.spawn_blocking(work);
    match calls.join_next().await {
        Some(joined) => unwound(joined),
        None => Err(RuntimeGone.into()),
    }
}

/// What a call returned. A panic in it goes on here, where it is caught and named.
pub(crate) fn unwound<R>(joined: Result<R, JoinError>) -> Result<R, OperatorError> {
    joined.map_err(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => RuntimeGone.into(),
    })
}

/// The runtime was shut down before a blocking call had begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the runtime is shutting down")]
struct RuntimeGone;
