//! `lazy`: a source that is made when it is first asked for something.

use std::fmt;

use millstream_engine::OperatorError;
use millstream_engine::source::{Source, SourceBatch, SourceContext, SourceFactory, SourceStatus};

/// A source that a closure makes on the first demand of each run: what it opens, connects to or
/// computes is not touched before. Behind a [`concat`](crate::DataStream::concat), that is when the
/// streams before it have ended.
///
/// In all else it is what the closure makes. A closure is asked once a run, and by the worker that
/// runs the stage, which it must not block. An error of the closure fails the job.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let late = source::lazy(|| Ok(source::from_iter([std::time::Duration::ZERO])));
/// let flow = Dataflow::new("late");
/// let count = flow.source("late", late).count();
/// assert_eq!(flow.run().await?.take(count), Some(1));
/// # Ok(())
/// # }
/// ```
pub const fn lazy<F, M>(make: M) -> Lazy<M>
where
    F: SourceFactory,
    M: Fn() -> Result<F, OperatorError> + Clone + Send + 'static,
{
    Lazy { make }
}

/// The factory behind [`lazy`].
#[derive(Clone)]
pub struct Lazy<M> {
    make: M,
}

impl<F, M> SourceFactory for Lazy<M>
where
    F: SourceFactory,
    M: Fn() -> Result<F, OperatorError> + Clone + Send + 'static,
{
    type Source = ReadLazy<F::Source, M>;

    fn create(&self, _instance: usize) -> Result<Self::Source, OperatorError> {
        Ok(ReadLazy { make: self.make.clone(), context: None, source: Stage::Unmade })
    }
}

impl<M> fmt::Debug for Lazy<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lazy")
    }
}

/// The running source behind [`lazy`].
pub struct ReadLazy<S, M> {
    make: M,
    context: Option<SourceContext>,
    source: Stage<S>,
}

enum Stage<S> {
    Unmade,
    Made(S),
    Opened(S),
}

impl<F, M> Source for ReadLazy<F::Source, M>
where
    F: SourceFactory,
    M: Fn() -> Result<F, OperatorError> + Send + 'static,
{
    type Item = <F::Source as Source>::Item;
    const SETS_TIME: bool = F::Source::SETS_TIME;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        self.context = Some(context.clone());
        Ok(())
    }

    async fn next(
        &mut self,
        batch: &mut SourceBatch<Self::Item>,
    ) -> Result<SourceStatus, OperatorError> {
        if matches!(self.source, Stage::Unmade) {
            let instance = self.context.as_ref().map_or(0, |context| context.instance);
            self.source = Stage::Made((self.make)()?.create(instance)?);
        }
        if let (Stage::Made(source), Some(context)) = (&mut self.source, &self.context) {
            source.open(context).await?;
        }
        self.source = match std::mem::replace(&mut self.source, Stage::Unmade) {
            Stage::Made(source) => Stage::Opened(source),
            other => other,
        };
        match &mut self.source {
            Stage::Opened(source) => source.next(batch).await,
            Stage::Unmade | Stage::Made(_) => Ok(SourceStatus::End),
        }
    }

    async fn drain(
        &mut self,
        batch: &mut SourceBatch<Self::Item>,
    ) -> Result<SourceStatus, OperatorError> {
        match &mut self.source {
            Stage::Unmade => Ok(SourceStatus::End),
            Stage::Made(source) | Stage::Opened(source) => source.drain(batch).await,
        }
    }
}

impl<S, M> fmt::Debug for ReadLazy<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadLazy")
    }
}
