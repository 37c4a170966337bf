//! `Csv`: one value for each row of a CSV file.

use std::marker::PhantomData;
use std::path::Path;

use millstream_engine::OperatorError;
use millstream_engine::source::SourceFactory;
use serde::de::DeserializeOwned;

use super::{CsvRows, FileRows};

/// A source of what the rows of a CSV file say, plain or gzip: structs with a field for each column
/// by its name, or tuples. It fails at the first row that is not a `T`; where bad rows are to be
/// skipped or kept, read [`CsvRows`] and [decode](super::CsvRow::decode) each.
///
/// Emits a value for each row, and is in all else as [`CsvRows`] is.
///
/// # Errors
///
/// Those of [`CsvRows`], and a [`RowError`](super::RowError) for a row that is not a `T`, with the
/// file, the line, and the column where it is known. The values before it are emitted first.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("ages.csv");
/// std::fs::write(&path, "name,age\nada,36\nbob,41\n")?;
/// let flow = Dataflow::new("ages");
/// let all = flow.source("people", source::Csv::<(String, u8)>::open(&path)).collect();
/// let expected = vec![("ada".to_owned(), 36), ("bob".to_owned(), 41)];
/// assert_eq!(flow.run().await?.take(all), Some(expected));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Csv<T> {
    rows: CsvRows,
    marker: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Send + 'static> Csv<T> {
    /// The values of a file, which is opened when the job starts.
    #[must_use]
    pub fn open(path: impl AsRef<Path>) -> Self {
        Self { rows: CsvRows::open(path), marker: PhantomData }
    }

    /// The values of the standard input.
    #[must_use]
    pub fn stdin() -> Self {
        Self { rows: CsvRows::stdin(), marker: PhantomData }
    }

    /// Fails at rows of more than so many bytes. Default: 1 MiB.
    #[must_use]
    pub fn with_row_limit(mut self, bytes: usize) -> Self {
        self.rows = self.rows.with_row_limit(bytes);
        self
    }

    /// What stands between the fields of a row. Default: a comma.
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: u8) -> Self {
        self.rows = self.rows.with_delimiter(delimiter);
        self
    }
}

impl<T: DeserializeOwned + Send + 'static> SourceFactory for Csv<T> {
    type Source = FileRows<T>;

    fn create(&self, _instance: usize) -> Result<FileRows<T>, OperatorError> {
        Ok(self.rows.rows(|row| Ok(row.decode()?)))
    }
}
