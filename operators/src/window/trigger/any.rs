//! `or`: a window is told of when one of two triggers says so.

use millstream_engine::time::Timestamp;

use super::{Moment, NextTime, Trigger, TriggerResult};
use crate::window::TimeWindow;

/// Two triggers, of which each may have a window told of. Made by [`Trigger::or`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Any<A, B>(pub(super) A, pub(super) B);

impl<A: Trigger, B: Trigger> Trigger for Any<A, B> {
    type State = (A::State, B::State);
    const BY_WINDOW: bool = A::BY_WINDOW && B::BY_WINDOW;
    const BY_CLOCK: bool = A::BY_CLOCK || B::BY_CLOCK;

    #[inline]
    fn on_record(&self, state: &mut Self::State, record: Timestamp, at: Moment) -> TriggerResult {
        let first = self.0.on_record(&mut state.0, record, at);
        first.max(self.1.on_record(&mut state.1, record, at))
    }

    #[inline]
    fn on_time(&self, state: &mut Self::State, at: Moment) -> TriggerResult {
        self.0.on_time(&mut state.0, at).max(self.1.on_time(&mut state.1, at))
    }

    #[inline]
    fn next(&self, state: &Self::State, window: TimeWindow) -> NextTime {
        self.0.next(&state.0, window).or(self.1.next(&state.1, window))
    }

    #[inline]
    fn on_fired(&self, state: &mut Self::State) {
        self.0.on_fired(&mut state.0);
        self.1.on_fired(&mut state.1);
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        self.0.merge(&mut state.0, other.0);
        self.1.merge(&mut state.1, other.1);
    }
}
