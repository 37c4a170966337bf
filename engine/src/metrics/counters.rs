//! The counters themselves: written by one task, read by anybody.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::drops::{DropCounters, DropReason, Drops};
use crate::time::{Instant, Timestamp};

/// A count with one writer, so that adding needs no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the count. Only one task may do so.
    #[inline]
    pub fn add(&self, by: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(by), Relaxed);
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How finely a run counts: a type, so that what isn't counted costs nothing.
pub trait Counting: Send + 'static {
    /// Whether each operator counts what it filters out and what it adds.
    const BY_OPERATOR: bool;
}

/// Counts at the ends of each stage only.
#[derive(Clone, Copy, Debug)]
pub struct ByStage;

/// Counts at every operator.
#[derive(Clone, Copy, Debug)]
pub struct ByOperator;

impl Counting for ByStage {
    const BY_OPERATOR: bool = false;
}

impl Counting for ByOperator {
    const BY_OPERATOR: bool = true;
}

/// What one instance of an operator counts.
#[derive(Debug, Default)]
pub struct OperatorCounters {
    /// Records taken and not passed on. Counted by operator only.
    pub filtered: Counter,
    /// Records emitted beyond one for each taken. Counted by operator only.
    pub added: Counter,
    /// Errors that user code returned.
    pub errors: Counter,
    /// Attempts made again after an error.
    pub retries: Counter,
    /// Records that a sink has written. What a source has read, its stage counts.
    pub delivered: Counter,
    drops: DropCounters,
}

impl OperatorCounters {
    /// Counts records that go no further, and why. A record that one of an operator's own hooks
    /// takes and does not emit is also among `filtered`, which is counted for it. Only the task
    /// that runs the operator, source or sink may call this.
    pub fn dropped(&self, reason: DropReason, records: u64) {
        self.drops.add(reason, records);
    }

    /// What has been dropped.
    #[must_use]
    pub fn drops(&self) -> Drops {
        self.drops.read()
    }
}

/// What one instance of a stage counts.
#[derive(Debug, Default)]
pub(crate) struct StageCounters {
    /// Records taken by the first operator.
    pub(crate) records_in: Counter,
    /// Records dropped on the way out, because whoever they were for had enough.
    pub(crate) cancelled: std::sync::Arc<Counter>,
    pub(crate) batches: Counter,
    pub(crate) activity: Activity,
    pub(crate) watermark: WatermarkGauge,
    pub(crate) started: AtomicBool,
    pub(crate) finished: AtomicBool,
}

/// The last watermark seen somewhere.
#[derive(Debug)]
pub(crate) struct WatermarkGauge(AtomicI64);

impl Default for WatermarkGauge {
    fn default() -> Self {
        Self(AtomicI64::new(Timestamp::MIN.as_millis()))
    }
}

impl WatermarkGauge {
    pub(crate) fn set(&self, watermark: Timestamp) {
        self.0.store(watermark.as_millis(), Relaxed);
    }

    pub(crate) fn get(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Relaxed))
    }
}

/// What is known about one channel into an instance.
#[derive(Debug, Default)]
pub(crate) struct InputGauge {
    pub(crate) watermark: WatermarkGauge,
    /// Whether it holds nobody's watermark back: idle, or ended.
    pub(crate) idle: AtomicBool,
}

/// How an instance spends its time. Written when that changes, and readable meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    state: AtomicU8,
    since: AtomicU64,
    busy: AtomicU64,
    idle: AtomicU64,
    blocked: AtomicU64,
}

pub(crate) const BUSY: u8 = 1;
pub(crate) const IDLE: u8 = 2;
pub(crate) const BLOCKED: u8 = 3;

fn nanos(at: Instant) -> u64 {
    u64::try_from(at.since_start().as_nanos()).unwrap_or(u64::MAX)
}

impl Activity {
    pub(crate) fn enter(&self, state: u8, now: Instant) {
        let before = self.state.load(Relaxed);
        if before == state {
            return;
        }
        let now = nanos(now);
        let spent = now.saturating_sub(self.since.load(Relaxed));
        if let Some(total) = self.total(before) {
            total.store(total.load(Relaxed).wrapping_add(spent), Relaxed);
        }
        self.since.store(now, Relaxed);
        self.state.store(state, Relaxed);
    }

    fn total(&self, state: u8) -> Option<&AtomicU64> {
        match state {
            BUSY => Some(&self.busy),
            IDLE => Some(&self.idle),
            BLOCKED => Some(&self.blocked),
            _ => None,
        }
    }

    pub(crate) fn state(&self) -> u8 {
        self.state.load(Relaxed)
    }

    /// Time spent busy, idle and blocked, up to `now`.
    pub(crate) fn read(&self, now: Instant) -> [Duration; 3] {
        let state = self.state.load(Relaxed);
        let running = nanos(now).saturating_sub(self.since.load(Relaxed));
        [(BUSY, &self.busy), (IDLE, &self.idle), (BLOCKED, &self.blocked)].map(|(which, total)| {
            let current = if which == state { running } else { 0 };
            Duration::from_nanos(total.load(Relaxed).wrapping_add(current))
        })
    }
}
