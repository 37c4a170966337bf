//! Fallible operators, `try_map` and its kin, and what they do with a value that failed.
//!
//! Their closures borrow the value and return a `Result`, so that the original is still there to be
//! tried again or put among the dead letters. An [`OnError`] says which. Each value ends in exactly
//! one way: emitted or filtered as the closure says, skipped, dead-lettered, or failing the job.
//!
//! A retry keeps the order: while it waits, the operator takes nothing, and everything before it
//! comes to rest as behind a full edge. A panic in a closure is not an error to be handled: it
//! fails the job.

mod backoff;
mod dead_letter;
mod on_error;
mod try_filter;
mod try_filter_map;
mod try_flat_map_iter;
mod try_map;

pub use backoff::Backoff;
pub use dead_letter::{DeadLetter, DeadLetters};
pub use on_error::OnError;
pub use try_filter::TryFilter;
pub use try_filter_map::TryFilterMap;
pub use try_flat_map_iter::TryFlatMapIter;
pub use try_map::TryMap;

use std::fmt;
use std::sync::Arc;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::edge::Outbox;
use millstream_engine::graph::Port;
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::random::Random;
use millstream_engine::runtime::OperatorContext;
use millstream_engine::tail::{Flow, Tail as _};
use millstream_engine::time::{Clock, Instant};
use millstream_engine::{Error, OperatorError, Record};

use crate::DataStream;
use crate::part::Remainder;
use crate::recovery::{CircuitOpen, Permission, WhenOpen};
pub(crate) use on_error::AtLast;

/// What one of the fallible words does with a value.
pub trait Fallible<T>: Clone + Send + 'static {
    /// What it emits.
    type Out: Send + 'static;
    /// The outputs for one value.
    type Items: Iterator<Item = Self::Out> + Send + 'static;
    /// What a successful attempt gives, before the value itself is given away.
    type Answer;
    /// The word.
    const NAME: &'static str;

    /// Makes an attempt.
    fn attempt(&mut self, value: &T) -> Result<Self::Answer, OperatorError>;

    /// The outputs of an attempt that was successful.
    fn items(answer: Self::Answer, value: T) -> Self::Items;
}

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    fn attempt<F: Fallible<T>>(
        self,
        policy: OnError<T>,
        fallible: F,
    ) -> DataStream<F::Out, Attempted<C, T, F>> {
        self.via_with(|operator, blueprint| {
            let port = policy.connect(operator, blueprint);
            Attempt::new(policy, port, fallible)
        })
    }
}

/// A chain with a fallible operator behind it.
pub type Attempted<C, T, F> = Via<C, Attempt<T, F>>;

/// The operator behind every fallible word.
pub struct Attempt<T, F: Fallible<T>> {
    policy: OnError<T>,
    port: Option<Port>,
    fallible: F,
    left: Remainder<F::Items>,
    retry: Option<Retry<T>>,
    /// The values given up since the last success.
    given_up: u32,
    run: Option<AttemptRun<T>>,
}

/// A value that waits to be tried: again, or until a circuit breaker lets it through.
struct Retry<T> {
    record: Record<T>,
    /// The attempts that have failed.
    failed: u32,
    due: Instant,
}

/// What belongs to one run of the operator.
pub(crate) struct AttemptRun<T> {
    operator: Arc<str>,
    clock: Clock,
    random: Random,
    counters: Arc<OperatorCounters>,
    letters: Option<Outbox<DeadLetter<T>>>,
}

