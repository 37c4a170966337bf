//! `supervise`: what becomes of one operator when it fails.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Context;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::random::Random;
use millstream_engine::runtime::{NestedContext, OperatorContext};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Clock, Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use super::{RestartPolicy, Restarts};
use crate::DataStream;
use crate::state::Checkpointed;

impl<C: Chain, O: Operator<C::Item>> DataStream<O::Out, Via<C, O>> {
    /// Says what becomes of the operator said last, and of no other, when it fails: the job stops,
    /// the operator goes on without the record, or it begins anew. An error counts, and so does a
    /// panic of the operator's own.
    ///
    /// A record that is dropped so is counted as skipped and logged, the log growing with the
    /// logarithm of their number; what it had emitted before it failed stays. What fails without a
    /// record, at a watermark or a timer, is counted as an error and logged. An operator that fails
    /// at the end of its input fails the job, whatever is said here: there is nothing to drop, and
    /// its last word would be lost.
    ///
    /// A restart gives the operator a blank state, also where the run began with that of another
    /// one. What it held is lost, and only the log tells of it: groups that were not full, for
    /// example. After a panic the state can't be trusted, so [`Directive::Resume`] then restarts,
    /// too. While it waits to be started again it takes nothing, and everything before it comes to
    /// rest as behind a full edge.
    ///
    /// An operator with a side output can't be started again, and a job that might have to is
    /// refused at its start: the words that have one, `try_map` and its kin, say by their
    /// [`OnError`](crate::attempt::OnError) what is done.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use millstream_operators::recovery::Supervision;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("shares");
    /// let parts = flow.source("parts", source::from_iter([2_u32, 0, 5]));
    /// let shares = parts.map(|part| 10 / part).supervise(Supervision::resume()).collect();
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(shares), Some(vec![5, 2]));
    /// assert_eq!(report.metrics().operators[1].skipped, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn supervise(self, supervision: Supervision) -> DataStream<O::Out, Via<C, Supervised<O>>> {
        let (flow, chain, draft) = self.into_parts();
        let (chain, operator, id) = chain.into_parts();
        let chain = Via::new(chain, Supervised::new(operator, supervision), id);
        DataStream::from_parts(flow, chain, draft)
    }
}

/// What is done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// The job fails.
    Stop,
    /// The record is dropped, and the operator keeps its state. After a panic, which leaves a state
    /// that nobody knows, it restarts.
    Resume,
    /// The record is dropped, and the operator begins anew.
    Restart,
}

type Decide = dyn Fn(&OperatorError) -> Directive + Send + Sync;

/// What becomes of an operator that fails: see [`DataStream::supervise`].
///
/// ```
/// use millstream_operators::recovery::{Directive, Panicked, Supervision};
/// use millstream_operators::prelude::*;
///
/// let by_error = Supervision::decide(|error| match error.get_ref().is::<Panicked>() {
///     true => Directive::Restart,
///     false => Directive::Resume,
/// });
/// let careful = by_error.with_restarts(Backoff::default().with_attempts(3));
/// # let _ = careful;
/// ```
#[derive(Clone)]
pub struct Supervision {
    decide: Arc<Decide>,
    may_restart: bool,
    restarts: Option<RestartPolicy>,
}

impl Supervision {
    /// The job fails, as without supervision.
    #[must_use]
    pub fn stop() -> Self {
        Self { may_restart: false, ..Self::decide(|_| Directive::Stop) }
    }

    /// Goes on without the record.
    #[must_use]
    pub fn resume() -> Self {
        Self::decide(|_| Directive::Resume)
    }

    /// Drops the record, and begins anew: at once and as often as it takes, unless
    /// [`with_restarts`](Supervision::with_restarts) says otherwise.
    #[must_use]
    pub fn restart() -> Self {
        Self::decide(|_| Directive::Restart)
    }

    /// Does what the closure says about the error. A panic comes as [`Panicked`].
    #[must_use]
    pub fn decide(decide: impl Fn(&OperatorError) -> Directive + Send + Sync + 'static) -> Self {
        Self { decide: Arc::new(decide), may_restart: true, restarts: None }
    }

