//! Drives a whole graph by hand, from a plain test: no threads, no runtime of the test's own, and
//! no time but what the test makes pass.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::{SinkProbe, SourceProbe, assert_nothing_left};
use crate::batch::Barrier;
use crate::error::Error;
use crate::graph::Blueprint;
use crate::metrics::{Explanation, JobMetrics};
use crate::record::Record;
use crate::runtime::{JobHandle, JobObserver, JobOptions, JobReport, JobState, start};
use crate::state::{Snapshot, Snapshots};
use crate::time::{Timestamp, VirtualClock};

/// A job that runs only while the test asks something of it, and then until nothing moves any more.
///
/// What goes in comes from [`probe_source`](super::probe_source)s, what comes out is read at
/// [`probe_sink`](super::probe_sink)s. The clock is a [`VirtualClock`] that stands still but in
/// [`advance`](TestDriver::advance), so a test of a day takes milliseconds, and the same calls
/// always give the same run. What operators keep is had by a [barrier](TestDriver::barrier) and a
/// [snapshot](TestDriver::snapshot) behind it, from which another run may go on.
///
/// Work that a word hands to other threads, such as reading a file, is not waited for: a graph
/// under test ends in probes.
///
/// ```
/// use millstream_engine::chain::{Boundary, Chain};
/// # use millstream_engine::graph::{Blueprint, Role, StageBlueprint, StageDraft};
/// # use millstream_engine::runtime::{FromSource, Run, SinkTail};
/// # use millstream_engine::sink::{Sink, SinkFactory};
/// # use millstream_engine::source::SourceFactory;
/// # use millstream_engine::Error;
/// use millstream_engine::testing::{TestDriver, probe_sink, probe_source};
///
/// # struct ToSink<C, F>(C, F, millstream_engine::graph::OperatorId);
/// # impl<C: Chain, F: SinkFactory<Sink: Sink<Item = C::Item>> + Send + 'static> StageBlueprint
/// #     for ToSink<C, F>
/// # {
/// #     fn build(&self, run: &mut Run<'_>, at: usize) -> Result<(), Error> {
/// #         let tail = SinkTail::new(run, self.2, at, &self.1)?;
/// #         self.0.finish(run, at, tail)
/// #     }
/// # }
/// let (input, source) = probe_source::<u32>();
/// let (output, sink) = probe_sink::<u32>();
/// # let blueprint = Blueprint::new("doc");
/// # let read = blueprint.add_operator(Role::Source, "source", None);
/// # let write = blueprint.add_operator(Role::Sink, "sink", None);
/// # let draft = StageDraft { operators: vec![read, write], input: None, parallelism: 1 };
/// # blueprint.add_stage(draft, ToSink(FromSource::new(source, read), sink, write));
/// // With the operators crate: flow.source("in", source).…sink("out", sink), and flow.blueprint().
/// let mut driver = TestDriver::start(&blueprint)?;
/// driver.push(&input, 1);
/// driver.push(&input, 2);
/// assert_eq!(driver.read(&output), [1, 2]);
/// driver.end(&input);
/// assert_eq!(driver.finish()?.records_written(), 2);
/// # Ok::<(), Error>(())
/// ```
pub struct TestDriver {
    // Before the runtime, which it must not outlive.
    job: Option<JobHandle>,
    ended: Option<Result<JobReport, Error>>,
    observer: JobObserver,
    clock: VirtualClock,
    snapshots: Snapshots,
    quiet: Arc<Quiet>,
    runtime: Runtime,
}

/// The options of a run that a test drives: without timers that belong to no word.
pub(super) fn quiet_options() -> JobOptions {
    JobOptions::default().with_publish_every(None).with_stall_warning(None)
}

/// Tells when the runtime has nothing left to do.
#[derive(Default)]
struct Quiet {
    reached: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Quiet {
    /// Called by the runtime before it would go to sleep.
    fn reach(&self) {
        if let Some(waker) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.reached.store(true, SeqCst);
            waker.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.reached.swap(false, SeqCst) {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).replace(waker);
        Poll::Pending
    }
}

impl TestDriver {
    /// Starts a job of the graph. It publishes no metrics and has no watchdog, which would stop the
    /// clock every second of the day.
    ///
    /// # Errors
    ///
    /// As [`start`].
    ///
    /// # Panics
    ///
    /// Inside a runtime: the test has to be a plain function.
    pub fn start(blueprint: &Blueprint) -> Result<Self, Error> {
        Self::start_with(blueprint, &quiet_options())
    }

