//! `and`: a window is told of when two triggers have said so.

use millstream_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Moment, NextTime, Trigger, TriggerResult};
use crate::window::TimeWindow;

/// Two triggers, both of which have to have said so since a window was last told of. Made by
/// [`Trigger::and`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct All<A, B>(pub(super) A, pub(super) B);

/// What [`All`] keeps: what its triggers do, and what they have said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Both<A, B> {
    first: A,
    second: B,
    said: (TriggerResult, TriggerResult),
}

impl<A, B> Both<A, B> {
    fn say(&mut self, first: TriggerResult, second: TriggerResult) -> TriggerResult {
        let before = self.said;
        self.said = (before.0.max(first), before.1.max(second));
        match self.said {
            (TriggerResult::Continue, _) | (_, TriggerResult::Continue) => TriggerResult::Continue,
            (first, second) => first.max(second),
        }
    }
}

impl<A: Trigger, B: Trigger> Trigger for All<A, B> {
    type State = Both<A::State, B::State>;
    const BY_CLOCK: bool = A::BY_CLOCK || B::BY_CLOCK;

    fn on_record(&self, state: &mut Self::State, record: Timestamp, at: Moment) -> TriggerResult {
        let first = self.0.on_record(&mut state.first, record, at);
        let second = self.1.on_record(&mut state.second, record, at);
        state.say(first, second)
    }

    fn on_time(&self, state: &mut Self::State, at: Moment) -> TriggerResult {
        let first = self.0.on_time(&mut state.first, at);
        let second = self.1.on_time(&mut state.second, at);
        state.say(first, second)
    }

    fn next(&self, state: &Self::State, window: TimeWindow) -> NextTime {
        self.0.next(&state.first, window).or(self.1.next(&state.second, window))
    }

    fn on_fired(&self, state: &mut Self::State) {
        self.0.on_fired(&mut state.first);
        self.1.on_fired(&mut state.second);
        state.said = Default::default();
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        self.0.merge(&mut state.first, other.first);
        self.1.merge(&mut state.second, other.second);
        state.said = (state.said.0.max(other.said.0), state.said.1.max(other.said.1));
    }
}
