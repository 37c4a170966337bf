//! `CsvRows`: the rows of a CSV file.

use std::path::Path;
use std::sync::Arc;

use csv::ByteRecord;
use csv_core::{ReadRecordResult, Reader};
use millstream_engine::OperatorError;
use millstream_engine::source::SourceFactory;

use super::FileRows;
use super::csv_row::{CsvRow, Table};
use super::file::{Input, InputPlace, Origin, RowReader};
use crate::file::FileError;

/// The longest row, unless one says otherwise.
const ROW_LIMIT: usize = 1024 * 1024;

/// A source of the [`CsvRow`]s of a file, plain or gzip, which it tells by how it begins and not by
/// its name. The first row is the names of the columns.
///
/// Emits a row for each record, which may span lines where it is quoted; empty lines are skipped,
/// and so is a byte order mark at the beginning. Reads ahead by a bounded number of rows and bytes,
/// off the async workers, and backpressures by reading no further. Ends with the file. Cancelling
/// it loses nothing but what was read ahead.
///
/// A row with more or fewer fields, or with bytes that are not text, is emitted and fails to
/// [decode](CsvRow::decode).
///
/// # Errors
///
/// A file that is missing, can't be read, or is cut off or broken inside gzip; a row that is longer
/// than the limit, 1 MiB by default, as all the rest of a file is behind a quote that nobody
/// closed; and a file that ends inside a quoted field. Each with the file and the line reached,
/// after the rows before.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("ages.csv");
/// std::fs::write(&path, "name,age\n\"Lovelace, Ada\",36\n")?;
/// let flow = Dataflow::new("ages");
/// let names = flow
///     .source("people", source::CsvRows::open(&path))
///     .map(|row| row.get("name").map(str::to_owned))
///     .collect();
/// assert_eq!(flow.run().await?.take(names), Some(vec![Some("Lovelace, Ada".to_owned())]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CsvRows {
    origin: Origin,
    limit: usize,
    delimiter: u8,
}

impl CsvRows {
    /// The rows of a file, which is opened when the job starts.
    #[must_use]
    pub fn open(path: impl AsRef<Path>) -> Self {
        Self::of(Origin::path(path.as_ref()))
    }

    /// The rows of the standard input. A job that ends early may have read rows that the program's
    /// next reader misses.
    #[must_use]
    pub fn stdin() -> Self {
        Self::of(Origin::stdin())
    }

    const fn of(origin: Origin) -> Self {
        Self { origin, limit: ROW_LIMIT, delimiter: b',' }
    }

    /// Fails at rows of more than so many bytes, without quotes and with one byte for each field.
    /// Default: 1 MiB.
    #[must_use]
    pub const fn with_row_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// What stands between the fields of a row. Default: a comma.
    #[must_use]
    pub const fn with_delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    pub(super) fn rows<T: Send + 'static>(
        &self,
        decode: impl FnMut(CsvRow) -> Result<T, OperatorError> + Send + 'static,
    ) -> FileRows<T> {
        let (limit, delimiter) = (self.limit, self.delimiter);
        FileRows::new(self.origin.clone(), move |input| {
            let mut records = RecordReader::new(input, limit, delimiter);
            let headers = records.next_record()?.map(|(_, headers)| headers);
            records.resume()?;
            let table = Table {
                file: Arc::clone(&records.input.name),
                headers: headers.unwrap_or_default(),
            };
            Ok(RowsReader { records, table: Arc::new(table), decode })
        })
    }
}

impl SourceFactory for CsvRows {
    type Source = FileRows<CsvRow>;

    fn create(&self, _instance: usize) -> Result<FileRows<CsvRow>, OperatorError> {
        Ok(self.rows(Ok))
    }
}

/// Turns records into rows, and decodes those.
struct RowsReader<D> {
    records: RecordReader,
    table: Arc<Table>,
    decode: D,
}

