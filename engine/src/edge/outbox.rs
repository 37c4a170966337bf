//! What a stage has ready for one channel.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::channel::{Sender, Sent};
use crate::batch::{Barrier, Batch};
use crate::error::Error;
use crate::metrics::Counter;
use crate::operator::SideOutput;
use crate::record::Record;
use crate::tail::{Flow, Flush, Tail, run_each};
use crate::time::{Instant, Timestamp};

/// How heavy a record is, in bytes.
pub(crate) type Weight<T> = Arc<dyn Fn(&T) -> usize + Send + Sync>;

/// Collects records for one channel and sends them a batch at a time: a full batch at once, from
/// inside the stage's loop, and a partial one when the stage has nothing else to do.
pub struct Outbox<T> {
    batch: Batch<T>,
    bytes: usize,
    /// From how many records on a push has to look closer.
    attention: usize,
    sender: Sender<T>,
    weight: Option<Weight<T>>,
    /// A record that would have made the batch too heavy: the first of the next one.
    carry: Option<(Record<T>, usize)>,
    idle_sent: bool,
    ended: bool,
    finished: bool,
    failed: bool,
    operator: Arc<str>,
    cancelled: Arc<Counter>,
}

impl<T> Outbox<T> {
    /// An outbox for a channel that belongs to no edge of the graph, such as one that leads out of
    /// the job. `operator` is who complains when the receiver goes away without a word.
    #[must_use]
    pub fn to(sender: Sender<T>, operator: Arc<str>) -> Self {
        Self::new(sender, None, operator, Arc::default())
    }

    pub(crate) fn new(
        sender: Sender<T>,
        weight: Option<Weight<T>>,
        operator: Arc<str>,
        cancelled: Arc<Counter>,
    ) -> Self {
        let attention = if weight.is_some() { 1 } else { sender.batch_limit() };
        Self {
            batch: Batch::new(),
            bytes: 0,
            attention,
            sender,
            weight,
            carry: None,
            idle_sent: false,
            ended: false,
            finished: false,
            failed: false,
            operator,
            cancelled,
        }
    }

    /// Looks at a record that was just pushed, where that is not known to be needless.
    #[cold]
    fn attend(&mut self) -> Flow {
        if self.finished {
            self.discard();
            return Flow::More;
        }
        if let Some(weight) = &self.weight
            && let Some(last) = self.batch.records.last()
        {
            let bytes = weight(&last.value);
            let too_heavy = self.bytes.saturating_add(bytes) > self.sender.bytes_limit();
            if too_heavy && self.batch.records.len() > 1 {
                self.carry = self.batch.records.pop().map(|record| (record, bytes));
            } else {
                self.bytes = self.bytes.saturating_add(bytes);
            }
        }
        if self.is_due() { self.try_send() } else { Flow::More }
    }

    /// Whether what is here has to be sent before anything else is taken.
    fn is_due(&self) -> bool {
        self.batch.records.len() >= self.sender.batch_limit()
            || self.carry.is_some()
            || self.bytes >= self.sender.bytes_limit()
            || self.batch.barrier.is_some()
            || self.batch.end
    }

    fn try_send(&mut self) -> Flow {
        let sent = self.sender.try_send(&mut self.batch, self.bytes);
        self.settle(sent)
    }

    fn settle(&mut self, sent: Sent) -> Flow {
        match sent {
            Sent::Sent => {
                self.idle_sent = self.batch.idle;
                self.bytes = 0;
                if let Some((record, bytes)) = self.carry.take() {
                    self.batch.records.push(record);
                    self.bytes = bytes;
                }
                Flow::More
            }
            Sent::Full => Flow::Stop,
            Sent::Finished => {
                self.finished = true;
                self.attention = 1;
                self.discard();
                Flow::Stop
            }
            Sent::Failed => {
                self.failed = true;
                Flow::Stop
            }
        }
    }

    /// Drops what nobody wants any more, and counts it.
    fn discard(&mut self) {
        let carried = usize::from(self.carry.take().is_some());
        self.cancelled.add((self.batch.records.len() + carried) as u64);
        self.batch.records.clear();
        self.batch.marks.clear();
        self.batch.barrier = None;
        self.batch.end = false;
        self.bytes = 0;
    }

    /// Counts a record that was not even pushed, because nobody here wants any more.
    pub(super) fn cancel_one(&self) {
        self.cancelled.add(1);
    }

