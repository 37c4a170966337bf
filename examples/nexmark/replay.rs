//! The source: events out of memory, as fast as they are taken or at the pace of their times.

use std::vec;

use millstream::prelude::*;
use millstream::source::{OneShot, Source, SourceBatch, SourceContext, SourceStatus};
use millstream::time::{Clock, Instant};

use crate::model::Event;

/// Hands over events that are in memory, without a copy, so once only.
pub(crate) struct Replay {
    events: vec::IntoIter<Event>,
    paced: bool,
    clock: Option<Clock>,
}

impl Replay {
    /// As fast as they are taken.
    pub(crate) fn at_once(events: Vec<Event>) -> OneShot<Self> {
        OneShot::new(Self { events: events.into_iter(), paced: false, clock: None })
    }

    /// Each when the job's clock shows its time.
    pub(crate) fn paced(events: Vec<Event>) -> OneShot<Self> {
        OneShot::new(Self { events: events.into_iter(), paced: true, clock: None })
    }
}

impl Source for Replay {
    type Item = Event;

    async fn open(&mut self, context: &SourceContext) -> Result<(), OperatorError> {
        self.clock = Some(context.clock.clone());
        Ok(())
    }

    async fn next(&mut self, out: &mut SourceBatch<Event>) -> Result<SourceStatus, OperatorError> {
        if let Some(clock) = self.clock.as_ref().filter(|_| self.paced) {
            let Some(first) = self.events.as_slice().first().map(Event::time) else {
                return Ok(SourceStatus::End);
            };
            clock.sleep_until(shows(clock, first)).await;
            let now = self.events.as_slice().iter().take_while(|event| event.time() == first);
            let now = now.count().min(out.room());
            out.fill(&mut self.events.by_ref().take(now));
            return Ok(SourceStatus::More);
        }
        Ok(if out.fill(&mut self.events) { SourceStatus::End } else { SourceStatus::More })
    }
}

/// When the clock shows `time`.
fn shows(clock: &Clock, time: Timestamp) -> Instant {
    let missing = time.as_millis().saturating_sub(clock.timestamp().as_millis());
    clock.now() + std::time::Duration::from_millis(missing.try_into().unwrap_or(0))
}
