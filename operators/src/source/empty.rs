//! `empty`: no value at all.

use std::marker::PhantomData;

use millstream_engine::OperatorError;
use millstream_engine::source::{Source, SourceBatch, SourceStatus};

/// A source that completes at its start.
///
/// Emits nothing, ends when first asked, cannot fail and never waits.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("nothing");
/// let all = flow.source("nothing", source::empty::<u64>()).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec![]));
/// # Ok(())
/// # }
/// ```
pub const fn empty<T: Send + 'static>() -> Empty<T> {
    Empty { marker: PhantomData }
}

/// The source behind [`empty`].
#[derive(Debug)]
pub struct Empty<T> {
    marker: PhantomData<fn() -> T>,
}

impl<T> Clone for Empty<T> {
    fn clone(&self) -> Self {
        Self { marker: PhantomData }
    }
}

impl<T: Send + 'static> Source for Empty<T> {
    type Item = T;

    async fn next(&mut self, _batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        Ok(SourceStatus::End)
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[tokio::test]
    async fn a1_empty_completes_at_its_start() {
        let flow = Dataflow::new("empty");
        let all = flow.source("empty", source::empty::<u64>()).collect();
        assert_eq!(flow.run().await.unwrap().take(all), Some(Vec::new()));
    }
}
