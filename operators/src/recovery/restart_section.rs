//! `restart_section`: a part of the stream that is started again when it fails.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use millstream_engine::batch::{Barrier, Batch, Mark, default_batch};
use millstream_engine::chain::Chain;
use millstream_engine::edge::{Capacity, Inputs, Sender, Sent, channel};
use millstream_engine::metrics::OperatorCounters;
use millstream_engine::random::Random;
use millstream_engine::runtime::{Head, HeadFactory, OperatorContext};
use millstream_engine::time::{Clock, Sleep, Timestamp};
use millstream_engine::{Error, ErrorKind, Record};

use super::{Nested, RestartPolicy, Restarts, Supply};
use crate::DataStream;

/// How many batches' worth of output is held back until the input that it came of is through.
const HELD_BATCHES: usize = 64;

impl<T: Clone + Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// A section of the stream that runs on its own and, when it fails by an error or a panic, is
    /// built again after a delay and given again all the input that was not through. The rest of
    /// the job goes on; what feeds the section comes to rest while it does.
    ///
    /// Input is through when everything that came of it has come out: it is sent in batches with a
    /// barrier behind each, and is kept until that barrier has come out at the other end. The
    /// output is held back until then, and what a failed attempt had left of it is dropped, so that
    /// a restart repeats nothing. Only where one batch of input makes more than 64 batches of
    /// output is that passed on before, and may come once more after a failure.
    ///
    /// **State** begins anew with each attempt, and what operators keep of records that are
    /// through, such as a sum or a group that is not full, is gone. What the section does to the
    /// outside is done again for the input that it is given again.
    ///
    /// When `policy` makes no further attempt, the job fails with the section's error. The section
    /// may contain anything, boundaries too; `section` is called for each attempt, and what it
    /// builds must end in the stream that it returns. It is a job of its own, whose numbers are not
    /// among those of the outer one. A section that has enough ends the stream. Keeps 16 batches of
    /// input at most, unless [`with_in_flight`](RestartPolicy::with_in_flight) says otherwise; each
    /// instance of a parallel stream has a section of its own. Event times,
    /// watermarks and barriers pass as through any operator.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// static FLAKY: AtomicBool = AtomicBool::new(true);
    /// let flow = Dataflow::new("squares");
    /// let numbers = flow.source("numbers", source::from_iter(1..=4_u32));
    /// let backoff = Backoff::default().with_initial(Duration::from_millis(1));
    /// let squares = numbers.restart_section(backoff, |numbers| {
    ///     let once = |n: &u32| *n == 3 && FLAKY.swap(false, Ordering::Relaxed);
    ///     numbers.inspect(move |n| assert!(!once(n), "it slipped")).map(|n| n * n)
    /// });
    /// let squares = squares.collect();
    /// assert_eq!(flow.run().await?.take(squares), Some(vec![1, 4, 9, 16]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn restart_section<U, D, F>(
        self,
        policy: impl Into<RestartPolicy>,
        section: F,
    ) -> DataStream<U>
    where
        U: Send + 'static,
        D: Chain<Item = U>,
        F: Fn(DataStream<T>) -> DataStream<U, D> + Send + Sync + 'static,
    {
        let build = move |name: &str, clock: &Clock, limit: usize| {
            let (sender, receiver) = channel(Capacity::records(limit.saturating_mul(2), limit));
            let nested = Nested::start(name, clock, limit, |flow| {
                section(flow.source("input", Supply::new(receiver)).boxed())
            });
            nested.map(|nested| (sender, nested))
        };
        let build: Arc<Build<T, U>> = Arc::new(build);
        let instances = self.parallelism();
        let policy = policy.into();
        let unacked = policy.in_flight().saturating_mul(default_batch::<T>());
        let buffer = unacked.saturating_add(HELD_BATCHES * default_batch::<U>());
        let factory = RestartSection { policy, build };
        self.through("restart_section", instances, buffer, factory)
    }
}

type Build<T, U> =
    dyn Fn(&str, &Clock, usize) -> Result<(Sender<T>, Nested<U>), Error> + Send + Sync;

/// What [`DataStream::restart_section`] makes its stage of.
pub struct RestartSection<T, U> {
    policy: RestartPolicy,
    build: Arc<Build<T, U>>,
}

