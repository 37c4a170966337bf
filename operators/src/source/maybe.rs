//! `maybe`: one value, or none, when the program around the job says so.

use std::fmt;

use millstream_engine::OperatorError;
use millstream_engine::source::{OneShot, Source, SourceBatch, SourceStatus};
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// A source that stays open until its handle completes it, with a value or without. It can be run
/// once.
///
/// It emits the value at once and ends behind it. A handle that is dropped completes it without
/// one. When the job drains, it ends; a value that was given before that is still emitted. It
/// cannot fail.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let (handle, answer) = source::maybe();
/// let flow = Dataflow::new("answer");
/// let first = flow.source("answer", answer).first();
/// let job = flow.start()?;
/// assert_eq!(handle.complete(Some(42)), Ok(()));
/// assert_eq!(job.await?.take(first), Some(Some(42)));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn maybe<T: Send + 'static>() -> (MaybeHandle<T>, OneShot<Maybe<T>>) {
    let (sender, receiver) = channel();
    (MaybeHandle(sender), OneShot::new(Maybe { receiver: Some(receiver) }))
}

/// What completes a [`maybe`].
pub struct MaybeHandle<T>(Sender<Option<T>>);

impl<T> MaybeHandle<T> {
    /// Completes the source.
    ///
    /// # Errors
    ///
    /// What was given, if the job is over.
    pub fn complete(self, value: Option<T>) -> Result<(), Option<T>> {
        self.0.send(value)
    }
}

impl<T> fmt::Debug for MaybeHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaybeHandle")
    }
}

/// The source behind [`maybe`].
pub struct Maybe<T> {
    receiver: Option<Receiver<Option<T>>>,
}

impl<T: Send + 'static> Source for Maybe<T> {
    type Item = T;

    async fn next(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        if let Some(receiver) = &mut self.receiver {
            let completed = receiver.await;
            self.receiver = None;
            if let Ok(Some(value)) = completed {
                batch.push(value);
            }
        }
        Ok(SourceStatus::End)
    }

    async fn drain(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        if let Some(receiver) = &mut self.receiver {
            receiver.close();
        }
        self.next(batch).await
    }
}

impl<T> fmt::Debug for Maybe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Maybe")
    }
}