impl<T: Send + 'static, F: Fallible<T>> Attempt<T, F> {
    const fn new(policy: OnError<T>, port: Option<Port>, fallible: F) -> Self {
        let left = Remainder::none();
        Self { policy, port, fallible, left, retry: None, given_up: 0, run: None }
    }

    #[inline]
    fn try_once(
        &mut self,
        record: Record<T>,
        failed: u32,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        if self.policy.guard.is_some() {
            return self.try_guarded(record, failed, out);
        }
        let attempt = self.fallible.attempt(&record.value);
        self.conclude(record, failed, attempt, out)
    }

    /// The same, if the circuit breaker allows it.
    fn try_guarded(
        &mut self,
        record: Record<T>,
        failed: u32,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        let (Some((breaker, when_open)), Some(run)) = (&self.policy.guard, &self.run) else {
            return Err(CircuitOpen.into());
        };
        match (breaker.try_acquire(run.clock.now()), when_open) {
            (Permission::Granted(permit), _) => {
                let attempt = self.fallible.attempt(&record.value);
                let now = run.clock.now();
                if attempt.is_ok() {
                    permit.success(now)
                } else {
                    permit.failure(now)
                }
                self.conclude(record, failed, attempt, out)
            }
            (Permission::Denied { until }, WhenOpen::Wait) => {
                self.retry = Some(Retry { record, failed, due: until });
                Ok(())
            }
            (Permission::Denied { .. }, WhenOpen::Divert) => {
                self.give_up(record, failed, CircuitOpen.into())
            }
        }
    }

    #[inline]
    fn conclude(
        &mut self,
        record: Record<T>,
        failed: u32,
        attempt: Result<F::Answer, OperatorError>,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        if failed > 0
            && let Some(run) = &self.run
        {
            run.counters.retries.add(1);
        }
        match attempt {
            Ok(answer) => {
                self.given_up = 0;
                let items = F::items(answer, record.value);
                self.left.emit(items, record.time, out);
                Ok(())
            }
            Err(error) => self.handle(record, failed.saturating_add(1), error),
        }
    }

    #[cold]
    fn handle(
        &mut self,
        record: Record<T>,
        failed: u32,
        error: OperatorError,
    ) -> Result<(), OperatorError> {
        let Some(run) = &mut self.run else {
            return Err(error);
        };
        if let Some(delay) = self.policy.delay(failed, &error, &mut run.random) {
            run.counters.errors.add(1);
            tracing::debug!(operator = %run.operator, %error, failed, ?delay, "trying again");
            let due = run.clock.now() + delay;
            self.retry = Some(Retry { record, failed, due });
            return Ok(());
        }
        self.give_up(record, failed, error)
    }

    /// Does what is said about a value for which no further attempt is made.
    fn give_up(
        &mut self,
        record: Record<T>,
        failed: u32,
        error: OperatorError,
    ) -> Result<(), OperatorError> {
        let Some(run) = &mut self.run else {
            return Err(error);
        };
        self.given_up = self.given_up.saturating_add(1);
        if self.policy.stops_after(self.given_up) {
            return Err(error);
        }
        run.give_up(&self.policy.at_last, Some(record), failed, error)
    }
}

impl<T: Send + 'static> AttemptRun<T> {
    /// Makes ready for a run, with dead letters where there is a port for them.
    pub(crate) fn open(context: &mut OperatorContext<'_>, port: Option<Port>) -> Self {
        Self {
            operator: context.name(),
            clock: context.clock(),
            random: context.random(),
            counters: context.counters(),
            letters: port.and_then(|port| context.side_output(port)),
        }
    }

    /// Does what the policy says with a record for which there is no further attempt.
    pub(crate) fn give_up(
        &mut self,
        at_last: &AtLast<T>,
        record: Option<Record<T>>,
        failed: u32,
        error: OperatorError,
    ) -> Result<(), OperatorError> {
        match (at_last, record) {
            (AtLast::Skip, _) => {
                self.skip(&error);
                Ok(())
            }
            (AtLast::DeadLetter(_), Some(record)) if self.letters.is_some() => {
                self.send(record, failed, error);
                Ok(())
            }
            // Without a place for dead letters, failing is what loses nothing.
            (AtLast::Fail | AtLast::DeadLetter(_), _) => Err(error),
        }
    }

    /// The dead letters, to be flushed and ended with the main output.
    pub(crate) fn side(&mut self) -> Option<&mut dyn SideOutput> {
        let letters = self.letters.as_mut()?;
        Some(letters)
    }

    fn skip(&self, error: &OperatorError) {
        self.counters.errors.add(1);
        self.counters.dropped(DropReason::Skipped, 1);
        let skipped = self.counters.drops().of(DropReason::Skipped);
        // Every one is counted; a log that grows with their logarithm can't fill a disk.
        if skipped.is_power_of_two() {
            tracing::warn!(operator = %self.operator, %error, skipped, "skipped");
        }
    }

    fn send(&mut self, record: Record<T>, attempts: u32, error: OperatorError) {
        let Some(letters) = &mut self.letters else {
            return;
        };
        self.counters.errors.add(1);
        self.counters.dropped(DropReason::DeadLetter, 1);
        let dead_letters = self.counters.drops().of(DropReason::DeadLetter);
        if dead_letters.is_power_of_two() {
            tracing::warn!(operator = %self.operator, %error, dead_letters, "dead letter");
        }
        let letter = DeadLetter {
            original: record.value,
            error: Arc::from(error.into_inner()),
            attempts,
            operator: Arc::clone(&self.operator),
            time: self.clock.timestamp(),
            event_time: record.time,
        };
        // Whether there is room for another one is what the stage asks of the side output.
        let (Flow::More | Flow::Stop) = letters.push(Record::at(letter, record.time));
    }
}

