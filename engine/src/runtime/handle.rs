//! The handle of a running job.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::job::JobShared;
use super::{JobReport, Outcome};
use crate::error::Error;
use crate::graph::GraphView;
use crate::metrics::{Explanation, JobMetrics};

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobState {
    /// Its sources are being read.
    Running,
    /// Its sources are held up; everything else goes on.
    Paused,
    /// Its sources have been told to end, and what they had read is being finished.
    Draining,
    /// It is over.
    Ended,
}

/// A running job.
///
/// It is a future: awaiting it gives the report, or the first error. It can be awaited by
/// reference, which is cancel safe, so `select!` works; once it has given its result, it must not
/// be awaited again. **Dropping it aborts the job** and stops every task of it.
#[must_use = "dropping the handle aborts the job"]
#[derive(Debug)]
pub struct JobHandle {
    shared: Arc<JobShared>,
    supervisor: JoinSet<Result<JobReport, Error>>,
}

impl JobHandle {
    pub(super) const fn new(
        shared: Arc<JobShared>,
        supervisor: JoinSet<Result<JobReport, Error>>,
    ) -> Self {
        Self { shared, supervisor }
    }

    /// Ends the sources, lets everything that they have read come out, and waits for that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DrainDeadline`](crate::ErrorKind::DrainDeadline) if it takes longer than
    /// `deadline`: the job is then aborted, and the error's report says what was left. Also any
    /// error of the job's own.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handle, and so aborts the job.
    pub async fn drain(self, deadline: Duration) -> Result<JobReport, Error> {
        self.request_drain(deadline);
        self.await
    }

    /// Asks the job to drain, without waiting for it. Asked more than once, the earliest deadline
    /// holds.
    pub fn request_drain(&self, deadline: Duration) {
        self.shared.request_drain(self.shared.registry.clock.now() + deadline);
    }

    /// Stops the job where it stands, without waiting for it. What is in flight is lost, and the
    /// report says how much it was.
    pub fn abort(&self) {
        self.shared.halt();
    }

    /// Holds the sources up until [`resume`](JobHandle::resume): they live on, and may read a batch
    /// ahead, but nothing more is taken from them. What is in flight is finished, timers go off as
    /// they are due, and nothing is dropped. A job that drains is not paused, and one that is
    /// paused can be drained, with all that its sources had read. Asked again, it does nothing.
    pub fn pause(&self) {
        self.shared.pause(true);
    }

    /// Lets the sources of a paused job go on.
    pub fn resume(&self) {
        self.shared.pause(false);
    }

    /// The job's numbers at this moment. Works while stages are blocked.
    #[must_use]
    pub fn metrics(&self) -> JobMetrics {
        self.shared.registry.snapshot()
    }

    /// What holds the job up at this moment.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        self.shared.registry.explain()
    }

    /// The graph that is running.
    #[must_use]
    pub fn graph(&self) -> GraphView {
        self.shared.registry.plan.view()
    }

    /// How far the job is.
    #[must_use]
    pub fn state(&self) -> JobState {
        *self.shared.state.borrow()
    }

    /// A way to look at the job that does not keep it alive.
    #[must_use]
    pub fn observer(&self) -> JobObserver {
        JobObserver { shared: Arc::clone(&self.shared), state: self.shared.state.subscribe() }
    }
}

impl Future for JobHandle {
    type Output = Result<JobReport, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(self.supervisor.poll_join_next(cx)) {
            Some(Ok(ended)) => ended,
            // The runtime is shutting down, or it was awaited again after its end.
            Some(Err(_)) | None => {
                self.shared.end(Outcome::Aborted);
                Err(Error::aborted())
            }
        })
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        // The tasks are stopped by their owners; until that reaches them, this does.
        self.shared.halt();
        self.shared.end(Outcome::Aborted);
    }
}

/// Looks at a job, for a console or a progress bar. It does not keep the job alive, and still has
/// its last numbers when the job is over.
#[derive(Clone, Debug)]
pub struct JobObserver {
    shared: Arc<JobShared>,
    state: watch::Receiver<JobState>,
}

impl JobObserver {
    /// The job's numbers at this moment.
    #[must_use]
    pub fn metrics(&self) -> JobMetrics {
        self.shared.registry.snapshot()
    }

    /// What holds the job up at this moment.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        self.shared.registry.explain()
    }

    /// The graph that is running.
    #[must_use]
    pub fn graph(&self) -> GraphView {
        self.shared.registry.plan.view()
    }

    /// How far the job is.
    #[must_use]
    pub fn state(&self) -> JobState {
        *self.state.borrow()
    }

    /// How the job ended; `None` while it has not. A job whose handle was dropped was aborted.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.shared.outcome()
    }

    /// Waits until the job is over. Cancel safe.
    pub async fn ended(&mut self) {
        // An error means that the job is gone, which is what is waited for.
        self.state.wait_for(|state| *state == JobState::Ended).await.map(drop).ok();
    }
}
