//! Sinks that leave a result in the report of the run.

use std::fmt;

use millstream_engine::OperatorError;
use millstream_engine::Record;
use millstream_engine::chain::Chain;
use millstream_engine::runtime::{Consumer, OperatorContext, Output};

use crate::DataStream;

/// Something that is built from records and is whole when they have ended: what is behind each
/// word that gives an [`Output`].
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("result");
/// let output = flow.source("numbers", source::from_iter(0..3)).collect();
/// let report = flow.run().await?;
/// assert_eq!(report.take(output), Some(vec![0, 1, 2]));
/// assert_eq!(report.take(output), None, "a result can be taken once");
/// # Ok(())
/// # }
/// ```
pub(crate) trait Gather<T>: Clone + Send + 'static {
    /// What it is built into.
    type Result: Send + 'static;

    /// Takes one record.
    fn take(&mut self, record: Record<T>);

    /// Whether no further record can change it.
    #[inline]
    fn is_complete(&self) -> bool {
        false
    }

    /// The whole.
    fn finish(self) -> Self::Result;
}

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Ends the stream in one result. The instances of a parallel stream are brought together
    /// first.
    pub(crate) fn result<G: Gather<T>>(self, kind: &'static str, gather: G) -> Output<G::Result> {
        let consumer = Gathering { gather: Some(gather), leave: None };
        Output::of(self.consume_in_one(kind, consumer))
    }
}

struct Gathering<G, R> {
    /// Taken when the result is left.
    gather: Option<G>,
    leave: Option<Box<dyn Fn(R) + Send>>,
}

impl<G: Clone, R> Clone for Gathering<G, R> {
    fn clone(&self) -> Self {
        Self { gather: self.gather.clone(), leave: None }
    }
}

impl<T, G: Gather<T>> Consumer<T> for Gathering<G, G::Result> {
    fn open(&mut self, context: &OperatorContext<'_>) {
        self.leave = Some(Box::new(context.output()));
    }

    #[inline]
    fn consume(&mut self, record: Record<T>) -> Result<(), OperatorError> {
        if let Some(gather) = &mut self.gather {
            gather.take(record);
        }
        Ok(())
    }

    #[inline]
    fn done(&self) -> bool {
        self.gather.as_ref().is_some_and(Gather::is_complete)
    }

    fn end(&mut self) -> Result<(), OperatorError> {
        if let (Some(gather), Some(leave)) = (self.gather.take(), &self.leave) {
            leave(gather.finish());
        }
        Ok(())
    }
}

impl<G, R> fmt::Debug for Gathering<G, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gathering")
    }
}
