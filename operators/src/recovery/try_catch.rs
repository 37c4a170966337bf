//! `try_catch`: records that fail anywhere in a section, as a stream of their own.

use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use millstream_engine::batch::{Barrier, Batch};
use millstream_engine::chain::{Chain, Via};
use millstream_engine::edge::Outbox;
use millstream_engine::graph::{EdgeOptions, OperatorId, Port, Role};
use millstream_engine::metrics::DropReason;
use millstream_engine::operator::{Operator, SideOutput};
use millstream_engine::runtime::{Run, Seat};
use millstream_engine::tail::{Flow, Flush, Tail, Way};
use millstream_engine::time::{Clock, Instant, Timestamp};
use millstream_engine::{Error, Record};

use crate::DataStream;

impl<T: Clone + Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// A section of the stream in which an error does not fail the job: the record on which any of
    /// its operators returned one goes, as it came into the section, to the second stream, and
    /// never to the first. `name` is the section's, in the path of what was caught and in metrics.
    ///
    /// It is for operators that handle one record at a time. A record stands for all its outputs:
    /// those that it had already emitted when it failed stay, those after that are left out, and
    /// it is caught once. What fails without a record, at a watermark, a timer of its own or the
    /// end, fails the job; so does an error behind the section, and a panic, after which nobody
    /// knows the state of the operator: [`supervise`](DataStream::supervise) one that may panic.
    ///
    /// The section is fused with what is around it, and has no boundary in it: what makes one does
    /// not compile. Each record is cloned on its way in. Both streams backpressure, keep their
    /// order and event times, and end with the input. If nobody wants the second one any more, what
    /// is caught is dropped, and counted as every other.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("halves");
    /// let words = flow.source("words", source::from_iter(["8", "eight", "7"]));
    /// let (halves, caught) = words.try_catch("decode", |section| {
    ///     let numbers = section.try_map(OnError::fail(), |word| word.parse::<u32>());
    ///     let even = |n: &u32| if n % 2 == 0 { Ok(n / 2) } else { Err(std::fmt::Error) };
    ///     numbers.named("parse").try_map(OnError::fail(), even).named("halve")
    /// });
    /// let halves = halves.collect();
    /// let paths = caught.map(|caught| (caught.value, caught.path)).collect();
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(halves), Some(vec![4]));
    /// let expected = [("eight", "decode/parse"), ("7", "decode/halve")];
    /// let expected = expected.map(|(value, path)| (value, path.to_owned()));
    /// assert_eq!(report.take(paths), Some(expected.to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// ```compile_fail
    /// # use millstream_operators::prelude::*;
    /// # let flow = Dataflow::new("cut");
    /// let words = flow.source("words", source::from_iter(["8"]));
    /// let (halves, caught) = words.try_catch("decode", |section| section.boundary());
    /// ```
    pub fn try_catch<U, S>(
        self,
        name: &str,
        section: impl FnOnce(DataStream<T, Entry<C>>) -> DataStream<U, S>,
    ) -> (DataStream<U, Exit<S>>, DataStream<Caught<T>>)
    where
        U: Send + 'static,
        S: Section<Item = U>,
    {
        let (flow, chain, mut draft) = self.into_parts();
        let blueprint = flow.blueprint();
        let id = blueprint.add_operator(Role::Operator, "try_catch", Some(name));
        draft.operators.push(id);
        let edge = blueprint.add_edge::<Caught<T>>(name, EdgeOptions::default());
        let port = blueprint.connect(edge, id);
        let caught = DataStream::behind(flow.clone(), edge, 1, "caught");
        let handover = Handover::default();
        let entry = Entry { chain, id, port, handover: handover.clone() };
        let section = section(DataStream::from_parts(flow, entry, draft));
        let (flow, chain, draft) = section.into_parts();
        (DataStream::from_parts(flow, Exit { chain, handover }, draft), caught)
    }
}

/// A record that failed in a [`try_catch`](DataStream::try_catch), and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Caught<T> {
    /// The value, as it came into the section.
    pub value: T,
    /// What the operator returned.
    pub error: Arc<dyn StdError + Send + Sync>,
    /// The name of the operator that failed.
    pub operator: Arc<str>,
    /// Where that is: the name of the section and of the operator, with a slash between.
    pub path: String,
    /// When it was caught, by the job's clock.
    pub time: Timestamp,
    /// When it happened: also the event time of this record.
    pub event_time: Timestamp,
}

