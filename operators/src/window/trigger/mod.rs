//! Triggers: when windows are told of.

mod on_watermark;

pub use on_watermark::OnWatermark;

use millstream_engine::time::Timestamp;

use super::TimeWindow;
use crate::state::State;

/// When a window of one key is told of. A plain value: what it keeps for each key and window is its
/// [`State`](Trigger::State).
///
/// It sets no timers. Whoever asks it also asks, behind each call, [when](Trigger::next) it wants to
/// be asked again; so triggers can be put together, and their timers are no state of their own.
///
/// What is in a window is never lost by a trigger: when the window is given up, because the
/// watermark has passed its end and the allowed lateness or because the input has ended, whatever
/// has come since it was last told of is told then. And nothing is told twice without a change, but
/// for the result on time, which says that the window is complete.
pub trait Trigger: Clone + Send + 'static {
    /// What is kept for each key and window.
    type State: State + Default;

    /// Whether it decides by window and watermark alone, and so for all keys of a window alike.
    /// Nothing is then kept for each key, and it is asked when a record comes and when the window is
    /// complete, whatever [`next`](Trigger::next) says.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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
