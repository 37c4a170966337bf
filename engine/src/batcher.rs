//! What stands at the seam that `.boxed()` makes: it collects records, so that the virtual call
//! behind it is paid once a batch.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::batch::{Barrier, Batch};
use crate::error::Error;
use crate::graph::OperatorId;
use crate::metrics::Counter;
use crate::record::Record;
use crate::tail::{Flow, Flush, Tail};
use crate::time::{Instant, Timestamp};

/// A batch on its way into an erased tail.
pub(crate) struct Batcher<T> {
    next: Box<dyn Tail<T>>,
    batch: Batch<T>,
    spare: Vec<Record<T>>,
    limit: usize,
    cancelled: Arc<Counter>,
    /// `next` answered a stop, and has not answered `More` since.
    stopped: bool,
    /// The idle flag that `next` knows of; the batch has the one behind its records.
    idle_told: bool,
    held_barrier: Option<Barrier>,
    held_end: bool,
}

impl<T> Batcher<T> {
    /// A seam that collects up to `limit` records.
    pub(crate) const fn new(next: Box<dyn Tail<T>>, limit: usize, cancelled: Arc<Counter>) -> Self {
        Self {
            next,
            batch: Batch::new(),
            spare: Vec::new(),
            limit,
            cancelled,
            stopped: false,
            idle_told: false,
            held_barrier: None,
            held_end: false,
        }
    }

    /// Runs what has been collected, as far as there is room.
    fn forward(&mut self) -> Flow {
        if !self.stopped && self.next.done() {
            // Nobody wants it, and an operator behind here may have kept output that nobody wants
            // either: it must not get a record on top of that.
            self.cancelled.add(self.batch.records.len() as u64);
            self.batch.records.clear();
            self.batch.marks.clear();
        }
        if !self.stopped && !self.batch.is_spent() {
            let flow = self.next.run(&mut self.batch, usize::MAX, &mut self.spare);
            self.stopped = flow == Flow::Stop;
        }
        if self.stopped {
            return Flow::Stop;
        }
        if self.batch.idle != self.idle_told {
            self.idle_told = self.batch.idle;
            self.stopped = self.next.idle(self.idle_told) == Flow::Stop;
        }
        if self.stopped { Flow::Stop } else { Flow::More }
    }
}

impl<T: Send> Tail<T> for Batcher<T> {
    #[inline]
    fn push(&mut self, record: Record<T>) -> Flow {
        self.batch.records.push(record);
        if self.batch.records.len() < self.limit { Flow::More } else { self.forward() }
    }

    fn resume(&mut self) -> Flow {
        if self.stopped {
            self.stopped = self.next.resume() == Flow::Stop;
        }
        // What was collected behind a stop goes before anything that is held.
        if self.forward() == Flow::Stop {
            return Flow::Stop;
        }
        if let Some(barrier) = self.held_barrier.take() {
            self.stopped = self.next.barrier(barrier) == Flow::Stop;
        } else if self.held_end {
            self.held_end = false;
            self.stopped = self.next.end() == Flow::Stop;
        }
        if self.stopped { Flow::Stop } else { Flow::More }
    }

    fn watermark(&mut self, watermark: Timestamp) -> Flow {
        self.batch.mark(watermark);
        Flow::More
    }

    fn idle(&mut self, idle: bool) -> Flow {
        self.batch.idle = idle;
        // It must not overtake the records before it: behind here it would let the watermark go on.
        if self.batch.is_spent() { self.forward() } else { Flow::More }
    }

    fn timer(&mut self, now: Instant) -> Flow {
        if self.next.waiting() {
            // What was collected waits for this very timer, and `resume` will bring it out.
            let (Flow::More | Flow::Stop) = self.next.timer(now);
            self.stopped = true;
            return Flow::Stop;
        }
        if self.forward() == Flow::Stop {
            return Flow::Stop;
        }
        self.stopped = self.next.timer(now) == Flow::Stop;
        if self.stopped { Flow::Stop } else { Flow::More }
    }

    fn next_timer(&self) -> Option<Instant> {
        self.next.next_timer()
    }

    fn waiting(&self) -> bool {
        self.next.waiting()
    }

    fn holder(&self) -> Option<OperatorId> {
        self.next.holder()
    }

    fn barrier(&mut self, barrier: Barrier) -> Flow {
        self.held_barrier = Some(barrier);
        self.resume()
    }

    fn end(&mut self) -> Flow {
        self.held_end = true;
        self.resume()
    }

    fn done(&self) -> bool {
        self.next.done()
    }

    fn take_error(&mut self) -> Option<Error> {
        self.next.take_error()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        if flush == Flush::All {
            // The stage has nothing more to run, so what was collected must not wait here.
            while self.stopped || !self.batch.is_spent() {
                if let Some(error) = self.next.take_error() {
                    return Poll::Ready(Err(error));
                }
                if self.next.done() {
                    // A timer may bring something even behind the end, and nobody looks again.
                    let (Flow::More | Flow::Stop) = self.forward();
                    break;
                }
                if self.next.waiting() {
                    break;
                }
                if self.stopped {
                    ready!(self.next.poll_flush(cx, Flush::Room))?;
                    self.stopped = self.next.resume() == Flow::Stop;
                }
                if self.forward() == Flow::Stop {
                    continue;
                }
            }
        }
        self.next.poll_flush(cx, flush)
    }

    fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.next.poll_wanted(cx)
    }

    fn watch(&mut self, on: bool) {
        self.next.watch(on);
    }

    fn publish(&mut self) {
        self.next.publish();
    }
}
