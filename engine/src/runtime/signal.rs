//! How something outside a stage reaches an operator inside it, and what it can learn there.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Wake, Waker};

use super::Outcome;
use super::job::JobShared;
use crate::error::{Error, OperatorError};

/// The line into a stage: who holds it can wake the stage's task.
#[derive(Debug, Default)]
pub(crate) struct StageLine {
    /// Whether anybody has ever asked for it: a stage that nobody calls does not listen.
    used: AtomicBool,
    waker: Mutex<Option<Waker>>,
    finished: AtomicBool,
}

impl StageLine {
    /// Called at the beginning of each poll, before the stage looks at anything.
    #[inline]
    pub(super) fn listen(&self, cx: &Context<'_>) {
        if self.used.load(Ordering::Acquire) {
            self.register(cx);
        }
    }

    fn register(&self, cx: &Context<'_>) {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// The stage has come to its end.
    pub(super) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    fn wake(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A signal into the stage of one operator, for whoever is outside: it is `Send` and `Clone`, and
/// does not keep the job alive. [`OperatorContext::signal`](super::OperatorContext::signal) gives
/// it, and should be asked for it in the operator's first `open`.
///
/// An operator that is called only when a record comes can so be one that ends, or fires, at any
/// time: whoever calls sets a flag that the operator shares and then [wakes](StageSignal::wake) the
/// stage, which asks [`done`](crate::operator::Operator::done) and
/// [`next_timer`](crate::operator::Operator::next_timer) again, though it waits for input or for
/// room.
#[derive(Clone)]
pub struct StageSignal {
    pub(super) line: Arc<StageLine>,
    pub(super) job: Weak<JobShared>,
    pub(super) operator: Arc<str>,
}

impl StageSignal {
    pub(super) fn new(line: &Arc<StageLine>, job: Weak<JobShared>, operator: &Arc<str>) -> Self {
        line.used.store(true, Ordering::Release);
        Self { line: Arc::clone(line), job, operator: Arc::clone(operator) }
    }

    /// Has the stage look again at what its operators say. What was written before is seen.
    pub fn wake(&self) {
        self.line.wake();
    }

    /// Fails the job in the operator's name, at once and wherever its stages wait. An error that
    /// was there before stays the first one.
    pub fn fail(&self, error: OperatorError) {
        if let Some(job) = self.job.upgrade() {
            job.fail(Error::operator(&self.operator, error));
            job.halt();
        }
    }

    /// How the stage has ended, to be asked while an operator is dropped:
    /// [`Completed`](Outcome::Completed) if it came to its end, [`Failed`](Outcome::Failed) if the
    /// job has an error, and else [`Aborted`](Outcome::Aborted).
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.line.finished.load(Ordering::Acquire) {
            return Outcome::Completed;
        }
        if self.failure().is_some() { Outcome::Failed } else { Outcome::Aborted }
    }

    /// The error that the job fails with, if there is one so far.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.job.upgrade()?.failure()
    }

    /// A waker that does what [`wake`](StageSignal::wake) does, for a future that an operator
    /// polls.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::new(Ring(Arc::clone(&self.line))))
    }
}

impl fmt::Debug for StageSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageSignal").field("operator", &self.operator).finish_non_exhaustive()
    }
}

struct Ring(Arc<StageLine>);

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }
}
