//! How the file sources read: away from the async workers, in chunks, one chunk ahead.

mod input;
mod pump;

use std::fmt;

use millstream_engine::OperatorError;
use millstream_engine::source::{Source, SourceBatch, SourceContext, SourceStatus};

pub(super) use input::{Input, Origin, Place as InputPlace};
use pump::Pump;

use crate::file::FileError;

/// Takes the rows of one file apart, one after another, on a thread that may block.
pub(super) trait RowReader: Send + 'static {
    /// What a row becomes.
    type Row: Send + 'static;

    /// The next row, or `None` at the end of the file.
    fn next_row(&mut self) -> Result<Option<Self::Row>, OperatorError>;

    /// The place behind the last row.
    fn place(&self) -> InputPlace;

    /// Whether a whole row may be waiting in memory.
    fn has_buffered(&self) -> bool;
}

/// Rows that were read at once, and what came behind them.
pub(super) struct Chunk<T> {
    rows: Vec<T>,
    place: InputPlace,
    behind: Behind,
}

/// What comes behind the rows of a chunk.
enum Behind {
    More,
    End,
    Failed(OperatorError),
}

/// A row reader behind one virtual call a chunk.
pub(super) trait ChunkReader<T>: Send {
    /// Reads at most so many rows, and no more bytes than about a batch's worth. With `only_ready`
    /// it waits for the first row only.
    fn chunk(&mut self, rows_max: usize, only_ready: bool) -> Chunk<T>;
}

/// A chunk ends when its rows took so many bytes, however few they are: memory is bounded in bytes
/// where rows are long.
const CHUNK_BYTES: u64 = 64 * 1024;

impl<R: RowReader> ChunkReader<R::Row> for R {
    fn chunk(&mut self, rows_max: usize, only_ready: bool) -> Chunk<R::Row> {
        let start = self.place();
        let mut rows = Vec::with_capacity(rows_max.min(1024));
        let (place, behind) = loop {
            let place = self.place();
            let waits = only_ready && !rows.is_empty() && !self.has_buffered();
            let bytes = place.offset - start.offset;
            if rows.len() >= rows_max || bytes >= CHUNK_BYTES || waits {
                break (place, Behind::More);
            }
            match self.next_row() {
                Ok(Some(row)) => rows.push(row),
                Ok(None) => break (self.place(), Behind::End),
                // A row that could be read, and not understood, is to be met again.
                Err(error) => break (place, Behind::Failed(error)),
            }
        };
        Chunk { rows, place, behind }
    }
}

/// Opens the rows of an input, from a place that an earlier run got to, on a thread that may block.
type Opener<T> =
    Box<dyn FnOnce(Option<InputPlace>) -> Result<Box<dyn ChunkReader<T>>, FileError> + Send>;

/// The running source behind the words that read files: rows of `T`, and the position behind each
/// batch.
///
/// A regular file is read by calls to `tokio::task::spawn_blocking`, a few batches each, one call
/// ahead of what is being processed. Everything else that has a name, and the standard input, is
/// read by a thread of its own, because it may block without end and a runtime could not shut down
/// meanwhile; that thread ends with its input, or when it next reads something and finds the job
/// gone.
///
/// Its position is the byte and the line to read next. Going on from there, a plain file is sought
/// in and a compressed one is read and skipped; the standard input can't go back.
pub struct FileRows<T> {
    origin: Origin,
    opener: Option<Opener<T>>,
    pump: Option<Pump<T>>,
    /// The error behind the rows that were handed over last.
    failure: Option<OperatorError>,
}

impl<T: Send + 'static> FileRows<T> {
    pub(super) fn new<R: RowReader<Row = T>>(
        origin: Origin,
        open: impl FnOnce(Input) -> Result<R, FileError> + Send + 'static,
    ) -> Self {
        let from = origin.clone();
        let opener: Opener<T> = Box::new(move |place| {
            let rows = open(Input::open(&from, place)?)?;
            Ok(Box::new(rows))
        });
        Self { origin, opener: Some(opener), pump: None, failure: None }
    }
}

impl<T: Send + 'static> Source for FileRows<T> {
    type Item = T;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        let place = match &context.position {
            Some(position) => Some(InputPlace::from_position(position)?),
            None => None,
        };
        if let Some(opener) = self.opener.take() {
            self.pump = Some(Pump::start(&self.origin, move || opener(place)).await?);
        }
        Ok(())
    }

    async fn next(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let chunk = match &mut self.pump {
            Some(pump) => pump.next(batch.room()).await?,
            None => None,
        };
        let Some(chunk) = chunk else {
            return Ok(SourceStatus::End);
        };
        for row in chunk.rows {
            batch.push(row);
        }
        batch.position(chunk.place.to_position());
        match chunk.behind {
            Behind::More => Ok(SourceStatus::More),
            Behind::End => Ok(SourceStatus::End),
            Behind::Failed(failure) if batch.is_empty() => Err(failure),
            Behind::Failed(failure) => {
                self.failure = Some(failure);
                Ok(SourceStatus::More)
            }
        }
    }
}

impl<T> fmt::Debug for FileRows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRows").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// A position that none of the file sources has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the position is not one of a file source")]
struct ForeignPosition;

/// The input ends before the place that an earlier run got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it ends before byte {0}, where reading was to go on")]
struct EndsBefore(u64);

/// The standard input was asked to go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the standard input can't be read again from byte {0}")]
struct CannotGoBack(u64);

/// A compressed file that is not even a header long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is called a gzip file, and ends within its header")]
struct CutOffHeader;
