//! `read_lines`: the lines that come out of any tokio `AsyncRead`.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use millstream_engine::OperatorError;
use millstream_engine::source::{AlreadyRead, Source, SourceBatch, SourceFactory, SourceStatus};
use tokio::io::{AsyncRead, ReadBuf};

use super::file::InputPlace;
use super::line::Line;
use super::line_splitter::LineSplitter;
use super::lines::LINE_LIMIT;
use crate::file::{FileError, Place};

const CHUNK_BYTES: usize = 8 * 1024;

/// How often a reader that is always ready is read at once without a line.
const READS_MAX: usize = 32;

/// A source of the [`Line`]s of any tokio [`AsyncRead`]: a socket, a pipe, the output of a child
/// process. It can be run once.
///
/// Emits a line for each end of line, be it `\n` or `\r\n`, empty lines too, and one for what
/// stands behind the last, as [`Lines`](super::Lines) do. Reads at most 8 KiB ahead, and nothing
/// more before those have been taken, so that backpressure reaches the other side; dropping the job
/// drops the reader. What is ready is handed over before it waits, and a wait that is cancelled
/// loses nothing. Ends when the reader does. When the job drains, the whole lines that have been
/// read are still handed over.
///
/// A line that is longer than the limit, 1 MiB by default, is emitted cut to the limit and
/// [marked](Line::is_truncated); its rest is skipped, in bounded memory. Whether a line is text is
/// asked of the [`Line`], whose error has its number.
///
/// # Errors
///
/// What the reader returns, with the number of the line reached. The lines before are emitted
/// first.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let bytes: &[u8] = b"1\n2\r\nthree";
/// let flow = Dataflow::new("numbers");
/// let numbers = flow
///     .source("socket", source::read_lines(bytes))
///     .filter_map(|line| line.text().ok().and_then(|text| text.parse::<u32>().ok()))
///     .collect();
/// assert_eq!(flow.run().await?.take(numbers), Some(vec![1, 2]));
/// # Ok(())
/// # }
/// ```
pub const fn read_lines<R: AsyncRead + Send + 'static>(reader: R) -> ReadLines<R> {
    ReadLines { reader: Mutex::new(Some(reader)), limit: LINE_LIMIT }
}

/// The factory behind [`read_lines`].
pub struct ReadLines<R> {
    reader: Mutex<Option<R>>,
    limit: usize,
}

impl<R> ReadLines<R> {
    /// Cuts lines that are longer than so many bytes. Default: 1 MiB.
    #[must_use]
    pub fn with_line_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }
}

impl<R: AsyncRead + Send + 'static> SourceFactory for ReadLines<R> {
    type Source = LinesOf<R>;

    /// # Errors
    ///
    /// [`AlreadyRead`] in the second run.
    fn create(&self, _instance: usize) -> Result<LinesOf<R>, OperatorError> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        let name = Arc::from("the reader");
        Ok(LinesOf {
            reader: Box::pin(reader.ok_or(AlreadyRead)?),
            splitter: LineSplitter::new(Arc::clone(&name), self.limit, InputPlace::default()),
            name,
            chunk: vec![0; CHUNK_BYTES].into_boxed_slice(),
            left: 0..0,
            failure: None,
        })
    }
}

impl<R> fmt::Debug for ReadLines<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadLines").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// The running source behind [`read_lines`].
pub struct LinesOf<R> {
    reader: Pin<Box<R>>,
    name: Arc<str>,
    splitter: LineSplitter,
    chunk: Box<[u8]>,
    /// The part of the chunk that has been read and not taken apart.
    left: std::ops::Range<usize>,
    /// The error behind the lines that were handed over last.
    failure: Option<FileError>,
}

impl<R: AsyncRead> LinesOf<R> {
    /// Moves lines that have been read into the batch, while there is room.
    fn split(&mut self, batch: &mut SourceBatch<Line>) {
        while !batch.is_full() && !self.left.is_empty() {
            let bytes = self.chunk.get(self.left.clone()).unwrap_or_default();
            let (taken, line) = self.splitter.feed(bytes);
            self.left.start += taken;
            if let Some(line) = line {
                batch.push(line);
            }
        }
    }

    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut SourceBatch<Line>,
    ) -> Poll<Result<SourceStatus, FileError>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Err(failure));
        }
        let mut reads = 0;
        loop {
            self.split(batch);
            if batch.is_full() || reads == READS_MAX && !batch.is_empty() {
                return Poll::Ready(Ok(SourceStatus::More));
            }
            if reads == READS_MAX {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            reads += 1;
            let mut buffer = ReadBuf::new(&mut self.chunk);
            match self.reader.as_mut().poll_read(cx, &mut buffer) {
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(SourceStatus::More)),
                Poll::Ready(Err(error)) => {
                    let line = Place::Line(self.splitter.place().lines + 1);
                    let failure = FileError::new(&self.name, line, error);
                    if batch.is_empty() {
                        return Poll::Ready(Err(failure));
                    }
                    self.failure = Some(failure);
                    return Poll::Ready(Ok(SourceStatus::More));
                }
                Poll::Ready(Ok(())) => self.left = 0..buffer.filled().len(),
            }
            if self.left.is_empty() {
                if let Some(line) = self.splitter.finish() {
                    batch.push(line);
                }
                return Poll::Ready(Ok(SourceStatus::End));
            }
        }
    }
}

impl<R: AsyncRead + Send + 'static> Source for LinesOf<R> {
    type Item = Line;

    async fn next(&mut self, batch: &mut SourceBatch<Line>) -> Result<SourceStatus, OperatorError> {
        Ok(poll_fn(|cx| self.poll_fill(cx, batch)).await?)
    }

    async fn drain(
        &mut self,
        batch: &mut SourceBatch<Line>,
    ) -> Result<SourceStatus, OperatorError> {
        self.split(batch);
        Ok(if self.left.is_empty() { SourceStatus::End } else { SourceStatus::More })
    }
}

impl<R> fmt::Debug for LinesOf<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinesOf")
    }
}
