//! How the file sinks write: encoded on the worker, written away from it, and visible only when
//! whole.

mod writer;

use std::error::Error as StdError;
use std::fmt;

use millstream_engine::sink::{Committable, Sink, SinkContext, SinkStatus};
use millstream_engine::{OperatorError, Record};

pub(super) use writer::Target;
use writer::Writer;

use crate::file::{FileError, Place};

/// Turns values into the bytes of a file.
pub(super) trait Encode<T>: Send + 'static {
    /// What stands at the beginning, before any value.
    fn begin(&mut self, into: &mut Vec<u8>) -> Result<(), Box<dyn StdError + Send + Sync>> {
        let _ = into;
        Ok(())
    }

    /// Appends a value.
    fn encode(
        &mut self,
        value: &T,
        into: &mut Vec<u8>,
    ) -> Result<(), Box<dyn StdError + Send + Sync>>;
}

/// So many bytes are collected before they are written, unless there is no more input ready.
const CHUNK_BYTES: usize = 128 * 1024;

/// The running sink behind the words that write files, and their counterparts for the standard
/// output.
///
/// Records are encoded on the worker that runs the stage; the bytes are written by calls to
/// `tokio::task::spawn_blocking`, 128 KiB each or what there is when no more input is ready. One
/// call is under way at a time, and the sink waits for it, which is how a slow disk backpressures.
///
/// A file is written under a temporary name in its folder, `.NAME.part-PROCESS-NUMBER`, and gets
/// its own name, in the place and with the permissions of an older file, once it is whole and on
/// disk. A job that fails or is aborted leaves the older file as it was, and takes its own part
/// away; only one that was killed, or failed while the whole part was given its name, leaves it.
/// What is no regular file, such as a pipe or a device, is written as it is, and so is the standard
/// output; when the reader of one of these goes away, the sink has enough.
pub struct FileSink<T> {
    target: Target,
    encoder: Box<dyn Encode<T>>,
    writer: Option<Writer>,
    buffer: Vec<u8>,
    /// Records encoded so far, and those of them that have been written.
    encoded: u64,
    written: u64,
}

/// A parallel stream was given to a sink that writes one file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{instances} instances would write to {target}: call `.gather()` before the sink")]
pub struct NotOneInstance {
    /// How many instances there are.
    pub instances: usize,
    target: String,
}

impl<T: Send + 'static> FileSink<T> {
    pub(super) fn new(target: Target, encoder: impl Encode<T>) -> Self {
        Self {
            target,
            encoder: Box::new(encoder),
            writer: None,
            buffer: Vec::new(),
            encoded: 0,
            written: 0,
        }
    }

    fn encode(&mut self, value: &T) -> Result<(), FileError> {
        self.encoded += 1;
        let encoded = self.encoder.encode(value, &mut self.buffer);
        encoded.map_err(|cause| self.error(self.encoded, cause))
    }

    async fn write_buffer(&mut self) -> Result<SinkStatus, OperatorError> {
        let Some(writer) = &mut self.writer else {
            return Ok(SinkStatus::More);
        };
        match writer.write(&mut self.buffer).await? {
            Ok(status) => {
                self.written = self.encoded;
                Ok(status)
            }
            Err(error) => Err(self.error(self.written + 1, error.into()).into()),
        }
    }

    fn error(&self, record: u64, cause: Box<dyn StdError + Send + Sync>) -> FileError {
        FileError::new(self.target.name(), Place::Record(record), cause)
    }

    fn error_at_file(&self, cause: std::io::Error) -> OperatorError {
        FileError::new(self.target.name(), Place::File, cause).into()
    }
}

impl<T: Send + 'static> Sink for FileSink<T> {
    type Item = T;

    async fn open(&mut self, context: &SinkContext) -> Result<(), OperatorError> {
        if context.instances > 1 {
            let (instances, target) = (context.instances, self.target.name().to_string());
            return Err(NotOneInstance { instances, target }.into());
        }
        let begun = self.encoder.begin(&mut self.buffer);
        begun.map_err(|cause| FileError::new(self.target.name(), Place::File, cause))?;
        let opened = Writer::open(&self.target).await?;
        self.writer = Some(opened.map_err(|error| self.error_at_file(error))?);
        Ok(())
    }

    async fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<SinkStatus, OperatorError> {
        // That a reader has gone may have been found by a flush since the last write.
        if self.writer.as_ref().map(Writer::status) == Some(SinkStatus::Enough) {
            return Ok(SinkStatus::Enough);
        }
        // From behind, because what is left over has to stay in the vector.
        records.reverse();
        while let Some(record) = records.pop() {
            self.encode(&record.value)?;
            if self.buffer.len() >= CHUNK_BYTES && self.write_buffer().await? == SinkStatus::Enough
            {
                return Ok(SinkStatus::Enough);
            }
        }
        Ok(SinkStatus::More)
    }

    async fn flush(&mut self) -> Result<(), OperatorError> {
        self.write_buffer().await.map(drop)
    }

    async fn prepare(&mut self) -> Result<Committable, OperatorError> {
        self.write_buffer().await?;
        let Some(writer) = &mut self.writer else {
            return Ok(Committable::default());
        };
        let prepared = writer.prepare().await?;
        prepared.map_err(|error| self.error_at_file(error))
    }

    async fn commit(&mut self, committable: Committable) -> Result<(), OperatorError> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let committed = writer.commit(&committable).await?;
        committed.map_err(|error| self.error_at_file(error))
    }
}

impl<T> fmt::Debug for FileSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSink").field("target", &self.target).finish_non_exhaustive()
    }
}
