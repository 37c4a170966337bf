//! Starting a job, and watching over it until nothing of it is left.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::disorder::Disorder;
use super::handle::{JobHandle, JobState};
use super::pause::Gate;
use super::report::{JobReport, Outcome};
use super::run::{RunCore, StageTask};
use super::shared_task::{Running, SharedTask, Sharer};
use super::signals::Signals;
use super::times::Times;
use super::watchdog::Watchdog;
use super::{JobOptions, Outputs, Run};
use crate::error::{Error, ErrorKind};
use crate::graph::{Blueprint, Plan, StageId};
use crate::metrics::{Doing, Publisher, Registry, StageCounters};
use crate::random::Random;
use crate::time::{Clock, Instant};

/// What the stages of a job, its supervisor and its handle share.
#[derive(Debug)]
pub(crate) struct JobShared {
    pub(crate) options: JobOptions,
    pub(crate) registry: Registry,
    pub(crate) outputs: Outputs,
    /// Sources end when this is cancelled.
    pub(crate) drain: CancellationToken,
    /// Everything ends when this is cancelled.
    pub(crate) abort: CancellationToken,
    /// Everything ends at its next step when this is set, before the supervisor gets to it.
    halted: AtomicBool,
    /// Closed while the job is paused.
    pub(super) gate: Gate,
    drain_deadline: watch::Sender<Option<Instant>>,
    failures: Mutex<Failures>,
    outcome: OnceLock<Outcome>,
    pub(super) state: watch::Sender<JobState>,
}

/// How many errors behind the first one are kept.
const OTHERS_MAX: usize = 8;

/// The errors of a job: the first, and those that came while the others were being stopped.
#[derive(Debug, Default)]
struct Failures {
    first: Option<Error>,
    others: Vec<Error>,
}

impl Failures {
    fn add(&mut self, error: Error) {
        match &self.first {
            Some(first) if !first.is_complaint() => {
                if !error.is_complaint() && self.others.len() < OTHERS_MAX {
                    self.others.push(error);
                }
            }
            // What only complains of a neighbour is no cause.
            Some(_) if error.is_complaint() => {}
            _ => self.first = Some(error),
        }
    }
}

impl JobShared {
    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the first error as the cause, and some of what follows.
    pub(super) fn fail(&self, error: Error) {
        self.failures().add(error);
    }

    /// The cause so far.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failures().first.clone()
    }

    /// The error of a job that is over. `stopped` is why it was stopped, if it was no failure.
    fn verdict(&self, stopped: Option<Error>) -> Option<Error> {
        let Failures { first, mut others } = std::mem::take(&mut *self.failures());
        let Some(stopped) = stopped else {
            return first.map(|first| first.with_others(others));
        };
        let real = first.filter(|first| !first.is_complaint());
        others.splice(..0, real);
        others.truncate(OTHERS_MAX);
        Some(stopped.with_others(others))
    }

    /// How the job ended, once it has.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.outcome.get().copied()
    }

    /// Tells the observers that the job is over. What was said first holds.
    pub(super) fn end(&self, outcome: Outcome) {
        self.outcome.get_or_init(|| outcome);
        self.state.send_replace(JobState::Ended);
    }

    /// Stops every stage where it stands.
    pub(super) fn halt(&self) {
        self.abort.cancel();
        self.halted.store(true, Relaxed);
    }

    /// The earliest deadline of all that were asked for counts.
    pub(super) fn request_drain(&self, deadline: Instant) {
        self.drain_deadline.send_modify(|earliest| {
            *earliest = earliest.map(|at| at.min(deadline)).or(Some(deadline))
        });
        self.state.send_if_modified(|state| {
            let running = matches!(*state, JobState::Running | JobState::Paused);
            if running {
                *state = JobState::Draining;
            }
            // What a paused source has read is drained with the rest.
            self.registry.paused.store(false, Relaxed);
            self.gate.open();
            running
        });
        self.drain.cancel();
    }

    /// Holds the sources up, or lets them go on. A job that drains or is over does neither.
    pub(super) fn pause(&self, pause: bool) {
        let (from, to) = match pause {
            true => (JobState::Running, JobState::Paused),
            false => (JobState::Paused, JobState::Running),
        };
        self.state.send_if_modified(|state| {
            let applies = *state == from;
            if applies {
                *state = to;
                self.registry.paused.store(pause, Relaxed);
                if pause { self.gate.close() } else { self.gate.open() }
            }
            applies
        });
    }
}

