//! `with_early` and `with_late`: what becomes of a window before and after the result on time.

use millstream_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Moment, NextTime, OnEveryRecord, OnFinal, OnWatermark, Trigger, TriggerResult};
use crate::window::TimeWindow;

/// A window is told of when it is complete, before that as often as one trigger says so, and after
/// that as often as another does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staged<E, L> {
    early: E,
    late: L,
}

impl OnWatermark {
    /// Early results beside the one on time: as often as `early` says so while the window is not
    /// complete.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream_operators::prelude::*;
    ///
    /// let flow = Dataflow::new("dashboard");
    /// let views = flow.source("views", source::from_iter([100, 200]));
    /// let views = views.event_time(|t| Timestamp::from_millis(*t), Watermarks::monotonic());
    /// let every_second = AfterProcessingTime::of(Duration::from_secs(1));
    /// views
    ///     .key_by(|_| ())
    ///     .window(Tumbling::of(Duration::from_secs(3600)))
    ///     .trigger(OnWatermark.with_early(every_second));
    /// ```
    #[must_use]
    pub const fn with_early<E: Trigger>(self, early: E) -> Staged<E, OnEveryRecord> {
        Staged { early, late: OnEveryRecord }
    }

    /// Late records change the result when `late` says so, and not each of them by itself: with
    /// [`OnFinal`] once, when the lateness is over.
    #[must_use]
    pub const fn with_late<L: Trigger>(self, late: L) -> Staged<OnFinal, L> {
        Staged { early: OnFinal, late }
    }
}

impl<E: Trigger, L: Trigger> Staged<E, L> {
    /// Early results as `early` says, and not as said before.
    #[must_use]
    pub fn with_early<F: Trigger>(self, early: F) -> Staged<F, L> {
        Staged { early, late: self.late }
    }

    /// Corrections as `late` says, and not as said before.
    #[must_use]
    pub fn with_late<M: Trigger>(self, late: M) -> Staged<E, M> {
        Staged { early: self.early, late }
    }
}

/// What [`Staged`] keeps: what its triggers do, and whether the result on time has been told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages<E, L> {
    early: E,
    late: L,
    /// The end of the window that was told of on time. A session may get another end.
    told: Option<i64>,
}

impl<E, L> Stages<E, L> {
    fn is_told(&self, window: TimeWindow) -> bool {
        self.told == Some(window.end.as_millis())
    }

    fn tell(&mut self, window: TimeWindow) -> TriggerResult {
        self.told = Some(window.end.as_millis());
        TriggerResult::Fire
    }
}

impl<E: Trigger, L: Trigger> Trigger for Staged<E, L> {
    type State = Stages<E::State, L::State>;
    const BY_CLOCK: bool = E::BY_CLOCK || L::BY_CLOCK;

    fn on_record(&self, state: &mut Self::State, record: Timestamp, at: Moment) -> TriggerResult {
        if !at.window.is_complete(at.watermark) {
            return self.early.on_record(&mut state.early, record, at);
        }
        if !state.is_told(at.window) {
            return state.tell(at.window);
        }
        self.late.on_record(&mut state.late, record, at)
    }

    fn on_time(&self, state: &mut Self::State, at: Moment) -> TriggerResult {
        if !at.window.is_complete(at.watermark) {
            return self.early.on_time(&mut state.early, at);
        }
        if !state.is_told(at.window) {
            return state.tell(at.window);
        }
        self.late.on_time(&mut state.late, at)
    }

    fn next(&self, state: &Self::State, window: TimeWindow) -> NextTime {
        if state.is_told(window) {
            return self.late.next(&state.late, window);
        }
        let complete = NextTime { watermark: Some(window.end), clock: None };
        self.early.next(&state.early, window).or(complete)
    }

    fn on_fired(&self, state: &mut Self::State) {
        self.early.on_fired(&mut state.early);
        self.late.on_fired(&mut state.late);
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        self.early.merge(&mut state.early, other.early);
        self.late.merge(&mut state.late, other.late);
        state.told = state.told.max(other.told);
    }
}
