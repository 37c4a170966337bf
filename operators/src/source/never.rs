//! `never`: holds the stream open.

use std::marker::PhantomData;

use millstream_engine::OperatorError;
use millstream_engine::source::{Source, SourceBatch, SourceStatus};

/// A source that emits nothing and does not end by itself: its stream stays open until the job
/// drains or is aborted, or until nobody wants it any more.
///
/// It holds back the watermarks of what it is merged with. It cannot fail, and loses nothing when
/// it is cancelled.
///
/// ```
/// use millstream_operators::prelude::*;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("open");
/// let all = flow.source("open", source::never::<u64>()).collect();
/// let report = flow.start()?.drain(Duration::from_secs(1)).await?;
/// assert_eq!(report.take(all), Some(vec![]));
/// # Ok(())
/// # }
/// ```
pub const fn never<T: Send + 'static>() -> Never<T> {
    Never { marker: PhantomData }
}

/// The source behind [`never()`].
#[derive(Debug)]
pub struct Never<T> {
    marker: PhantomData<fn() -> T>,
}

impl<T> Clone for Never<T> {
    fn clone(&self) -> Self {
        Self { marker: PhantomData }
    }
}

impl<T: Send + 'static> Source for Never<T> {
    type Item = T;

    async fn next(&mut self, _batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use millstream_engine::source::{Source as _, SourceBatch};

    #[test]
    fn a1_never_waits_without_end() {
        let mut batch = SourceBatch::new(1);
        let mut source = super::never::<u64>();
        assert!(source.next(&mut batch).now_or_never().is_none());
        assert!(batch.is_empty());
    }
}
