//! A row of CSV, as the file sources read it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use csv::{ByteRecord, DeserializeErrorKind, ErrorKind};
use serde::de::DeserializeOwned;

/// A row of a CSV file, with the headers of its columns and where it was read.
///
/// It may have more or fewer fields than there are columns, and its bytes need not be text: that is
/// found when it is decoded, so that a bad row can be dealt with where it is.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("ages.csv");
/// std::fs::write(&path, "name,age\nada,36\nbob,old\n")?;
/// let flow = Dataflow::new("ages");
/// let bad = flow
///     .source("rows", source::CsvRows::open(&path))
///     .filter(|row| row.decode::<(String, u8)>().is_err())
///     .map(|row| (row.line(), row.get("age").map(str::to_owned)))
///     .collect();
/// assert_eq!(flow.run().await?.take(bad), Some(vec![(3, Some("old".to_owned()))]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CsvRow {
    line: u64,
    record: ByteRecord,
    table: Arc<Table>,
}

/// What all rows of a file have in common.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) file: Arc<str>,
    pub(super) headers: ByteRecord,
}

impl CsvRow {
    pub(super) fn new(line: u64, record: ByteRecord, table: &Arc<Table>) -> Self {
        Self { line, record, table: Arc::clone(table) }
    }

    /// The number of the line that it begins on, from 1.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// The file, as it was named.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.table.file
    }

    /// The fields, as they stood there.
    #[must_use]
    pub const fn fields(&self) -> &ByteRecord {
        &self.record
    }

    /// The names of the columns: the first row of the file.
    #[must_use]
    pub fn headers(&self) -> &ByteRecord {
        &self.table.headers
    }

    /// The field of the column with this name. `None` if there is no such column, if the row is too
    /// short to have it, or if it is not valid UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut headers = self.table.headers.iter();
        let column = headers.position(|header| header == name.as_bytes())?;
        str::from_utf8(self.record.get(column)?).ok()
    }

    /// The row as a `T`: a struct with a field for each column by its name, or a tuple.
    ///
    /// # Errors
    ///
    /// If a field is not what `T` says, or not text, or if there are not as many fields as columns.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, RowError> {
        let (fields, columns) = (self.record.len(), self.table.headers.len());
        if fields != columns {
            return Err(self.error(None, Box::new(WrongLength { fields, columns })));
        }
        let decoded = self.record.deserialize(Some(&self.table.headers));
        decoded.map_err(|error| self.decode_error(error))
    }

    fn decode_error(&self, error: csv::Error) -> RowError {
        match error.into_kind() {
            ErrorKind::Deserialize { err, .. } => {
                let index = err.field().and_then(|index| usize::try_from(index).ok());
                let name = index.and_then(|index| self.table.headers.get(index));
                let column = name.map(|name| String::from_utf8_lossy(name).into_owned());
                self.error(column, Box::new(BadField(err.kind().clone())))
            }
            kind => self.error(None, Box::new(BadRow(format!("{kind:?}")))),
        }
    }

    fn error(&self, column: Option<String>, cause: Box<dyn StdError + Send + Sync>) -> RowError {
        RowError { file: Arc::clone(&self.table.file), line: self.line, column, cause }
    }
}

/// A row is not what it should be. The message names the file, the line on which the row begins,
/// and the column where that is known.
///
/// The message holds its cause, [`cause`](RowError::cause) gives the cause itself, and
/// [`source`](StdError::source) what lies behind that.
#[derive(Debug)]
pub struct RowError {
    file: Arc<str>,
    line: u64,
    column: Option<String>,
    cause: Box<dyn StdError + Send + Sync>,
}

impl RowError {
    /// The file, as it was named.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The number of the line that the row begins on, from 1.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// The name of the column, where it is known.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        self.column.as_deref()
    }

    /// What is wrong, for downcasting.
    #[must_use]
    pub fn cause(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.cause
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.file, self.line)?;
        match &self.column {
            Some(column) => write!(f, ", column `{column}`: {}", self.cause),
            None => write!(f, ": {}", self.cause),
        }
    }
}

impl StdError for RowError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row has {fields} fields, and there are {columns} columns")]
struct WrongLength {
    fields: usize,
    columns: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct BadField(DeserializeErrorKind);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row can't be decoded: {0}")]
struct BadRow(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[&[u8]]) -> CsvRow {
        let table =
            Table { file: Arc::from("ages.csv"), headers: ByteRecord::from(vec!["name", "age"]) };
        CsvRow::new(7, fields.iter().collect(), &Arc::new(table))
    }

    #[test]
    fn a5_errors_name_the_file_the_line_and_the_column() {
        let error = row(&[b"ada", b"old"]).decode::<(String, u8)>().unwrap_err();
        let expected = "ages.csv, line 7, column `age`: invalid digit found in string";
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.column(), Some("age"));
    }

    #[test]
    fn a5_bytes_that_are_no_text_fail_the_row() {
        let row = row(&[b"a\xff", b"3"]);
        let error = row.decode::<(String, u8)>().unwrap_err();
        assert!(error.to_string().contains("column `name`"), "{error}");
        assert_eq!(row.get("name"), None);
        assert_eq!(row.get("age"), Some("3"));
        assert_eq!(row.fields().get(0), Some(&b"a\xff"[..]));
    }

    #[test]
    fn a5_a_row_of_another_length_fails_to_decode() {
        for fields in [&[&b"ada"[..]][..], &[&b"ada"[..], b"3", b"4"]] {
            let error = row(fields).decode::<(String, u8)>().unwrap_err();
            assert!(error.to_string().contains("2 columns"), "{error}");
        }
    }
}
