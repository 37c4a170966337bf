//! `file_tail`: the lines of a file that grows, and of those that take its name after it.

mod follow;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::OperatorError;
use millstream_engine::source::{
    Position, Source, SourceBatch, SourceContext, SourceFactory, SourceStatus,
};
use millstream_engine::time::Clock;
use tokio::task::JoinSet;

use super::line::Line;
use super::lines::LINE_LIMIT;
use crate::file::unwound;
use follow::{Follower, Step};

/// A source of the [`Line`]s of a file that grows: a log. It does not end by itself.
///
/// Emits a line when its end has come, be it `\n` or `\r\n`; what stands behind the last end of
/// line waits. A file that is missing is waited for. The file is looked at again, off the async
/// workers, every [poll interval](Tail::with_poll_interval) of the job's clock while there is
/// nothing new, and at once while there is. Backpressures by reading no further. When the job
/// drains, the whole lines that are there are still handed over.
///
/// * **Rotation by name.** When another file has taken the name, and has something in it, the one
///   before is first read to its end, the last line too if that has no end, and then the new one
///   from its beginning. So a writer that holds on to the old file for a while loses nothing. Two
///   rotations within one poll interval lose what only the file between them had.
/// * **Rotation by copying.** When the file is shorter than what has been read of it, it is read
///   from its beginning again. What was written between the last look and the cut is in the copy
///   only, and a file that grows beyond its old length within one poll interval can't be told from
///   one that was not cut.
/// * **Position.** The file by device and inode, and the byte and line to read next, which is
///   always the beginning of a line. Going on from there, a file that was renamed meanwhile is
///   looked for in the same folder, and read to its end before the one that has its name now.
///
/// Lines that are longer than the limit, 1 MiB by default, are cut as those of
/// [`Lines`](super::Lines) are, and numbered in each file from 1.
///
/// # Errors
///
/// A file that can't be read, and one that an earlier run had begun to read and that is gone,
/// unless [`or_start_anew`](Tail::or_start_anew) says otherwise. The lines before that are emitted
/// first.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("log");
/// std::fs::write(&path, "one\ntwo\nthr")?;
/// let flow = Dataflow::new("log");
/// let lines = flow
///     .source("log", source::file_tail(&path))
///     .map(|line| line.bytes().len())
///     .take(2)
///     .collect();
/// assert_eq!(flow.run().await?.take(lines), Some(vec![3, 3]));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn file_tail(path: impl AsRef<Path>) -> Tail {
    let path = path.as_ref();
    Tail {
        name: Arc::from(path.to_string_lossy()),
        path: path.to_owned(),
        interval: Duration::from_millis(250),
        limit: LINE_LIMIT,
        start_anew: false,
    }
}

/// The factory behind [`file_tail`].
#[derive(Clone, Debug)]
pub struct Tail {
    name: Arc<str>,
    path: PathBuf,
    interval: Duration,
    limit: usize,
    start_anew: bool,
}

impl Tail {
    /// How long to wait before the file is looked at again when there was nothing new. Default:
    /// 250 ms.
    #[must_use]
    pub const fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Cuts lines that are longer than so many bytes. Default: 1 MiB.
    #[must_use]
    pub const fn with_line_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// When the file that an earlier run had begun to read is gone, begins with the one that has
    /// its name now, and loses what was left of the other. By default that is an error.
    #[must_use]
    pub const fn or_start_anew(mut self) -> Self {
        self.start_anew = true;
        self
    }
}

impl SourceFactory for Tail {
    type Source = ReadTail;

    fn create(&self, _instance: usize) -> Result<ReadTail, OperatorError> {
        Ok(ReadTail {
            tail: self.clone(),
            clock: None,
            follower: None,
            under_way: JoinSet::new(),
            failure: None,
        })
    }
}

/// The running source behind [`file_tail`].
pub struct ReadTail {
    tail: Tail,
    clock: Option<Clock>,
    /// Here, or with the blocking call under way.
    follower: Option<Box<Follower>>,
    under_way: JoinSet<(Box<Follower>, Step)>,
    /// The error behind the lines that were handed over last.
    failure: Option<OperatorError>,
}

impl ReadTail {
    /// Hands over what is there. The call goes on if the wait for it is given up, and its lines are
    /// taken up by the next wait.
    async fn read(&mut self, batch: &mut SourceBatch<Line>) -> Result<(), OperatorError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if let Some(mut follower) = self.follower.take() {
            let room = batch.room();
            self.under_way.spawn_blocking(move || {
                let step = follower.step(room);
                (follower, step)
            });
        }
        let Some(joined) = self.under_way.join_next().await else {
            return Ok(());
        };
        let (follower, step) = unwound(joined)?;
        if let Some(mark) = follower.mark() {
            batch.position(Position(mark));
        }
        self.follower = Some(follower);
        for line in step.lines {
            batch.push(line);
        }
        match step.failure {
            Some(failure) if batch.is_empty() => Err(failure.into()),
            failure => {
                self.failure = failure.map(Into::into);
                Ok(())
            }
        }
    }
}

impl Source for ReadTail {
    type Item = Line;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        self.clock = Some(context.clock.clone());
        let Tail { name, path, limit, start_anew, .. } = self.tail.clone();
        let follower = Follower::new(name, path, limit, start_anew, context.position.as_ref())?;
        self.follower = Some(Box::new(follower));
        Ok(())
    }

    async fn next(&mut self, batch: &mut SourceBatch<Line>) -> Result<SourceStatus, OperatorError> {
        loop {
            self.read(batch).await?;
            if !batch.is_empty() {
                return Ok(SourceStatus::More);
            }
            if let Some(clock) = &self.clock {
                clock.sleep(self.tail.interval).await;
            }
        }
    }

    async fn drain(
        &mut self,
        batch: &mut SourceBatch<Line>,
    ) -> Result<SourceStatus, OperatorError> {
        // A call that is under way may have looked before the last lines were written.
        let looks_now = self.under_way.is_empty();
        self.read(batch).await?;
        if batch.is_empty() && !looks_now {
            self.read(batch).await?;
        }
        Ok(if batch.is_empty() { SourceStatus::End } else { SourceStatus::More })
    }
}

impl fmt::Debug for ReadTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadTail").field("file", &self.tail.name).finish_non_exhaustive()
    }
}