impl<T> fmt::Display for Caught<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` failed: {}", self.path, self.error)
    }
}

/// A chain that stays within one stage from the entry of a `try_catch` on, so that every error in
/// it belongs to the record that is being handled.
#[diagnostic::on_unimplemented(
    message = "a `try_catch` can't contain what makes a boundary",
    note = "`boundary`, `parallel`, `boxed`, shuffles and what waits on its own belong outside"
)]
pub trait Section: Chain {}

impl<T: Clone + Send + 'static, C: Chain<Item = T>> Section for Entry<C> {}

impl<S: Section, O: Operator<S::Item>> Section for Via<S, O> {}

impl<S: Section> Section for Exit<S> {}

/// What the two ends of a section share in one instance of one run.
#[derive(Debug, Default)]
struct Gate {
    /// An error that was asked for came from behind the section.
    beyond: AtomicBool,
    /// The record at hand has failed: what else comes of it goes no further.
    failed: AtomicBool,
}

/// How the end of a section, which is built first, gives the gate to the beginning.
#[derive(Clone, Debug, Default)]
struct Handover(Arc<Mutex<Option<Arc<Gate>>>>);

impl Handover {
    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Gate>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The beginning of a section.
#[derive(Debug)]
pub struct Entry<C> {
    chain: C,
    id: OperatorId,
    port: Port,
    handover: Handover,
}

impl<T: Clone + Send + 'static, C: Chain<Item = T>> Chain for Entry<C> {
    type Item = T;
    const ALONE: bool = C::ALONE;

    fn finish<N: Tail<T> + 'static>(
        &self,
        run: &mut Run<'_>,
        instance: usize,
        next: N,
    ) -> Result<(), Error> {
        let seat = run.seat(self.id, instance);
        let caught = run.outboxes(self.port, instance).into_iter().next();
        let gate = self.handover.slot().take().unwrap_or_default();
        let clock = run.clock();
        let tail = EntryTail { next, caught, gate, seat, clock, current: None, error: None };
        self.chain.finish(run, instance, tail)
    }
}

/// The end of a section.
#[derive(Debug)]
pub struct Exit<S> {
    chain: S,
    handover: Handover,
}

impl<S: Section> Chain for Exit<S> {
    type Item = S::Item;
    const ALONE: bool = S::ALONE;

    fn finish<N: Tail<S::Item> + 'static>(
        &self,
        run: &mut Run<'_>,
        instance: usize,
        next: N,
    ) -> Result<(), Error> {
        let gate = Arc::new(Gate::default());
        *self.handover.slot() = Some(Arc::clone(&gate));
        self.chain.finish(run, instance, ExitTail { next, gate })
    }
}

/// The running beginning of a section: what is behind it is the section and all the rest.
pub struct EntryTail<T, N> {
    next: N,
    caught: Option<Outbox<Caught<T>>>,
    gate: Arc<Gate>,
    seat: Seat,
    clock: Clock,
    /// The record at hand, while something of it is pending.
    current: Option<Record<T>>,
    error: Option<Error>,
}

impl<T: Clone + Send, N: Tail<T>> EntryTail<T, N> {
    /// Goes on from what a call behind here has answered.
    fn settle(&mut self, answer: Flow) -> Flow {
        let mut answer = answer;
        while answer == Flow::Stop {
            let Some(error) = self.next.take_error() else {
                return Flow::Stop;
            };
            if let Some(error) = self.catch(error) {
                self.error = Some(error);
                return Flow::Stop;
            }
            answer = self.next.resume();
        }
        self.current = None;
        self.gate.failed.store(false, Relaxed);
        if self.is_full() { Flow::Stop } else { Flow::More }
    }

    /// Sends the record at hand to those that were caught. The error comes back if it has to fail
    /// the job.
    #[cold]
    fn catch(&mut self, error: Error) -> Option<Error> {
        let known = self.gate.failed.load(Relaxed);
        // Of this error only: an outer section may go on after it.
        if self.gate.beyond.swap(false, Relaxed) || (self.current.is_none() && !known) {
            return Some(error);
        }
        let (Some(caught), Some(record)) = (&mut self.caught, self.current.take()) else {
            // It has been caught before, and fails once more on its way out; or nobody is there.
            return if known { None } else { Some(error) };
        };
        self.gate.failed.store(true, Relaxed);
        let counters = self.seat.counters();
        counters.dropped(DropReason::DeadLetter, 1);
        let count = counters.drops().of(DropReason::DeadLetter);
        // Every one is counted; a log that grows with their logarithm can't fill a disk.
        if count.is_power_of_two() {
            tracing::warn!(section = %self.seat.name(), %error, count, "caught");
        }
        let operator = Arc::from(error.operator_name().unwrap_or("?"));
        let caught_record = Caught {
            value: record.value,
            path: format!("{}/{operator}", self.seat.name()),
            operator,
            error: error.shared_cause().unwrap_or_else(|| Arc::new(error)),
            time: self.clock.timestamp(),
            event_time: record.time,
        };
        // Whether there is room for another one is looked at where this is settled.
        let (Flow::More | Flow::Stop) = caught.push(Record::at(caught_record, record.time));
        None
    }

    /// Pushes one of the ways, and keeps the original of what stopped it.
    #[inline]
    fn push_by(&mut self, record: Record<T>, push: impl Fn(&mut N, Record<T>) -> Flow) -> Flow {
        let copy = record.clone();
        if push(&mut self.next, record) == Flow::More {
            return Flow::More;
        }
        self.current = Some(copy);
        self.settle(Flow::Stop)
    }

    fn is_full(&self) -> bool {
        self.caught.as_ref().is_some_and(SideOutput::is_full)
    }
}

impl<T: Clone + Send, N: Tail<T>> Tail<T> for EntryTail<T, N> {
    #[inline]
    fn push(&mut self, record: Record<T>) -> Flow {
        self.push_by(record, N::push)
    }

    #[inline]
    fn push_counted(&mut self, record: Record<T>) -> Flow {
        self.push_by(record, N::push_counted)
    }

    fn push_apart(&mut self, record: Record<T>) -> Flow {
        self.push_by(record, N::push_apart)
    }

    #[inline]
    fn run(&mut self, batch: &mut Batch<T>, limit: usize, spare: &mut Vec<Record<T>>) -> Flow {
        self.run_along(batch, limit, spare)
    }

    fn way(&self) -> Way {
        self.next.way()
    }

    fn resume(&mut self) -> Flow {
        if self.error.is_some() || self.is_full() {
            return Flow::Stop;
        }
        let answer = self.next.resume();
        self.settle(answer)
    }

    fn watermark(&mut self, watermark: Timestamp) -> Flow {
        if let Some(caught) = &mut self.caught {
            SideOutput::watermark(caught, watermark);
        }
        let answer = self.next.watermark(watermark);
        self.settle(answer)
    }

    fn idle(&mut self, idle: bool) -> Flow {
        if let Some(caught) = &mut self.caught {
            SideOutput::idle(caught, idle);
        }
        let answer = self.next.idle(idle);
        self.settle(answer)
    }

    fn timer(&mut self, now: Instant) -> Flow {
        match self.next.timer(now) {
            // That says nothing of what else is pending: `resume` will, and until then it belongs
            // to the record at hand.
            Flow::More => Flow::More,
            Flow::Stop => self.settle(Flow::Stop),
        }
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
        if let Some(caught) = &mut self.caught {
            SideOutput::barrier(caught, barrier);
        }
        let answer = self.next.barrier(barrier);
        self.settle(answer)
    }

    fn end(&mut self) -> Flow {
        if let Some(caught) = &mut self.caught {
            SideOutput::end(caught);
        }
        let answer = self.next.end();
        self.settle(answer)
    }

    fn done(&self) -> bool {
        self.next.done()
    }

    fn take_error(&mut self) -> Option<Error> {
        self.error.take().or_else(|| self.next.take_error())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
        let main = self.next.poll_flush(cx, flush)?;
        if let Some(caught) = &mut self.caught {
            ready!(SideOutput::poll_flush(caught, cx, flush))?;
        }
        main.map(Ok)
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

impl<T, N> fmt::Debug for EntryTail<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryTail").field("section", &self.seat.name()).finish_non_exhaustive()
    }
}

/// The running end of a section: what is behind it is outside.
#[derive(Debug)]
pub struct ExitTail<N> {
    next: N,
    gate: Arc<Gate>,
}

impl<N> ExitTail<N> {
    /// Pushes one of the ways, unless the section has failed: then it is on its way out.
    #[inline]
    fn push_by<T>(&mut self, record: Record<T>, push: impl Fn(&mut N, Record<T>) -> Flow) -> Flow {
        if self.gate.failed.load(Relaxed) {
            return Flow::More;
        }
        push(&mut self.next, record)
    }
}

impl<T, N: Tail<T>> Tail<T> for ExitTail<N> {
    #[inline]
    fn push(&mut self, record: Record<T>) -> Flow {
        self.push_by(record, N::push)
    }

    #[inline]
    fn push_counted(&mut self, record: Record<T>) -> Flow {
        self.push_by(record, N::push_counted)
    }

    fn push_apart(&mut self, record: Record<T>) -> Flow {
        self.push_by(record, N::push_apart)
    }

    #[inline]
    fn run(&mut self, batch: &mut Batch<T>, limit: usize, spare: &mut Vec<Record<T>>) -> Flow {
        self.run_along(batch, limit, spare)
    }

    fn way(&self) -> Way {
        self.next.way()
    }

    fn resume(&mut self) -> Flow {
        self.next.resume()
    }

    fn watermark(&mut self, watermark: Timestamp) -> Flow {
        self.next.watermark(watermark)
    }

    fn idle(&mut self, idle: bool) -> Flow {
        self.next.idle(idle)
    }

    fn timer(&mut self, now: Instant) -> Flow {
        self.next.timer(now)
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
        self.next.barrier(barrier)
    }

    fn end(&mut self) -> Flow {
        self.next.end()
    }

    fn done(&self) -> bool {
        self.next.done()
    }

    fn take_error(&mut self) -> Option<Error> {
        let error = self.next.take_error();
        if error.is_some() {
            self.gate.beyond.store(true, Relaxed);
        }
        error
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, flush: Flush) -> Poll<Result<(), Error>> {
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
