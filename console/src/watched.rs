//! The jobs that a console shows, and how they are doing.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use millstream_engine::runtime::{JobObserver, JobState, Outcome};

use crate::ConsoleError;

/// The jobs that are watched, in the order in which that began.
#[derive(Debug)]
pub(crate) struct Watched {
    jobs: Mutex<VecDeque<WatchedJob>>,
    max: usize,
}

/// A job, and what can be said of it among the others.
#[derive(Clone, Debug)]
pub(crate) struct WatchedJob {
    pub(crate) pipeline: String,
    pub(crate) observer: JobObserver,
    pub(crate) status: Status,
    /// It has ended, and a later job of the same pipeline is watched.
    pub(crate) superseded: bool,
}

/// How far a job is, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Running,
    Draining,
    Completed,
    Drained,
    Failed,
    Aborted,
}

impl Status {
    pub(crate) const ALL: [Self; 6] = [
        Self::Running,
        Self::Draining,
        Self::Completed,
        Self::Drained,
        Self::Failed,
        Self::Aborted,
    ];

    fn of(job: &JobObserver) -> Self {
        match job.outcome() {
            Some(Outcome::Completed) => Self::Completed,
            Some(Outcome::Drained) => Self::Drained,
            Some(Outcome::Aborted) => Self::Aborted,
            // An outcome that we don't know is better shown as bad than as good.
            Some(_) => Self::Failed,
            None if job.state() == JobState::Draining => Self::Draining,
            None => Self::Running,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Completed => "completed",
            Self::Drained => "drained",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
        }
    }

    pub(crate) const fn has_ended(self) -> bool {
        !matches!(self, Self::Running | Self::Draining)
    }
}

impl Watched {
    pub(crate) const fn new(max: usize) -> Self {
        Self { jobs: Mutex::new(VecDeque::new()), max }
    }

    pub(crate) fn add(&self, observer: JobObserver) -> Result<(), ConsoleError> {
        let added = WatchedJob {
            pipeline: observer.graph().name,
            status: Status::of(&observer),
            superseded: false,
            observer,
        };
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.len() >= self.max {
            let mut ended = jobs.iter().map(|job| Status::of(&job.observer).has_ended());
            let oldest = ended.position(|ended| ended);
            let oldest = oldest.ok_or(ConsoleError::TooManyJobs { max: self.max })?;
            jobs.remove(oldest);
        }
        jobs.push_back(added);
        Ok(())
    }

    /// Every job as it is now.
    pub(crate) fn jobs(&self) -> Vec<WatchedJob> {
        let mut jobs: Vec<_> = {
            let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            jobs.iter().cloned().collect()
        };
        let mut later: Vec<String> = Vec::new();
        for job in jobs.iter_mut().rev() {
            job.status = Status::of(&job.observer);
            job.superseded = job.status.has_ended() && later.contains(&job.pipeline);
            later.push(job.pipeline.clone());
        }
        jobs
    }

    /// The jobs that count for how the process is doing.
    pub(crate) fn current(&self) -> Vec<WatchedJob> {
        let mut jobs = self.jobs();
        jobs.retain(|job| !job.superseded);
        jobs
    }

    /// The pipelines that have failed.
    pub(crate) fn failed(&self) -> Vec<String> {
        let mut jobs = self.current();
        jobs.retain(|job| job.status == Status::Failed);
        jobs.into_iter().map(|job| job.pipeline).collect()
    }

    /// What is missing until every job runs.
    pub(crate) fn missing(&self) -> Vec<String> {
        let jobs = self.current();
        if jobs.is_empty() {
            return vec!["no job is watched yet".to_owned()];
        }
        jobs.iter().filter_map(WatchedJob::missing).collect()
    }
}

impl WatchedJob {
    fn missing(&self) -> Option<String> {
        let Self { pipeline, status, .. } = self;
        if *status != Status::Running {
            return Some(format!("{pipeline} is {}", status.name()));
        }
        let stages = self.observer.metrics().stages;
        let behind = stages.iter().find(|stage| stage.started < stage.instances)?;
        let (started, instances) = (behind.started, behind.instances);
        Some(format!(
            "{pipeline} has started {started} of {instances} instances of {}",
            behind.name
        ))
    }
}
