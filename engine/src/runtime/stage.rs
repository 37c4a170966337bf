//! The shell around a stage's kernel: takes a batch, runs the kernel, flushes, waits.
//!
//! It is a state machine of plain functions and no `async fn`, so that the loop over a batch is
//! never compiled into a future, and it is generic over the record type alone, not over the chain.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::Head;
use super::shell::{POLL_MAX, Shell, Step};
use super::times::Times;
use crate::batch::Batch;
use crate::error::Error;
use crate::metrics::Doing;
use crate::record::Record;
use crate::tail::{Flow, Flush, Pulled, Tail};
use crate::time::Instant;

/// How many batches more may be run before the clock is read.
const UNTIMED_MAX: usize = 4;

/// A stage whose record type is forgotten.
pub(super) trait RunnableStage: Send {
    /// Ready when the stage has come to its end, or failed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>>;

    /// How much the next poll may do: so many steps, and so many records in the first slice.
    fn limit(&mut self, steps: usize, slice: usize);

    /// It shares its task with others, which gives it the time and takes it. The first of them lets
    /// those behind it go on after a few batches.
    fn share(&mut self, times: Arc<Times>, first: bool);

    /// After a panic in `poll`: saves what had been counted until then.
    fn publish(&mut self);
}

/// A head, a kernel, and what lies between them.
pub(super) struct Stage<T> {
    head: Box<dyn Head<T>>,
    kernel: Box<dyn Tail<T>>,
    shell: Shell,
    batch: Batch<T>,
    spare: Vec<Record<T>>,
    /// How many records the batch had when the kernel was given it.
    offered: usize,
    /// Of a kernel that reads for itself: how many records at most and how many are a batch,
    /// whether the head has given it leave to, which is good for one slice, and what has been read
    /// and not counted yet.
    leave: usize,
    batch_records: usize,
    may_pull: bool,
    pulled: Pulled,
    /// How many batches the last step has read, which are as good as steps.
    read: usize,
    /// Whether operators say when they are at work.
    watching: bool,
    /// Somebody behind the stage has asked for records.
    wanted: bool,
    /// The kernel answered a stop, and has not answered `More` since.
    stopped: bool,
    /// The head's last idle flag that the kernel knows of.
    idle: bool,
    /// The kernel wants no more, and the head knows.
    enough: bool,
    /// The kernel has been told of the end.
    ending: bool,
}

impl<T> Stage<T> {
    pub(super) fn new(head: Box<dyn Head<T>>, kernel: Box<dyn Tail<T>>, shell: Shell) -> Self {
        Self {
            head,
            kernel,
            shell,
            batch: Batch::new(),
            spare: Vec::new(),
            offered: 0,
            leave: 0,
            batch_records: 1,
            may_pull: false,
            pulled: Pulled::default(),
            read: 0,
            watching: false,
            wanted: false,
            stopped: false,
            idle: false,
            enough: false,
            ending: false,
        }
    }

    /// Lets the kernel read up to `records` for itself whenever the head gives a batch, and takes
    /// as many as `batch_records` of them for one.
    pub(super) const fn pulling(mut self, records: usize, batch_records: usize) -> Self {
        (self.leave, self.batch_records) = (records, batch_records);
        self
    }

