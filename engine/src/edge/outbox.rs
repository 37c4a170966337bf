//! What a stage has ready for one channel.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::channel::{Sender, Sent};
use super::policy::{Merge, WhenFull};
use super::terms::Terms;
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
    origin: Origin,
    /// Where the edge is not an ordinary one.
    terms: Option<Box<Terms>>,
    merge: Option<Merge<T>>,
}

/// For whom an outbox collects.
pub(crate) struct Origin {
    pub(crate) operator: Arc<str>,
    /// Counts what was dropped because nobody wanted it any more.
    pub(crate) cancelled: Arc<Counter>,
    /// How often a batch found who it was for waiting.
    pub(crate) woken: Option<Arc<Counter>>,
}

impl Origin {
    pub(crate) const fn new(operator: Arc<str>, cancelled: Arc<Counter>) -> Self {
        Self { operator, cancelled, woken: None }
    }
}

impl<T> Outbox<T> {
    /// An outbox for a channel that belongs to no edge of the graph, such as one that leads out of
    /// the job. `operator` is who complains when the receiver goes away without a word.
    #[must_use]
    pub fn to(sender: Sender<T>, operator: Arc<str>) -> Self {
        Self::from(sender, Origin::new(operator, Arc::default()), None)
    }

    pub(crate) fn from(sender: Sender<T>, origin: Origin, weight: Option<Weight<T>>) -> Self {
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
            origin,
            terms: None,
            merge: None,
        }
    }

    /// The same, on terms of its own. `merge` is for those by which records become one.
    pub(crate) fn on_terms(self, terms: Option<Terms>, merge: Option<Merge<T>>) -> Self {
        Self { terms: terms.map(Box::new), merge, ..self }
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
        if let Some(terms) = &self.terms
            && matches!(terms.when_full, WhenFull::Conflate { .. })
            && self.carry.is_none()
            && self.batch.records.len() > self.sender.batch_limit()
        {
            // What waits is sent, if there is room by now, without the one that came last.
            self.carry = self.batch.records.pop().map(|record| {
                let bytes = self.weight.as_ref().map_or(0, |weight| weight(&record.value));
                self.bytes = self.bytes.saturating_sub(bytes);
                (record, bytes)
            });
        }
        if self.is_filled() || self.is_due() { self.try_send() } else { Flow::More }
    }

    /// Whether no more belongs into this batch.
    fn is_filled(&self) -> bool {
        self.batch.records.len() >= self.sender.batch_limit()
            || self.carry.is_some()
            || self.bytes >= self.sender.bytes_limit()
    }

    /// Whether what is here has to be sent before anything else is taken.
    fn is_due(&self) -> bool {
        (self.is_filled() && !self.terms.as_ref().is_some_and(|terms| terms.is_merging()))
            || self.batch.barrier.is_some()
            || self.batch.end
    }

    fn try_send(&mut self) -> Flow {
        let Self { sender, batch, bytes, terms, .. } = self;
        let sent = match terms {
            None => sender.try_send(batch, *bytes),
            Some(terms) => terms.guarded(|| sender.try_send(batch, *bytes)),
        };
        self.settle(sent)
    }

    fn settle(&mut self, sent: Sent) -> Flow {
        match sent {
            Sent::Sent => {
                self.idle_sent = self.batch.idle;
                self.bytes = 0;
                if self.sender.take_woke()
                    && let Some(woken) = &self.origin.woken
                {
                    woken.add(1);
                }
                if let Some(terms) = &mut self.terms {
                    terms.sent();
                }
                if let Some((record, bytes)) = self.carry.take() {
                    self.batch.records.push(record);
                    self.bytes = bytes;
                }
                Flow::More
            }
            Sent::Full if self.terms.is_some() => self.relent(),
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

    /// There is no room, and the terms say what is to be done about it.
    #[cold]
    fn relent(&mut self) -> Flow {
        let Some(terms) = &mut self.terms else {
            return Flow::Stop;
        };
        let capacity = self.sender.capacity();
        match terms.when_full {
            WhenFull::Block | WhenFull::Disconnect(_) => Flow::Stop,
            WhenFull::Fail if !self.batch.records.is_empty() => {
                terms.fail(capacity);
                Flow::Stop
            }
            WhenFull::Conflate { .. } if !self.batch.records.is_empty() => self.conflate(),
            policy => self.squeeze(policy),
        }
    }

    /// Sends what has to go, in spite of everything.
    fn squeeze(&mut self, policy: WhenFull) -> Flow {
        let Self { sender, batch, bytes, terms, .. } = self;
        let sent = match terms {
            None => sender.squeeze(batch, *bytes, policy),
            Some(terms) => terms.guarded(|| sender.squeeze(batch, *bytes, policy)),
        };
        self.settle(sent)
    }

    /// Makes one record of all that wait here. It stands before their watermarks, which it can't be
    /// late for.
    fn conflate(&mut self) -> Flow {
        let Some(terms) = &mut self.terms else {
            return Flow::Stop;
        };
        let records = &mut self.batch.records;
        if let Some((carried, _)) = self.carry.take() {
            records.push(carried);
        }
        let absorbed = terms.merged(records.len());
        match &self.merge {
            Some(merge) => terms.guarded(|| merge(records)),
            None => records.truncate(1),
        }
        let stuck = terms.is_at_most();
        self.sender.lose(absorbed as u64);
        if let Some((weight, record)) = self.weight.as_ref().zip(records.first()) {
            self.bytes = weight(&record.value);
        }
        if let Some(mark) = self.batch.marks.pop() {
            self.batch.marks.clear();
            self.batch.mark(mark.watermark);
        }
        if self.batch.barrier.is_some() || self.batch.end {
            // Control goes on, with what belongs before it.
            return if stuck { Flow::Stop } else { self.squeeze(WhenFull::Block) };
        }
        if stuck { Flow::Stop } else { Flow::More }
    }

    /// Lets go of a consumer that was given enough time.
    fn cut_off(&mut self, after: std::time::Duration) {
        if let Some(terms) = &mut self.terms {
            terms.cut = true;
            terms.say_cut(after);
        }
        self.sender.cut();
        self.finished = true;
        self.attention = 1;
        self.discard();
    }

    /// As [`Sender::poll_send`], on the outbox's terms.
    #[cold]
    fn poll_send_on_terms(&mut self, cx: &mut Context<'_>) -> Poll<Sent> {
        let Self { sender, batch, bytes, terms, .. } = self;
        let Some(terms) = terms else {
            return sender.poll_send(cx, batch, *bytes);
        };
        let policy = terms.when_full;
        if policy.is_lossy() || policy == WhenFull::Fail {
            return Poll::Ready(terms.guarded(|| sender.try_send(batch, *bytes)));
        }
        let sent = terms.guarded(|| sender.poll_send(cx, batch, *bytes));
        if sent.is_pending()
            && let WhenFull::Disconnect(after) = policy
            && terms.poll_patience(cx, after).is_ready()
        {
            self.cut_off(after);
            return Poll::Ready(Sent::Finished);
        }
        sent
    }

    /// Ready when one more record would not have to wait.
    pub(super) fn poll_room(&mut self, cx: Option<&Context<'_>>) -> Poll<()> {
        if self.finished || self.failed {
            return Poll::Ready(());
        }
        if self.is_due() { Poll::Pending } else { self.sender.poll_room(cx) }
    }

    /// How long a record that is pushed now would wait: see [`Sender::wait_ahead`].
    pub(super) fn wait_ahead(&self) -> usize {
        self.batch.records.len() + self.sender.wait_ahead()
    }

    fn has_failed(&self) -> bool {
        self.terms.as_ref().is_some_and(|terms| terms.has_failed())
    }

    /// Drops what nobody wants any more, and counts it.
    fn discard(&mut self) {
        let carried = usize::from(self.carry.take().is_some());
        let records = (self.batch.records.len() + carried) as u64;
        if self.terms.as_ref().is_some_and(|terms| terms.cut) {
            self.sender.lose(records);
        } else {
            self.origin.cancelled.add(records);
        }
        self.batch.records.clear();
        self.batch.marks.clear();
        self.batch.barrier = None;
        self.batch.end = false;
        self.bytes = 0;
    }

    /// Counts records that were not even pushed, because nobody here wants any more.
    pub(super) fn cancel(&self, records: usize) {
        if self.terms.as_ref().is_some_and(|terms| terms.cut) {
            self.sender.lose(records as u64);
        } else {
            self.origin.cancelled.add(records as u64);
        }
    }

    /// How many records it takes at once: up to the one that has to be looked at more closely.
    pub(super) fn room(&self) -> usize {
        self.attention.saturating_sub(self.batch.records.len()).max(1)
    }

    /// As a push of every record of `batch`, of which there is [room](Outbox::room) for no more,
    /// and the watermarks among them.
    pub(super) fn take(&mut self, batch: &mut Batch<T>) -> Flow {
        let grows = !batch.records.is_empty();
        self.batch.append(batch);
        self.look(grows)
    }

    /// As [`take`](Outbox::take), of clones.
    pub(super) fn take_clone(&mut self, batch: &Batch<T>) -> Flow
    where
        T: Clone,
    {
        self.batch.append_clone(batch);
        self.look(!batch.records.is_empty())
    }

    fn look(&mut self, grown: bool) -> Flow {
        let full = grown && self.batch.records.len() >= self.attention;
        if full { self.attend() } else { Flow::More }
    }

    fn poll_deliver(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        loop {
            if self.failed {
                return Poll::Ready(Err(Error::disconnected(&self.origin.operator)));
            }
            if let Some(terms) = &mut self.terms
                && let Some(error) = terms.take_failure()
            {
                return Poll::Ready(Err(error));
            }
            // Behind the end nothing is sent, and nobody is listened to.
            if self.finished || (self.ended && self.batch.is_empty()) {
                return Poll::Ready(Ok(()));
            }
            let waiting = !self.batch.is_empty() || self.batch.idle != self.idle_sent;
            let sent = if self.is_due() || (flush == Flush::All && waiting) {
                if self.terms.is_some() {
                    self.poll_send_on_terms(cx)
                } else {
                    self.sender.poll_send(cx, &mut self.batch, self.bytes)
                }
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
            return run_each(self, batch, limit, spare, Self::push);
        }
        // Nothing to do a record at a time: a stage without operators, or one that only joins.
        self.take(batch)
    }

    fn collecting(&mut self) -> Option<(&mut Vec<Record<T>>, usize)> {
        let room = self.sender.batch_limit().checked_sub(self.batch.records.len())?;
        // Weighed, or wanted by nobody: each record has to be looked at.
        let plain = room > 0 && self.weight.is_none() && !self.finished && self.terms.is_none();
        plain.then_some((&mut self.batch.records, room))
    }

    fn collected(&mut self) -> Flow {
        if self.is_filled() { self.try_send() } else { Flow::More }
    }

    fn resume(&mut self) -> Flow {
        if self.failed || self.has_failed() || (!self.finished && self.is_due()) {
            Flow::Stop
        } else {
            Flow::More
        }
    }

    fn watermark(&mut self, watermark: Timestamp) -> Flow {
        if !self.finished {
            self.batch.mark(watermark);
        }
        Flow::More
    }

    fn idle(&mut self, idle: bool) -> Flow {
        self.batch.idle = idle;
        Flow::More
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
        let failure = self.terms.as_mut().and_then(|terms| terms.take_failure());
        failure.or_else(|| {
            std::mem::take(&mut self.failed).then(|| Error::disconnected(&self.origin.operator))
        })
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
        !self.finished && (self.is_due() || self.has_failed())
    }

    fn watermark(&mut self, watermark: Timestamp) {
        let (Flow::More | Flow::Stop) = Tail::watermark(self, watermark);
    }

    fn idle(&mut self, idle: bool) {
        let (Flow::More | Flow::Stop) = Tail::idle(self, idle);
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
