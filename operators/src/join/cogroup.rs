//! `cogroup`: all records of one key in one window, of both sides at once.

use std::fmt;
use std::time::Duration;

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;

use super::both_sides::BothSides;
use super::connect::{EitherKey, Order, meet};
use super::in_windows::{InWindows, JoinedInWindows};
use super::windowing::{CoGroup, Telling};
use crate::KeyedStream;
use crate::aggregate::Aggregate;
use crate::fan::{Either, Met, SideTag};
use crate::window::trigger::OnFinal;
use crate::window::{Aggregated, TimeWindows, Windows};

impl<L: Send + 'static, C: Chain<Item = L>, K: KeyOf<L>> KeyedStream<L, C, K> {
    /// Brings all records of a key in a window together, those of this stream and those of another,
    /// wherever either has any: what a [`window_join`](KeyedStream::window_join) says of pairs can
    /// be said here of the whole.
    ///
    /// Behind it is said what becomes of late records, and then what is told: by a closure that
    /// gets [all of them](CoGrouped::apply), or, without keeping any, by
    /// [an aggregate of each side](CoGrouped::aggregate). What comes is
    /// [`Windowed`](crate::window::Windowed): with its key and window, and with the last point of
    /// the window as its event time.
    ///
    /// It emits, waits, ends and keeps state as a [`window_join`](KeyedStream::window_join) does:
    /// each window is told of once, when it is final.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("the best bid for each offer");
    /// let time = |event: &(i64, &str, u32)| Timestamp::from_millis(event.0 * 1_000);
    /// let offers = [(5, "chair", 20), (7, "table", 80)];
    /// let offers = flow.source("offers", source::from_iter(offers));
    /// let offers = offers.event_time(time, Watermarks::monotonic());
    /// let bids = [(30, "chair", 18), (59, "chair", 21)];
    /// let bids = flow.source("bids", source::from_iter(bids));
    /// let bids = bids.event_time(time, Watermarks::monotonic());
    /// let best = offers
    ///     .key_by(|offer| offer.1)
    ///     .cogroup(bids.key_by(|bid| bid.1), Tumbling::of(Duration::from_secs(60)))
    ///     .apply(|minute| minute.right().map(|bid| bid.2).max())
    ///     .map(|told| (told.key, told.value))
    ///     .collect();
    /// let mut best = flow.run().await?.take(best).unwrap_or_default();
    /// best.sort();
    /// assert_eq!(best, [("chair", Some(21)), ("table", None)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cogroup<R, D, J, W>(
        self,
        right: KeyedStream<R, D, J>,
        windows: W,
    ) -> CoGrouped<L, R, EitherKey<K, J>, W>
    where
        R: Send + 'static,
        D: Chain<Item = R>,
        J: KeyOf<R, Key = K::Key, Owned = K::Owned>,
        W: TimeWindows<Either<L, R>>,
    {
        CoGrouped(InWindows::new(meet(self, right, Order::Any, "cogroup"), windows))
    }
}

/// Two streams whose records belong together by key and window. What is said on it first is what
/// becomes of late records, and then what is told.
#[must_use = "groups that nobody is told of are a mistake: say what to tell, as `.apply(…)`"]
pub struct CoGrouped<L, R, K, W>(InWindows<L, R, K, W>);

/// The stream behind [`aggregate`](CoGrouped::aggregate).
pub type CoAggregated<L, R, K, W, A, B> =
    Aggregated<Either<L, R>, Met<L, R>, K, W, BothSides<A, B>, OnFinal>;