impl<T: Send + 'static, F: Fallible<T>> Clone for Attempt<T, F> {
    fn clone(&self) -> Self {
        Self::new(self.policy.clone(), self.port, self.fallible.clone())
    }
}

impl<T: Send, F: Fallible<T>> fmt::Debug for Attempt<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(F::NAME)
            .field("policy", &self.policy)
            .field("waiting", &self.retry.is_some())
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static, F: Fallible<T>> Operator<T> for Attempt<T, F> {
    type Out = F::Out;
    const NAME: &'static str = F::NAME;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.run = Some(AttemptRun::open(context, self.port));
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        self.try_once(record, 0, out)
    }

    fn on_timer(
        &mut self,
        now: Instant,
        out: &mut impl Collector<F::Out>,
    ) -> Result<(), OperatorError> {
        let Some(retry) = self.retry.take_if(|retry| retry.due <= now) else {
            return Ok(());
        };
        self.try_once(retry.record, retry.failed, out)
    }

    #[inline]
    fn pending(&self) -> bool {
        self.left.is_some() || self.retry.is_some()
    }

    fn resume(&mut self, out: &mut impl Collector<F::Out>) -> Result<(), OperatorError> {
        self.left.resume(out);
        Ok(())
    }

    #[inline]
    fn waiting(&self) -> bool {
        self.retry.is_some()
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.retry.as_ref().map(|retry| retry.due)
    }

    #[inline]
    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.run.as_mut()?.side()
    }
}

#[cfg(test)]
mod tests {
    //! By hand, without dead letters: those need a job around them.

    use std::num::ParseIntError;
    use std::time::Duration;

    use millstream_engine::testing::{Event, OperatorHarness};
    use millstream_engine::time::Timestamp;

    use super::*;

