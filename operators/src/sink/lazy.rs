//! `lazy`: a sink that is made when its first record comes.

use std::fmt;

use millstream_engine::sink::{Committable, Sink, SinkContext, SinkFactory, SinkStatus};
use millstream_engine::time::Instant;
use millstream_engine::{OperatorError, Record};

/// A sink that a closure makes when the first record of an instance comes: without one, nothing is
/// made, opened or committed.
///
/// In all else it is what the closure makes. The closure is asked once for each instance of each
/// run, with the instance's number, by the worker that runs the stage, which it must not block. An
/// error of the closure fails the job.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let (sender, mut receiver) = tokio::sync::mpsc::channel(8);
/// let late = sink::lazy(move || Ok(sink::channel(sender.clone())));
/// let flow = Dataflow::new("late");
/// flow.source("numbers", source::from_iter([7])).sink("late", late);
/// flow.run().await?;
/// assert_eq!(receiver.recv().await, Some(7));
/// # Ok(())
/// # }
/// ```
pub const fn lazy<F, M>(make: M) -> Lazy<M>
where
    F: SinkFactory,
    M: Fn() -> Result<F, OperatorError> + Clone + Send + 'static,
{
    Lazy { make }
}

/// The factory behind [`lazy`].
#[derive(Clone)]
pub struct Lazy<M> {
    make: M,
}

impl<F, M> SinkFactory for Lazy<M>
where
    F: SinkFactory,
    M: Fn() -> Result<F, OperatorError> + Clone + Send + 'static,
{
    type Sink = WriteLazy<F::Sink, M>;

    fn create(&self, _instance: usize) -> Result<Self::Sink, OperatorError> {
        Ok(WriteLazy { make: self.make.clone(), context: None, sink: None })
    }
}

impl<M> fmt::Debug for Lazy<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lazy")
    }
}

/// The running sink behind [`lazy`].
pub struct WriteLazy<S, M> {
    make: M,
    context: Option<SinkContext>,
    sink: Option<S>,
}

impl<F, M> Sink for WriteLazy<F::Sink, M>
where
    F: SinkFactory,
    M: Fn() -> Result<F, OperatorError> + Send + 'static,
{
    type Item = <F::Sink as Sink>::Item;

    async fn open(&mut self, context: &SinkContext) -> Result<(), OperatorError> {
        self.context = Some(context.clone());
        Ok(())
    }

    async fn write(
        &mut self,
        records: &mut Vec<Record<Self::Item>>,
    ) -> Result<SinkStatus, OperatorError> {
        if self.sink.is_none() {
            let instance = self.context.as_ref().map_or(0, |context| context.instance);
            let sink = self.sink.insert((self.make)()?.create(instance)?);
            if let Some(context) = &self.context {
                sink.open(context).await?;
            }
        }
        match &mut self.sink {
            Some(sink) => sink.write(records).await,
            None => Ok(SinkStatus::More),
        }
    }

    async fn flush(&mut self) -> Result<(), OperatorError> {
        match &mut self.sink {
            Some(sink) => sink.flush().await,
            None => Ok(()),
        }
    }

    fn flush_due(&self) -> Option<Instant> {
        self.sink.as_ref().and_then(Sink::flush_due)
    }

    fn held(&self) -> usize {
        self.sink.as_ref().map_or(0, Sink::held)
    }

    async fn prepare(&mut self) -> Result<Committable, OperatorError> {
        match &mut self.sink {
            Some(sink) => sink.prepare().await,
            None => Ok(Committable::default()),
        }
    }

    async fn commit(&mut self, committable: Committable) -> Result<(), OperatorError> {
        match &mut self.sink {
            Some(sink) => sink.commit(committable).await,
            None => Ok(()),
        }
    }
}

impl<S, M> fmt::Debug for WriteLazy<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteLazy")
    }
}
