//! What an operator keeps of its job: how it ends, and a way to fail it from outside.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::Outcome;
use super::job::JobShared;
use crate::error::{Error, OperatorError};

/// Whether a stage has come to its end.
#[derive(Debug, Default)]
pub(crate) struct StageEnd(AtomicBool);

impl StageEnd {
    pub(super) fn finish(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// An operator's link to the job it is part of. It is `Send` and `Clone`, so that it may be handed
/// out, and does not keep the job alive.
/// [`OperatorContext::job`](super::OperatorContext::job) gives it.
#[derive(Clone)]
pub struct JobLink {
    pub(super) end: Arc<StageEnd>,
    pub(super) job: Weak<JobShared>,
    pub(super) operator: Arc<str>,
}

impl JobLink {
    /// Fails the job in the operator's name, at once and wherever its stages wait. An error that
    /// was there before stays the first one. A job that is over stays as it is.
    pub fn fail(&self, error: OperatorError) {
        if let Some(job) = self.job.upgrade() {
            job.fail(Error::operator(&self.operator, error));
            job.halt();
        }
    }

    /// Whether both lead to the same run of the same job: for operators that share something within
    /// a run, and with no other. Those that are driven by hand are in one run, too.
    #[must_use]
    pub fn is_same_run(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.job, &other.job)
    }

    /// How the operator's stage has ended, to be asked while the operator is dropped:
    /// [`Completed`](Outcome::Completed) if it came to its end, [`Failed`](Outcome::Failed) if the
    /// job has an error, and else [`Aborted`](Outcome::Aborted).
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.end.0.load(Ordering::Acquire) {
            return Outcome::Completed;
        }
        if self.failure().is_some() { Outcome::Failed } else { Outcome::Aborted }
    }

    /// The error that the job fails with, if there is one so far.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.job.upgrade()?.failure()
    }
}

impl fmt::Debug for JobLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobLink").field("operator", &self.operator).finish_non_exhaustive()
    }
}
