//! Blocking reads, kept away from the async workers: on the runtime's blocking threads where a read
//! ends by itself, on a thread of its own where it may not.

use std::collections::VecDeque;

use millstream_engine::OperatorError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Behind, Chunk, ChunkReader, Origin};
use crate::file::{FileError, call, unwound};

/// What a blocking call gives back: the reader, and what it read.
type Called<T> = (Box<dyn ChunkReader<T>>, VecDeque<Chunk<T>>);

type Opened<T> = Result<Box<dyn ChunkReader<T>>, FileError>;

/// How many chunks one blocking call reads, so that the call costs little beside the reading.
const CHUNKS_A_CALL: usize = 8;

pub(super) enum Pump<T> {
    /// Calls on blocking threads, one under way at a time, which own the reader meanwhile.
    Calls {
        reader: Option<Box<dyn ChunkReader<T>>>,
        under_way: JoinSet<Called<T>>,
        ready: VecDeque<Chunk<T>>,
    },
    /// A thread that sends what it reads.
    Thread(mpsc::Receiver<Chunk<T>>),
}

impl<T: Send + 'static> Pump<T> {
    pub(super) async fn start(
        origin: &Origin,
        open: impl FnOnce() -> Opened<T> + Send + 'static,
    ) -> Result<Self, OperatorError> {
        let asked = origin.clone();
        if call(move || asked.may_block()).await?? {
            return Ok(Self::Thread(start_thread(origin, open)?));
        }
        let reader = call(open).await??;
        Ok(Self::Calls { reader: Some(reader), under_way: JoinSet::new(), ready: VecDeque::new() })
    }

    /// The next chunk, of at most `rows_max` rows if it is the first, and as many as the first
    /// could have after that. `None` behind the last.
    pub(super) async fn next(
        &mut self,
        rows_max: usize,
    ) -> Result<Option<Chunk<T>>, OperatorError> {
        let (reader, under_way, ready) = match self {
            Self::Thread(chunks) => return Ok(chunks.recv().await),
            Self::Calls { reader, under_way, ready } => (reader, under_way, ready),
        };
        if ready.is_empty() {
            if let Some(reader) = reader.take() {
                under_way.spawn_blocking(move || read(reader, rows_max));
            }
            let Some(joined) = under_way.join_next().await else {
                return Ok(None);
            };
            let (reader, chunks) = unwound(joined)?;
            *ready = chunks;
            let ended = ready.back().is_none_or(|last| !matches!(last.behind, Behind::More));
            if !ended {
                // One call ahead of what is being processed, and no more.
                under_way.spawn_blocking(move || read(reader, rows_max));
            }
        }
        Ok(ready.pop_front())
    }
}

/// What one blocking call does.
fn read<T>(mut reader: Box<dyn ChunkReader<T>>, rows_max: usize) -> Called<T> {
    let mut chunks = VecDeque::with_capacity(CHUNKS_A_CALL);
    while chunks.len() < CHUNKS_A_CALL {
        let chunk = reader.chunk(rows_max, false);
        let more = matches!(chunk.behind, Behind::More);
        chunks.push_back(chunk);
        if !more {
            break;
        }
    }
    (reader, chunks)
}

/// Starts the thread that reads what may block without end. It can't be joined, for the same
/// reason; it ends with its input, or at the first chunk that nobody takes.
fn start_thread<T: Send + 'static>(
    origin: &Origin,
    open: impl FnOnce() -> Opened<T> + Send + 'static,
) -> Result<mpsc::Receiver<Chunk<T>>, FileError> {
    let (sender, receiver) = mpsc::channel(1);
    let work = move || {
        let mut reader = match open() {
            Ok(reader) => reader,
            Err(error) => return drop(sender.blocking_send(Chunk::failed(error))),
        };
        loop {
            let chunk = reader.chunk(THREAD_ROWS, true);
            let more = matches!(chunk.behind, Behind::More);
            if sender.blocking_send(chunk).is_err() || !more {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("millstream-read".to_owned());
    match thread.spawn(work) {
        Ok(_) => Ok(receiver),
        Err(error) => Err(FileError::new(&origin.name, crate::file::Place::File, error)),
    }
}

/// The rows that the thread reads at most before it hands them over: the smallest default batch.
const THREAD_ROWS: usize = 64;

impl<T> Chunk<T> {
    fn failed(error: FileError) -> Self {
        Self {
            rows: Vec::new(),
            place: super::InputPlace::default(),
            behind: Behind::Failed(error.into()),
        }
    }
}