    /// Starts a job of the graph as `options` say, but for the clock, which is the driver's.
    ///
    /// # Errors
    ///
    /// As [`start`].
    ///
    /// # Panics
    ///
    /// As [`start`](TestDriver::start), and if the system refuses a runtime.
    pub fn start_with(blueprint: &Blueprint, options: &JobOptions) -> Result<Self, Error> {
        let quiet = Arc::new(Quiet::default());
        let parking = Arc::clone(&quiet);
        let mut builder = Builder::new_current_thread();
        let runtime = builder.on_thread_park(move || parking.reach()).build();
        let runtime = runtime.unwrap_or_else(|error| panic!("no runtime for a test: {error}"));
        let clock = VirtualClock::new();
        let snapshots = Snapshots::default();
        let mut options = options.clone().with_clock(clock.clock());
        options.snapshots = Some(snapshots.clone());
        let job = {
            let _inside = runtime.enter();
            start(blueprint, &options)?
        };
        let observer = job.observer();
        let (job, ended) = (Some(job), None);
        let mut driver = Self { job, ended, observer, clock, snapshots, quiet, runtime };
        driver.settle();
        Ok(driver)
    }

    /// Runs the job until nothing moves any more. The other calls do so by themselves; this one is
    /// for what the test did to a probe or to the outside.
    pub fn settle(&mut self) {
        let quiet = Arc::clone(&self.quiet);
        self.block_on(std::future::poll_fn(|cx| quiet.poll(cx)));
    }

    fn block_on<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        let (job, ended) = (&mut self.job, &mut self.ended);
        self.runtime.block_on(std::future::poll_fn(|cx| {
            if let Some(running) = job
                && let Poll::Ready(result) = Pin::new(running).poll(cx)
            {
                *ended = Some(result);
                *job = None;
            }
            work.as_mut().poll(cx)
        }))
    }

    /// Runs the job while it takes what `put` hands to a probe.
    ///
    /// # Panics
    ///
    /// If it does not take it.
    #[track_caller]
    fn hand_over(&mut self, put: impl Future<Output = ()>) {
        let mut put = pin!(put);
        let quiet = Arc::clone(&self.quiet);
        let taken = self.block_on(std::future::poll_fn(|cx| {
            if put.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            quiet.poll(cx).map(|()| false)
        }));
        assert!(taken, "the graph has no room for it:\n{}", self.explain());
        self.settle();
    }

    /// Sends a record, and lets the job do with it what it can.
    ///
    /// # Panics
    ///
    /// If the graph takes nothing more, with who waits for whom. See
    /// [`try_push`](TestDriver::try_push).
    #[track_caller]
    pub fn push<T>(&mut self, input: &SourceProbe<T>, record: impl Into<Record<T>>) {
        self.hand_over(input.send(record));
    }

    /// Sends a record if the graph takes any, and gives it back if not.
    ///
    /// # Errors
    ///
    /// The record.
    pub fn try_push<T>(
        &mut self,
        input: &SourceProbe<T>,
        record: impl Into<Record<T>>,
    ) -> Result<(), Record<T>> {
        let pushed = input.try_send(record);
        self.settle();
        pushed
    }

    /// Says that no record earlier than `watermark` will follow.
    #[track_caller]
    pub fn watermark<T>(&mut self, input: &SourceProbe<T>, watermark: Timestamp) {
        self.hand_over(input.watermark(watermark));
    }

    /// Puts a barrier behind what was sent.
    #[track_caller]
    pub fn barrier<T>(&mut self, input: &SourceProbe<T>, barrier: Barrier) {
        self.hand_over(input.barrier(barrier));
    }

