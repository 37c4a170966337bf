//! `LinesFile`: a line of text for each record.

use std::error::Error as StdError;
use std::fmt::{self, Display};
use std::io::Write as _;
use std::marker::PhantomData;
use std::path::Path;

use millstream_engine::OperatorError;
use millstream_engine::sink::SinkFactory;

use super::FileSink;
use super::file::{Encode, Target};

/// A sink that writes each value as a line of text, by its `Display`. A value that holds the end of
/// a line becomes several.
///
/// The file appears, in the place of an older one, when it is whole: a job that fails leaves none
/// that looks complete. See [`FileSink`] for how it is written, and where it backpressures.
///
/// # Errors
///
/// A folder that is missing, a disk that is full, with the file and the record reached; and a
/// parallel stream: call [`gather`](crate::DataStream::gather) first.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("numbers.txt");
/// let flow = Dataflow::new("numbers");
/// flow.source("numbers", source::from_iter(1..=3)).sink("file", sink::LinesFile::create(&path));
/// flow.run().await?;
/// assert_eq!(std::fs::read_to_string(&path)?, "1\n2\n3\n");
/// # Ok(())
/// # }
/// ```
pub struct LinesFile<T> {
    target: Target,
    marker: PhantomData<fn(T)>,
}

impl<T: Display + Send + 'static> LinesFile<T> {
    /// Writes to a file, which is created when the job starts.
    #[must_use]
    pub fn create(path: impl AsRef<Path>) -> Self {
        Self { target: Target::path(path.as_ref()), marker: PhantomData }
    }
}

/// A sink that writes each value as a line of the standard output, by its `Display`. It has enough
/// when whoever reads that has gone; in all else it is as [`LinesFile`].
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("shown");
/// flow.source("words", source::from_iter(["a", "to"])).sink("shown", sink::lines_to_stdout());
/// assert_eq!(flow.run().await?.records_written(), 2);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn lines_to_stdout<T: Display + Send + 'static>() -> LinesFile<T> {
    LinesFile { target: Target::stdout(), marker: PhantomData }
}

impl<T: Display + Send + 'static> SinkFactory for LinesFile<T> {
    type Sink = FileSink<T>;

    fn create(&self, _instance: usize) -> Result<FileSink<T>, OperatorError> {
        Ok(FileSink::new(self.target.clone(), AsLine))
    }
}

impl<T> fmt::Debug for LinesFile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LinesFile").field(&self.target).finish()
    }
}

struct AsLine;

impl<T: Display> Encode<T> for AsLine {
    fn encode(
        &mut self,
        value: &T,
        into: &mut Vec<u8>,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        writeln!(into, "{value}")?;
        Ok(())
    }
}
