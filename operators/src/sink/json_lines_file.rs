//! `JsonLinesFile`: a line of JSON for each record.

use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use millstream_engine::OperatorError;
use millstream_engine::sink::SinkFactory;
use serde::Serialize;

use super::FileSink;
use super::file::{Encode, Target};

/// A sink that writes each value as a line of JSON.
///
/// The file appears, in the place of an older one, when it is whole: a job that fails leaves none
/// that looks complete. See [`FileSink`] for how it is written, and where it backpressures.
///
/// # Errors
///
/// A value that has no form in JSON, a folder that is missing, a disk that is full, with the file
/// and the record reached; and a parallel stream: call [`gather`](crate::DataStream::gather) first.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("pairs.jsonl");
/// let flow = Dataflow::new("pairs");
/// let pairs = source::from_iter([("a", 1), ("b", 2)]);
/// flow.source("pairs", pairs).sink("file", sink::JsonLinesFile::create(&path));
/// flow.run().await?;
/// assert_eq!(std::fs::read_to_string(&path)?, "[\"a\",1]\n[\"b\",2]\n");
/// # Ok(())
/// # }
/// ```
pub struct JsonLinesFile<T> {
    target: Target,
    marker: PhantomData<fn(T)>,
}

impl<T: Serialize + Send + 'static> JsonLinesFile<T> {
    /// Writes to a file, which is created when the job starts.
    #[must_use]
    pub fn create(path: impl AsRef<Path>) -> Self {
        Self { target: Target::path(path.as_ref()), marker: PhantomData }
    }
}

/// A sink that writes each value as a line of JSON to the standard output. It has enough when
/// whoever reads that has gone; in all else it is as [`JsonLinesFile`].
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("shown");
/// flow.source("words", source::from_iter(["a", "to"])).sink("out", sink::json_lines_to_stdout());
/// assert_eq!(flow.run().await?.records_written(), 2);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn json_lines_to_stdout<T: Serialize + Send + 'static>() -> JsonLinesFile<T> {
    JsonLinesFile { target: Target::stdout(), marker: PhantomData }
}

impl<T: Serialize + Send + 'static> SinkFactory for JsonLinesFile<T> {
    type Sink = FileSink<T>;

    fn create(&self, _instance: usize) -> Result<FileSink<T>, OperatorError> {
        Ok(FileSink::new(self.target.clone(), AsJson))
    }
}

impl<T> fmt::Debug for JsonLinesFile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonLinesFile").field(&self.target).finish()
    }
}

struct AsJson;

impl<T: Serialize> Encode<T> for AsJson {
    fn encode(
        &mut self,
        value: &T,
        into: &mut Vec<u8>,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        serde_json::to_writer(&mut *into, value)?;
        into.push(b'\n');
        Ok(())
    }
}