    /// What the operators that have a `uid` wrote when `barrier` passed them. To be complete, the
    /// barrier has to have been put into every input, and to have got through the whole graph.
    ///
    /// A later run goes on from it by
    /// [`JobOptions::with_state`](crate::runtime::JobOptions::with_state).
    pub fn snapshot(&mut self, barrier: Barrier) -> Snapshot {
        self.settle();
        self.snapshots.take(barrier)
    }

    /// Says that nothing may come from an input for a while.
    #[track_caller]
    pub fn idle<T>(&mut self, input: &SourceProbe<T>) {
        self.hand_over(input.idle());
    }

    /// Ends an input.
    #[track_caller]
    pub fn end<T>(&mut self, input: &SourceProbe<T>) {
        self.hand_over(input.end());
    }

    /// Makes an input fail.
    #[track_caller]
    pub fn fail<T>(&mut self, input: &SourceProbe<T>, error: impl Into<crate::OperatorError>) {
        self.hand_over(input.fail(error));
    }

    /// Makes time pass, timer by timer: at each one that is due, the job runs until nothing moves.
    pub fn advance(&mut self, by: Duration) {
        let target = self.clock.clock().now() + by;
        loop {
            let left = target.saturating_since(self.clock.clock().now());
            let Some(next) = self.clock.next_timer().filter(|next| *next <= left) else {
                self.clock.advance(left);
                return self.settle();
            };
            self.clock.advance(next);
            self.settle();
        }
    }

    /// Everything that has come out since the last time, without the event times. It asks the probe
    /// for all there is; a test that wants to see backpressure calls
    /// [`request`](SinkProbe::request) and [`records`](TestDriver::records) instead.
    pub fn read<T>(&mut self, output: &SinkProbe<T>) -> Vec<T> {
        output.request(usize::MAX);
        self.records(output).into_iter().map(|record| record.value).collect()
    }

    /// The records that have come out since the last time, of those that were asked for.
    pub fn records<T>(&mut self, output: &SinkProbe<T>) -> Vec<Record<T>> {
        self.settle();
        output.take_delivered()
    }

    /// The job's numbers.
    #[must_use]
    pub fn metrics(&self) -> JobMetrics {
        self.observer.metrics()
    }

    /// Who waits for whom.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        self.observer.explain()
    }

    /// How far the job is.
    #[must_use]
    pub fn state(&self) -> JobState {
        self.observer.state()
    }

    /// The hand of the job's clock.
    #[must_use]
    pub const fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    /// A way to look at the job, also when it is over.
    #[must_use]
    pub const fn observer(&self) -> &JobObserver {
        &self.observer
    }

    /// The handle of the job, while it runs.
    #[must_use]
    pub const fn job(&self) -> Option<&JobHandle> {
        self.job.as_ref()
    }

    /// Ends the sources, lets everything that they have read come out, and gives the report. Probes
    /// that have not been asked for everything hold that up, until `deadline` has passed.
    ///
    /// # Errors
    ///
    /// As [`JobHandle::drain`].
    pub fn drain(mut self, deadline: Duration) -> Result<JobReport, Error> {
        if let Some(job) = &self.job {
            job.request_drain(deadline);
        }
        self.settle();
        if self.job.is_some() {
            self.advance(deadline);
        }
        self.finish()
    }

    /// The end of a job whose inputs have ended, failed or been aborted. Sees to it that nothing of
    /// it is left.
    ///
    /// # Errors
    ///
    /// The job's.
    ///
    /// # Panics
    ///
    /// If the job stands still before its end, with who waits for whom; and if it has left a task,
    /// a timer or a buffer behind.
    #[track_caller]
    pub fn finish(mut self) -> Result<JobReport, Error> {
        self.settle();
        let Some(ended) = self.ended.take() else {
            panic!("the job has not ended:\n{}", self.explain());
        };
        self.settle();
        assert_nothing_left(&self.observer, &self.clock);
        let tasks = self.runtime.metrics().num_alive_tasks();
        assert_eq!(tasks, 0, "tasks are left");
        ended
    }
}

impl fmt::Debug for TestDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestDriver").field("clock", &self.clock).finish_non_exhaustive()
    }
}
