//! A call with its attempts, delays and limits on time, as one future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use millstream_engine::OperatorError;
use millstream_engine::metrics::OperatorCounters;
use millstream_engine::random::Random;
use millstream_engine::runtime::OperatorContext;
use millstream_engine::time::{Clock, Instant, Sleep};
use pin_project::pin_project;

use super::calls::Caller;
use super::{CallPolicy, TimedOut};
use crate::attempt::{AtLast, OnError};
use crate::recovery::{CircuitOpen, Permission, Permit, WhenOpen};

/// What came of a value.
#[derive(Debug)]
pub enum Answer<T, U> {
    /// A result.
    Done(U),
    /// No further attempt is made. The original is there where the policy has a use for it.
    GaveUp {
        /// The value, as the word got it.
        original: Option<T>,
        /// The error of the last attempt.
        error: OperatorError,
        /// How many attempts were made.
        attempts: u32,
    },
}

/// Calls `f` as a policy says.
pub(super) struct Attempts<T, F> {
    policy: Arc<CallPolicy<T>>,
    f: F,
    run: Option<AttemptsRun>,
}

/// What belongs to one run of the operator.
#[derive(Clone)]
struct AttemptsRun {
    clock: Clock,
    random: Random,
    counters: Arc<OperatorCounters>,
}

impl<T, F> Attempts<T, F> {
    pub(super) fn on_error(&self) -> &OnError<T> {
        &self.policy.on_error
    }

    pub(super) fn new(policy: CallPolicy<T>, f: F) -> Self {
        Self { policy: Arc::new(policy), f, run: None }
    }
}

impl<T, F: Clone> Clone for Attempts<T, F> {
    fn clone(&self) -> Self {
        Self { policy: Arc::clone(&self.policy), f: self.f.clone(), run: None }
    }
}

impl<T, U, E, R, F> Caller<T> for Attempts<T, F>
where
    T: Clone + Send + 'static,
    U: Send + 'static,
    E: Into<OperatorError>,
    R: Future<Output = Result<U, E>> + Send + 'static,
    F: FnMut(T) -> R + Clone + Send + 'static,
{
    type Out = Answer<T, U>;
    type Call = Attempting<T, F, R>;

    fn open(&mut self, context: &OperatorContext<'_>) {
        let (clock, random, counters) = (context.clock(), context.random(), context.counters());
        self.run = Some(AttemptsRun { clock, random, counters });
    }

    fn call(&mut self, value: T) -> Self::Call {
        let policy = Arc::clone(&self.policy);
        let guarded = policy.on_error.guard.is_some();
        let kept = guarded
            || policy.on_error.backoff.is_some()
            || matches!(policy.on_error.at_last, AtLast::DeadLetter(_));
        let original = kept.then(|| value.clone());
        let run = self.run.as_mut().map(|run| {
            // A generator for each call: attempts of different calls mix by chance of time.
            let random = Random::new(run.random.next_u64());
            AttemptsRun { random, ..run.clone() }
        });
        // Whether a guarded call may be made is asked when it is polled.
        let call = (!guarded).then(|| (self.f)(value));
        let sleep = |limit| run.as_ref().zip(limit).map(|(run, limit)| run.clock.sleep(limit));
        let (whole, single) = (sleep(policy.timeout), sleep(policy.attempt_timeout));
        Attempting {
            f: self.f.clone(),
            call,
            original,
            begin: guarded,
            permit: None,
            failed: 0,
            delay: None,
            whole,
            single,
            policy,
            run,
        }
    }

    fn failed(result: &Self::Out) -> bool {
        matches!(result, Answer::GaveUp { .. })
    }
}

/// A value with its attempts.
#[pin_project]
pub(super) struct Attempting<T, F, R> {
    f: F,
    #[pin]
    call: Option<R>,
    original: Option<T>,
    /// An attempt is to be made.
    begin: bool,
    /// Leave for the attempt, of the circuit breaker.
    permit: Option<Permit>,
    /// The attempts that have failed.
    failed: u32,
    /// Until the next attempt.
    delay: Option<Sleep>,
    /// Until the time for all attempts is over.
    whole: Option<Sleep>,
    /// Until the time for this attempt is over.
    single: Option<Sleep>,
    policy: Arc<CallPolicy<T>>,
    run: Option<AttemptsRun>,
}