    fn poll_deliver(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        loop {
            if self.failed {
                return Poll::Ready(Err(Error::disconnected(&self.operator)));
            }
            // Behind the end nothing is sent, and nobody is listened to.
            if self.finished || (self.ended && self.batch.is_empty()) {
                return Poll::Ready(Ok(()));
            }
            let waiting = !self.batch.is_empty() || self.batch.idle != self.idle_sent;
            let sent = if self.is_due() || (flush == Flush::All && waiting) {
                self.sender.poll_send(cx, &mut self.batch, self.bytes)
            } else if flush == Flush::All {
                match self.sender.poll_closed(cx) {
                    Poll::Pending => return Poll::Ready(Ok(())),
                    closed => closed,
                }
            } else {
                return Poll::Ready(Ok(()));
            };
            match sent {
                Poll::Ready(sent) => {
                    // The outcome is in `failed` and `finished`, which the next round looks at.
                    let (Flow::More | Flow::Stop) = self.settle(sent);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<T: Send> Tail<T> for Outbox<T> {
    #[inline]
    fn push(&mut self, record: Record<T>) -> Flow {
        self.batch.records.push(record);
        if self.batch.records.len() < self.attention { Flow::More } else { self.attend() }
    }

    fn run(&mut self, batch: &mut Batch<T>, limit: usize, spare: &mut Vec<Record<T>>) -> Flow {
        let whole = self.batch.records.len() + batch.records.len() <= self.sender.batch_limit();
        if self.finished || self.weight.is_some() || !whole {
            return run_each(self, batch, limit, spare);
        }
        // Nothing to do a record at a time: a stage without operators, or one that only joins.
        if self.batch.is_spent() {
            std::mem::swap(&mut self.batch.records, &mut batch.records);
            std::mem::swap(&mut self.batch.marks, &mut batch.marks);
        } else {
            self.batch.append(batch);
        }
        if self.is_due() { self.try_send() } else { Flow::More }
    }

    fn resume(&mut self) -> Flow {
        if self.failed || (!self.finished && self.is_due()) { Flow::Stop } else { Flow::More }
    }

    fn watermark(&mut self, watermark: Timestamp) -> Flow {
        if !self.finished {
            self.batch.mark(watermark);
        }
        Flow::More
    }

    fn idle(&mut self, idle: bool) {
        self.batch.idle = idle;
    }

    fn timer(&mut self, _now: Instant) -> Flow {
        Flow::More
    }

    fn next_timer(&self) -> Option<Instant> {
        None
    }

    fn waiting(&self) -> bool {
        false
    }

    fn barrier(&mut self, barrier: Barrier) -> Flow {
        if self.finished {
            return Flow::More;
        }
        debug_assert!(self.carry.is_none(), "a barrier comes when nothing is pending");
        self.batch.barrier = Some(barrier);
        self.try_send()
    }

    fn end(&mut self) -> Flow {
        if self.finished {
            return Flow::More;
        }
        debug_assert!(self.carry.is_none(), "the end comes when nothing is pending");
        self.batch.end = true;
        self.ended = true;
        // Whether it was sent or not, nothing more is coming: the last flush sees to it.
        let (Flow::More | Flow::Stop) = self.try_send();
        Flow::More
    }

    fn done(&self) -> bool {
        self.finished
    }

    fn take_error(&mut self) -> Option<Error> {
        std::mem::take(&mut self.failed).then(|| Error::disconnected(&self.operator))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        self.poll_deliver(cx, flush)
    }

    fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sender.poll_wanted(cx)
    }

    fn publish(&mut self) {}
}

impl<T: Send> SideOutput for Outbox<T> {
    fn is_full(&self) -> bool {
        !self.finished && self.is_due()
    }

    fn watermark(&mut self, watermark: Timestamp) {
        let (Flow::More | Flow::Stop) = Tail::watermark(self, watermark);
    }

    fn idle(&mut self, idle: bool) {
        Tail::idle(self, idle);
    }

    fn barrier(&mut self, barrier: Barrier) {
        let (Flow::More | Flow::Stop) = Tail::barrier(self, barrier);
    }

    fn end(&mut self) {
        let (Flow::More | Flow::Stop) = Tail::end(self);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        self.poll_deliver(cx, flush)
    }
}

impl<T> fmt::Debug for Outbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("records", &self.batch.records.len())
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}
