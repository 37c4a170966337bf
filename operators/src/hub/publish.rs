//! The publishing end of a broadcast hub.

use std::fmt;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use millstream_engine::sink::{Committable, Sink, SinkContext, SinkFactory, SinkStatus};
use millstream_engine::time::{Clock, Instant, Sleep};
use millstream_engine::{OperatorError, Record};

use super::broadcast_hub::Keep;
use super::mailbox::{Published, Shared};

/// A sink that publishes to a [`BroadcastHub`](super::BroadcastHub), to be given to one dataflow or
/// several. It comes from [`publisher`](super::BroadcastHub::publisher).
pub struct Publisher<T>(pub(super) Arc<Keep<T>>);

impl<T: Send + Sync + 'static> SinkFactory for Publisher<T> {
    type Sink = ToSubscribers<T>;

    /// # Errors
    ///
    /// If the hub has ended.
    fn create(&self, _instance: usize) -> Result<ToSubscribers<T>, OperatorError> {
        let shared = Arc::clone(&self.0.0);
        shared.add_publisher()?;
        Ok(ToSubscribers { shared, clock: None, eviction: None, left: false })
    }
}

impl<T> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Publisher")
    }
}

/// The running sink behind [`Publisher`].
pub struct ToSubscribers<T> {
    shared: Arc<Shared<T>>,
    clock: Option<Clock>,
    /// When somebody may have to be let go.
    eviction: Option<(Instant, Sleep)>,
    left: bool,
}

impl<T> ToSubscribers<T> {
    fn poll_publish(
        &mut self,
        cx: &mut Context<'_>,
        records: &mut Vec<Record<T>>,
    ) -> Poll<Result<(), OperatorError>> {
        while !records.is_empty() {
            let now = self.clock.as_ref().map_or(Instant::START, Clock::now);
            match self.shared.publish(cx, records, now) {
                Published::Some => self.eviction = None,
                Published::Over(error) => return Poll::Ready(Err(error.into())),
                Published::Wait(deadline) => {
                    let (Some(deadline), Some(clock)) = (deadline, &self.clock) else {
                        return Poll::Pending;
                    };
                    let eviction = match self.eviction.take() {
                        Some(eviction) if eviction.0 == deadline => eviction,
                        _ => (deadline, clock.sleep_until(deadline)),
                    };
                    let (_, sleep) = self.eviction.insert(eviction);
                    if Pin::new(sleep).poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.eviction = None;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Send + Sync + 'static> Sink for ToSubscribers<T> {
    type Item = T;

    async fn open(&mut self, context: &SinkContext) -> Result<(), OperatorError> {
        self.clock = Some(context.clock.clone());
        Ok(())
    }

    async fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<SinkStatus, OperatorError> {
        poll_fn(|cx| self.poll_publish(cx, records)).await?;
        Ok(SinkStatus::More)
    }

    async fn commit(&mut self, _committable: Committable) -> Result<(), OperatorError> {
        if !std::mem::replace(&mut self.left, true) {
            self.shared.remove_publisher(true);
        }
        Ok(())
    }
}

impl<T> Drop for ToSubscribers<T> {
    fn drop(&mut self) {
        if !self.left {
            self.shared.remove_publisher(false);
        }
    }
}

impl<T> fmt::Debug for ToSubscribers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToSubscribers")
    }
}
