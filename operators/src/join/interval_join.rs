//! `interval_join`: pairs of records of one key whose times are close to each other.

use std::fmt;
use std::time::Duration;

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;

use super::Interval;
use super::connect::{EitherKey, Order, meet};
use super::interval_function::IntervalFunction;
use super::kind::{EitherOrBoth, Inner, JoinKind, Left, Outer, Right};
use super::lateness::Lateness;
use crate::KeyedStream;
use crate::fan::{Either, KeyedPair, Met, SideTag};
use crate::keyed::process::Processed;

impl<L: Send + 'static, C: Chain<Item = L>, K: KeyOf<L>> KeyedStream<L, C, K> {
    /// Puts each record together with those of another stream that have its key, and whose time is
    /// in `interval` about its own.
    ///
    /// Behind it is said how records are to be treated that come late, and then what is told:
    /// [`inner`](IntervalJoin::inner) of pairs; [`left`](IntervalJoin::left),
    /// [`right`](IntervalJoin::right) and [`outer`](IntervalJoin::outer) also of records that have
    /// found no partner.
    ///
    /// - **Emits** each pair once, as soon as the second of it comes, with the later of the two
    ///   times; a record without a partner when none can come any more, with its own time. As the
    ///   watermark has passed that by then, the one behind the join is later than the one before
    ///   it: by the [grace](IntervalJoin::grace), and where records without a partner are told of,
    ///   by as long as they wait. So no result is late for a window behind the join.
    /// - **Waits** for its output, between one pair and the next.
    /// - **Ends** with the last of its inputs; who has no partner then is told of.
    /// - **State**: of each key, records in the order of time, until the watermark says that nobody
    ///   will come who belongs to them. It needs an [`event_time`](crate::DataStream::event_time)
    ///   on both sides, and an input without records has to [be
    ///   idle](crate::prelude::Watermarks::idle_after), or holds up the other's. A
    ///   [`uid`](crate::DataStream::uid) has it written down, and
    ///   [`max_keys`](crate::DataStream::max_keys) limits how many keys there are; one that makes
    ///   room is told of as if nobody would come.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("what made them click");
    /// let time = |event: &(i64, &str, &str)| Timestamp::from_millis(event.0);
    /// let views = [(0, "ann", "tea"), (3_000, "ann", "cake"), (9_000, "bob", "tea")];
    /// let clicks = [(4_000, "ann", "order"), (9_500, "ann", "order")];
    /// let views = flow.source("views", source::from_iter(views));
    /// let views = views.event_time(time, Watermarks::monotonic());
    /// let clicks = flow.source("clicks", source::from_iter(clicks));
    /// let clicks = clicks.event_time(time, Watermarks::monotonic());
    /// let seen = Interval::before(Duration::from_secs(5));
    /// let pairs = clicks
    ///     .key_by(|click| click.1)
    ///     .interval_join(views.key_by(|view| view.1), seen)
    ///     .inner(|click, view| (click.0, view.2))
    ///     .collect();
    /// let mut pairs = flow.run().await?.take(pairs).unwrap_or_default();
    /// pairs.sort();
    /// assert_eq!(pairs, [(4_000, "cake"), (4_000, "tea")]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Keys of two kinds do not meet:
    ///
    /// ```compile_fail
    /// # use millstream_operators::prelude::*;
    /// # use std::time::Duration;
    /// let flow = Dataflow::new("pairs");
    /// let paid = flow.source("paid", source::from_iter([("ann", 10)])).key_by(|paid| paid.0);
    /// let used = flow.source("used", source::from_iter([(7, 3.5)])).key_by(|used| used.0);
    /// paid.interval_join(used, Interval::around(Duration::ZERO)).inner(|_, _| ()).ignore();
    /// ```
    pub fn interval_join<R, D, J>(
        self,
        right: KeyedStream<R, D, J>,
        interval: Interval,
    ) -> IntervalJoin<L, R, EitherKey<K, J>>
    where
        R: Send + 'static,
        D: Chain<Item = R>,
        J: KeyOf<R, Key = K::Key, Owned = K::Owned>,
    {
        let pair = meet(self, right, Order::Any, "interval_join");
        IntervalJoin { pair, interval, grace: Duration::ZERO, late: None }
    }
}

/// Two streams whose records belong together by key and time. What is said on it first is how it
/// treats what comes late, and then what is told.
#[must_use = "pairs that nobody is told of are a mistake: say what to tell, as `.inner(…)`"]
pub struct IntervalJoin<L, R, K> {
    pair: KeyedPair<L, R, K>,
    interval: Interval,
    grace: Duration,
    late: Option<SideTag<Either<L, R>>>,
}

/// The stream that an interval join ends in.
pub type IntervalJoined<L, R, K, M> =
    Processed<Either<L, R>, Met<L, R>, K, IntervalFunction<L, R, M>>;

