//! The counters themselves: written by one task, read by anybody.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

use super::drops::{DropCounters, DropReason, Drops};
use super::{Activity, Doing, Histogram, InstanceMetrics};
use crate::time::{Instant, Timestamp};

/// In builds of the bench that asks what counting costs, and in no other, nothing is counted and
/// nobody knows how a stage spends its time.
pub(crate) const UNCOUNTED: bool = cfg!(millstream_uncounted);

/// A count with one writer, so that adding needs no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the count. Only one task may do so.
    #[inline]
    pub fn add(&self, by: u64) {
        if UNCOUNTED {
            return;
        }
        self.0.store(self.0.load(Relaxed).wrapping_add(by), Relaxed);
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
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
    /// Keys whose state was given up to make room for others.
    pub evicted_keys: Counter,
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
    /// Records that the head gave.
    pub(crate) given: Counter,
    /// Of those given: dropped before the first operator, because nobody wanted any more.
    pub(crate) unwanted: Counter,
    /// Records dropped on the way out, because whoever they were for had enough.
    pub(crate) cancelled: std::sync::Arc<Counter>,
    pub(crate) batches: Counter,
    /// How often a batch on its way out found who it was for waiting.
    pub(crate) woken: std::sync::Arc<Counter>,
    pub(crate) activity: Activity,
    /// How long the kernel had a record, by the mean of each slice.
    pub(crate) running: Histogram,
    pub(crate) watermark: WatermarkGauge,
    pub(crate) started: AtomicBool,
    pub(crate) finished: AtomicBool,
    /// It failed, and the job goes on without it.
    pub(crate) failed: AtomicBool,
}

impl StageCounters {
    /// What the instance is doing.
    pub(crate) fn now(&self, now: Instant) -> InstanceMetrics {
        let doing = self.activity.doing();
        let over = self.finished.load(Relaxed) || self.failed.load(Relaxed);
        let live = self.started.load(Relaxed) && !over;
        InstanceMetrics {
            doing,
            age: self.activity.age(now),
            at: self.activity.at(),
            records_in: self.records_in.get(),
            pending: live
                && !matches!(doing, Doing::Nothing | Doing::AwaitsInput | Doing::AwaitsDemand),
            live: live && doing != Doing::Nothing,
        }
    }
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
        if UNCOUNTED {
            return;
        }
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
    pub(crate) ended: AtomicBool,
    /// Whether it is not read before others have come to the same barrier.
    pub(crate) held: AtomicBool,
}
