//! `Lines`: the lines of a file or of the standard input.

use std::path::Path;

use millstream_engine::OperatorError;
use millstream_engine::source::SourceFactory;

use super::FileRows;
use super::file::{Input, InputPlace, Origin, RowReader};
use super::line::Line;
use crate::file::FileError;

/// The longest line that is kept whole, unless one says otherwise.
pub(super) const LINE_LIMIT: usize = 1024 * 1024;

/// A source of the [`Line`]s of a file or of the standard input, plain or gzip, which it tells by
/// how they begin and not by a name.
///
/// Emits a line for each end of line, be it `\n` or `\r\n`, empty lines too, and one for what
/// stands behind the last; a byte order mark at the beginning is left out. Reads ahead by a bounded
/// number of lines and bytes, off the async workers, and backpressures by reading no further. Ends
/// with the file. Cancelling it loses nothing but what was read ahead.
///
/// A line that is longer than the limit, 1 MiB by default, is emitted cut to the limit and
/// [marked](Line::is_truncated); its rest is skipped, in bounded memory. What a line holds never
/// fails the source.
///
/// # Errors
///
/// A file that is missing, can't be read, or is cut off or broken inside gzip, with its name and
/// the line reached. The lines before that are emitted first.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("words.txt");
/// std::fs::write(&path, "a\nto\r\n\nend")?;
/// let flow = Dataflow::new("words");
/// let lengths = flow
///     .source("words", source::Lines::open(&path))
///     .map(|line| (line.number(), line.bytes().len()))
///     .collect();
/// let expected = vec![(1, 1), (2, 2), (3, 0), (4, 3)];
/// assert_eq!(flow.run().await?.take(lengths), Some(expected));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Lines {
    origin: Origin,
    limit: usize,
}

impl Lines {
    /// The lines of a file, which is opened when the job starts.
    #[must_use]
    pub fn open(path: impl AsRef<Path>) -> Self {
        Self { origin: Origin::path(path.as_ref()), limit: LINE_LIMIT }
    }

    /// The lines of the standard input. A job that ends early may have read lines that the
    /// program's next reader misses.
    #[must_use]
    pub fn stdin() -> Self {
        Self { origin: Origin::stdin(), limit: LINE_LIMIT }
    }

    /// Cuts lines that are longer than so many bytes. Default: 1 MiB.
    #[must_use]
    pub const fn with_line_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    pub(super) fn rows<T: Send + 'static>(
        &self,
        decode: impl FnMut(Line) -> Result<Option<T>, OperatorError> + Send + 'static,
    ) -> FileRows<T> {
        let limit = self.limit;
        FileRows::new(self.origin.clone(), move |mut input| {
            input.resume()?;
            Ok(LineReader { input, limit, buffer: Vec::new(), decode })
        })
    }
}

impl SourceFactory for Lines {
    type Source = FileRows<Line>;

    fn create(&self, _instance: usize) -> Result<FileRows<Line>, OperatorError> {
        Ok(self.rows(|line| Ok(Some(line))))
    }
}

/// The [`Lines`] of a file that does not grow any more: `Lines::open` by another name. One that
/// does is for [`file_tail`](super::file_tail).
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("words.txt");
/// std::fs::write(&path, "a\nb\n")?;
/// let flow = Dataflow::new("words");
/// let count = flow.source("words", source::file_lines(&path)).count();
/// assert_eq!(flow.run().await?.take(count), Some(2));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn file_lines(path: impl AsRef<Path>) -> Lines {
    Lines::open(path)
}

/// Takes an input apart into lines, and decodes those.
struct LineReader<D> {
    input: Input,
    limit: usize,
    buffer: Vec<u8>,
    decode: D,
}

impl<D> LineReader<D> {
    fn next_line(&mut self) -> Result<Option<Line>, FileError> {
        self.buffer.clear();
        // Enough to see both the end of a line that just fits and that another does not.
        let most = self.limit.saturating_add(2) as u64;
        let read = self.input.read_line(most, &mut self.buffer)?;
        if read == 0 {
            return Ok(None);
        }
        let bytes = match self.buffer.strip_suffix(b"\n") {
            Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
            None => {
                if read == most {
                    self.input.skip_line()?;
                }
                &self.buffer
            }
        };
        self.input.place.lines += 1;
        let kept = bytes.get(..self.limit).unwrap_or(bytes);
        let truncated = kept.len() < bytes.len();
        Ok(Some(Line::new(self.input.place.lines, kept, &self.input.name, truncated)))
    }
}

impl<T, D> RowReader for LineReader<D>
where
    T: Send + 'static,
    D: FnMut(Line) -> Result<Option<T>, OperatorError> + Send + 'static,
{
    type Row = T;

    fn next_row(&mut self) -> Result<Option<T>, OperatorError> {
        while let Some(line) = self.next_line()? {
            if let Some(row) = (self.decode)(line)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    fn place(&self) -> InputPlace {
        self.input.place
    }

    fn has_buffered(&self) -> bool {
        self.input.reader.buffer().contains(&b'\n')
    }
}
