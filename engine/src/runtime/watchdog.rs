//! The watchdog of a job: says so when a stage has work and gets nowhere with it.

use std::time::Duration;

use crate::metrics::Registry;
use crate::time::{Clock, Instant, Sleep};

const CHECK_MIN: Duration = Duration::from_millis(10);

/// Looks for stages that stand still, every so often.
#[derive(Debug)]
pub(super) struct Watchdog {
    after: Duration,
    due: Instant,
    /// The stages that it has warned of, and that have not got on since.
    warned: Vec<usize>,
}

impl Watchdog {
    pub(super) fn new(after: Duration, now: Instant) -> Self {
        let mut watchdog = Self { after, due: now, warned: Vec::new() };
        watchdog.put_off(now);
        watchdog
    }

    fn put_off(&mut self, now: Instant) {
        self.due = now + (self.after / 4).max(CHECK_MIN);
    }

    /// Until it wants to look again.
    pub(super) fn wait(&self, clock: &Clock) -> Sleep {
        clock.sleep_until(self.due)
    }

    pub(super) fn look(&mut self, registry: &Registry) {
        self.put_off(registry.clock.now());
        let metrics = registry.snapshot();
        let stages = metrics.stages.iter().enumerate();
        let stalled = stages.filter(|(_, stage)| stage.stalled() >= self.after);
        let stalled: Vec<_> = stalled.map(|(index, _)| index).collect();
        if stalled.iter().any(|stage| !self.warned.contains(stage)) {
            tracing::warn!(explanation = %metrics.explain(), "stalled");
        } else if stalled.is_empty() && !self.warned.is_empty() {
            tracing::info!("gets on again");
        }
        self.warned = stalled;
    }
}