    fn step(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Step, Error> {
        if !self.wanted {
            if self.kernel.poll_wanted(cx).is_pending() {
                return Ok(Step::Wait(Doing::AwaitsDemand));
            }
            self.wanted = true;
            // Perhaps what is wanted is the end: then nothing has to be read for it.
            let (Poll::Ready(()) | Poll::Pending) = self.kernel.poll_flush(cx, Flush::All)?;
        }
        if self.stopped {
            return self.relieve(cx, now);
        }
        if self.kernel.next_timer().is_some_and(|due| due <= now) {
            self.stopped = self.kernel.timer(now) == Flow::Stop;
            return Ok(Step::Again);
        }
        // A flush may have heard it: then an operator may hold output that nobody wants, and must
        // not get a record on top of that.
        self.look_for_enough();
        if !self.batch.is_spent() || self.may_pull {
            return self.run_slices(cx, now);
        }
        if !self.ending && self.batch.idle != self.idle {
            self.idle = self.batch.idle;
            self.stopped = self.kernel.idle(self.idle) == Flow::Stop;
            if self.stopped {
                return Ok(Step::Again);
            }
        }
        if let Some(barrier) = self.batch.barrier.take() {
            self.stopped = self.kernel.barrier(barrier) == Flow::Stop;
            return Ok(Step::Again);
        }
        if std::mem::take(&mut self.batch.end) {
            self.begin_end();
            return Ok(Step::Again);
        }
        if self.ending {
            return match self.kernel.poll_flush(cx, Flush::All)? {
                Poll::Ready(()) => Ok(Step::Finished),
                Poll::Pending => Ok(Step::Wait(Doing::AwaitsRoom)),
            };
        }
        self.next_batch(cx, now)
    }

    /// Runs the kernel over part of the batch. How much to give it the next time is learned when
    /// the clock is read.
    fn run_slice(&mut self, before: Instant) {
        self.offered = self.batch.records.len();
        let slow = self.shell.is_slow();
        if slow != self.watching {
            self.watching = slow;
            self.kernel.watch(slow);
        }
        let last_mark = self.batch.marks.last().map(|mark| mark.watermark);
        let flow = if std::mem::take(&mut self.may_pull) {
            self.kernel.pull(self.shell.slice.min(self.leave), &mut self.pulled)
        } else {
            self.kernel.run(&mut self.batch, self.shell.slice, &mut self.spare)
        };
        self.stopped = flow == Flow::Stop;
        let taken = self.count_taken();
        if let Some(watermark) = last_mark.filter(|_| self.batch.marks.is_empty()) {
            self.shell.counters.watermark.set(watermark);
        }
        self.shell.ran(before, taken);
    }

    /// Counts what the kernel has taken of the batch it was given, or read.
    fn count_taken(&mut self) -> usize {
        let left = self.batch.records.len() + self.spare.len();
        let pulled = std::mem::take(&mut self.pulled);
        self.batch.end |= pulled.ended;
        self.read += pulled.records / self.batch_records;
        self.shell.counters.given.add(pulled.records as u64);
        let taken = std::mem::take(&mut self.offered).saturating_sub(left) + pulled.records;
        self.shell.counters.records_in.add(taken as u64);
        taken
    }

    /// After a stop: asks why, and does something about it.
    fn relieve(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Step, Error> {
        if let Some(error) = self.kernel.take_error() {
            return Err(error);
        }
        self.look_for_enough();
        if self.kernel.poll_flush(cx, Flush::Room)?.is_pending() {
            if self.has_enough() {
                return Ok(Step::Again);
            }
            self.progress(cx)?;
            return Ok(Step::Wait(Doing::AwaitsRoom));
        }
        if self.kernel.waiting() {
            // Not for room but for a timer: what is out there should not wait with it.
            let (Poll::Ready(()) | Poll::Pending) = self.kernel.poll_flush(cx, Flush::All)?;
            // A flush looks outside as well. What it has been told there it is not told again, so
            // nobody but us would notice.
            if !self.kernel.waiting() || self.has_enough() {
                return Ok(Step::Again);
            }
            if self.kernel.next_timer().is_none_or(|due| due > now) {
                self.progress(cx)?;
                self.shell.counters.activity.work_at(self.kernel.holder());
                return Ok(self.wait_for_timer(cx, Doing::AwaitsItself));
            }
            // Whether what was held back behind the timer is out is for `resume` to say.
            let (Flow::More | Flow::Stop) = self.kernel.timer(now);
            return Ok(Step::Again);
        }
        self.stopped = self.kernel.resume() == Flow::Stop;
        Ok(Step::Again)
    }

    /// Moves on what the head has in flight: it must not stand still because nobody asks for it.
    fn progress(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        if self.wanted && !self.enough && !self.ending {
            return self.head.poll_progress(cx);
        }
        Ok(())
    }

    /// Whether the kernel wants no more, which nobody has been told.
    fn has_enough(&self) -> bool {
        !self.enough && !self.ending && self.kernel.done()
    }

    /// If the kernel wants no more, tells the head, and lets go of what it has handed over.
    fn look_for_enough(&mut self) {
        if !self.has_enough() {
            return;
        }
        // What comes behind the operator that has enough may still be busy. The end waits for
        // that, as it does for everything else.
        self.enough = true;
        self.head.finish();
        self.shell.counters.unwanted.add(self.batch.records.len() as u64);
        self.may_pull = false;
        let (end, idle) = (true, self.idle);
        self.batch = Batch { end, idle, ..Batch::new() };
    }

    /// Tells the kernel that nothing more comes, and whoever feeds the stage that nothing more is
    /// wanted.
    fn begin_end(&mut self) {
        self.ending = true;
        self.head.finish();
        self.batch = Batch::new();
        self.stopped = self.kernel.end() == Flow::Stop;
    }

    fn next_batch(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Step, Error> {
        if !self.fetch(cx)? {
            return self.rest(cx);
        }
        let records = self.may_pull || !self.batch.is_spent();
        if records && !self.stopped && self.head.is_quick() {
            return self.run_slices(cx, now);
        }
        Ok(Step::Again)
    }

    /// Runs a slice, and looks for what comes next if that takes no time: a few small batches are
    /// one slice. Where nothing comes the stage rests, and one look at the clock ends both the
    /// slice and the poll.
    fn run_slices(&mut self, cx: &mut Context<'_>, before: Instant) -> Result<Step, Error> {
        loop {
            self.run_slice(before);
            let more = self.may_pull || self.ending || !self.batch.is_used_up(self.idle);
            if more || self.stopped || !self.head.is_quick() || self.has_enough() {
                return Ok(Step::Again);
            }
            if !self.fetch(cx)? {
                return self.rest(cx);
            }
            let next = self.batch.records.len();
            if next == 0 || next > self.shell.room() || self.stopped || self.read >= UNTIMED_MAX {
                return Ok(Step::Again);
            }
            self.read += 1;
        }
    }

    /// Takes the next batch from the head, if there is one.
    fn fetch(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let records = std::mem::take(&mut self.batch.records);
        if records.capacity() > 0 {
            self.head.recycle(records);
        }
        let Poll::Ready(batch) = self.head.poll_next(cx)? else {
            return Ok(false);
        };
        self.may_pull = self.leave > 0 && !batch.end;
        self.batch = batch;
        self.shell.counters.batches.add(1);
        self.shell.counters.given.add(self.batch.records.len() as u64);
        if self.idle && (!self.batch.is_spent() || self.may_pull) {
            // Before the first record, or an edge that fills up midway carries them on as those of
            // an idle input.
            self.idle = false;
            self.stopped = self.kernel.idle(false) == Flow::Stop;
        }
        Ok(true)
    }

    /// Hands over what there is, and waits for more.
    fn rest(&mut self, cx: &mut Context<'_>) -> Result<Step, Error> {
        let flushed = self.kernel.poll_flush(cx, Flush::All)?;
        if self.kernel.done() {
            return Ok(Step::Again);
        }
        let waits = match flushed {
            // It has nothing to do, and yet what it has is not all out.
            Poll::Pending => Doing::AwaitsRoom,
            Poll::Ready(()) if self.head.in_flight() => Doing::AwaitsItself,
            Poll::Ready(()) => Doing::AwaitsInput,
        };
        Ok(self.wait_for_timer(cx, waits))
    }

    fn wait_for_timer(&mut self, cx: &mut Context<'_>, waits: Doing) -> Step {
        self.shell.wait(cx, self.kernel.next_timer(), waits)
    }
}

impl<T: Send> RunnableStage for Stage<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let started = self.shell.begin();
        if let Err(error) = self.progress(cx) {
            self.kernel.publish();
            return Poll::Ready(Err(error));
        }
        let woken = self.shell.counters.woken.get();
        let enough = started + POLL_MAX;
        let mut now = started;
        let mut steps = self.shell.steps;
        self.read = 0;
        while steps > 0 {
            now = match self.step(cx, now) {
                Ok(Step::Again) => self.shell.now(),
                Ok(Step::Wait(waits)) => {
                    self.kernel.publish();
                    self.shell.rest(waits);
                    return Poll::Pending;
                }
                Ok(Step::Finished) => {
                    self.kernel.publish();
                    self.shell.finish();
                    return Poll::Ready(Ok(()));
                }
                Err(error) => {
                    self.kernel.publish();
                    return Poll::Ready(Err(error));
                }
            };
            steps = steps.saturating_sub(1 + std::mem::take(&mut self.read));
            if now >= enough {
                break;
            }
        }
        self.kernel.publish();
        let woke = self.shell.counters.woken.get() != woken;
        self.shell.let_others_run(cx, now, woke);
        Poll::Pending
    }

    fn limit(&mut self, steps: usize, slice: usize) {
        self.shell.limit(steps, slice);
    }

    fn share(&mut self, times: Arc<Times>, first: bool) {
        self.shell.share(times, first);
    }

    fn publish(&mut self) {
        self.count_taken();
        self.kernel.publish();
    }
}
