//! `window`, and what is said of windows before anything is told of them.

use std::fmt;
use std::time::Duration;

use millstream_engine::chain::{Boundary, Chain, Via};
use millstream_engine::edge::Keyed;
use millstream_engine::key::KeyOf;

use super::trigger::OnWatermark;
use super::{Accumulation, Trigger, WindowRules, Windowed, Windows};
use crate::aggregate::Aggregate;
use crate::fan::SideTag;
use crate::{DataStream, KeyedStream};

impl<T: Send + 'static, C: Chain<Item = T>, K: KeyOf<T>> KeyedStream<T, C, K> {
    /// Cuts the records of each key into windows.
    ///
    /// Windows by event time need an [`event_time`](DataStream::event_time) before them: without
    /// it, the graph is refused. And a window needs a key, or
    /// [`window_all`](DataStream::window_all):
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

/// Records of `T` that belong to keys and windows. What is said on it first is how the windows
/// behave, and then what is to be told of each.
#[must_use = "windows that nobody is told of are a mistake: say what to tell, as `.aggregate(Count)`"]
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
    /// told of again, as [`Late`](super::Firing::Late). What is kept of a window is kept for so much
    /// longer. Default: zero, a record is late as soon as the watermark has reached the end of its
    /// window.
    pub const fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.rules.lateness = lateness;
        self
    }

    /// Sends records that come too late for their window to a
    /// [side output](crate::Dataflow::side_output), with their event time. Without it they are
    /// dropped, and counted as [late](millstream_engine::metrics::DropReason::Late).
    pub fn late_to(mut self, tag: &SideTag<T>) -> Self {
        self.late = Some(tag.clone());
        self
    }

    /// When windows are told of, instead of what was said before.
    pub fn trigger<S: Trigger>(self, trigger: S) -> WindowedStream<T, C, K, W, S> {
        let WindowRules { accumulation, lateness, late, .. } = self.rules;
        let rules = WindowRules { trigger, accumulation, lateness, late };
        WindowedStream { keyed: self.keyed, windows: self.windows, rules, late: self.late }
    }

    /// Lets a window that is told of begin anew, so that its results are to be added up. Default:
    /// each result holds everything so far, and takes the place of the one before.
    pub const fn discarding(mut self) -> Self {
        self.rules.accumulation = Accumulation::Discarding;
        self
    }

    /// Tells of each key in each window what `aggregate` makes of its records: one accumulator is
    /// kept for each of them, and no record.
    pub fn aggregate<G: Aggregate<T>>(
        self,
        aggregate: G,
    ) -> DataStream<
        Windowed<K::Owned, W::Window, G::Out>,
        Via<Boundary<Keyed<T>>, W::Operator<K, G, R>>,
    > {
        let Self { keyed, windows, mut rules, late } = self;
        keyed.via_keyed_with(|key, operator, blueprint| {
            rules.late = late.map(|tag| tag.port(operator, blueprint));
            windows.operator(key, aggregate, rules)
        })
    }
}

impl<T, C, K, W, R> fmt::Debug for WindowedStream<T, C, K, W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowedStream").field("keyed", &self.keyed).finish_non_exhaustive()
    }
}