impl<L, R, K, W> CoGrouped<L, R, K, W>
where
    L: Send + 'static,
    R: Send + 'static,
    K: KeyOf<Either<L, R>, Owned: Eq + Clone>,
    W: TimeWindows<Either<L, R>>,
{
    /// Lets records that come late still count for `lateness` of event time: each window is told
    /// of so much later, and still once. Default: zero.
    pub const fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.0.lateness = lateness;
        self
    }

    /// Sends records all of whose windows are final to a
    /// [side output](crate::Dataflow::side_output), with their event time. Without it they are
    /// dropped, and counted as [late](millstream_engine::metrics::DropReason::Late).
    pub fn late_to(mut self, tag: &SideTag<Either<L, R>>) -> Self {
        self.0.late = Some(tag.clone());
        self
    }

    /// Tells of each key in each window what the closure makes of all its records.
    ///
    /// The watermark behind is later than the one before by the
    /// [allowed lateness](CoGrouped::allowed_lateness), so that no result is late.
    pub fn apply<O, F>(self, f: F) -> JoinedInWindows<L, R, K, W, Applied<F>>
    where
        O: Send + 'static,
        F: FnMut(&CoGroup<'_, K::Owned, L, R>) -> O + Clone + Send + 'static,
    {
        self.0.tell(Applied(f))
    }

    /// Tells of each key in each window what one aggregate makes of the records of this stream, and
    /// another of those of the other: of no records, where it has none. What is kept is one
    /// accumulator for each side, and no record.
    ///
    /// It is a [`window`](KeyedStream::window) over both with the trigger
    /// [`OnFinal`]: with an [allowed lateness](CoGrouped::allowed_lateness), its results come so
    /// much behind the watermark.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("ordered and paid, by the minute");
    /// let time = |event: &(i64, &str, u32)| Timestamp::from_millis(event.0 * 1_000);
    /// let ordered = [(5, "ann", 20), (7, "ann", 80)];
    /// let ordered = flow.source("ordered", source::from_iter(ordered));
    /// let ordered = ordered.event_time(time, Watermarks::monotonic());
    /// let paid = flow.source("paid", source::from_iter([(30, "ann", 90), (31, "bob", 5)]));
    /// let paid = paid.event_time(time, Watermarks::monotonic());
    /// let sum = Sum::of(|event: &(i64, &str, u32)| event.2);
    /// let minutes = ordered
    ///     .key_by(|order| order.1)
    ///     .cogroup(paid.key_by(|paid| paid.1), Tumbling::of(Duration::from_secs(60)))
    ///     .aggregate((Count, sum), sum)
    ///     .map(|minute| (minute.key, minute.value))
    ///     .collect();
    /// let mut minutes = flow.run().await?.take(minutes).unwrap_or_default();
    /// minutes.sort();
    /// assert_eq!(minutes, [("ann", ((2, 100), 90)), ("bob", ((0, 0), 5))]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn aggregate<A, B>(self, left: A, right: B) -> CoAggregated<L, R, K, W, A, B>
    where
        A: Aggregate<L>,
        B: Aggregate<R>,
        W: Windows<Either<L, R>>,
    {
        let InWindows { pair, windows, lateness, late } = self.0;
        let windowed = pair.window(windows).trigger(OnFinal).allowed_lateness(lateness);
        let windowed = match late {
            Some(tag) => windowed.late_to(&tag),
            None => windowed,
        };
        windowed.aggregate(BothSides::new(left, right))
    }
}

impl<L, R, K, W: fmt::Debug> fmt::Debug for CoGrouped<L, R, K, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoGrouped")
            .field("windows", &self.0.windows)
            .field("allowed_lateness", &self.0.lateness)
            .finish_non_exhaustive()
    }
}

/// Tells what a closure makes of a group.
#[derive(Clone, Copy)]
pub struct Applied<F>(F);

impl<F> fmt::Debug for Applied<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Applied")
    }
}

impl<K, L, R, O, F> Telling<K, L, R> for Applied<F>
where
    O: Send + 'static,
    F: FnMut(&CoGroup<'_, K, L, R>) -> O + Clone + Send + 'static,
{
    type Out = O;
    const NAME: &'static str = "cogroup";

    fn count(&self, _group: &CoGroup<'_, K, L, R>) -> usize {
        1
    }

    fn tell(&mut self, group: &CoGroup<'_, K, L, R>, _number: usize) -> Option<O> {
        Some((self.0)(group))
    }
}
