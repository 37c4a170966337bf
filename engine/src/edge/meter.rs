//! What a channel measures: how full it is found, how long its records wait, and how long its
//! sender waits for room.
//!
//! It is written under the channel's lock. One record at a time is timed: the first of a batch,
//! from when it is put in until it is taken out. The next begins at the earliest 16 batches later,
//! so that a clock is read rarely. It is a place in the queue and no record of its own, so it can't
//! overtake any.

use std::time::Duration;

use crate::metrics::{Histogram, Latency};
use crate::time::{Clock, Instant};

const TIMED_EVERY: u64 = 16;

/// The numbers of one channel.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Absent where nobody runs the channel for a job.
    timing: Option<Timing>,
    looks: u64,
    found: u64,
    waits: u64,
}

#[derive(Debug)]
struct Timing {
    clock: Clock,
    batches: u64,
    /// How many records had been put in before the one that is timed, and when it was.
    timed: Option<(u64, Instant)>,
    waited: Histogram,
    blocked_since: Option<Instant>,
    blocked: Duration,
}

/// What a channel has measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EdgeTimes {
    /// How often the consumer looked for records.
    pub looks: u64,
    /// The records that it found, all looks together.
    pub found: u64,
    /// How often the producer had to wait for room.
    pub waits: u64,
    /// How long it did so, this moment included.
    pub blocked: Duration,
    /// How long records waited, by a sample of them.
    pub queueing: Latency,
}

impl Meter {
    pub(super) fn timed_by(clock: Clock) -> Self {
        let timing = Timing {
            clock,
            batches: 0,
            timed: None,
            waited: Histogram::default(),
            blocked_since: None,
            blocked: Duration::ZERO,
        };
        Self { timing: Some(timing), ..Self::default() }
    }

    /// A batch goes in, behind `before` records.
    pub(super) fn put(&mut self, before: u64) {
        if let Some(timing) = &mut self.timing {
            timing.batches += 1;
            if timing.timed.is_none() && timing.batches % TIMED_EVERY == 1 {
                timing.timed = Some((before, timing.clock.now()));
            }
        }
    }

    /// The consumer looks, and finds `found` records.
    pub(super) fn look(&mut self, found: u64) {
        self.looks += 1;
        self.found += found;
    }

    /// So many records have gone out since the beginning.
    pub(super) fn took(&mut self, received: u64) {
        if let Some(timing) = &mut self.timing
            && let Some((before, put)) = timing.timed
            && received > before
        {
            timing.timed = None;
            timing.waited.record(timing.clock.now().saturating_since(put), 1);
        }
    }

    /// The sender waits for room, or does not any more.
    pub(super) fn blocked(&mut self, blocked: bool) {
        self.waits += u64::from(blocked);
        if let Some(timing) = &mut self.timing {
            let now = timing.clock.now();
            if let Some(since) = timing.blocked_since.take() {
                timing.blocked += now.saturating_since(since);
            }
            timing.blocked_since = blocked.then_some(now);
        }
    }

    pub(super) fn read(&self) -> EdgeTimes {
        let mut times = EdgeTimes {
            looks: self.looks,
            found: self.found,
            waits: self.waits,
            ..EdgeTimes::default()
        };
        if let Some(timing) = &self.timing {
            let running = timing.blocked_since.map(|at| timing.clock.now().saturating_since(at));
            times.blocked = timing.blocked + running.unwrap_or_default();
            timing.waited.read(&mut times.queueing);
        }
        times
    }
}
