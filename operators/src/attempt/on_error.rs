//! `OnError`: what a fallible operator does with a value that failed.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::OperatorError;
use millstream_engine::graph::{Blueprint, OperatorId, Port};
use millstream_engine::random::Random;

use super::backoff::Backoff;
use super::dead_letter::DeadLetters;
use crate::recovery::{CircuitBreaker, WhenOpen};

/// What becomes of a value for which an operator returned an error: the job fails (the default),
/// the value is skipped, tried again, or put among the dead letters. All of it is counted, and
/// nothing is lost silently.
///
/// ```
/// use millstream_operators::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream_engine::Error> {
/// let flow = Dataflow::new("numbers");
/// let (dead, letters) = flow.dead_letters("bad words");
/// let words = flow.source("words", source::from_iter(["1", "one"]));
/// let policy = OnError::retry(Backoff::default().with_attempts(2)).or_dead_letter(&dead);
/// let numbers = words.try_map(policy, |word| word.parse::<u32>()).collect();
/// let failed = letters.map(|letter| (letter.original, letter.attempts)).collect();
/// let report = flow.run().await?;
/// assert_eq!(report.take(numbers), Some(vec![1]));
/// assert_eq!(report.take(failed), Some(vec![("one", 2)]));
/// # Ok(())
/// # }
/// ```
pub struct OnError<T> {
    pub(crate) backoff: Option<Backoff>,
    pub(crate) retry_if: Option<RetryIf>,
    pub(crate) at_last: AtLast<T>,
    pub(crate) guard: Option<(CircuitBreaker, WhenOpen)>,
    pub(crate) stop_after: Option<NonZeroU32>,
}

/// Which errors are worth another attempt.
pub(crate) type RetryIf = Arc<dyn Fn(&OperatorError) -> bool + Send + Sync>;

/// What is done when no further attempt is made.
pub(crate) enum AtLast<T> {
    Fail,
    Skip,
    DeadLetter(DeadLetters<T>),
}

impl<T> OnError<T> {
    const fn of(backoff: Option<Backoff>, at_last: AtLast<T>) -> Self {
        Self { backoff, retry_if: None, at_last, guard: None, stop_after: None }
    }

    /// Fails the job, with the operator's name and the error.
    #[must_use]
    pub const fn fail() -> Self {
        Self::of(None, AtLast::Fail)
    }

    /// Drops the value, counts it as skipped, and goes on.
    #[must_use]
    pub const fn skip() -> Self {
        Self::of(None, AtLast::Skip)
    }

    /// Tries again on the original value after a delay, while everything behind it waits: order is
    /// kept. When the attempts run out the job fails, unless something else is said.
    #[must_use]
    pub const fn retry(backoff: Backoff) -> Self {
        Self::of(Some(backoff), AtLast::Fail)
    }

    /// Makes no further attempt after an error for which `predicate` does not hold, such as one
    /// that says that the request itself is wrong.
    #[must_use]
    pub fn only_if(
        mut self,
        predicate: impl Fn(&OperatorError) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.retry_if = Some(Arc::new(predicate));
        self
    }

    /// Whether there is more to heed than attempts and what follows them.
    pub(crate) const fn is_guarded(&self) -> bool {
        self.guard.is_some() || self.stop_after.is_some()
    }

    /// Whether so many values given up in a row are too many.
    pub(crate) fn stops_after(&self, given_up: u32) -> bool {
        self.stop_after.is_some_and(|most| given_up >= most.get())
    }

    /// Lets `operator` send dead letters, if that is the policy.
    pub(crate) fn connect(&self, operator: OperatorId, blueprint: &Blueprint) -> Option<Port> {
        match &self.at_last {
            AtLast::DeadLetter(letters) => Some(blueprint.connect(letters.edge, operator)),
            AtLast::Fail | AtLast::Skip => None,
        }
    }

    /// How long to wait before another attempt. `None` if there is to be none.
    pub(crate) fn delay(
        &self,
        failed: u32,
        error: &OperatorError,
        random: &mut Random,
    ) -> Option<Duration> {
        let worth_it = self.retry_if.as_ref().is_none_or(|predicate| predicate(error));
        self.backoff.as_ref().filter(|_| worth_it)?.delay(failed, random)
    }

    /// Puts the original value among the dead letters, with the error.
    #[must_use]
    pub fn dead_letter(letters: &DeadLetters<T>) -> Self {
        Self::fail().or_dead_letter(letters)
    }

    /// When the attempts run out: drops the value and counts it as skipped.
    #[must_use]
    pub fn or_skip(mut self) -> Self {
        self.at_last = AtLast::Skip;
        self
    }

    /// When the attempts run out: puts the original value among the dead letters.
    #[must_use]
    pub fn or_dead_letter(mut self, letters: &DeadLetters<T>) -> Self {
        self.at_last = AtLast::DeadLetter(letters.clone());
        self
    }

    /// Makes no attempt while `breaker` is open, and tells it of each that is made. A value whose
    /// turn comes meanwhile waits, or is diverted. Where calls are asynchronous, each of those in
    /// flight asks for itself.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use millstream_operators::recovery::{CircuitBreaker, WhenOpen};
    ///
    /// let breaker = CircuitBreaker::after_failures(5);
    /// let policy = OnError::skip().guarded_by(&breaker, WhenOpen::Wait);
    /// # let flow = Dataflow::new("doc");
    /// # let words = flow.source("words", source::from_iter(["1"]));
    /// words.try_map(policy, |word| word.parse::<u32>()).ignore();
    /// ```
    #[must_use]
    pub fn guarded_by(mut self, breaker: &CircuitBreaker, when_open: WhenOpen) -> Self {
        self.guard = Some((breaker.clone(), when_open));
        self
    }

    /// Fails the job when so many values in a row had to be given up, rather than go on skipping or
    /// dead-lettering everything there is: then it is not the values. Zero counts as one. Each
    /// instance counts for itself.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let flow = Dataflow::new("all bad");
    /// let words = flow.source("words", source::from_iter(["1", "a", "2", "b", "c", "3"]));
    /// words.try_map(OnError::skip().stop_after(2), |word| word.parse::<u32>()).ignore();
    /// assert_eq!(flow.run().await.unwrap_err().operator_name(), Some("try_map"));
    /// # }
    /// ```
    #[must_use]
    pub const fn stop_after(mut self, values_in_a_row: u32) -> Self {
        self.stop_after = NonZeroU32::new(values_in_a_row);
        if self.stop_after.is_none() {
            self.stop_after = Some(NonZeroU32::MIN);
        }
        self
    }
}

impl<T> Default for OnError<T> {
    fn default() -> Self {
        Self::fail()
    }
}

impl<T> Clone for OnError<T> {
    fn clone(&self) -> Self {
        let at_last = match &self.at_last {
            AtLast::Fail => AtLast::Fail,
            AtLast::Skip => AtLast::Skip,
            AtLast::DeadLetter(letters) => AtLast::DeadLetter(letters.clone()),
        };
        let (guard, retry_if) = (self.guard.clone(), self.retry_if.clone());
        Self { backoff: self.backoff, retry_if, at_last, guard, stop_after: self.stop_after }
    }
}

impl<T> fmt::Debug for OnError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_last = match &self.at_last {
            AtLast::Fail => "fail",
            AtLast::Skip => "skip",
            AtLast::DeadLetter(_) => "dead_letter",
        };
        f.debug_struct("OnError")
            .field("backoff", &self.backoff)
            .field("at_last", &at_last)
            .field("guard", &self.guard)
            .field("stop_after", &self.stop_after)
            .finish()
    }
}
