//! A source that a test holds in its hand.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::watched::Watched;
use crate::batch::Barrier;
use crate::error::OperatorError;
use crate::record::Record;
use crate::source::{Source, SourceBatch, SourceFactory, SourceStatus};
use crate::time::{Clock, Timestamp};

/// How much a probe may be ahead of the stage that reads from it.
const AHEAD_MAX: usize = 16;

/// The test's end of a [`probe_source`].
///
/// What is sent waits for the stage to ask for it, at most 16 records and marks; sending more waits
/// for room.
pub struct SourceProbe<T>(Arc<Watched<State<T>>>);

/// The graph's end of a [`probe_source`].
pub struct ProbedSource<T> {
    shared: Arc<Watched<State<T>>>,
    ended: bool,
}

struct State<T> {
    ahead: VecDeque<Input<T>>,
    asking: bool,
    cancelled: bool,
}

enum Input<T> {
    Record(Record<T>),
    Watermark(Timestamp),
    Barrier(Barrier),
    Idle,
    End,
    Fail(OperatorError),
}

/// Makes a source that emits what its probe sends, when the graph asks for it.
///
/// ```
/// use millstream_engine::testing::probe_source;
/// use millstream_engine::source::{SourceBatch, SourceFactory, Source, SourceStatus};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::OperatorError> {
/// let (probe, factory) = probe_source::<u32>();
/// probe.send(1).await;
/// probe.end().await;
///
/// let mut batch = SourceBatch::new(8);
/// let status = factory.create(0)?.next(&mut batch).await?;
/// assert_eq!((batch.room(), status), (7, SourceStatus::End));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn probe_source<T: Send + 'static>()
-> (SourceProbe<T>, impl SourceFactory<Source = ProbedSource<T>>) {
    let shared =
        Arc::new(Watched::new(State { ahead: VecDeque::new(), asking: false, cancelled: false }));
    (SourceProbe(Arc::clone(&shared)), Factory(shared))
}

impl<T> SourceProbe<T> {
    /// Sends a record.
    pub async fn send(&self, record: impl Into<Record<T>>) {
        self.put(Input::Record(record.into())).await;
    }

    /// Sends a record if there is room for it ahead of the graph, and gives it back if not.
    ///
    /// # Errors
    ///
    /// The record.
    pub fn try_send(&self, record: impl Into<Record<T>>) -> Result<(), Record<T>> {
        let record = record.into();
        self.0.change(|state| {
            if state.ahead.len() < AHEAD_MAX {
                state.ahead.push_back(Input::Record(record));
                Ok(())
            } else {
                Err(record)
            }
        })
    }

    /// Says that no record earlier than `watermark` will follow.
    pub async fn watermark(&self, watermark: Timestamp) {
        self.put(Input::Watermark(watermark)).await;
    }

    /// Puts a barrier behind what was sent.
    pub async fn barrier(&self, barrier: Barrier) {
        self.put(Input::Barrier(barrier)).await;
    }

    /// Says that nothing may come for a while.
    pub async fn idle(&self) {
        self.put(Input::Idle).await;
    }

    /// Ends the input.
    pub async fn end(&self) {
        self.put(Input::End).await;
    }

    /// Fails, behind what was sent.
    pub async fn fail(&self, error: impl Into<OperatorError>) {
        self.put(Input::Fail(error.into())).await;
    }

