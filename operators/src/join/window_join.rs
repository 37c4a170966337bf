//! `window_join`: pairs of records of one key in one window.

use std::fmt;
use std::time::Duration;

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;

use super::connect::{EitherKey, Order, meet};
use super::in_windows::{InWindows, JoinedInWindows};
use super::kind::{EitherOrBoth, Inner, JoinKind, Left, Outer, Right};
use super::windowing::{CoGroup, Telling};
use crate::KeyedStream;
use crate::fan::{Either, SideTag};
use crate::window::TimeWindows;

impl<L: Send + 'static, C: Chain<Item = L>, K: KeyOf<L>> KeyedStream<L, C, K> {
    /// Puts each record together with those of another stream that have its key and lie in the same
    /// window.
    ///
    /// Behind it is said what becomes of late records, and then what is told:
    /// [`inner`](WindowJoin::inner) of pairs; [`left`](WindowJoin::left),
    /// [`right`](WindowJoin::right) and [`outer`](WindowJoin::outer) also of records in whose
    /// window the other side has none. What comes is [`Windowed`](crate::window::Windowed): with
    /// its key and window, and with the last point of the window as its event time.
    ///
    /// - **Emits** when a window is final: the watermark has passed its end, or the input has
    ///   ended. Each pair is told of once, and nothing is taken back; so an
    ///   [allowed lateness](WindowJoin::allowed_lateness) holds windows up, and repeats none.
    ///   Windows come in the order of their ends, and among keys in that of their hashes; within a
    ///   window each left record with all right ones, both in the order of time, and those of one
    ///   time and side in the order in which they came.
    /// - **Waits** for its output between one pair and the next, however many a window has.
    /// - **Ends** with the last of its inputs, and then tells of every window.
    /// - **State**: each record once, in however many windows it lies, until the last of them is
    ///   final. It needs an [`event_time`](crate::DataStream::event_time) on both sides, and an
    ///   input without records has to
    ///   [be idle](crate::prelude::Watermarks::idle_after), or holds up the other's windows. A
    ///   [`uid`](crate::DataStream::uid) has it written down, and
    ///   [`max_keys`](crate::DataStream::max_keys) limits how many keys there are; one that makes
    ///   room tells of its windows as they are.
    ///
    /// Windows are [tumbling](crate::window::Tumbling), [sliding](crate::window::Sliding),
    /// [sessions](crate::window::Session) of both sides together, those of a calendar, and
    /// [your own](crate::window::AlignedWindows).
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("bids for what was offered in the same minute");
    /// let time = |event: &(i64, &str, u32)| Timestamp::from_millis(event.0 * 1_000);
    /// let offers = [(5, "chair", 20), (70, "chair", 15)];
    /// let offers = flow.source("offers", source::from_iter(offers));
    /// let offers = offers.event_time(time, Watermarks::monotonic());
    /// let bids = [(30, "chair", 18), (59, "chair", 21), (80, "table", 90)];
    /// let bids = flow.source("bids", source::from_iter(bids));
    /// let bids = bids.event_time(time, Watermarks::monotonic());
    /// let pairs = offers
    ///     .key_by(|offer| offer.1)
    ///     .window_join(bids.key_by(|bid| bid.1), Tumbling::of(Duration::from_secs(60)))
    ///     .inner(|offer, bid| bid.2 >= offer.2)
    ///     .map(|told| (told.key, told.window.start.as_millis(), told.value))
    ///     .collect();
    /// let expected = vec![("chair", 0, false), ("chair", 0, true)];
    /// assert_eq!(flow.run().await?.take(pairs), Some(expected));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Windows that count are no spans of time, and don't compile:
    ///
    /// ```compile_fail
    /// # use millstream_operators::prelude::*;
    /// # let flow = Dataflow::new("doc");
    /// # let one = flow.source("one", source::from_iter(0..9)).key_by(|n| n % 2);
    /// # let other = flow.source("other", source::from_iter(0..9)).key_by(|n| n % 2);
    /// one.window_join(other, CountWindows::of(3)).inner(|one, other| one + other).ignore();
    /// ```
    pub fn window_join<R, D, J, W>(
        self,
        right: KeyedStream<R, D, J>,
        windows: W,
    ) -> WindowJoin<L, R, EitherKey<K, J>, W>
    where
        R: Send + 'static,
        D: Chain<Item = R>,
        J: KeyOf<R, Key = K::Key, Owned = K::Owned>,
        W: TimeWindows<Either<L, R>>,
    {
        WindowJoin(InWindows::new(meet(self, right, Order::Any, "window_join"), windows))
    }
}