impl<L, R, K> IntervalJoin<L, R, K>
where
    L: Send + 'static,
    R: Send + 'static,
    K: KeyOf<Either<L, R>, Owned: Eq + Clone>,
{
    /// Lets records that come late still find their partners: a record is too late when the
    /// watermark is more than `grace` beyond its time. What is kept, is kept for so much longer,
    /// who has no partner is told of so much later, and the watermark behind the join is so much
    /// later than the one before it. Default: zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("a little late");
    /// let time = |millis: &i64| Timestamp::from_millis(*millis);
    /// // The last has happened ten milliseconds before the one that it comes after.
    /// let numbers = flow.source("numbers", source::from_iter([100, 130, 120]));
    /// let numbers = numbers.event_time(time, Watermarks::monotonic());
    /// let [one, other] = numbers.broadcast::<2>();
    /// let later = Interval::after(Duration::from_millis(30)).exclude_lower();
    /// let pairs = one
    ///     .key_by(|_| ())
    ///     .interval_join(other.key_by(|_| ()), later)
    ///     .grace(Duration::from_millis(10))
    ///     .inner(|one, other| (*one, *other))
    ///     .collect();
    /// let mut pairs = flow.run().await?.take(pairs).unwrap_or_default();
    /// pairs.sort();
    /// assert_eq!(pairs, [(100, 120), (100, 130), (120, 130)]);
    /// # Ok(())
    /// # }
    /// ```
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sends records that come too late to a [side output](crate::Dataflow::side_output), with
    /// their event time. Without it they are dropped, and counted as
    /// [late](millstream_engine::metrics::DropReason::Late).
    ///
    /// ```
    /// use millstream_operators::fan::Either;
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// let flow = Dataflow::new("too late");
    /// let (late, too_late) = flow.side_output::<Either<i64, i64>>("late");
    /// let time = |millis: &i64| Timestamp::from_millis(*millis);
    /// let numbers = flow.source("numbers", source::from_iter([100, 130, 120]));
    /// let numbers = numbers.event_time(time, Watermarks::monotonic());
    /// let [one, other] = numbers.broadcast::<2>();
    /// one.key_by(|_| ())
    ///     .interval_join(other.key_by(|_| ()), Interval::around(Duration::ZERO))
    ///     .late_to(&late)
    ///     .inner(|one, other| (*one, *other))
    ///     .ignore();
    /// too_late.count();
    /// flow.validate().unwrap();
    /// ```
    pub fn late_to(mut self, tag: &SideTag<Either<L, R>>) -> Self {
        self.late = Some(tag.clone());
        self
    }

    /// Tells of each pair.
    pub fn inner<O, F>(self, tell: F) -> IntervalJoined<L, R, K, Inner<F>>
    where
        O: Send + 'static,
        F: FnMut(&L, &R) -> O + Clone + Send + 'static,
    {
        self.tell(Inner(tell))
    }

    /// Tells of each pair, and of each record of this stream that found no partner.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("unpaid");
    /// let time = |event: &(i64, &str)| Timestamp::from_millis(event.0);
    /// let orders = flow.source("orders", source::from_iter([(0, "ann"), (10, "bob")]));
    /// let orders = orders.event_time(time, Watermarks::monotonic());
    /// let payments = flow.source("payments", source::from_iter([(7, "ann"), (900, "bob")]));
    /// let payments = payments.event_time(time, Watermarks::monotonic());
    /// let in_time = Interval::after(Duration::from_millis(100));
    /// let paid = orders
    ///     .key_by(|order| order.1)
    ///     .interval_join(payments.key_by(|payment| payment.1), in_time)
    ///     .left(|order, payment| (order.1, payment.is_some()))
    ///     .collect();
    /// let mut paid = flow.run().await?.take(paid).unwrap_or_default();
    /// paid.sort();
    /// assert_eq!(paid, [("ann", true), ("bob", false)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn left<O, F>(self, tell: F) -> IntervalJoined<L, R, K, Left<F>>
    where
        O: Send + 'static,
        F: FnMut(&L, Option<&R>) -> O + Clone + Send + 'static,
    {
        self.tell(Left(tell))
    }

    /// Tells of each pair, and of each record of the other stream that found no partner.
    pub fn right<O, F>(self, tell: F) -> IntervalJoined<L, R, K, Right<F>>
    where
        O: Send + 'static,
        F: FnMut(Option<&L>, &R) -> O + Clone + Send + 'static,
    {
        self.tell(Right(tell))
    }

    /// Tells of each pair, and of each record of either stream that found no partner.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("two books");
    /// let time = |entry: &(i64, &str)| Timestamp::from_millis(entry.0);
    /// let ours = flow.source("ours", source::from_iter([(0, "a"), (10, "b")]));
    /// let ours = ours.event_time(time, Watermarks::monotonic());
    /// let theirs = flow.source("theirs", source::from_iter([(3, "a"), (11, "c")]));
    /// let theirs = theirs.event_time(time, Watermarks::monotonic());
    /// let compared = ours
    ///     .key_by(|entry| entry.1)
    ///     .interval_join(
    ///         theirs.key_by(|entry| entry.1),
    ///         Interval::around(Duration::from_millis(5)),
    ///     )
    ///     .outer(|sides| match sides {
    ///         EitherOrBoth::Both(entry, _) => (entry.1, "agreed"),
    ///         EitherOrBoth::Left(entry) => (entry.1, "ours"),
    ///         EitherOrBoth::Right(entry) => (entry.1, "theirs"),
    ///     })
    ///     .collect();
    /// let mut compared = flow.run().await?.take(compared).unwrap_or_default();
    /// compared.sort();
    /// assert_eq!(compared, [("a", "agreed"), ("b", "ours"), ("c", "theirs")]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn outer<O, F>(self, tell: F) -> IntervalJoined<L, R, K, Outer<F>>
    where
        O: Send + 'static,
        F: FnMut(EitherOrBoth<&L, &R>) -> O + Clone + Send + 'static,
    {
        self.tell(Outer(tell))
    }

    fn tell<M: JoinKind<L, R>>(self, kind: M) -> IntervalJoined<L, R, K, M> {
        let Self { pair, interval, grace, late } = self;
        pair.process_with(|operator, blueprint| {
            let port = late.map(|tag| tag.port(operator, blueprint));
            IntervalFunction::new(kind, interval, Lateness::new(grace, port))
        })
    }
}

impl<L, R, K> fmt::Debug for IntervalJoin<L, R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntervalJoin")
            .field("interval", &self.interval)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