    /// Whether the stage is asking for records at this moment, and there are none.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.look(|state| state.asking && state.ahead.is_empty())
    }

    /// Waits until the stage has taken everything and asks for more. Cancel safe.
    pub async fn asked(&self) {
        self.0.until(|state| (state.asking && state.ahead.is_empty()).then_some(())).await;
    }

    /// Whether the graph let go of the source before its end: it has enough, or it is no more.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.look(|state| state.cancelled)
    }

    /// Waits until the graph lets go of the source before its end. Cancel safe.
    pub async fn cancelled(&self) {
        self.0.until(|state| state.cancelled.then_some(())).await;
    }

    /// Waits for the graph to let go of the source before its end.
    ///
    /// # Panics
    ///
    /// If that has not happened within `within` of tokio's time.
    pub async fn expect_cancelled(&self, within: Duration) {
        self.expect(self.cancelled(), within, "the source should have been cancelled").await;
    }

    /// Waits for the graph to take everything and ask for more.
    ///
    /// # Panics
    ///
    /// If that has not happened within `within` of tokio's time.
    pub async fn expect_asked(&self, within: Duration) {
        self.expect(self.asked(), within, "the graph should have asked for records").await;
    }

    /// Waits for `duration` of tokio's time, and wants the graph not to ask for records meanwhile:
    /// what was sent is not all taken.
    ///
    /// # Panics
    ///
    /// If it asks.
    pub async fn expect_not_asked(&self, duration: Duration) {
        let asked = within(self.asked(), duration).await;
        assert!(!asked, "the graph should not have asked for records");
    }

    async fn expect(&self, event: impl Future<Output = ()>, limit: Duration, what: &str) {
        assert!(within(event, limit).await, "{what}: {self:?}");
    }

    async fn put(&self, input: Input<T>) {
        let mut input = Some(input);
        self.0
            .until(|state| {
                // A source that is gone takes everything, so that a test can't hang on it.
                if state.ahead.len() < AHEAD_MAX || state.cancelled {
                    state.ahead.extend(input.take().filter(|_| !state.cancelled));
                    return Some(());
                }
                None
            })
            .await;
    }
}

/// Whether something happens within so much of tokio's time.
async fn within(event: impl Future<Output = ()>, limit: Duration) -> bool {
    let (mut event, mut limit) = (pin!(event), pin!(Clock::system().sleep(limit)));
    let first = std::future::poll_fn(|cx| match event.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending => limit.as_mut().poll(cx).map(|()| false),
    });
    first.await
}

impl<T: Send + 'static> Source for ProbedSource<T> {
    type Item = T;
    const SETS_TIME: bool = true;

    async fn next(&mut self, batch: &mut SourceBatch<T>) -> Result<SourceStatus, OperatorError> {
        let status = loop {
            let taken = self.shared.change(|state| {
                let taken = take(state, batch);
                state.asking = taken.is_none();
                taken
            });
            if let Some(status) = taken {
                break status;
            }
            let there = |state: &mut State<T>| (!state.ahead.is_empty()).then_some(());
            self.shared.until(there).await;
        };
        self.ended = !matches!(status, Ok(SourceStatus::More));
        status
    }
}

/// Moves what is there into the batch. `None` if nothing is.
fn take<T>(
    state: &mut State<T>,
    batch: &mut SourceBatch<T>,
) -> Option<Result<SourceStatus, OperatorError>> {
    while !batch.is_full() {
        // An error comes alone, so that what was sent before it is not lost with it.
        if !batch.is_empty() && matches!(state.ahead.front(), Some(Input::Fail(_))) {
            break;
        }
        match state.ahead.pop_front() {
            Some(Input::Record(record)) => batch.push(record),
            Some(Input::Watermark(watermark)) => batch.watermark(watermark),
            Some(Input::Barrier(barrier)) => batch.barrier(barrier),
            Some(Input::Idle) => {
                batch.idle();
                break;
            }
            Some(Input::End) => return Some(Ok(SourceStatus::End)),
            Some(Input::Fail(error)) => return Some(Err(error)),
            None => break,
        }
    }
    (!batch.is_empty()).then_some(Ok(SourceStatus::More))
}

impl<T> Drop for ProbedSource<T> {
    fn drop(&mut self) {
        let ended = self.ended;
        self.shared.change(|state| {
            state.asking = false;
            state.cancelled = !ended;
        });
    }
}

/// Each run gets a source of its own, which goes on where the probe stands.
struct Factory<T>(Arc<Watched<State<T>>>);

impl<T: Send + 'static> SourceFactory for Factory<T> {
    type Source = ProbedSource<T>;

    fn create(&self, _instance: usize) -> Result<ProbedSource<T>, OperatorError> {
        self.0.change(|state| state.cancelled = false);
        Ok(ProbedSource { shared: Arc::clone(&self.0), ended: false })
    }
}

impl<T> fmt::Debug for SourceProbe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ahead = self.0.look(|state| state.ahead.len());
        f.debug_struct("SourceProbe").field("ahead", &ahead).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for ProbedSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProbedSource")
    }
}