impl<T, U> fmt::Debug for RestartSection<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestartSection").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<T, U> HeadFactory<T> for RestartSection<T, U>
where
    T: Clone + Send + 'static,
    U: Send + 'static,
{
    type Out = U;
    type Head = Box<dyn Head<U>>;

    fn create(
        &self,
        context: &mut OperatorContext<'_>,
        input: Inputs<T>,
    ) -> Result<Box<dyn Head<U>>, Error> {
        Ok(Box::new(Section {
            build: Arc::clone(&self.build),
            restarts: Restarts::new(self.policy),
            in_flight: self.policy.in_flight(),
            name: context.name(),
            clock: context.clock(),
            random: context.random(),
            counters: context.counters(),
            limit: input.batch_limit(),
            input,
            input_ended: false,
            unacked: VecDeque::new(),
            sequence: 0,
            attempt: Attempt::Next,
            held: Batch::new(),
            released: 0,
            watermark: Timestamp::MIN,
            passed: Timestamp::MIN,
            idle: false,
            ready: VecDeque::new(),
            over: false,
        }))
    }
}

/// The running head.
struct Section<T, U> {
    build: Arc<Build<T, U>>,
    restarts: Restarts,
    /// The most batches that may be on their way.
    in_flight: usize,
    name: Arc<str>,
    clock: Clock,
    random: Random,
    counters: Arc<OperatorCounters>,
    limit: usize,
    input: Inputs<T>,
    input_ended: bool,
    /// What is on its way, oldest first.
    unacked: VecDeque<Unacked<T>>,
    /// The number of the last batch taken.
    sequence: u64,
    attempt: Attempt<T, U>,
    /// What has come out of the oldest batch on its way.
    held: Batch<U>,
    /// How much of that was passed on before it was through.
    released: usize,
    /// The last watermark that has come out of the section, and the last that was passed on.
    watermark: Timestamp,
    passed: Timestamp,
    idle: bool,
    ready: VecDeque<Batch<U>>,
    over: bool,
}

struct Unacked<T> {
    batch: Batch<T>,
    sequence: u64,
    /// A barrier of the outer job's own.
    barrier: Option<Barrier>,
}

enum Attempt<T, U> {
    Next,
    Resting(Sleep),
    Running(Box<Running<T, U>>),
}

struct Running<T, U> {
    nested: Nested<U>,
    sender: Sender<T>,
    /// How many of those on their way it has been given.
    sent: usize,
    outgoing: Option<Batch<T>>,
    /// Nothing more is sent: it has been given the end, or it wants no more.
    fed: bool,
}