    /// How often it restarts, and how long it rests before that. The error of the restart that is
    /// not made any more fails the job.
    #[must_use]
    pub fn with_restarts(mut self, policy: impl Into<RestartPolicy>) -> Self {
        self.restarts = Some(policy.into());
        self
    }
}

impl fmt::Debug for Supervision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervision").field("restarts", &self.restarts).finish_non_exhaustive()
    }
}

/// A panic, as an error to decide about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it panicked: {0}")]
pub struct Panicked(pub String);

impl Panicked {
    fn with(payload: &(dyn Any + Send)) -> Self {
        let message = payload.downcast_ref::<&str>().map(|message| (*message).to_owned());
        let message = message.or_else(|| payload.downcast_ref::<String>().cloned());
        Self(message.unwrap_or_else(|| "it carried no message".to_owned()))
    }
}

/// An operator under the eyes of a [`Supervision`].
#[derive(Debug)]
pub struct Supervised<O> {
    policy: Supervision,
    /// The configuration, for every new beginning.
    blank: O,
    operator: O,
    running: Option<Running>,
    /// When it goes on, while it rests before a new beginning.
    due: Option<Instant>,
}

/// What belongs to one run.
#[derive(Debug)]
struct Running {
    place: NestedContext,
    restarts: Option<Restarts>,
    name: Arc<str>,
    clock: Clock,
    random: Random,
    counters: Arc<OperatorCounters>,
    /// Failures that dropped no record.
    other: u64,
}

impl<O: Clone> Supervised<O> {
    fn new(operator: O, policy: Supervision) -> Self {
        Self { policy, blank: operator.clone(), operator, running: None, due: None }
    }
}

impl<O: Clone> Clone for Supervised<O> {
    fn clone(&self) -> Self {
        Self::new(self.blank.clone(), self.policy.clone())
    }
}

impl<O: Checkpointed> Checkpointed for Supervised<O> {
    fn checkpointed(self) -> Self {
        let (blank, operator) = (self.blank.checkpointed(), self.operator.checkpointed());
        Self { blank, operator, ..self }
    }
}

/// Knows whether a panic came from behind the operator, in whose scope it then is not.
struct Watched<'a, C> {
    out: &'a mut C,
    beyond: &'a mut bool,
}

impl<T, C: Collector<T>> Collector<T> for Watched<'_, C> {
    #[inline]
    fn push(&mut self, record: Record<T>) {
        *self.beyond = true;
        self.out.push(record);
        *self.beyond = false;
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.out.is_full()
    }
}

