//! Triggers: when windows are told of.
//!
//! What each does by itself, and beside the result on time:
//!
//! | trigger | by itself, a window is told of | as `OnWatermark.with_early(…)` |
//! |---|---|---|
//! | [`OnWatermark`] | when it is complete, and with each late record | |
//! | [`OnCount`] | with every so many records; the rest at last | and when it is complete |
//! | [`OnEveryRecord`] | with each record | and when it is complete |
//! | [`AfterProcessingTime`] | so long after a record; the rest at last | and when it is complete |
//! | [`AfterEventTime`] | the same, by the watermark | and when it is complete |
//! | [`OnFinal`] | at last, once | when it is complete |
//!
//! The default is [`OnWatermark`]. With `with_early`, each late record changes the result too,
//! unless [`with_late`](OnWatermark::with_late) says otherwise.
//!
//! "At last" is when the window is given up, behind the allowed lateness or at the end of the
//! input. Then whatever has not been told is told, with every trigger.
//!
//! A trigger does its work over and over. With [`once`](Trigger::once) it does not. Two are put
//! together by [`or`](Trigger::or) and [`and`](Trigger::and); in Flink, a trigger that is set takes
//! the place of the default, and so the end of the window is easily forgotten. Here that loses
//! nothing, but it may come late: to have a trigger beside the default, say
//! [`OnWatermark.with_early(…)`](OnWatermark::with_early).

mod after_event_time;
mod after_processing_time;
mod all;
mod any;
mod on_count;
mod on_every_record;
mod on_final;
mod on_watermark;
mod once;
mod staged;

pub use after_event_time::AfterEventTime;
pub use after_processing_time::AfterProcessingTime;
pub use all::{All, Both};
pub use any::Any;
pub use on_count::OnCount;
pub use on_every_record::OnEveryRecord;
pub use on_final::OnFinal;
pub use on_watermark::OnWatermark;
pub use once::{Once, Until};
pub use staged::{Staged, Stages};

use millstream_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::TimeWindow;
use crate::state::State;

/// When a window of one key is told of. A plain value: what it keeps for each key and window is its
/// [`State`](Trigger::State).
///
/// It sets no timers. Whoever asks it also asks, behind each call, [when](Trigger::next) it wants
/// to be asked again; so triggers can be put together, and their timers are no state of their own.
///
/// What is in a window is never lost by a trigger: when the window is given up, because the
/// watermark has passed its end and the allowed lateness or because the input has ended, whatever
/// has come since it was last told of is told then. And nothing is told twice without a change, but
/// for the result on time, which says that the window is complete.
pub trait Trigger: Clone + Send + 'static {
    /// What is kept for each key and window.
    type State: State + Default;

    /// Whether it decides by window and watermark alone, and so for all keys of a window alike.
    /// Nothing is then kept for each key, and it is asked when a record comes and when the window
    /// is complete, whatever [`next`](Trigger::next) says.
    const BY_WINDOW: bool = false;

    /// Whether it looks at the clock, which to read costs each record something. If not, a
    /// [`Moment`] does not say what the clock does.
    const BY_CLOCK: bool = true;

    /// A record of the window has come, and is in it.
    fn on_record(&self, state: &mut Self::State, record: Timestamp, at: Moment) -> TriggerResult;

    /// Time has got on, to or beyond what [`next`](Trigger::next) asked for.
    fn on_time(&self, state: &mut Self::State, at: Moment) -> TriggerResult;

    /// When it wants to be asked again. Only what lies ahead counts; that the window is complete is
    /// told without asking.
    fn next(&self, state: &Self::State, window: TimeWindow) -> NextTime;

    /// The window has been told of, because of this trigger or for another reason.
    fn on_fired(&self, state: &mut Self::State) {
        let _ = state;
    }

    /// Two windows have become one, as sessions do.
    fn merge(&self, state: &mut Self::State, other: Self::State);

    /// This or another: a window is told of when one of the two says so.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// let soon = OnCount::of(1000).or(AfterProcessingTime::of(Duration::from_secs(5)));
    /// let soon_and_on_time = OnWatermark.with_early(soon);
    /// # let _ = soon_and_on_time;
    /// ```
    #[must_use]
    fn or<B: Trigger>(self, other: B) -> Any<Self, B> {
        Any(self, other)
    }

    /// This and another: a window is told of when both have said so since it last was.
    #[must_use]
    fn and<B: Trigger>(self, other: B) -> All<Self, B> {
        All(self, other)
    }

    /// This, but only once for each key and window.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// let first_impression = OnWatermark.with_early(OnCount::of(10).once());
    /// # let _ = first_impression;
    /// ```
    #[must_use]
    fn once(self) -> Once<Self> {
        Once(self)
    }
}

/// Where a window stands in time when its trigger is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The window; that of all times, where it is not bounded by time.
    pub window: TimeWindow,
    /// How far event time has come.
    pub watermark: Timestamp,
    /// What the clock says; it never goes back. [`Timestamp::MIN`] for a trigger that does not
    /// [look](Trigger::BY_CLOCK) at it.
    pub clock: Timestamp,
}

/// What a trigger decides.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum TriggerResult {
    /// The window waits.
    #[default]
    Continue,
    /// The window is told of, and goes on as its [`Accumulation`](super::Accumulation) says.
    Fire,
    /// The window is told of, and what is in it is given up.
    FireAndPurge,
}

/// When a trigger wants to be asked again, if at all: at the first of the two that comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextTime {
    /// When the watermark has reached this.
    pub watermark: Option<Timestamp>,
    /// When the clock has reached this.
    pub clock: Option<Timestamp>,
}

impl NextTime {
    /// The earlier of two, by event time and by the clock.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let earlier = |one: Option<Timestamp>, other| one.into_iter().chain(other).min();
        Self {
            watermark: earlier(self.watermark, other.watermark),
            clock: earlier(self.clock, other.clock),
        }
    }
}
