//! What is said of windows whose aggregates are merged before the shuffle.

use std::fmt;
use std::time::Duration;

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;

use super::record::LateOnes;
use super::{
    Combined, CombinedKey, CombinedStream, Merging, PanedWindows, PanesOf, PartOf, ViaCombined,
};
use crate::aggregate::{Aggregate, Count, Reduce};
use crate::fan::SideTag;
use crate::keyed::Aggregating;
use crate::window::trigger::OnWatermark;
use crate::window::{Accumulation, LateRecords, WindowRules, Windows};

/// The stream of what `G` makes of each key in each window of `W`, merged before the shuffle.
pub type CombinedWindowed<T, C, K, W, G> =
    ViaCombined<T, C, K, Aggregating<G>, WindowsOf<PartOf<T, K, Aggregating<G>>, K, W, G>>;

/// The operator of windows `W` of parts `P`.
type WindowsOf<P, K, W, G> = <W as Windows<P>>::Operator<CombinedKey<K>, Merging<G>, OnWatermark>;

/// Records of `T` that belong to keys and windows, and are merged before the shuffle. Windows are
/// told of when they are complete, which is the one trigger that parts of a result fit:
///
/// ```compile_fail
/// # use std::time::Duration;
/// # use millstream_operators::prelude::*;
/// # let flow = Dataflow::new("doc");
/// # let numbers = flow.source("numbers", source::from_iter(0..9));
/// # let numbers = numbers.event_time(|n| Timestamp::from_millis(*n), Watermarks::monotonic());
/// let keyed = numbers.key_by(|n| n % 2).combined(9);
/// keyed.window(Tumbling::of(Duration::from_secs(1))).trigger(OnCount::of(2)).count();
/// ```
#[must_use = "windows that nobody is told of are a mistake: say what to tell, as `.count()`"]
pub struct CombinedWindows<T, C, K, W> {
    combined: CombinedStream<T, C, K>,
    windows: W,
    lateness: Duration,
    accumulation: Accumulation,
    late: Option<SideTag<T>>,
}

impl<T, C, K, W> CombinedWindows<T, C, K, W> {
    pub(super) const fn new(combined: CombinedStream<T, C, K>, windows: W) -> Self {
        let (lateness, accumulation) = (Duration::ZERO, Accumulation::Accumulating);
        Self { combined, windows, lateness, accumulation, late: None }
    }

    /// As [`WindowedStream::allowed_lateness`](crate::window::WindowedStream::allowed_lateness).
    /// Records that may be late are not merged, and so each has its window told of again.
    pub const fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }

    /// As [`WindowedStream::late_to`](crate::window::WindowedStream::late_to): records that may be
    /// late are not merged, and come to the side output as they were. Without it they are dropped,
    /// and each is counted.
    ///
    /// A record may be late where the watermark of its own instance says so. There are two cases in
    /// which others may have gone further. When the input of an instance that is one of several has
    /// been idle, it merges nothing more if there is a `late_to`, and without one a partial that
    /// comes late is counted as the records it was made of. And a later run that begins with state
    /// merges nothing before the first watermark, which has to be the one that the last run had
    /// reached: so it is where [`event_time`](crate::DataStream::event_time) has a
    /// [`uid`](crate::DataStream::uid). Where it has none, records of windows that had been given
    /// up may be merged, and are then counted as dropped, not sent.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("too late");
    /// let (late, too_late) = flow.side_output("late");
    /// let events = flow.source("events", source::from_iter([100, 200, 1300, 900]));
    /// events
    ///     .event_time(|millis| Timestamp::from_millis(*millis), Watermarks::monotonic())
    ///     .key_by(|millis| millis % 2)
    ///     .parallel(2)
    ///     .combined(100)
    ///     .window(Tumbling::of(Duration::from_secs(1)))
    ///     .late_to(&late)
    ///     .count()
    ///     .ignore();
    /// let too_late = too_late.collect();
    /// assert_eq!(flow.run().await?.take(too_late), Some(vec![900]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn late_to(mut self, tag: &SideTag<T>) -> Self {
        self.late = Some(tag.clone());
        self
    }

    /// As [`WindowedStream::discarding`](crate::window::WindowedStream::discarding).
    pub const fn discarding(mut self) -> Self {
        self.accumulation = Accumulation::Discarding;
        self
    }
}