impl<O> Supervised<O> {
    /// Calls a hook of the operator; `record` says whether a record is at stake.
    #[inline]
    fn call<In, C: Collector<O::Out>>(
        &mut self,
        record: bool,
        out: &mut C,
        hook: impl FnOnce(&mut O, &mut Watched<'_, C>) -> Result<(), OperatorError>,
    ) -> Result<(), OperatorError>
    where
        O: Operator<In>,
    {
        let mut beyond = false;
        let mut watched = Watched { out, beyond: &mut beyond };
        let operator = &mut self.operator;
        match catch_unwind(AssertUnwindSafe(|| hook(operator, &mut watched))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => self.handle(record, error, None),
            Err(payload) if beyond => resume_unwind(payload),
            Err(payload) => {
                let error = OperatorError::from(Panicked::with(&*payload));
                self.handle(record, error, Some(payload))
            }
        }
    }

    #[cold]
    fn handle<In>(
        &mut self,
        record: bool,
        error: OperatorError,
        panic: Option<Box<dyn Any + Send>>,
    ) -> Result<(), OperatorError>
    where
        O: Operator<In>,
    {
        let stop = |panic: Option<Box<dyn Any + Send>>, error| match panic {
            Some(payload) => resume_unwind(payload),
            None => Err(error),
        };
        let Some(running) = &mut self.running else {
            return stop(panic, error);
        };
        let restart = match (self.policy.decide)(&error) {
            Directive::Stop => return stop(panic, error),
            Directive::Resume => panic.is_some(),
            Directive::Restart => true,
        };
        if restart {
            let now = running.clock.now();
            let delay = match &mut running.restarts {
                None => Some(std::time::Duration::ZERO),
                Some(restarts) => restarts.fail(now, &mut running.random),
            };
            let Some(delay) = delay else {
                return stop(panic, error);
            };
            let mut fresh = self.blank.clone();
            fresh.open(&mut running.place.context())?;
            self.operator = fresh;
            self.due = Some(now + delay).filter(|due| *due > now);
        }
        running.tell(record, restart, &error);
        Ok(())
    }
}

impl Running {
    /// Counts a failure, and logs so few of them that they can't fill a disk.
    fn tell(&mut self, record: bool, restart: bool, error: &OperatorError) {
        self.counters.errors.add(1);
        let count = if record {
            self.counters.dropped(DropReason::Skipped, 1);
            self.counters.drops().of(DropReason::Skipped)
        } else {
            self.other += 1;
            self.other
        };
        if count.is_power_of_two() {
            let what = match (record, restart) {
                (true, false) => "dropped a record, and goes on",
                (true, true) => "dropped a record and its state, and begins anew",
                (false, false) => "failed without a record, and goes on",
                (false, true) => "failed without a record, and begins anew",
            };
            tracing::warn!(operator = %self.name, %error, count, "{what}");
        }
    }
}

/// An operator that may have to be started again has a side output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an operator with a side output can't be supervised: it can't be started again")]
struct HasSideOutput;

impl<In, O: Operator<In>> Operator<In> for Supervised<O> {
    type Out = O::Out;
    const NAME: &'static str = O::NAME;
    const SETS_TIME: bool = O::SETS_TIME;
    const NEEDS_TIME: bool = O::NEEDS_TIME;
    const STATE_VERSION: u32 = O::STATE_VERSION;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.operator.open(context)?;
        if self.policy.may_restart && self.operator.side().is_some() {
            return Err(Error::operator(&context.name(), HasSideOutput.into()));
        }
        self.running = Some(Running {
            place: context.nested(),
            restarts: self.policy.restarts.map(Restarts::new),
            name: context.name(),
            clock: context.clock(),
            random: context.random(),
            counters: context.counters(),
            other: 0,
        });
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<In>,
        out: &mut impl Collector<O::Out>,
    ) -> Result<(), OperatorError> {
        self.call::<In, _>(true, out, |operator, out| operator.process(record, out))
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<O::Out>,
    ) -> Result<(), OperatorError> {
        self.call::<In, _>(false, out, |operator, out| operator.on_watermark(watermark, out))
    }

    fn on_timer(
        &mut self,
        now: Instant,
        out: &mut impl Collector<O::Out>,
    ) -> Result<(), OperatorError> {
        if self.due.is_some() {
            self.due = self.due.filter(|due| *due > now);
            return Ok(());
        }
        // What it is waiting with is a record: one that it tries again, for example.
        let record = self.operator.pending();
        self.call::<In, _>(record, out, |operator, out| operator.on_timer(now, out))
    }

    fn before_barrier(&mut self, out: &mut impl Collector<O::Out>) -> Result<(), OperatorError> {
        self.call::<In, _>(false, out, |operator, out| operator.before_barrier(out))
    }

    fn before_idle(&mut self, out: &mut impl Collector<O::Out>) -> Result<(), OperatorError> {
        self.call::<In, _>(false, out, |operator, out| operator.before_idle(out))
    }

    fn on_end(&mut self, out: &mut impl Collector<O::Out>) -> Result<(), OperatorError> {
        self.operator.on_end(out)
    }

    #[inline]
    fn pending(&self) -> bool {
        self.due.is_some() || self.operator.pending()
    }

    fn resume(&mut self, out: &mut impl Collector<O::Out>) -> Result<(), OperatorError> {
        self.call::<In, _>(true, out, |operator, out| operator.resume(out))
    }

    #[inline]
    fn waiting(&self) -> bool {
        self.due.is_some() || self.operator.waiting()
    }

    #[inline]
    fn done(&self) -> bool {
        self.operator.done()
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.due.or_else(|| self.operator.next_timer())
    }

    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        self.operator.poll_outside(cx)
    }

    #[inline]
    fn watermark(&mut self) -> Option<Timestamp> {
        self.operator.watermark()
    }

    #[inline]
    fn idle(&self) -> bool {
        self.operator.idle()
    }

    #[inline]
    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.operator.side()
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        self.operator.snapshot(state)
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.operator.restore(state)
    }
}
