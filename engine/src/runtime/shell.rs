//! What a stage keeps besides its head, its kernel and the batch between them: how much it may do
//! at once, what it counts, and what it waits for. It knows no type of records.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::time::Duration;

use super::StageEnd;
use crate::metrics::{Doing, StageCounters};
use crate::time::{Clock, Instant, Sleep};

/// How long one poll may last before the stage lets others run. tokio looks at timers and sockets
/// between polls only.
pub(super) const POLL_MAX: Duration = Duration::from_micros(200);
/// The same in steps, for a clock that stands still.
const STEPS_MAX: usize = 1024;
/// The steps of a stage that shares its task with those behind it before they have their turn: some
/// two batches, so that what it hands them is still in the cache.
const STEPS_SHARING: usize = 4;
/// How often in a row a stage may be queued again at once, before it lets the runtime look at its
/// timers and sockets.
const REQUEUES_MAX: usize = 4;
/// How long one uninterrupted run through the kernel should last at most.
const SLICE_MAX: Duration = Duration::from_micros(100);
/// How many records the first slice has, when nothing is known of their cost.
const SLICE_START: usize = 8;

/// What comes of a step.
pub(super) enum Step {
    Again,
    /// As `Again`, by one who has just read the clock, or done nothing since.
    AgainAt(Instant),
    Wait(Doing),
    Finished,
}

/// What a stage keeps whatever its records are.
pub(super) struct Shell {
    pub(super) clock: Clock,
    pub(super) counters: Arc<StageCounters>,
    end: Arc<StageEnd>,
    /// The steps that a poll may take.
    pub(super) steps: usize,
    /// The records that the next slice may take.
    pub(super) slice: usize,
    /// It lets those that share its task go on, and not the rest of the runtime.
    shares: bool,
    timer: Option<(Instant, Sleep)>,
    requeues: usize,
}

impl Shell {
    pub(super) const fn new(
        clock: Clock,
        counters: Arc<StageCounters>,
        end: Arc<StageEnd>,
    ) -> Self {
        let (steps, slice, shares) = (STEPS_MAX, SLICE_START, false);
        Self { clock, counters, end, steps, slice, shares, timer: None, requeues: 0 }
    }

    /// Lets a poll do so much: so many steps, and so many records in the first slice.
    pub(super) const fn limit(&mut self, steps: usize, slice: usize) {
        (self.steps, self.slice) = (steps, slice);
    }

    /// The stage shares its task with those behind it, and lets them go on after a few batches.
    pub(super) const fn share(&mut self) {
        (self.steps, self.shares) = (STEPS_SHARING, true);
    }

    /// Whether records are so slow, or so little is known of them, that it is worth knowing which
    /// operator is at work.
    pub(super) const fn is_slow(&self) -> bool {
        self.slice <= SLICE_START
    }

    /// Learns from a slice that was begun at `before`, in which `taken` records were taken, how
    /// many to give the kernel the next time. Tells what time it is.
    pub(super) fn learn(&mut self, before: Instant, taken: usize) -> Instant {
        let after = self.clock.now();
        let spent = after.saturating_since(before);
        self.counters.running.record_mean(spent, taken as u64);
        if spent > SLICE_MAX {
            let affordable = taken as u128 * SLICE_MAX.as_nanos() / spent.as_nanos().max(1);
            self.slice = usize::try_from(affordable).unwrap_or(usize::MAX).max(1);
        } else if taken == self.slice && spent < SLICE_MAX / 2 {
            // Only a whole slice says that more would have been good: small batches, however many,
            // must not teach it to swallow a large one of slow records.
            self.slice = self.slice.saturating_mul(2);
        }
        after
    }

    /// Waits, if there is a timer until it is `due`.
    pub(super) fn wait(
        &mut self,
        cx: &mut Context<'_>,
        due: Option<Instant>,
        waits: Doing,
    ) -> Step {
        let Some(due) = due else {
            return Step::Wait(waits);
        };
        let timer = match self.timer.take() {
            Some(timer) if timer.0 == due => timer,
            _ => (due, self.clock.sleep_until(due)),
        };
        let (_, sleep) = self.timer.insert(timer);
        if Pin::new(sleep).poll(cx).is_ready() {
            self.timer = None;
            return Step::Again;
        }
        Step::Wait(waits)
    }

    /// Begins a poll. Tells what time it is.
    pub(super) fn begin(&self) -> Instant {
        let now = self.clock.now();
        self.counters.activity.work(now);
        now
    }

    /// Ends a poll because the stage waits.
    pub(super) fn rest(&self, waits: Doing) {
        let moved = self.counters.records_in.get() + self.counters.batches.get();
        self.counters.activity.wait(waits, self.clock.now(), moved);
    }

    /// Ends the stage.
    pub(super) fn finish(&self) {
        self.counters.finished.store(true, Relaxed);
        self.end.finish();
    }

    /// Ends a poll that is long enough. If it `woke` the stage behind, that one waits on this
    /// worker, where no other can fetch it: so this stage is what another worker may go on with,
    /// and the two get to work side by side.
    pub(super) fn let_others_run(&mut self, cx: &mut Context<'_>, woke: bool) {
        if self.shares {
            return cx.waker().wake_by_ref();
        }
        if woke && self.requeues < REQUEUES_MAX {
            self.requeues += 1;
            return super::spawn::requeue(cx);
        }
        self.requeues = 0;
        super::spawn::yield_now(cx);
    }
}
