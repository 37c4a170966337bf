//! `once`: a trigger says so only the first time.

use millstream_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Moment, NextTime, Trigger, TriggerResult};
use crate::window::TimeWindow;

/// A trigger that has each window told of once, and leaves it alone from then on. Made by
/// [`Trigger::once`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once<A>(pub(super) A);

/// What [`Once`] keeps: what its trigger does, and whether it has said so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Until<A> {
    state: A,
    done: bool,
}

impl<A> Until<A> {
    fn ask(&mut self, ask: impl FnOnce(&mut A) -> TriggerResult) -> TriggerResult {
        if self.done {
            return TriggerResult::Continue;
        }
        let said = ask(&mut self.state);
        self.done = said != TriggerResult::Continue;
        said
    }
}

impl<A: Trigger> Trigger for Once<A> {
    type State = Until<A::State>;
    const BY_CLOCK: bool = A::BY_CLOCK;

    fn on_record(&self, state: &mut Self::State, record: Timestamp, at: Moment) -> TriggerResult {
        state.ask(|state| self.0.on_record(state, record, at))
    }

    fn on_time(&self, state: &mut Self::State, at: Moment) -> TriggerResult {
        state.ask(|state| self.0.on_time(state, at))
    }

    fn next(&self, state: &Self::State, window: TimeWindow) -> NextTime {
        if state.done { NextTime::default() } else { self.0.next(&state.state, window) }
    }

    fn on_fired(&self, state: &mut Self::State) {
        self.0.on_fired(&mut state.state);
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        self.0.merge(&mut state.state, other.state);
        state.done |= other.done;
    }
}
