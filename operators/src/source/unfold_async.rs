//! `unfold_async`: values computed from a state by a future, one after another.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use millstream_engine::OperatorError;
use millstream_engine::source::{Source, SourceBatch, SourceFactory, SourceStatus};

/// A source that computes each value, and the next state, from the state before, by a future;
/// `None` completes it. Each run begins with clones of the seed and the closure.
///
/// One future is under way at a time, and the next is made only when there is room for its value.
/// Values that are ready are handed over while the next one is waited for. It cannot fail: an error
/// is a value, or [`try_from_stream`](super::try_from_stream) is the better word.
///
/// # Cancel safety
///
/// The future under way belongs to the source, not to the call that waits for it, so it is dropped
/// only when the job is over, and the state that it holds with it: a closure whose futures have
/// effects must bear that the last of them stops at any await.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let pages = source::unfold_async(1_u32, |page| async move {
///     tokio::task::yield_now().await; // fetch the page
///     (page <= 3).then_some((page * 100, page + 1))
/// });
/// let flow = Dataflow::new("pages");
/// let all = flow.source("pages", pages).collect();
/// assert_eq!(flow.run().await?.take(all), Some(vec![100, 200, 300]));
/// # Ok(())
/// # }
/// ```
pub const fn unfold_async<S, T, F, Step>(seed: S, step: F) -> UnfoldAsync<S, F>
where
    S: Clone + Send + 'static,
    T: Send + 'static,
    F: FnMut(S) -> Step + Clone + Send + 'static,
    Step: Future<Output = Option<(T, S)>> + Send + 'static,
{
    UnfoldAsync { seed, step }
}

/// The factory behind [`unfold_async`].
pub struct UnfoldAsync<S, F> {
    seed: S,
    step: F,
}

impl<S, T, F, Step> SourceFactory for UnfoldAsync<S, F>
where
    S: Clone + Send + 'static,
    T: Send + 'static,
    F: FnMut(S) -> Step + Clone + Send + 'static,
    Step: Future<Output = Option<(T, S)>> + Send + 'static,
{
    type Source = ReadUnfoldAsync<S, F, Step>;

    fn create(&self, _instance: usize) -> Result<Self::Source, OperatorError> {
        Ok(ReadUnfoldAsync {
            state: Some(self.seed.clone()),
            step: self.step.clone(),
            under_way: Box::pin(None),
        })
    }
}

impl<S, F> fmt::Debug for UnfoldAsync<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnfoldAsync")
    }
}

/// The running source behind [`unfold_async`].
pub struct ReadUnfoldAsync<S, F, Step> {
    /// Where the next step starts, unless one is under way or the end was reached.
    state: Option<S>,
    step: F,
    /// One slot for all steps, so that a step costs no allocation.
    under_way: Pin<Box<Option<Step>>>,
}

impl<S, F, Step> ReadUnfoldAsync<S, F, Step> {
    fn poll_fill<T>(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut SourceBatch<T>,
    ) -> Poll<SourceStatus>
    where
        F: FnMut(S) -> Step,
        Step: Future<Output = Option<(T, S)>>,
    {
        while !batch.is_full() {
            if let Some(state) = self.state.take() {
                self.under_way.set(Some((self.step)(state)));
            }
            let Some(step) = self.under_way.as_mut().as_pin_mut() else {
                return Poll::Ready(SourceStatus::End);
            };
            match step.poll(cx) {
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(computed) => {
                    self.under_way.set(None);
                    let Some((value, state)) = computed else {
                        return Poll::Ready(SourceStatus::End);
                    };
                    self.state = Some(state);
                    batch.push(value);
                }
            }
        }
        Poll::Ready(SourceStatus::More)
    }
}

impl<S, T, F, Step> Source for ReadUnfoldAsync<S, F, Step>
where
    S: Send + 'static,
    T: Send + 'static,
    F: FnMut(S) -> Step + Send + 'static,
    Step: Future<Output = Option<(T, S)>> + Send + 'static,
{
    type Item = T;

    async fn next(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        Ok(poll_fn(|cx| self.poll_fill(cx, batch)).await)
    }
}

impl<S, F, Step> fmt::Debug for ReadUnfoldAsync<S, F, Step> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadUnfoldAsync")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Ready at once for even states, and not before the second poll for odd ones.
    async fn step(n: u32) -> Option<(u32, u32)> {
        if n % 2 == 1 {
            let mut polled = false;
            poll_fn(|_| {
                if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        (n < 4).then_some((n, n + 1))
    }

    #[test]
    fn a6_a_dropped_wait_loses_no_state() {
        let factory = unfold_async(0, step);
        let mut source = factory.create(0).unwrap();
        let mut read = Vec::new();
        let mut ended = false;
        while !ended {
            let mut batch = SourceBatch::new(3);
            // A wait that is not ready at once is dropped, and taken up by the next call.
            if let Some(status) = source.next(&mut batch).now_or_never() {
                ended = status.unwrap() == SourceStatus::End;
            }
            let records = batch.into_parts().0.records;
            read.extend(records.into_iter().map(|record| record.value));
        }
        assert_eq!(read, [0, 1, 2, 3]);
    }

    #[test]
    fn a6_a_step_is_made_only_on_demand() {
        let factory = unfold_async(0, |n: u32| {
            assert!(n < 3, "computed without demand");
            async move { Some((n, n + 1)) }
        });
        let mut source = factory.create(0).unwrap();
        let mut batch = SourceBatch::new(3);
        let status = source.next(&mut batch).now_or_never().unwrap();
        assert_eq!(status.unwrap(), SourceStatus::More);
    }
}