/// Starts a job on the current tokio runtime, multi-thread or current-thread.
///
/// The job belongs to the handle: dropping it aborts the job and stops every task of it.
///
/// # Errors
///
/// Every mistake in the graph, what a factory of a source or sink returned, or why the job can't
/// listen to signals where it was asked to.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn start(blueprint: &Blueprint, options: &JobOptions) -> Result<JobHandle, Error> {
    let plan = Arc::new(blueprint.plan(options)?);
    let clock = options.clock.clone().unwrap_or_else(Clock::system);
    let shared = Arc::new(JobShared {
        options: options.clone(),
        registry: Registry::new(plan, clock, options.count_by_operator),
        outputs: Outputs::default(),
        drain: CancellationToken::new(),
        abort: CancellationToken::new(),
        halted: AtomicBool::new(false),
        gate: Gate::default(),
        drain_deadline: watch::Sender::new(None),
        failures: Mutex::default(),
        outcome: OnceLock::new(),
        state: watch::Sender::new(JobState::Running),
    });
    let tasks = build(blueprint, &shared)?;
    let signals = options.drain_on_signals.map(Signals::listen).transpose();
    let signals = signals.map_err(Error::signals)?;
    let mut stages = JoinSet::new();
    let job = tracing::info_span!("job", pipeline = %shared.registry.plan.name);
    let spans = spans(&job, &tasks, &shared.registry.plan);
    spawn_stages(&mut stages, tasks.into_iter().zip(spans), &shared);
    let mut supervisor = JoinSet::new();
    let owned = Owned { stages, shared: Arc::clone(&shared) };
    super::spawn::spawn(&mut supervisor, supervise(owned, signals).instrument(job));
    Ok(JobHandle::new(shared, supervisor))
}

/// Gives each stage a task, or several of them one.
fn spawn_stages(
    stages: &mut JoinSet<()>,
    tasks: impl Iterator<Item = (StageTask, Span)>,
    shared: &Arc<JobShared>,
) {
    let planned = &shared.registry.plan.shared;
    let mut sharing: BTreeMap<StageId, _> = BTreeMap::new();
    for (mut task, span) in tasks {
        task.counters.started.store(true, Relaxed);
        let (index, counters) = (task.index, Arc::clone(&task.counters));
        let Some(sharers) = planned.iter().find(|one| one.stages.contains(&index)) else {
            super::spawn::spawn(stages, run_stage(task, Arc::clone(shared)).instrument(span));
            continue;
        };
        let times = Arc::new(Times::new());
        task.stage.share(Arc::clone(&times), sharers.stages.first() == Some(&index));
        let stage: Running = Box::pin(run_stage(task, Arc::clone(shared)).instrument(span));
        sharing.insert(index, Sharer { stage, counters, times });
    }
    for one in planned {
        let sharers = one.stages.iter().filter_map(|stage| sharing.remove(stage)).collect();
        SharedTask::spawn(stages, sharers, one.cheap, shared.registry.clock.clone());
    }
}

/// A span for each stage, a child of the job's. A stage has as many inputs as there are writers to
/// its edge, and a span one parent: so it is linked to theirs, and to none more than to another.
fn spans(job: &Span, tasks: &[StageTask], plan: &Plan) -> Vec<Span> {
    let span = |task: &StageTask| {
        tracing::info_span!(
            parent: job,
            "stage",
            pipeline = %plan.name,
            operators = %task.name,
            instance = task.instance,
        )
    };
    let spans: Vec<_> = tasks.iter().map(span).collect();
    let mut by_stage = BTreeMap::<_, Vec<_>>::new();
    for (task, span) in tasks.iter().zip(&spans) {
        by_stage.entry(task.index).or_default().push(span);
    }
    let of = |stage: StageId| by_stage.get(&stage).into_iter().flatten().copied();
    for edge in &plan.edges {
        let writers = edge.producers.iter().filter_map(|id| plan.operators.get(id.0));
        let writers: BTreeSet<_> = writers.map(|operator| operator.stage).collect();
        for reader in of(edge.consumer) {
            for writer in writers.iter().flat_map(|&stage| of(stage)) {
                reader.follows_from(writer);
            }
        }
    }
    spans
}

