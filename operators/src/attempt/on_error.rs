//! `OnError`: what a fallible operator does with a value that failed.

use std::fmt;

use super::backoff::Backoff;
use super::dead_letter::DeadLetters;

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
}

/// What is done when no further attempt is made.
pub(super) enum AtLast<T> {
    Fail,
    Skip,
    DeadLetter(DeadLetters<T>),
}

impl<T> OnError<T> {
    /// Fails the job, with the operator's name and the error.
    #[must_use]
    pub const fn fail() -> Self {
        Self { backoff: None, at_last: AtLast::Fail }
    }

    /// Drops the value, counts it as skipped, and goes on.
    #[must_use]
    pub const fn skip() -> Self {
        Self { backoff: None, at_last: AtLast::Skip }
    }

    /// Tries again on the original value after a delay, while everything behind it waits: order is
    /// kept. When the attempts run out the job fails, unless something else is said.
    #[must_use]
    pub const fn retry(backoff: Backoff) -> Self {
        Self { backoff: Some(backoff), at_last: AtLast::Fail }
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
        let backoff = self.backoff;
        Self { backoff, at_last }
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
            .finish()
    }
}