impl<T, C, K, W> CombinedWindows<T, C, K, W>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    K: KeyOf<T, Owned: Clone>,
    W: PanedWindows,
{
    /// Tells of each key in each window what `aggregate` makes of its records, as
    /// [`WindowedStream::aggregate`](crate::window::WindowedStream::aggregate) does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let seconds = Duration::from_secs;
    /// let flow = Dataflow::new("load");
    /// let peaks = flow
    ///     .source("load", source::from_iter([("a", 1), ("a", 5), ("a", 12)]))
    ///     .event_time(|load| Timestamp::from_millis(load.1 * 1_000), Watermarks::monotonic())
    ///     .key_by(|load| load.0)
    ///     .parallel(2)
    ///     .combined(100)
    ///     .window(Sliding::of(seconds(10), seconds(5)))
    ///     .aggregate(Max::of(|load: &(&str, i64)| load.1))
    ///     .map(|told| (told.window.end.as_millis() / 1_000, told.value))
    ///     .collect();
    /// let expected = vec![(5, Some(1)), (10, Some(5)), (15, Some(12)), (20, Some(12))];
    /// assert_eq!(flow.run().await?.take(peaks), Some(expected));
    /// # Ok(())
    /// # }
    /// ```
    pub fn aggregate<G>(self, aggregate: G) -> CombinedWindowed<T, C, K, W, G>
    where
        G: Aggregate<T>,
        W: Windows<Combined<T, K::Owned, G::Accumulator>>,
    {
        let Self { combined, windows, lateness, accumulation, late } = self;
        let (panes, sends_late) = (PanesOf(windows.clone()), late.is_some());
        let merged = Aggregating(aggregate.clone());
        combined.connect(panes, merged, sends_late, |key, operator, blueprint| {
            let late = match late {
                Some(tag) => LateRecords::to(LateOnes::new(tag.port(operator, blueprint))),
                None => LateRecords::dropped_as(Combined::records),
            };
            let rules = WindowRules { lateness, accumulation, late, ..WindowRules::new() };
            windows.operator(key, Merging(aggregate), rules)
        })
    }

    /// Counts the records of each key in each window.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("words by minute");
    /// let words = flow.source("words", source::from_iter([(1, "to"), (2, "be"), (3, "to")]));
    /// let most = words
    ///     .event_time(|word| Timestamp::from_millis(word.0 * 1000), Watermarks::monotonic())
    ///     .key_by(|(_, word)| *word)
    ///     .parallel(2)
    ///     .combined(1 << 14)
    ///     .window(Tumbling::of(Duration::from_secs(60)))
    ///     .count()
    ///     .fold(0, |most, told| *most = told.value.max(*most));
    /// assert_eq!(flow.run().await?.take(most), Some(2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn count(self) -> CombinedWindowed<T, C, K, W, Count>
    where
        W: Windows<Combined<T, K::Owned, u64>>,
    {
        self.aggregate(Count)
    }

    /// Makes one record of all records of a key in a window, two at a time. The closure gets the
    /// earlier one first, and has to be [associative](Reduce). What is told is always `Some`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("warmest");
    /// let degrees = flow.source("degrees", source::from_iter([20, 22, 21]));
    /// let warmest = degrees
    ///     .event_time(|degrees| Timestamp::from_millis(*degrees), Watermarks::monotonic())
    ///     .parallel(2)
    ///     .combined(100)
    ///     .window_all(Tumbling::of(Duration::from_millis(100)))
    ///     .reduce(|one: &i64, other: &i64| *one.max(other))
    ///     .map(|told| told.value)
    ///     .collect();
    /// assert_eq!(flow.run().await?.take(warmest), Some(vec![Some(22)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn reduce<F>(self, f: F) -> CombinedWindowed<T, C, K, W, Reduce<F>>
    where
        T: Clone,
        F: Fn(&T, &T) -> T + Clone + Send + 'static,
        W: Windows<Combined<T, K::Owned, Option<T>>>,
    {
        self.aggregate(Reduce::with(f))
    }
}

impl<T, C, K, W> fmt::Debug for CombinedWindows<T, C, K, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CombinedWindows").field("combined", &self.combined).finish_non_exhaustive()
    }
}
