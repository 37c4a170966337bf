//! Starting a job, and watching over it until nothing of it is left.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::handle::{JobHandle, JobState};
use super::report::{JobReport, Outcome};
use super::run::{RunCore, StageTask};
use super::{JobOptions, Outputs, Run};
use crate::error::Error;
use crate::graph::Blueprint;
use crate::metrics::{Publisher, Registry};
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
    pub(super) drain_deadline: Mutex<Option<Instant>>,
    failure: Mutex<Option<Error>>,
    outcome: OnceLock<Outcome>,
    pub(super) state: watch::Sender<JobState>,
}

impl JobShared {
    /// Keeps the first error, whatever follows from it.
    fn fail(&self, error: Error) {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }

    fn take_failure(&self) -> Option<Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
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

    pub(super) fn request_drain(&self, deadline: Option<Instant>) {
        let mut earliest = self
            .drain_deadline
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *earliest = earliest.into_iter().chain(deadline).min();
        drop(earliest);
        self.state.send_if_modified(|state| {
            let running = *state == JobState::Running;
            if running {
                *state = JobState::Draining;
            }
            running
        });
        self.drain.cancel();
    }

    fn deadline(&self) -> Option<Instant> {
        *self
            .drain_deadline
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a job on the current tokio runtime, multi-thread or current-thread.
///
/// The job belongs to the handle: dropping it aborts the job and stops every task of it.
///
/// # Errors
///
/// Every mistake in the graph, or what a factory of a source or sink returned.
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
        drain_deadline: Mutex::new(None),
        failure: Mutex::new(None),
        outcome: OnceLock::new(),
        state: watch::Sender::new(JobState::Running),
    });
    let tasks = build(blueprint, &shared)?;
    let mut stages = JoinSet::new();
    for task in tasks {
        let span = tracing::info_span!(
            "stage",
            pipeline = %shared.registry.plan.name,
            operators = %task.name,
            instance = task.instance,
        );
        task.counters.started.store(true, Relaxed);
        super::spawn::spawn(
            &mut stages,
            run_stage(task, Arc::clone(&shared)).instrument(span),
        );
    }
    let mut supervisor = JoinSet::new();
    let span = tracing::info_span!("job", pipeline = %shared.registry.plan.name);
    super::spawn::spawn(
        &mut supervisor,
        supervise(stages, Arc::clone(&shared)).instrument(span),
    );
    Ok(JobHandle::new(shared, supervisor))
}

/// Turns the blueprint into stages that are ready to run.
fn build(blueprint: &Blueprint, shared: &Arc<JobShared>) -> Result<Vec<StageTask>, Error> {
    let mut core = RunCore::new(Arc::clone(shared));
    let graph = blueprint.graph();
    for (index, stage) in graph.stages.iter().enumerate() {
        for instance in 0..stage.parallelism {
            core.turn_to(index, instance);
            if shared.options.count_by_operator {
                stage
                    .build
                    .build_by_operator(&mut Run::new(&mut core, &graph), instance)?;
            } else {
                stage
                    .build
                    .build_by_stage(&mut Run::new(&mut core, &graph), instance)?;
            }
        }
    }
    drop(graph);
    let RunCore {
        tasks, channels, ..
    } = core;
    // Set here and nowhere else, so it was empty.
    shared.registry.channels.set(channels).ok();
    Ok(tasks)
}

/// Runs a stage to its end, and keeps its error before its neighbours notice that it is gone.
async fn run_stage(task: StageTask, shared: Arc<JobShared>) {
    let StageTask {
        name,
        mut stage,
        culprit,
        ..
    } = task;
    tracing::debug!("started");
    let polled = std::future::poll_fn(|cx| poll_stage(&mut *stage, cx, &culprit));
    match polled.await {
        Ok(()) => tracing::debug!("finished"),
        Err(error) => {
            if !matches!(error.kind(), crate::error::ErrorKind::Disconnected) {
                tracing::error!(%error, "failed");
            }
            shared.fail(error);
        }
    }
    // Whatever users put into a stage may panic while it is dropped, too.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(stage))) {
        shared.fail(Error::panic(Some(name), panic_message(&*payload)));
    }
}

fn poll_stage(
    stage: &mut dyn super::stage::RunnableStage,
    cx: &mut Context<'_>,
    culprit: &OnceLock<Arc<str>>,
) -> Poll<Result<(), Error>> {
    match catch_unwind(AssertUnwindSafe(|| stage.poll(cx))) {
        Ok(polled) => polled,
        Err(payload) => {
            let operator = culprit.get().cloned();
            Poll::Ready(Err(Error::panic(operator, panic_message(&*payload))))
        }
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
}

/// Waits until every stage has ended, and ends the others when one fails.
async fn supervise(mut stages: JoinSet<()>, shared: Arc<JobShared>) -> Result<JobReport, Error> {
    tracing::info!("started");
    let clock = shared.registry.clock.clone();
    let started = clock.now();
    let mut publisher = Publisher::default();
    let mut signals = super::signals::Signals::new(shared.options.drain_on_signals);
    let stopped = loop {
        match next_event(&mut stages, &shared, &mut signals).await {
            Event::AllEnded => break None,
            Event::StageEnded => {
                if let Some(error) = shared.take_failure() {
                    break Some(error);
                }
            }
            Event::Aborted => break Some(Error::aborted()),
            Event::DeadlinePassed => break Some(Error::drain_deadline()),
            Event::DrainRequested => tracing::info!("draining"),
            Event::Publish => publisher.publish(&shared.registry.snapshot()),
        }
    };
    // Stops what is left of the stages, and waits until it is gone.
    stages.shutdown().await;
    let error = stopped.or_else(|| shared.take_failure());
    let outcome = match &error {
        None if shared.drain.is_cancelled() => Outcome::Drained,
        None => Outcome::Completed,
        Some(_) if shared.abort.is_cancelled() => Outcome::Aborted,
        Some(_) => Outcome::Failed,
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
    signals: &mut super::signals::Signals,
) -> Event {
    let clock = &shared.registry.clock;
    let mut aborted = pin!(shared.abort.cancelled());
    let mut draining = pin!(shared.drain.cancelled());
    let was_draining = shared.drain.is_cancelled();
    let mut deadline = shared
        .deadline()
        .map(|deadline| clock.sleep_until(deadline));
    let mut publish = shared.options.publish_every.map(|every| clock.sleep(every));
    std::future::poll_fn(|cx| {
        if aborted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Aborted);
        }
        if signals.poll(cx, shared).is_ready() {
            return Poll::Ready(Event::DrainRequested);
        }
        if !was_draining && draining.as_mut().poll(cx).is_ready() {
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
        Poll::Pending
    })
    .await
}