/// Turns the blueprint into stages that are ready to run.
fn build(blueprint: &Blueprint, shared: &Arc<JobShared>) -> Result<Vec<StageTask>, Error> {
    let mut core = RunCore::new(Arc::clone(shared));
    let graph = blueprint.graph();
    for (index, stage) in graph.stages.iter().enumerate() {
        for instance in 0..stage.parallelism {
            core.turn_to(index, instance);
            let built = catch_unwind(AssertUnwindSafe(|| {
                stage.build.build(&mut Run::new(&mut core, &graph), instance)
            }));
            // Factories and `open` are users' code, too.
            let name = shared.registry.plan.stages.get(index).map(|stage| Arc::clone(&stage.name));
            built.unwrap_or_else(|payload| Err(Error::panic(name, panic_message(&*payload))))?;
        }
    }
    drop(graph);
    let RunCore { tasks, channels, .. } = core;
    // Set here and nowhere else, so it was empty.
    shared.registry.channels.set(channels).ok();
    Ok(tasks)
}

/// Runs a stage to its end, and keeps its error before its neighbours notice that it is gone.
async fn run_stage(task: StageTask, shared: Arc<JobShared>) {
    let StageTask { name, mut stage, counters, culprit, index, instance, expendable } = task;
    let mut disorder = shared.options.schedule_seed.map(|seed| {
        let random = Random::fork(seed, index.0, instance);
        Disorder::new(random)
    });
    let leaving = Leaving { counters: Arc::clone(&counters), clock: shared.registry.clock.clone() };
    tracing::debug!("started");
    let polled = std::future::poll_fn(|cx| {
        if shared.halted.load(Relaxed) {
            return Poll::Ready(None);
        }
        if let Some(disorder) = &mut disorder
            && disorder.disturb(&mut *stage, cx)
        {
            return Poll::Pending;
        }
        poll_stage(&mut *stage, cx, &culprit, &name).map(Some)
    });
    match polled.await {
        None => tracing::debug!("stopped"),
        Some(Ok(())) => tracing::debug!("finished"),
        Some(Err(error)) if expendable => {
            counters.failed.store(true, Relaxed);
            tracing::warn!(%error, "failed, and the job goes on without it");
        }
        Some(Err(error)) => {
            if !error.is_complaint() {
                tracing::error!(%error, "failed");
            }
            shared.fail(error);
        }
    }
    // The clock stops before anybody can see that what the stage held is gone.
    drop(leaving);
    // Whatever users put into a stage may panic while it is dropped, too.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(stage))) {
        let error = Error::panic(Some(name), panic_message(&*payload));
        if expendable {
            counters.failed.store(true, Relaxed);
            tracing::warn!(%error, "failed, and the job goes on without it");
        } else {
            shared.fail(error);
        }
    }
}

fn poll_stage(
    stage: &mut dyn super::stage::RunnableStage,
    cx: &mut Context<'_>,
    culprit: &OnceLock<Arc<str>>,
    name: &Arc<str>,
) -> Poll<Result<(), Error>> {
    match catch_unwind(AssertUnwindSafe(|| stage.poll(cx))) {
        Ok(polled) => polled,
        Err(payload) => {
            stage.publish();
            // Where no operator was at work, the stage is the nearest that has a name.
            let operator = culprit.get().unwrap_or(name);
            let error = Error::panic(Some(Arc::clone(operator)), panic_message(&*payload));
            Poll::Ready(Err(error))
        }
    }
}

/// However a stage is left, its clock stops: the numbers of a job that is over stand still.
struct Leaving {
    counters: Arc<StageCounters>,
    clock: Clock,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.counters.activity.enter(Doing::Nothing, self.clock.now());
    }
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(message) = payload.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message.clone()
    } else {
        "the panic carried no message".to_owned()
    }
}

/// What the supervisor hears of.
enum Event {
    StageEnded,
    AllEnded,
    Aborted,
    DeadlinePassed,
    DrainRequested,
    Publish,
    CheckDue,
}

