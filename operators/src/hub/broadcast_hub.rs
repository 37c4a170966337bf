//! `BroadcastHub`: what one dataflow publishes, to whoever subscribes at run time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::mailbox::{Settings, Shared};
use super::{HubError, Publisher, Subscription};

/// Where a newcomer among the subscribers starts, and when the publishers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing is published before so many subscribers are there at once. Whoever comes later
    /// starts with what is published next. Zero counts as one.
    WaitFor(usize),
    /// A newcomer starts with what is published next. As a hub without subscribers holds its
    /// publishers back, this is waiting for the first.
    Latest,
    /// A newcomer starts with the last so many records that were published, or as many of them as
    /// its buffer has room for.
    Replay(usize),
}

/// Gives every record that is published to all who subscribe at run time: dataflows of their own,
/// or futures `Stream`s. Clones share the hub.
///
/// * **Backpressure.** Each subscriber has a buffer of `capacity` records. The slowest rules: while
///   one of them is full, nothing is published, and what the publisher reads from waits. Without
///   any subscriber it waits, too, and drops nothing. One that is
///   [lossy](BroadcastHub::subscribe_lossy) holds nobody back, and [`evict_after`] lets those go
///   who hold the others back for too long. Capacities of zero count as one.
/// * **Start.** [`Start`] says with which record a newcomer begins: by default publishing waits for
///   the first subscriber, and whoever comes later begins with what is published next.
/// * **End.** When the last job that publishes has come to its end, or has drained, each subscriber
///   gets what is in its buffer and then the end. If one of them fails or is aborted, the
///   subscribers get what is in their buffers and then [`HubError::PublisherFailed`], never an end
///   that looks complete. Neither leaves a hub that can be published to again.
/// * **Cost.** Records are shared between the buffers and cloned by the subscribers, where they are
///   read; an [`Arc`] makes that cheap. A subscriber is woken once a batch at most.
/// * **Time.** Records keep their event times. Watermarks end at a sink, and so at the hub: the
///   dataflow that subscribes says itself how late its records may be.
///
/// The number of subscribers is limited, to 1024 by default: one too many is refused.
///
/// [`evict_after`]: BroadcastHub::evict_after
///
/// ```
/// use futures_util::TryStreamExt;
/// use millstream_operators::hub::BroadcastHub;
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = BroadcastHub::new(16);
/// let prices = Dataflow::new("prices");
/// prices.source("ticks", source::from_iter([7, 8, 9])).sink("hub", hub.publisher());
///
/// let seen = hub.subscribe()?;
/// let sums = Dataflow::new("sums");
/// let sum = sums.source("hub", hub.subscribe()?).fold(0, |sum, price| *sum += price);
///
/// let (published, summed, seen) =
///     tokio::join!(prices.run(), sums.run(), seen.try_collect::<Vec<u32>>());
/// published?;
/// assert_eq!(summed?.take(sum), Some(24));
/// assert_eq!(seen?, [7, 8, 9]);
/// # Ok(())
/// # }
/// ```
pub struct BroadcastHub<T>(Arc<Keep<T>>);

/// Held by everybody who can publish, or make somebody who can.
pub(super) struct Keep<T>(pub(super) Arc<Shared<T>>);

impl<T> Drop for Keep<T> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl<T: Clone + Send + Sync + 'static> BroadcastHub<T> {
    /// A hub whose subscribers have buffers of `capacity` records.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let settings = Settings {
            capacity: capacity.max(1),
            max_subscribers: 1024,
            wait_for: 1,
            replay: 0,
            evict_after: None,
        };
        Self(Arc::new(Keep(Arc::new(Shared::new(settings)))))
    }

    /// Says where newcomers start. Default: `Start::WaitFor(1)`.
    #[must_use]
    pub fn with_start(self, start: Start) -> Self {
        self.set(|settings| {
            (settings.wait_for, settings.replay) = match start {
                Start::WaitFor(subscribers) => (subscribers.max(1), 0),
                Start::Latest => (1, 0),
                Start::Replay(records) => (1, records),
            };
        })
    }

    /// The most subscribers at a time, and so the most that are waited for. Default: 1024; zero
    /// counts as one.
    #[must_use]
    pub fn with_max_subscribers(self, limit: usize) -> Self {
        self.set(|settings| settings.max_subscribers = limit.max(1))
    }

    /// Lets a subscriber go that has held the publishers back for so long without a pause. It gets
    /// what is in its buffer, and then [`HubError::Evicted`]. Time in which there was nothing to
    /// publish does not count. Default: never.
    #[must_use]
    pub fn evict_after(self, stuck: Duration) -> Self {
        self.set(|settings| settings.evict_after = Some(stuck))
    }

    fn set(self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.shared().lock().settings);
        self
    }

    fn shared(&self) -> &Arc<Shared<T>> {
        &self.0.0
    }

    /// A sink that publishes to the hub, for a dataflow of any instances. The hub ends with the
    /// last of those that run; who starts to publish after that is refused.
    #[must_use]
    pub fn publisher(&self) -> Publisher<T> {
        Publisher(Arc::clone(&self.0))
    }

    /// A new subscriber, which holds the publishers back when its buffer is full. To subscribe to
    /// a hub that has ended is no error: there is nothing more to get but the end.
    ///
    /// # Errors
    ///
    /// [`HubError::TooManySubscribers`].
    pub fn subscribe(&self) -> Result<Subscription<T>, HubError> {
        self.add(false)
    }

    /// A new subscriber, which loses the oldest records in its buffer when that is full, and holds
    /// nobody back. What is lost is [counted](BroadcastHub::dropped).
    ///
    /// # Errors
    ///
    /// [`HubError::TooManySubscribers`].
    pub fn subscribe_lossy(&self) -> Result<Subscription<T>, HubError> {
        self.add(true)
    }

    fn add(&self, lossy: bool) -> Result<Subscription<T>, HubError> {
        let id = self.shared().subscribe(lossy)?;
        Ok(Subscription::new(Arc::clone(self.shared()), id))
    }

    /// How many subscribers there are.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.shared().subscribers()
    }

    /// How many records lossy subscribers have lost.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared().dropped()
    }
}

impl<T> Clone for BroadcastHub<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for BroadcastHub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subscribers = self.0.0.subscribers();
        f.debug_struct("BroadcastHub").field("subscribers", &subscribers).finish_non_exhaustive()
    }
}
