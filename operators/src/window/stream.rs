//! `window`, and what is said of windows before anything is told of them.

use std::fmt;
use std::time::Duration;

use millstream_engine::chain::Chain;
use millstream_engine::key::KeyOf;

use super::trigger::OnWatermark;
use super::{Accumulation, LateRecords, Trigger, WindowRules, Windows};
use crate::KeyedStream;
use crate::aggregate::Aggregate;
use crate::fan::SideTag;
use crate::keyed::ViaKeyed;

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> KeyedStream<T, C, K> {
    /// Cuts the records of each key into windows.
    ///
    /// Behind it is said how the windows behave, and then what is told of each key in each.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("degrees");
    /// let readings = [(0, "cellar", 12.0), (9, "cellar", 14.0), (31, "attic", 30.0)];
    /// let means = flow
    ///     .source("readings", source::from_iter(readings))
    ///     .event_time(|r| Timestamp::from_millis(r.0 * 1000), Watermarks::monotonic())
    ///     .key_by(|reading| reading.1)
    ///     .window(Tumbling::of(Duration::from_secs(30)))
    ///     .aggregate(Mean::of(|reading: &(i64, &str, f64)| reading.2))
    ///     .map(|told| (told.key, told.window.start.as_millis(), told.value))
    ///     .collect();
    /// let expected = vec![("cellar", 0, Some(13.0)), ("attic", 30_000, Some(30.0))];
    /// assert_eq!(flow.run().await?.take(means), Some(expected));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Windows by event time need an [`event_time`](crate::DataStream::event_time) before them:
    /// without it, the graph is refused. And a window needs a key, or
    /// [`window_all`](crate::DataStream::window_all):
    ///
    /// ```compile_fail
    /// # use std::time::Duration;
    /// # use millstream_operators::prelude::*;
    /// # let flow = Dataflow::new("doc");
    /// # let numbers = flow.source("numbers", source::from_iter(0..9));
    /// numbers.window(Tumbling::of(Duration::from_secs(60)));
    /// ```
    pub const fn window<W: Windows<T>>(self, windows: W) -> WindowedStream<T, C, K, W> {
        WindowedStream { keyed: self, windows, rules: WindowRules::new(), late: None }
    }
}

/// The stream of what `G` makes of each key in each window of `W`.
pub type Aggregated<T, C, K, W, G, R = OnWatermark> =
    ViaKeyed<T, C, K, <W as Windows<T>>::Operator<K, G, R>>;

/// Records of `T` that belong to keys and windows. What is said on it first is how the windows
/// behave, and then what is to be told of each.
#[must_use = "windows that nobody is told of are a mistake: say what to tell, as `.count()`"]
pub struct WindowedStream<T, C, K, W, R = OnWatermark> {
    keyed: KeyedStream<T, C, K>,
    windows: W,
    rules: WindowRules<T, R>,
    late: Option<SideTag<T>>,
}

impl<T, C, K, W, R> WindowedStream<T, C, K, W, R>
where
    T: Send + 'static,
    C: Chain<Item = T>,
    K: KeyOf<T, Owned: Clone>,
    W: Windows<T>,
    R: Trigger,
{
    /// Lets records that come late still count for `lateness` of event time: the window is then
    /// told of again, as [`Late`](super::Firing::Late). What is kept of a window is kept for so
    /// much longer. Default: zero, a record is late as soon as the watermark has reached the end of
    /// its window.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("late");
    /// // The last has happened within the first second, and comes when that is over.
    /// let events = flow.source("events", source::from_iter([100, 200, 1300, 900]));
    /// let told = events
    ///     .event_time(|millis| Timestamp::from_millis(*millis), Watermarks::monotonic())
    ///     .window_all(Tumbling::of(Duration::from_secs(1)))
    ///     .allowed_lateness(Duration::from_secs(5))
    ///     .count()
    ///     .map(|second| (second.window.start.as_millis(), second.value, second.firing))
    ///     .collect();
    /// let expected =
    ///     vec![(0, 2, Firing::OnTime), (0, 3, Firing::Late), (1000, 1, Firing::OnTime)];
    /// assert_eq!(flow.run().await?.take(told), Some(expected));
    /// # Ok(())
    /// # }
    /// ```
    pub const fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.rules.lateness = lateness;
        self
    }

    /// Sends records that come too late for their window to a
    /// [side output](crate::Dataflow::side_output), with their event time. Without it they are
    /// dropped, and counted as [late](millstream_engine::metrics::DropReason::Late).
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
    ///     .window_all(Tumbling::of(Duration::from_secs(1)))
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

    /// When windows are told of, instead of what was said before: see [`trigger`](super::trigger).
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("early");
    /// let events = flow.source("events", source::from_iter([100, 200, 300]));
    /// let told = events
    ///     .event_time(|millis| Timestamp::from_millis(*millis), Watermarks::monotonic())
    ///     .window_all(Tumbling::of(Duration::from_secs(1)))
    ///     .trigger(OnWatermark.with_early(OnCount::of(2)))
    ///     .count()
    ///     .map(|second| (second.value, second.firing))
    ///     .collect();
    /// let expected = vec![(2, Firing::Early), (3, Firing::OnTime)];
    /// assert_eq!(flow.run().await?.take(told), Some(expected));
    /// # Ok(())
    /// # }
    /// ```
    pub fn trigger<S: Trigger>(self, trigger: S) -> WindowedStream<T, C, K, W, S> {
        let WindowRules { accumulation, lateness, late, .. } = self.rules;
        let rules = WindowRules { trigger, accumulation, lateness, late };
        WindowedStream { keyed: self.keyed, windows: self.windows, rules, late: self.late }
    }

    /// Lets a window that is told of begin anew, so that its results are to be added up. Default:
    /// each result holds everything so far, and takes the place of the one before.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("by two");
    /// let letters = flow.source("letters", source::from_iter(["a", "b", "c"]));
    /// let told =
    ///     letters.window_all(Global).trigger(OnCount::of(2)).discarding().count().collect();
    /// let told = flow.run().await?.take(told).unwrap_or_default();
    /// assert_eq!(told.iter().map(|told| told.value).collect::<Vec<_>>(), [2, 1]);
    /// # Ok(())
    /// # }
    /// ```
    pub const fn discarding(mut self) -> Self {
        self.rules.accumulation = Accumulation::Discarding;
        self
    }

    /// Tells of each key in each window what `aggregate` makes of its records: one accumulator is
    /// kept for each of them, and no record. Several aggregates at once are a tuple.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("orders");
    /// let orders = flow.source("orders", source::from_iter([30, 50, 10]));
    /// let told = orders
    ///     .window_all(CountWindows::of(3))
    ///     .aggregate((Count, Sum::of(|order: &u64| *order)))
    ///     .map(|three| three.value)
    ///     .collect();
    /// assert_eq!(flow.run().await?.take(told), Some(vec![(3, 90)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn aggregate<G: Aggregate<T>>(self, aggregate: G) -> Aggregated<T, C, K, W, G, R> {
        let Self { keyed, windows, mut rules, late } = self;
        keyed.via_keyed_with(|key, operator, blueprint| {
            if let Some(tag) = late {
                rules.late = LateRecords::to(tag.port(operator, blueprint));
            }
            windows.operator(key, aggregate, rules)
        })
    }
}

impl<T, C, K, W, R> fmt::Debug for WindowedStream<T, C, K, W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowedStream").field("keyed", &self.keyed).finish_non_exhaustive()
    }
}
