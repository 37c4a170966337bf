//! `OnError`: what a fallible operator does with a value that failed.

use std::fmt;
use std::num::NonZeroU32;

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
    pub(super) backoff: Option<Backoff>,
    pub(super) at_last: AtLast<T>,
    pub(super) guard: Option<(CircuitBreaker, WhenOpen)>,
    pub(super) stop_after: Option<NonZeroU32>,
}

/// What is done when no further attempt is made.
pub(super) enum AtLast<T> {
    Fail,
    Skip,
    DeadLetter(DeadLetters<T>),
}

impl<T> OnError<T> {
    const fn of(backoff: Option<Backoff>, at_last: AtLast<T>) -> Self {
        Self { backoff, at_last, guard: None, stop_after: None }
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
    /// turn comes meanwhile waits, or is diverted.
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
    /// dead-lettering everything there is: then it is not the values. Zero counts as one.
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
        let guard = self.guard.clone();
        Self { backoff: self.backoff, at_last, guard, stop_after: self.stop_after }
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