/// Two streams whose records belong together by key and window. What is said on it first is what
/// becomes of late records, and then what is told.
#[must_use = "pairs that nobody is told of are a mistake: say what to tell, as `.inner(…)`"]
pub struct WindowJoin<L, R, K, W>(InWindows<L, R, K, W>);

impl<L, R, K, W> WindowJoin<L, R, K, W>
where
    L: Send + 'static,
    R: Send + 'static,
    K: KeyOf<Either<L, R>, Owned: Eq + Clone>,
    W: TimeWindows<Either<L, R>>,
{
    /// Lets records that come late still count for `lateness` of event time: each window is told
    /// of so much later, and still once. The watermark behind the join is so much later than the
    /// one before it, so that no result is late for a window behind. Default: zero.
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

    /// Tells of each pair.
    pub fn inner<O, F>(self, tell: F) -> JoinedInWindows<L, R, K, W, Pairs<Inner<F>>>
    where
        O: Send + 'static,
        F: FnMut(&L, &R) -> O + Clone + Send + 'static,
    {
        self.0.tell(Pairs(Inner(tell)))
    }

    /// Tells of each pair, and of each record of this stream in whose window the other has none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("who was seen, and said nothing");
    /// let time = |event: &(i64, &str)| Timestamp::from_millis(event.0);
    /// let seen = flow.source("seen", source::from_iter([(1, "ann"), (2, "bob")]));
    /// let seen = seen.event_time(time, Watermarks::monotonic());
    /// let said = flow.source("said", source::from_iter([(7, "ann"), (12, "bob")]));
    /// let said = said.event_time(time, Watermarks::monotonic());
    /// let ten = Tumbling::of(Duration::from_millis(10));
    /// let silent = seen
    ///     .key_by(|seen| seen.1)
    ///     .window_join(said.key_by(|said| said.1), ten)
    ///     .left(|seen, said| said.is_none().then_some(seen.1))
    ///     .filter_map(|told| told.value)
    ///     .collect();
    /// assert_eq!(flow.run().await?.take(silent), Some(vec!["bob"]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn left<O, F>(self, tell: F) -> JoinedInWindows<L, R, K, W, Pairs<Left<F>>>
    where
        O: Send + 'static,
        F: FnMut(&L, Option<&R>) -> O + Clone + Send + 'static,
    {
        self.0.tell(Pairs(Left(tell)))
    }

    /// Tells of each pair, and of each record of the other stream in whose window this one has
    /// none.
    pub fn right<O, F>(self, tell: F) -> JoinedInWindows<L, R, K, W, Pairs<Right<F>>>
    where
        O: Send + 'static,
        F: FnMut(Option<&L>, &R) -> O + Clone + Send + 'static,
    {
        self.0.tell(Pairs(Right(tell)))
    }

    /// Tells of each pair, and of each record of either stream in whose window the other has none.
    pub fn outer<O, F>(self, tell: F) -> JoinedInWindows<L, R, K, W, Pairs<Outer<F>>>
    where
        O: Send + 'static,
        F: FnMut(EitherOrBoth<&L, &R>) -> O + Clone + Send + 'static,
    {
        self.0.tell(Pairs(Outer(tell)))
    }
}

impl<L, R, K, W: fmt::Debug> fmt::Debug for WindowJoin<L, R, K, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowJoin")
            .field("windows", &self.0.windows)
            .field("allowed_lateness", &self.0.lateness)
            .finish_non_exhaustive()
    }
}

/// Tells of each pair of a window, or of each record alone if there are no pairs.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<P>(P);

impl<K, L, R, P: JoinKind<L, R>> Telling<K, L, R> for Pairs<P> {
    type Out = P::Out;
    const NAME: &'static str = "window_join";

    fn count(&self, group: &CoGroup<'_, K, L, R>) -> usize {
        match (group.left().len(), group.right().len()) {
            (left, 0) => left * usize::from(P::LEFT),
            (0, right) => right * usize::from(P::RIGHT),
            (left, right) => left * right,
        }
    }

    #[inline]
    fn tell(&mut self, group: &CoGroup<'_, K, L, R>, number: usize) -> Option<P::Out> {
        let sides = match (group.left().len(), group.right().len()) {
            (_, 0) => EitherOrBoth::Left(group.left_at(number)?),
            (0, _) => EitherOrBoth::Right(group.right_at(number)?),
            (_, right) => {
                let (left, right) = (number / right, number % right);
                EitherOrBoth::Both(group.left_at(left)?, group.right_at(right)?)
            }
        };
        self.0.tell(sides)
    }
}
