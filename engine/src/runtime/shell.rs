//! What a stage keeps besides its head, its kernel and the batch between them: how much it may do
//! at once, what it counts, and what it waits for. It knows no type of records.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::time::Duration;

use super::StageEnd;
use super::times::Times;
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
    Wait(Doing),
    Finished,
}

/// What went through the kernel between two looks at the clock.
struct Slice {
    before: Instant,
    taken: usize,
    /// One batch alone was as long as a slice may be.
    whole: bool,
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
    /// The last slice, if nothing has been learned from it.
    ran: Option<Slice>,
    /// It lets those that share its task go on, and not the rest of the runtime.
    shares: bool,
    /// When its polls begin and end, for a task that it shares.
    times: Option<Arc<Times>>,
    timer: Option<(Instant, Sleep)>,
    requeues: usize,
}

impl Shell {
    pub(super) const fn new(
        clock: Clock,
        counters: Arc<StageCounters>,
        end: Arc<StageEnd>,
    ) -> Self {
        let (steps, slice, ran) = (STEPS_MAX, SLICE_START, None);
        let (shares, times, timer, requeues) = (false, None, None, 0);
        Self { clock, counters, end, steps, slice, ran, shares, times, timer, requeues }
    }

    /// Lets a poll do so much: so many steps, and so many records in the first slice.
    pub(super) const fn limit(&mut self, steps: usize, slice: usize) {
        (self.steps, self.slice) = (steps, slice);
    }

    /// The stage shares its task. The first one lets those behind it go on after a few batches.
    pub(super) fn share(&mut self, times: Arc<Times>, first: bool) {
        self.times = Some(times);
        if first {
            (self.steps, self.shares) = (STEPS_SHARING, true);
        }
    }

    /// Whether records are so slow, or so little is known of them, that it is worth knowing which
    /// operator is at work.
    pub(super) const fn is_slow(&self) -> bool {
        self.slice <= SLICE_START
    }

    /// So many records have been taken of a batch, in the slice that goes on since the clock was
    /// last read, `before` it if this begins it.
    pub(super) fn ran(&mut self, before: Instant, taken: usize) {
        let slice = self.ran.get_or_insert(Slice { before, taken: 0, whole: false });
        slice.taken += taken;
        slice.whole = taken == self.slice;
    }

    /// How many records the slice that goes on may still take.
    pub(super) fn room(&self) -> usize {
        self.slice.saturating_sub(self.ran.as_ref().map_or(0, |slice| slice.taken))
    }

    /// Reads the clock, and learns from the last slice.
    pub(super) fn now(&mut self) -> Instant {
        let now = self.clock.now();
        if let Some(slice) = self.ran.take() {
            self.learn(&slice, now);
        }
        now
    }

    /// Learns from a slice that ended `now`, how many records to give the kernel the next time.
    fn learn(&mut self, slice: &Slice, now: Instant) {
        let (taken, spent) = (slice.taken, now.saturating_since(slice.before));
        self.counters.running.record_mean(spent, taken as u64);
        if spent > SLICE_MAX {
            let affordable = taken as u128 * SLICE_MAX.as_nanos() / spent.as_nanos().max(1);
            self.slice = usize::try_from(affordable).unwrap_or(usize::MAX).max(1);
        } else if slice.whole && spent < SLICE_MAX / 2 {
            // Only a whole slice says that more would have been good: small batches, however many,
            // must not teach it to swallow a large one of slow records.
            self.slice = self.slice.saturating_mul(2);
        }
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
        let given = self.times.as_ref().and_then(|times| times.begin());
        let now = given.unwrap_or_else(|| self.clock.now());
        self.counters.activity.work(now);
        now
    }

    /// Ends a poll because the stage waits.
    pub(super) fn rest(&mut self, waits: Doing) {
        let now = self.now();
        let moved = self.counters.records_in.get() + self.counters.batches.get();
        self.counters.activity.wait(waits, now, moved);
        self.tell(now);
    }

    /// Ends a poll at `now`, for who shares the task.
    fn tell(&self, now: Instant) {
        if let Some(times) = &self.times {
            times.end(now);
        }
    }

    /// Ends the stage.
    pub(super) fn finish(&self) {
        self.counters.finished.store(true, Relaxed);
        self.end.finish();
    }

    /// Ends a poll that is long enough at `now`. If it `woke` the stage behind, that one waits on
    /// this worker, where no other can fetch it: so this stage is what another worker may go on
    /// with, and the two get to work side by side.
    pub(super) fn let_others_run(&mut self, cx: &mut Context<'_>, now: Instant, woke: bool) {
        self.tell(now);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Latency;
    use crate::time::VirtualClock;

    fn shell() -> (Shell, VirtualClock) {
        let clock = VirtualClock::new();
        (Shell::new(clock.clock(), Arc::default(), Arc::default()), clock)
    }

    #[test]
    fn small_batches_are_one_slice_and_do_not_teach_it_to_take_more() {
        let (mut shell, _clock) = shell();
        let before = shell.now();
        for left in [SLICE_START / 2, 0] {
            shell.ran(before, SLICE_START / 2);
            assert_eq!(shell.room(), left);
        }
        shell.now();
        assert_eq!((shell.slice, shell.room()), (SLICE_START, SLICE_START));
        shell.ran(before, SLICE_START);
        shell.now();
        assert_eq!(shell.slice, 2 * SLICE_START, "one that was as long as may be says more");
    }

    #[test]
    fn a_slice_that_took_too_long_is_cut_however_many_batches_it_was() {
        let (mut shell, clock) = shell();
        shell.slice = 1_000;
        let before = shell.now();
        shell.ran(before, 300);
        shell.ran(before, 300);
        clock.advance(2 * SLICE_MAX);
        shell.now();
        assert_eq!(shell.slice, 300);
        let mut counted = Latency::default();
        shell.counters.running.read(&mut counted);
        assert_eq!(counted.count(), 600);
    }
}
