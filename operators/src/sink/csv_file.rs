//! `CsvFile`: a row of CSV for each record.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use csv::{Writer, WriterBuilder};
use millstream_engine::OperatorError;
use millstream_engine::sink::SinkFactory;
use serde::Serialize;

use super::FileSink;
use super::file::{Encode, Target};

/// A sink that writes each value as a row of CSV, below a header with the names of the struct's
/// fields. Tuples have no names and get no header unless it is [given](CsvFile::with_header).
///
/// The file appears, in the place of an older one, when it is whole: a job that fails leaves none
/// that looks complete. See [`FileSink`] for how it is written, and where it backpressures.
///
/// # Errors
///
/// A value that has no form in CSV or another number of fields than the row before, a folder that
/// is missing, a disk that is full, with the file and the record reached; and a parallel stream:
/// call [`gather`](crate::DataStream::gather) first.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("ages.csv");
/// let ages = sink::CsvFile::create(&path).with_header(["name", "age"]);
/// let flow = Dataflow::new("ages");
/// flow.source("people", source::from_iter([("Lovelace, Ada", 36)])).sink("file", ages);
/// flow.run().await?;
/// assert_eq!(std::fs::read_to_string(&path)?, "name,age\n\"Lovelace, Ada\",36\n");
/// # Ok(())
/// # }
/// ```
pub struct CsvFile<T> {
    target: Target,
    header: Header,
    marker: PhantomData<fn(T)>,
}

#[derive(Clone, Debug)]
enum Header {
    OfFields,
    Without,
    Given(Vec<String>),
}

impl<T: Serialize + Send + 'static> CsvFile<T> {
    /// Writes to a file, which is created when the job starts.
    #[must_use]
    pub fn create(path: impl AsRef<Path>) -> Self {
        Self::of(Target::path(path.as_ref()))
    }

    const fn of(target: Target) -> Self {
        Self { target, header: Header::OfFields, marker: PhantomData }
    }

    /// Writes these names as the header, even if no row follows. The header that is taken from the
    /// fields of a struct comes with the first row, and so not at all in a file without rows.
    #[must_use]
    pub fn with_header<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.header = Header::Given(names.into_iter().map(Into::into).collect());
        self
    }

    /// Writes rows only.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.header = Header::Without;
        self
    }
}

/// A sink that writes each value as a row of CSV to the standard output. It has enough when whoever
/// reads that has gone; in all else it is as [`CsvFile`].
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("shown");
/// flow.source("rows", source::from_iter([("a", 1), ("b", 2)])).sink("out", sink::csv_to_stdout());
/// assert_eq!(flow.run().await?.records_written(), 2);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn csv_to_stdout<T: Serialize + Send + 'static>() -> CsvFile<T> {
    CsvFile::of(Target::stdout())
}

impl<T: Serialize + Send + 'static> SinkFactory for CsvFile<T> {
    type Sink = FileSink<T>;

    fn create(&self, _instance: usize) -> Result<FileSink<T>, OperatorError> {
        let encoder = AsRow::new(self.header.clone());
        Ok(FileSink::new(self.target.clone(), encoder))
    }
}

impl<T> fmt::Debug for CsvFile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvFile")
            .field("target", &self.target)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

struct AsRow {
    writer: Writer<Row>,
    row: Row,
    header: Header,
}

/// Where a writer leaves a row. The writer doesn't lend what it writes to, hence the lock, which is
/// taken twice a row and never contended.
#[derive(Clone, Default)]
struct Row(Arc<Mutex<Vec<u8>>>);

impl io::Write for Row {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut row = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        row.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRow {
    fn new(header: Header) -> Self {
        let row = Row::default();
        let of_fields = matches!(header, Header::OfFields);
        let writer = WriterBuilder::new().has_headers(of_fields).from_writer(row.clone());
        Self { writer, row, header }
    }

    fn take_row(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        self.writer.flush()?;
        let mut row = self.row.0.lock().unwrap_or_else(PoisonError::into_inner);
        into.append(&mut row);
        Ok(())
    }
}

impl<T: Serialize> Encode<T> for AsRow {
    fn begin(&mut self, into: &mut Vec<u8>) -> Result<(), Box<dyn StdError + Send + Sync>> {
        if let Header::Given(names) = &self.header {
            self.writer.write_record(names)?;
            self.take_row(into)?;
        }
        Ok(())
    }

    fn encode(
        &mut self,
        value: &T,
        into: &mut Vec<u8>,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self.writer.serialize(value)?;
        self.take_row(into)?;
        Ok(())
    }
}