impl<T: Clone + Send, U: Send + 'static> Section<T, U> {
    /// Sends what there is to send, and takes more input as long as there is room.
    fn feed(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let Attempt::Running(running) = &mut self.attempt else {
            return Ok(());
        };
        while !running.fed {
            if running.outgoing.is_none() {
                if let Some(next) = self.unacked.get(running.sent) {
                    running.outgoing = Some(next.copy());
                } else if self.input_ended {
                    running.outgoing = Some(Batch { end: true, ..Batch::new() });
                } else if self.unacked.len() >= self.in_flight {
                    return Ok(());
                } else {
                    let Poll::Ready(mut batch) = self.input.poll_next(cx)? else {
                        return Ok(());
                    };
                    self.input_ended = std::mem::take(&mut batch.end);
                    if !batch.is_empty() || batch.idle {
                        self.sequence += 1;
                        let barrier = batch.barrier.take();
                        self.unacked.push_back(Unacked { batch, sequence: self.sequence, barrier });
                    }
                    continue;
                }
            }
            let Some(outgoing) = &mut running.outgoing else {
                return Ok(());
            };
            let end = outgoing.end;
            match running.sender.poll_send(cx, outgoing, 0) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Sent::Sent) => {
                    running.outgoing = None;
                    running.sent += 1;
                    running.fed = end;
                }
                // Why it wants no more, or is gone, comes out at the other end.
                Poll::Ready(_) => running.fed = true,
            }
        }
        Ok(())
    }

    /// Takes what has come out.
    fn take(&mut self, mut batch: Batch<U>) {
        let before = self.held.records.len();
        self.held.records.append(&mut batch.records);
        for mark in batch.marks {
            let position = before + mark.position;
            self.mark(position, mark.watermark);
        }
        self.held.idle = batch.idle;
        match batch.barrier {
            Some(barrier) => self.acknowledge(barrier),
            None if self.held.records.len() > HELD_BATCHES * self.limit => self.release_early(),
            None => {}
        }
    }

    fn mark(&mut self, position: usize, watermark: Timestamp) {
        // An attempt knows nothing of the watermarks that others have sent.
        if watermark > self.watermark {
            self.watermark = watermark;
            self.held.marks.push(Mark { position, watermark });
        }
    }

    fn release_early(&mut self) {
        self.released += self.held.records.len();
        self.release(None);
    }

    fn release(&mut self, barrier: Option<Barrier>) {
        let idle = self.held.idle;
        let held = std::mem::replace(&mut self.held, Batch { idle, ..Batch::new() });
        self.passed = self.watermark;
        let batch = Batch { barrier, ..held };
        if !batch.is_empty() || idle != self.idle {
            self.idle = idle;
            self.ready.push_back(batch);
        }
    }

    /// Everything that came of the oldest batch is here.
    fn acknowledge(&mut self, barrier: Barrier) {
        let Some(through) = self.unacked.pop_front() else {
            return;
        };
        debug_assert_eq!(through.sequence, barrier.0, "barriers come out in their order");
        if let Attempt::Running(running) = &mut self.attempt {
            running.sent -= 1;
        }
        let (taken, made) = (through.batch.records.len(), self.held.records.len() + self.released);
        self.count(taken, made);
        self.released = 0;
        self.release(through.barrier);
    }

    fn count(&self, taken: usize, made: usize) {
        self.counters.filtered.add(taken.saturating_sub(made) as u64);
        self.counters.added.add(made.saturating_sub(taken) as u64);
    }

    /// The section has come to its end: by ours, or because it has enough.
    fn complete(&mut self) {
        let taken = self.unacked.iter().map(|unacked| unacked.batch.records.len()).sum();
        self.count(taken, self.held.records.len() + self.released);
        let held = std::mem::replace(&mut self.held, Batch::new());
        self.ready.push_back(Batch { end: true, ..held });
        self.finish();
    }

    /// Has the section start again, if it may.
    fn fail(&mut self, error: Error) -> Result<(), Error> {
        self.attempt = Attempt::Next;
        // What was built wrongly is built wrongly again.
        let hopeless = matches!(error.kind(), ErrorKind::Build(_));
        let delay = self.restarts.fail(self.clock.now(), &mut self.random);
        let Some(delay) = delay.filter(|_| !hopeless) else {
            return Err(Error::operator(&self.name, error.into()));
        };
        self.counters.errors.add(1);
        self.counters.retries.add(1);
        let failed = self.restarts.failed();
        let again = self.unacked.len();
        tracing::warn!(section = %self.name, %error, failed, ?delay, again, "starting again");
        self.held = Batch { idle: self.held.idle, ..Batch::new() };
        self.watermark = self.passed;
        self.attempt = Attempt::Resting(self.clock.sleep(delay));
        Ok(())
    }

    fn start(&mut self) -> Result<(), Error> {
        match (self.build)(&self.name, &self.clock, self.limit) {
            Ok((sender, nested)) => {
                let running = Running { nested, sender, sent: 0, outgoing: None, fed: false };
                self.attempt = Attempt::Running(Box::new(running));
                Ok(())
            }
            Err(error) => self.fail(error),
        }
    }
}

impl<T: Clone> Unacked<T> {
    /// The batch as the section gets it.
    fn copy(&self) -> Batch<T> {
        Batch {
            records: self.batch.records.clone(),
            marks: self.batch.marks.clone(),
            idle: self.batch.idle,
            barrier: Some(Barrier(self.sequence)),
            end: false,
        }
    }
}

impl<T: Clone + Send, U: Send + 'static> Head<U> for Section<T, U> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<U>, Error>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Poll::Ready(Ok(batch));
            }
            if self.over {
                return Poll::Ready(Ok(Batch { end: true, ..Batch::new() }));
            }
            match &mut self.attempt {
                Attempt::Next => self.start()?,
                Attempt::Resting(sleep) => {
                    ready!(Pin::new(sleep).poll(cx));
                    self.attempt = Attempt::Next;
                }
                Attempt::Running(_) => {
                    self.feed(cx)?;
                    let Attempt::Running(running) = &mut self.attempt else {
                        continue;
                    };
                    match ready!(running.nested.poll_next(cx)) {
                        Ok(Some(batch)) => self.take(batch),
                        Ok(None) => self.complete(),
                        Err(error) => self.fail(error)?,
                    }
                }
            }
        }
    }

    fn recycle(&mut self, _records: Vec<Record<U>>) {}

    fn finish(&mut self) {
        self.over = true;
        self.attempt = Attempt::Next;
        self.unacked.clear();
        self.input.finish();
    }
}
