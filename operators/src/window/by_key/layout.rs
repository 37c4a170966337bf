//! The contract of what is kept of one key's windows.

use std::time::Duration;

use millstream_engine::state::StateError;
use millstream_engine::time::Timestamp;

use crate::aggregate::Aggregate;
use crate::state::Codec;
use crate::window::trigger::Moment;
use crate::window::{Accumulation, Firing, TimeWindow, Trigger, WindowRules};

/// How the windows of one key are kept, and when something is due of them.
///
/// Whatever has become due, by a record or by the clock, is told by [`tell`](Layout::tell), one
/// result at a time, so that there is one place that waits for room.
pub trait Layout<T, G: Aggregate<T>, R: Trigger>: Clone + Send + 'static {
    /// What is kept of one key. By default, nothing yet.
    type Kept: Default + Send + 'static;

    /// What the operator is called.
    const NAME: &'static str;

    /// Puts a record where it belongs. What is kept doesn't change if it belongs nowhere.
    fn add(
        &self,
        kept: &mut Self::Kept,
        value: &T,
        time: Timestamp,
        scene: &Scene<'_, G, R>,
    ) -> Placed;

    /// Asks the triggers that waited for the clock.
    fn ring(&self, kept: &mut Self::Kept, scene: &Scene<'_, G, R>);

    /// Does what is due by `until` and no later, up to the first result.
    fn tell(
        &self,
        kept: &mut Self::Kept,
        until: Timestamp,
        scene: &Scene<'_, G, R>,
    ) -> Option<Told<G::Out>>;

    /// When something is due of it; `None` if nothing is kept any more.
    fn plan(&self, kept: &Self::Kept, scene: &Scene<'_, G, R>) -> Option<Plan>;

    /// Writes it down. Nothing is due then.
    fn write(
        &self,
        kept: &Self::Kept,
        code: &Code<G::Accumulator>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), StateError>;

    /// Reads what was written when the watermark was the scene's.
    fn read(
        &self,
        code: &Code<G::Accumulator>,
        bytes: &mut &[u8],
        scene: &Scene<'_, G, R>,
    ) -> Result<Self::Kept, StateError>;
}

/// How accumulators are written.
#[derive(Debug)]
pub struct Code<A>(pub(crate) Codec<A>);

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is in, and this is due of what it has changed.
    In(Plan),
    /// Nothing is kept any more of where it would belong.
    Late,
    /// It belongs to no window.
    Outside,
}

/// When something is due. A time that the watermark has reached is at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// By the watermark.
    pub due: Timestamp,
    /// By the clock, or [`NEVER`].
    pub alarm: Timestamp,
}

/// What no clock will ever say.
pub const NEVER: Timestamp = Timestamp::MAX;

impl Plan {
    /// Due at once: earlier than any watermark.
    pub const AT_ONCE: Timestamp = Timestamp::MIN;

    /// The earlier of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { due: self.due.min(other.due), alarm: self.alarm.min(other.alarm) }
    }
}

/// What is told of a window.
#[derive(Debug)]
pub struct Told<V> {
    /// Which.
    pub window: TimeWindow,
    /// What.
    pub value: V,
    /// Why.
    pub firing: Firing,
}

/// What was said of the windows, and what time it is.
#[derive(Debug)]
pub struct Scene<'a, G, R> {
    /// What is told of a window.
    pub aggregate: &'a G,
    /// When.
    pub trigger: &'a R,
    /// What a second result holds.
    pub accumulation: Accumulation,
    /// How long a window is kept beyond its end.
    pub lateness: Duration,
    /// How far event time has come.
    pub watermark: Timestamp,
    /// What the clock says.
    pub now: Timestamp,
}

impl<'a, G, R: Trigger> Scene<'a, G, R> {
    pub(super) const fn new<T>(
        aggregate: &'a G,
        rules: &'a WindowRules<T, R>,
        watermark: Timestamp,
        now: Timestamp,
    ) -> Self {
        let WindowRules { trigger, accumulation, lateness, .. } = rules;
        let (accumulation, lateness) = (*accumulation, *lateness);
        Self { aggregate, trigger, accumulation, lateness, watermark, now }
    }

    /// When a window that ends at `end` is given up.
    #[must_use]
    pub fn expiry(&self, end: Timestamp) -> Timestamp {
        end.saturating_add(self.lateness)
    }

    /// Whether what is given up at `expiry` is gone.
    #[must_use]
    pub fn is_over(&self, expiry: Timestamp) -> bool {
        expiry <= self.watermark
    }

    /// What a trigger gets to see.
    #[must_use]
    pub const fn moment(&self, window: TimeWindow) -> Moment {
        Moment { window, watermark: self.watermark, clock: self.now }
    }

    /// Why a window is told of now.
    #[must_use]
    pub fn firing(&self, window: TimeWindow, on_time: bool) -> Firing {
        match (window.is_complete(self.watermark), on_time) {
            (false, _) => Firing::Early,
            (true, false) => Firing::OnTime,
            (true, true) => Firing::Late,
        }
    }
}