/// The stages of a job. When they are let go, in whatever way, the job is over.
struct Owned {
    stages: JoinSet<()>,
    shared: Arc<JobShared>,
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.stages.abort_all();
        // An end that was reached is already known by its outcome, which holds.
        self.shared.end(Outcome::Aborted);
    }
}

/// Waits until every stage has ended, and ends the others when one fails.
async fn supervise(mut owned: Owned, mut signals: Option<Signals>) -> Result<JobReport, Error> {
    let shared = Arc::clone(&owned.shared);
    let stages = &mut owned.stages;
    tracing::info!("started");
    let clock = shared.registry.clock.clone();
    let started = clock.now();
    let mut publisher = Publisher::default();
    let mut watchdog = shared.options.stall_warning.map(|after| Watchdog::new(after, started));
    let stopped = loop {
        match next_event(stages, &shared, &mut signals, watchdog.as_ref()).await {
            Event::AllEnded => break None,
            Event::StageEnded => {
                if shared.failure().is_some() {
                    break None;
                }
            }
            // Whoever fails a job from outside halts it, too.
            Event::Aborted => {
                let failed = shared.failure().filter(|first| !first.is_complaint()).is_some();
                break (!failed).then(Error::aborted);
            }
            Event::DeadlinePassed => break Some(Error::drain_deadline()),
            Event::DrainRequested => tracing::info!("draining"),
            Event::Publish => publisher.publish(&shared.registry.snapshot()),
            Event::CheckDue => {
                if let Some(watchdog) = &mut watchdog {
                    watchdog.look(&shared.registry);
                }
            }
        }
    };
    // Stops what is left of the stages, and waits until it is gone.
    stages.shutdown().await;
    let error = shared.verdict(stopped);
    let outcome = match &error {
        None if shared.drain.is_cancelled() => Outcome::Drained,
        None => Outcome::Completed,
        Some(error) => match error.kind() {
            ErrorKind::Aborted | ErrorKind::DrainDeadline => Outcome::Aborted,
            _ => Outcome::Failed,
        },
    };
    let metrics = shared.registry.snapshot();
    if shared.options.publish_every.is_some() {
        publisher.publish(&metrics);
    }
    let elapsed = clock.now().saturating_since(started);
    let report = JobReport::new(outcome, elapsed, metrics, shared.outputs.clone());
    tracing::info!(?outcome, ?elapsed, "ended");
    // Here rather than when the handle is awaited, which may be much later.
    shared.end(outcome);
    match error {
        None => Ok(report),
        Some(error) => Err(error.with_report(report)),
    }
}

/// The next thing that concerns the supervisor; control goes before work, and is finite.
async fn next_event(
    stages: &mut JoinSet<()>,
    shared: &JobShared,
    signals: &mut Option<Signals>,
    watchdog: Option<&Watchdog>,
) -> Event {
    let clock = &shared.registry.clock;
    let mut aborted = pin!(shared.abort.cancelled());
    let mut deadlines = shared.drain_deadline.subscribe();
    let deadline = *deadlines.borrow_and_update();
    let mut deadline = deadline.map(|deadline| clock.sleep_until(deadline));
    let mut draining = pin!(deadlines.changed());
    let mut publish = shared.options.publish_every.map(|every| clock.sleep(every));
    let mut check = watchdog.map(|watchdog| watchdog.wait(clock));
    std::future::poll_fn(|cx| {
        if let Some(signals) = signals {
            signals.poll(cx, shared);
        }
        if aborted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Aborted);
        }
        if draining.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::DrainRequested);
        }
        match stages.poll_join_next(cx) {
            Poll::Ready(None) => return Poll::Ready(Event::AllEnded),
            Poll::Ready(Some(_)) => return Poll::Ready(Event::StageEnded),
            Poll::Pending => {}
        }
        if let Some(deadline) = &mut deadline
            && pin!(deadline).poll(cx).is_ready()
        {
            return Poll::Ready(Event::DeadlinePassed);
        }
        if let Some(publish) = &mut publish
            && pin!(publish).poll(cx).is_ready()
        {
            return Poll::Ready(Event::Publish);
        }
        if let Some(check) = &mut check
            && pin!(check).poll(cx).is_ready()
        {
            return Poll::Ready(Event::CheckDue);
        }
        Poll::Pending
    })
    .await
}
