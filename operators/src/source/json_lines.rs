//! `JsonLines`: one value for each line of JSON.

use std::marker::PhantomData;
use std::path::Path;

use millstream_engine::OperatorError;
use millstream_engine::source::SourceFactory;
use serde::de::DeserializeOwned;

use super::{FileRows, Lines};

/// A source of what the lines of a file say in JSON, plain or gzip. It fails at the first line that
/// is not a `T`; where bad lines are to be skipped or kept, read [`Lines`] and ask each for its
/// [`json`](super::Line::json).
///
/// Emits a value for each line that is not blank, and is in all else as [`Lines`] is.
///
/// # Errors
///
/// Those of [`Lines`], and a [`LineError`](super::LineError) for a line that is not a `T` or is
/// longer than the limit, with the file and the line. The values before it are emitted first.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("pairs.jsonl");
/// std::fs::write(&path, "[1, \"a\"]\n\n[2, \"b\"]\n")?;
/// let flow = Dataflow::new("pairs");
/// let all = flow.source("pairs", source::JsonLines::<(u8, String)>::open(&path)).collect();
/// let expected = vec![(1, "a".to_owned()), (2, "b".to_owned())];
/// assert_eq!(flow.run().await?.take(all), Some(expected));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JsonLines<T> {
    lines: Lines,
    marker: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Send + 'static> JsonLines<T> {
    /// The values of a file, which is opened when the job starts.
    #[must_use]
    pub fn open(path: impl AsRef<Path>) -> Self {
        Self { lines: Lines::open(path), marker: PhantomData }
    }

    /// The values of the standard input.
    #[must_use]
    pub fn stdin() -> Self {
        Self { lines: Lines::stdin(), marker: PhantomData }
    }

    /// Fails at lines that are longer than so many bytes. Default: 1 MiB.
    #[must_use]
    pub fn with_line_limit(mut self, bytes: usize) -> Self {
        self.lines = self.lines.with_line_limit(bytes);
        self
    }
}

impl<T: DeserializeOwned + Send + 'static> SourceFactory for JsonLines<T> {
    type Source = FileRows<T>;

    fn create(&self, _instance: usize) -> Result<FileRows<T>, OperatorError> {
        Ok(self.lines.rows(|line| {
            if line.is_blank() && !line.is_truncated() {
                return Ok(None);
            }
            Ok(Some(line.json()?))
        }))
    }
}
