//! A line, as the file sources read it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

/// A line of a file, without its end, and where it was read.
///
/// The bytes are what stood there; whether they are text, or JSON, is asked of the line, so that a
/// bad one can be dealt with where it is:
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("n.jsonl");
/// std::fs::write(&path, "1\n\"two\"\n3\n")?;
/// let flow = Dataflow::new("numbers");
/// let bad = flow
///     .source("lines", source::Lines::open(&path))
///     .filter(|line| line.json::<u32>().is_err())
///     .map(|line| line.number())
///     .collect();
/// assert_eq!(flow.run().await?.take(bad), Some(vec![2]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    number: u64,
    bytes: Box<[u8]>,
    file: Arc<str>,
    truncated: bool,
}

impl Line {
    pub(super) fn new(number: u64, bytes: &[u8], file: &Arc<str>, truncated: bool) -> Self {
        Self { number, bytes: Box::from(bytes), file: Arc::clone(file), truncated }
    }

    /// Its number in the file, from 1.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// What stands there, without the end of the line; cut off if it is
    /// [truncated](Line::is_truncated).
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_vec()
    }

    /// The file, as it was named.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether the line is longer than the limit, and this is only its beginning.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The line as text.
    ///
    /// # Errors
    ///
    /// If it is not valid UTF-8, or truncated.
    pub fn text(&self) -> Result<&str, LineError> {
        self.check_whole()?;
        str::from_utf8(&self.bytes).map_err(|error| self.error(error))
    }

    /// The line as JSON.
    ///
    /// # Errors
    ///
    /// If it is not JSON, not that of a `T`, or truncated.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, LineError> {
        self.check_whole()?;
        serde_json::from_slice(&self.bytes).map_err(|error| self.error(error))
    }

    pub(super) fn is_blank(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }

    fn check_whole(&self) -> Result<(), LineError> {
        if self.truncated {
            return Err(self.error(TooLong(self.bytes.len())));
        }
        Ok(())
    }

    fn error(&self, cause: impl StdError + Send + Sync + 'static) -> LineError {
        LineError { file: Arc::clone(&self.file), line: self.number, cause: Box::new(cause) }
    }
}

/// A line is not what it should be. The message names the file and the line.
///
/// The message holds its cause, [`cause`](LineError::cause) gives the cause itself, and
/// [`source`](StdError::source) what lies behind that.
#[derive(Debug)]
pub struct LineError {
    file: Arc<str>,
    line: u64,
    cause: Box<dyn StdError + Send + Sync>,
}

impl LineError {
    /// The file, as it was named.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The number of the line, from 1.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// What is wrong, for downcasting.
    #[must_use]
    pub fn cause(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.cause
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}: {}", self.file, self.line, self.cause)
    }
}

impl StdError for LineError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

/// A line was cut at the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line is longer than {0} bytes")]
struct TooLong(usize);

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &[u8], truncated: bool) -> Line {
        Line::new(17, bytes, &Arc::from("data.jsonl"), truncated)
    }

    #[test]
    fn a5_errors_name_the_file_and_the_line() {
        let error = line(b"a\xff", false).text().unwrap_err();
        let expected = "data.jsonl, line 17: invalid utf-8 sequence of 1 bytes from index 1";
        assert_eq!(error.to_string(), expected);
        let error = line(b"x", false).json::<u32>().unwrap_err();
        assert!(error.to_string().starts_with("data.jsonl, line 17: "), "{error}");
        assert!(error.cause().is::<serde_json::Error>());
        assert_eq!((error.file(), error.line()), ("data.jsonl", 17));
    }

    #[test]
    fn a5_a_truncated_line_is_neither_text_nor_json() {
        let cut = line(b"12", true);
        let expected = "data.jsonl, line 17: the line is longer than 2 bytes";
        assert_eq!(cut.text().unwrap_err().to_string(), expected);
        assert_eq!(cut.json::<u32>().unwrap_err().to_string(), expected);
        assert_eq!(cut.bytes(), b"12");
    }
}
