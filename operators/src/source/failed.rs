//! `failed`: an error instead of values.

use std::marker::PhantomData;

use millstream_engine::OperatorError;
use millstream_engine::source::{Source, SourceBatch, SourceContext, SourceStatus};

/// A source that fails the job before any value. The closure makes the error of each run.
///
/// Emits nothing and never ends in success. It is for tests of what stands behind it, and for a
/// branch of a program that has no better source to offer than the reason why.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let flow = Dataflow::new("unconfigured");
/// let missing = || std::io::Error::other("no broker configured");
/// flow.source("orders", source::failed::<u64, _, _>(missing)).ignore();
/// let error = flow.run().await.unwrap_err();
/// assert_eq!(error.to_string(), "operator `orders` failed: no broker configured");
/// # }
/// ```
pub const fn failed<T, E, F>(error: F) -> Failed<T, F>
where
    T: Send + 'static,
    E: Into<OperatorError>,
    F: Fn() -> E + Clone + Send + 'static,
{
    Failed { error, marker: PhantomData }
}

/// The source behind [`failed`].
#[derive(Debug)]
pub struct Failed<T, F> {
    error: F,
    marker: PhantomData<fn() -> T>,
}

impl<T, F: Clone> Clone for Failed<T, F> {
    fn clone(&self) -> Self {
        Self { error: self.error.clone(), marker: PhantomData }
    }
}

impl<T, E, F> Source for Failed<T, F>
where
    T: Send + 'static,
    E: Into<OperatorError>,
    F: Fn() -> E + Send + 'static,
{
    type Item = T;

    async fn open(&mut self, _context: &SourceContext) -> Result<(), OperatorError> {
        Err((self.error)().into())
    }

    async fn next(&mut self, _batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        Err((self.error)().into())
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[tokio::test]
    async fn a1_failed_errors_before_any_element_in_every_run() {
        let flow = Dataflow::new("failed");
        let broken = || std::io::Error::other("broken");
        flow.source("bad", source::failed::<u64, _, _>(broken)).ignore();
        for _ in 0..2 {
            let error = flow.run().await.unwrap_err();
            assert_eq!(error.operator_name(), Some("bad"));
            assert_eq!(error.report().unwrap().records_read(), 0);
        }
    }
}