    type Parse = fn(&&'static str) -> Result<u32, ParseIntError>;

    fn parse(policy: OnError<&'static str>) -> Attempt<&'static str, TryMap<Parse>> {
        let f: Parse = |word| word.parse();
        Attempt::new(policy, None, TryMap { f })
    }

    fn steady(attempts: u32) -> Backoff {
        let backoff = Backoff::default().with_initial(Duration::from_millis(10));
        let backoff = backoff.with_jitter(0.0).with_factor(1.0);
        backoff.with_attempts(attempts)
    }

    #[test]
    fn j5_by_default_an_error_fails_the_job() {
        let mut harness = OperatorHarness::new(parse(OnError::default()));
        harness.push("1");
        harness.push("one");
        assert_eq!(harness.values(), [1]);
        let error = harness.take_error().unwrap();
        assert_eq!(error.operator_name(), Some("try_map"));
        assert!(error.cause().unwrap().is::<ParseIntError>());
    }

    #[test]
    fn j5_skip_goes_on_and_keeps_event_times() {
        let mut harness = OperatorHarness::new(parse(OnError::skip()));
        let at = Timestamp::from_millis;
        for (word, millis) in [("1", 5), ("one", 6), ("2", 4)] {
            harness.push(Record::at(word, at(millis)));
        }
        let expected = [Record::at(1, at(5)), Record::at(2, at(4))].map(Event::Record);
        assert_eq!(harness.events(), expected);
        assert!(harness.take_error().is_none());
    }

    /// Fails until it has been asked so many times.
    fn after(failures: u32) -> impl FnMut(&u32) -> Result<u32, std::fmt::Error> + Clone {
        let mut asked = 0;
        move |n| {
            asked += 1;
            if asked > failures { Ok(*n) } else { Err(std::fmt::Error) }
        }
    }

    #[test]
    fn j5_retry_tries_again_on_the_original_when_its_time_has_come() {
        let f = after(2);
        let policy = OnError::retry(steady(3));
        let mut harness = OperatorHarness::new(Attempt::new(policy, None, TryMap { f }));
        let record = Record::at(7, Timestamp::from_millis(3));
        harness.push(record);
        assert!(Operator::<u32>::waiting(harness.operator()));
        harness.advance(Duration::from_millis(19));
        assert_eq!(harness.events(), []);
        harness.advance(Duration::from_millis(1));
        assert_eq!(harness.events(), [Event::Record(record)]);
        assert!(!Operator::<u32>::pending(harness.operator()));
    }

    #[test]
    fn j5_retry_fails_or_skips_when_the_attempts_run_out() {
        let mut harness = OperatorHarness::new(parse(OnError::retry(steady(2))));
        harness.push("one");
        harness.advance(Duration::from_secs(1));
        assert!(harness.take_error().is_some());

        let mut harness = OperatorHarness::new(parse(OnError::retry(steady(2)).or_skip()));
        harness.push("one");
        harness.advance(Duration::from_secs(1));
        assert!(harness.take_error().is_none());
        harness.push("2");
        assert_eq!(harness.values(), [2]);
    }

    #[test]
    fn j5_a_clone_has_nothing_to_try_again() {
        let mut harness = OperatorHarness::new(parse(OnError::retry(steady(2))));
        harness.push("one");
        let clone = harness.operator().clone();
        assert!(!Operator::<&str>::pending(&clone));
    }

    #[test]
    fn j5_without_a_place_for_dead_letters_nothing_is_lost() {
        let flow = crate::Dataflow::new("none");
        let (dead, _letters) = flow.dead_letters("nowhere");
        let mut harness = OperatorHarness::new(parse(OnError::dead_letter(&dead)));
        harness.push("one");
        assert!(harness.take_error().is_some());
    }

    #[test]
    fn j5_an_iterator_pauses_where_there_is_no_room() {
        for room in 1..4 {
            let f = |n: &u32| n.checked_sub(1).map(|m| 0..=m).ok_or(std::fmt::Error);
            let operator = Attempt::new(OnError::skip(), None, TryFlatMapIter { f });
            let mut harness = OperatorHarness::with_room(operator, room);
            for n in [2, 0, 3] {
                harness.push(n);
            }
            harness.end();
            assert_eq!(harness.values(), [0, 1, 0, 1, 2], "room for {room}");
        }
    }

    #[test]
    fn j5_filters_count_what_they_reject_as_delivered() {
        let even = |n: &u32| n.checked_sub(1).map(|m| m % 2 == 1).ok_or(std::fmt::Error);
        let filter = Attempt::new(OnError::skip(), None, TryFilter { f: even });
        let mut harness = OperatorHarness::new(filter);
        (0..5).for_each(|n| harness.push(n));
        assert_eq!(harness.values(), [2, 4]);

        let half = move |n: &u32| even(n).map(|even| even.then_some(n / 2));
        let filter_map = Attempt::new(OnError::skip(), None, TryFilterMap { f: half });
        let mut harness = OperatorHarness::new(filter_map);
        (0..5).for_each(|n| harness.push(n));
        assert_eq!(harness.values(), [1, 2]);
    }
}