impl<T, D> RowReader for RowsReader<D>
where
    T: Send + 'static,
    D: FnMut(CsvRow) -> Result<T, OperatorError> + Send + 'static,
{
    type Row = T;

    fn next_row(&mut self) -> Result<Option<T>, OperatorError> {
        let Some((line, record)) = self.records.next_record()? else {
            return Ok(None);
        };
        (self.decode)(CsvRow::new(line, record, &self.table)).map(Some)
    }

    fn place(&self) -> InputPlace {
        self.records.input.place
    }

    fn has_buffered(&self) -> bool {
        self.records.input.reader.buffer().contains(&b'\n')
    }
}

/// Takes an input apart into records. It drives the parser itself, because the reader of `csv` has
/// no bound on the size of a record, and takes the end of the file for the end of an open quote.
struct RecordReader {
    input: Input,
    parser: Reader,
    limit: usize,
    /// The fields of a record one after another, and where each of them ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
}

impl RecordReader {
    fn new(input: Input, limit: usize, delimiter: u8) -> Self {
        Self {
            input,
            parser: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            limit,
            fields: vec![0; 1024.min(limit.saturating_add(1))],
            ends: vec![0; 32],
        }
    }

    fn resume(&mut self) -> Result<(), FileError> {
        self.input.resume()?;
        self.parser.reset();
        Ok(())
    }

    /// The next record and the line that it begins on.
    fn next_record(&mut self) -> Result<Option<(u64, ByteRecord)>, FileError> {
        self.skip_empty_lines()?;
        let start = self.input.place;
        self.parser.set_line(start.lines + 1);
        let (mut fields, mut ends) = (0, 0);
        loop {
            self.input.fill()?;
            let chunk = self.input.reader.buffer();
            let at_end = chunk.is_empty();
            // The end of the file is shown to the parser as the end of a line, because that does
            // not close a quote.
            let (result, read, wrote, ended) = self.parser.read_record(
                if at_end { b"\n" } else { chunk },
                self.fields.get_mut(fields..).unwrap_or_default(),
                self.ends.get_mut(ends..).unwrap_or_default(),
            );
            self.input.consume(if at_end { 0 } else { read });
            fields += wrote;
            ends += ended;
            if fields.saturating_add(ends) > self.limit {
                return Err(self.error_at(start, TooLong(self.limit)));
            }
            match result {
                ReadRecordResult::InputEmpty if at_end && wrote > 0 => {
                    return Err(self.error_at(start, OpenQuote));
                }
                ReadRecordResult::InputEmpty if at_end => return Ok(None),
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::Record => {
                    self.input.place.lines = self.parser.line() - 1;
                    return Ok(Some((start.lines + 1, self.record(ends))));
                }
            }
        }
    }

    /// Ends of lines before a record are no part of it. The `\n` of a `\r\n` is one of them too:
    /// the parser ends a record at the `\r`.
    fn skip_empty_lines(&mut self) -> Result<(), FileError> {
        loop {
            self.input.fill()?;
            let chunk = self.input.reader.buffer();
            let breaks = chunk.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
            let (mut skipped, mut lines) = (0, 0);
            for byte in breaks {
                skipped += 1;
                lines += u64::from(*byte == b'\n');
            }
            let all = skipped == chunk.len() && skipped > 0;
            self.input.consume(skipped);
            self.input.place.lines += lines;
            if !all {
                return Ok(());
            }
        }
    }

    fn record(&self, ends: usize) -> ByteRecord {
        let mut record = ByteRecord::with_capacity(
            self.ends.get(ends.wrapping_sub(1)).copied().unwrap_or(0),
            ends,
        );
        let mut start = 0;
        for &end in self.ends.iter().take(ends) {
            record.push_field(self.fields.get(start..end).unwrap_or_default());
            start = end;
        }
        record
    }

    fn error_at(
        &self,
        start: InputPlace,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> FileError {
        let line = crate::file::Place::Line(start.lines + 1);
        FileError::new(&self.input.name, line, cause)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row that begins here is longer than {0} bytes; is a quote not closed?")]
struct TooLong(usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file ends inside a quoted field of the row that begins here")]
struct OpenQuote;