fn is_over(sleep: &mut Option<Sleep>, cx: &mut Context<'_>) -> bool {
    sleep.as_mut().is_some_and(|sleep| Pin::new(sleep).poll(cx).is_ready())
}

/// Whether a call may be made.
enum Leave {
    Call(Option<Permit>),
    Wait(Instant),
    Divert,
}

fn ask<T>(on_error: &OnError<T>, now: Instant) -> Leave {
    let Some((breaker, when_open)) = &on_error.guard else {
        return Leave::Call(None);
    };
    match (breaker.try_acquire(now), when_open) {
        (Permission::Granted(permit), _) => Leave::Call(Some(permit)),
        (Permission::Denied { until }, WhenOpen::Wait) => Leave::Wait(until),
        (Permission::Denied { .. }, WhenOpen::Divert) => Leave::Divert,
    }
}

/// Tells the circuit breaker how the attempt went, if one has to be told.
fn tell(permit: &mut Option<Permit>, run: Option<&AttemptsRun>, success: bool) {
    if let (Some(permit), Some(run)) = (permit.take(), run) {
        let now = run.clock.now();
        if success {
            permit.success(now);
        } else {
            permit.failure(now);
        }
    }
}

impl<T, U, E, R, F> Future for Attempting<T, F, R>
where
    T: Clone,
    E: Into<OperatorError>,
    R: Future<Output = Result<U, E>>,
    F: FnMut(T) -> R,
{
    type Output = Answer<T, U>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if std::mem::take(this.begin)
                && let (Some(run), Some(original)) = (&this.run, &this.original)
            {
                match ask(&this.policy.on_error, run.clock.now()) {
                    Leave::Wait(until) => *this.delay = Some(run.clock.sleep_until(until)),
                    Leave::Divert => {
                        let (original, attempts) = (this.original.take(), *this.failed);
                        let error = CircuitOpen.into();
                        return Poll::Ready(Answer::GaveUp { original, error, attempts });
                    }
                    Leave::Call(permit) => {
                        *this.permit = permit;
                        run.counters.retries.add(u64::from(*this.failed > 0));
                        let limit = this.policy.attempt_timeout;
                        *this.single = limit.map(|limit| run.clock.sleep(limit));
                        this.call.set(Some((this.f)(original.clone())));
                    }
                }
            }
            let error = if let Some(call) = this.call.as_mut().as_pin_mut() {
                // An answer that is there counts, however late it is looked at.
                match call.poll(cx) {
                    Poll::Ready(Ok(result)) => {
                        tell(this.permit, this.run.as_ref(), true);
                        return Poll::Ready(Answer::Done(result));
                    }
                    Poll::Ready(Err(error)) => Some(error.into()),
                    Poll::Pending if is_over(this.single, cx) => {
                        this.policy.attempt_timeout.map(|limit| TimedOut(limit).into())
                    }
                    Poll::Pending => None,
                }
            } else {
                None
            };
            if let Some(error) = error {
                this.call.set(None);
                tell(this.permit, this.run.as_ref(), false);
                *this.failed = this.failed.saturating_add(1);
                let retry = this.run.as_mut().and_then(|run| {
                    let delay =
                        this.policy.on_error.delay(*this.failed, &error, &mut run.random)?;
                    Some((run, delay))
                });
                // Looked at once more: the time may be over at this very moment, and then nothing
                // follows.
                let late = is_over(this.whole, cx);
                let (Some((run, delay)), false) = (retry, late) else {
                    let (original, attempts) = (this.original.take(), *this.failed);
                    return Poll::Ready(Answer::GaveUp { original, error, attempts });
                };
                run.counters.errors.add(1);
                tracing::debug!(%error, failed = *this.failed, ?delay, "trying again");
                *this.delay = Some(run.clock.sleep(delay));
            }
            if is_over(this.whole, cx) {
                let limit = this.policy.timeout.unwrap_or_default();
                // One that has failed just now is gone, and has been counted.
                let attempting = this.call.is_some();
                this.call.set(None);
                tell(this.permit, this.run.as_ref(), false);
                let attempts = *this.failed + u32::from(attempting);
                let (original, error) = (this.original.take(), TimedOut(limit).into());
                return Poll::Ready(Answer::GaveUp { original, error, attempts });
            }
            if this.delay.is_none() || !is_over(this.delay, cx) {
                return Poll::Pending;
            }
            *this.delay = None;
            *this.begin = true;
        }
    }
}
