//! `finally`: a closure that is called when the stream ends, in whatever way.

use std::fmt;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::{JobLink, OperatorContext, Outcome};
use millstream_engine::{Error, OperatorError, Record};

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Calls `cleanup` exactly once in each run and instance when the stream ends here, with how it
    /// ended: at the end of a complete input, when nobody behind wants any more, when the job
    /// fails, by an error or a panic anywhere, when it is aborted, and when its handle or the whole
    /// runtime is dropped. Also if another part of the graph kept the job from being started.
    ///
    /// It is called in the stage's own task: at a complete end behind the last record, and
    /// otherwise when the stage is dropped, which after a failure elsewhere may be a little later.
    /// It must not block, and it must not panic: that fails a job that had not failed.
    /// `panic = "abort"` takes it away.
    ///
    /// Records pass unchanged; it emits nothing of its own.
    ///
    /// ```
    /// use millstream_operators::control::Ending;
    /// use millstream_operators::prelude::*;
    /// use std::sync::mpsc::sync_channel;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let (sender, endings) = sync_channel(1);
    /// let flow = Dataflow::new("numbers");
    /// let numbers = flow.source("numbers", source::from_iter(0..10));
    /// let tell = move |ending| sender.try_send(ending).unwrap();
    /// numbers.finally(tell).take(3).ignore();
    /// flow.run().await?;
    /// assert!(matches!(endings.recv(), Ok(Ending::Cancelled)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn finally<F>(self, cleanup: F) -> DataStream<T, Via<C, Finally<F>>>
    where
        F: FnOnce(Ending) + Clone + Send + 'static,
    {
        self.via(Finally { cleanup, armed: None })
    }
}

/// How a stream ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// The input came to its end, and all of it has passed. A job that drains ends so, too.
    Completed,
    /// Nobody behind wanted any more.
    Cancelled,
    /// The job failed: this is its first error.
    Failed(Error),
    /// The job was stopped where it stood.
    Aborted,
}

/// The operator behind [`DataStream::finally`].
pub struct Finally<F: FnOnce(Ending)> {
    cleanup: F,
    armed: Option<(F, JobLink)>,
}

impl<F: FnOnce(Ending)> Drop for Finally<F> {
    fn drop(&mut self) {
        if let Some((cleanup, job)) = self.armed.take() {
            cleanup(match (job.outcome(), job.failure()) {
                // The stage came to its end, and this operator was not told of any.
                (Outcome::Completed, _) => Ending::Cancelled,
                (_, Some(error)) => Ending::Failed(error),
                (_, None) => Ending::Aborted,
            });
        }
    }
}

impl<F: FnOnce(Ending) + Clone> Clone for Finally<F> {
    fn clone(&self) -> Self {
        Self { cleanup: self.cleanup.clone(), armed: None }
    }
}

impl<F: FnOnce(Ending)> fmt::Debug for Finally<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finally").field("armed", &self.armed.is_some()).finish_non_exhaustive()
    }
}

impl<T, F> Operator<T> for Finally<F>
where
    T: Send + 'static,
    F: FnOnce(Ending) + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "finally";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.armed = Some((self.cleanup.clone(), context.job()));
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }

    fn on_end(&mut self, _out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        if let Some((cleanup, _)) = self.armed.take() {
            cleanup(Ending::Completed);
        }
        Ok(())
    }
}
