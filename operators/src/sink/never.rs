//! `never`: a sink that takes nothing.

use std::fmt;
use std::future::pending;
use std::marker::PhantomData;

use millstream_engine::sink::{Sink, SinkStatus};
use millstream_engine::{OperatorError, Record};

/// A sink that never gets done with its first batch: everything before it fills up and waits. For
/// tests of what a stuck sink does to its neighbours.
///
/// It neither ends nor fails. An input that ends without a record ends it, too; a job with a record
/// in it has to be aborted, and does not drain.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("stuck");
/// flow.source("numbers", source::from_iter(0..)).sink("stuck", sink::never::<i32>());
/// let job = flow.start()?;
/// job.abort();
/// assert!(job.await.is_err());
/// # Ok(())
/// # }
/// ```
#[must_use]
pub const fn never<T: Send + 'static>() -> Never<T> {
    Never(PhantomData)
}

/// The sink behind [`never`](fn@never).
pub struct Never<T>(PhantomData<fn(T)>);

impl<T> Clone for Never<T> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<T> fmt::Debug for Never<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Never")
    }
}

impl<T: Send + 'static> Sink for Never<T> {
    type Item = T;

    async fn write(&mut self, _records: &mut Vec<Record<T>>) -> Result<SinkStatus, OperatorError> {
        pending().await
    }
}
