//! The trigger of one key in one window: what it keeps, what it orders, and when it is asked again.

use millstream_engine::state::StateError;
use millstream_engine::time::Timestamp;

use super::{NEVER, Plan, Scene};
use crate::state::Codec;
use crate::window::trigger::TriggerResult;
use crate::window::{Accumulation, Firing, TimeWindow, Trigger};

/// The trigger of one key in one window, and what has been told of it.
///
/// Nothing is lost by a trigger: what has come since the window was last told of is told when it is
/// given up. And nothing is told twice without a change, but for the result on time.
#[derive(Debug)]
pub struct Watch<S> {
    trigger: S,
    /// Something has come since the window was last told of.
    fresh: bool,
    /// The window has been told of when it was complete, or one of those it was joined from.
    on_time: bool,
    /// What the trigger ordered, until it is told.
    order: TriggerResult,
    /// When there is something to do.
    pub plan: Plan,
    /// When it is given up.
    expiry: Timestamp,
}

/// That the window is to be told of.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// Why.
    pub firing: Firing,
    /// It goes on without what is in it now.
    pub begin_anew: bool,
}

impl<S: Default> Default for Watch<S> {
    fn default() -> Self {
        let (trigger, order) = (S::default(), TriggerResult::Continue);
        let plan = Plan { due: NEVER, alarm: NEVER };
        Self { trigger, fresh: false, on_time: false, order, plan, expiry: NEVER }
    }
}

impl<S> Watch<S> {
    /// A record has come into the window.
    #[inline]
    pub fn record<G, R: Trigger<State = S>>(
        &mut self,
        time: Timestamp,
        window: TimeWindow,
        scene: &Scene<'_, G, R>,
    ) -> Plan {
        self.fresh = true;
        self.order = scene.trigger.on_record(&mut self.trigger, time, scene.moment(window));
        self.make_plan(window, scene);
        if self.order != TriggerResult::Continue {
            self.plan.due = Plan::AT_ONCE;
        }
        self.plan
    }

    /// The window has taken in a later one.
    pub fn join<G, R: Trigger<State = S>>(&mut self, later: Self, scene: &Scene<'_, G, R>) {
        scene.trigger.merge(&mut self.trigger, later.trigger);
        self.fresh |= later.fresh;
        self.on_time |= later.on_time;
    }

    /// The clock has got on.
    pub fn ring<G, R: Trigger<State = S>>(&mut self, window: TimeWindow, scene: &Scene<'_, G, R>) {
        if self.plan.alarm > scene.now {
            return;
        }
        self.order = scene.trigger.on_time(&mut self.trigger, scene.moment(window));
        self.make_plan(window, scene);
        self.just_asked(scene.now);
        if self.order != TriggerResult::Continue {
            self.plan.due = Plan::AT_ONCE;
        }
    }

    /// Whether the window is to be given up.
    #[must_use]
    pub fn is_over<G, R: Trigger<State = S>>(&self, scene: &Scene<'_, G, R>) -> bool {
        scene.is_over(self.expiry)
    }

    /// What was due is done: whether the window, which holds something or not, is told of.
    pub fn look<G, R: Trigger<State = S>>(
        &mut self,
        window: TimeWindow,
        holds: bool,
        scene: &Scene<'_, G, R>,
    ) -> Option<Verdict> {
        let order = match std::mem::take(&mut self.order) {
            TriggerResult::Continue => {
                scene.trigger.on_time(&mut self.trigger, scene.moment(window))
            }
            ordered => ordered,
        };
        let ordered = order != TriggerResult::Continue;
        if ordered {
            scene.trigger.on_fired(&mut self.trigger);
        }
        self.make_plan(window, scene);
        self.just_asked(scene.now);
        let over = self.is_over(scene);
        let firing = scene.firing(window, self.on_time);
        let told =
            if ordered { self.fresh || firing == Firing::OnTime } else { over && self.fresh };
        if !told || !holds {
            return None;
        }
        self.fresh = false;
        self.on_time |= window.is_complete(scene.watermark);
        let discarding = scene.accumulation == Accumulation::Discarding;
        let begin_anew = over || discarding || order == TriggerResult::FireAndPurge;
        Some(Verdict { firing, begin_anew })
    }

    #[inline]
    fn make_plan<G, R: Trigger<State = S>>(&mut self, window: TimeWindow, scene: &Scene<'_, G, R>) {
        let next = scene.trigger.next(&self.trigger, window);
        self.expiry = scene.expiry(window.end);
        // What the watermark has reached was asked for already.
        let ahead = [next.watermark, Some(window.end)].into_iter().flatten();
        let ahead = ahead.filter(|at| *at > scene.watermark).min();
        let due = ahead.map_or(self.expiry, |at| at.min(self.expiry));
        self.plan = Plan { due, alarm: next.clock.unwrap_or(NEVER) };
    }

    /// It is not asked again at once.
    fn just_asked(&mut self, now: Timestamp) {
        if self.plan.alarm <= now {
            self.plan.alarm = NEVER;
        }
    }

    /// What the trigger keeps, whether there is anything new, and whether the window was told of on
    /// time.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) -> Result<(), StateError>
    where
        S: crate::state::State,
    {
        Codec::new().write(&self.trigger, bytes)?;
        Codec::new().write(&(self.fresh, self.on_time), bytes)
    }

    pub(crate) fn read<G, R: Trigger<State = S>>(
        bytes: &mut &[u8],
        window: TimeWindow,
        scene: &Scene<'_, G, R>,
    ) -> Result<Self, StateError>
    where
        S: crate::state::State + Default,
    {
        let trigger = Codec::new().read(bytes)?;
        let (fresh, on_time) = Codec::new().read(bytes)?;
        let mut watch = Self { trigger, fresh, on_time, ..Self::default() };
        watch.make_plan(window, scene);
        Ok(watch)
    }
}
