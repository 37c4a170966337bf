//! Dead letters: values that failed, as a stream of their own.

use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use millstream_engine::graph::{EdgeId, EdgeOptions};
use millstream_engine::time::Timestamp;

use crate::{DataStream, Dataflow};

impl Dataflow {
    /// A stream of the values that operators give up on, and the handle by which
    /// [`OnError::dead_letter`](crate::attempt::OnError::dead_letter) sends them there. Any number
    /// of operators of this dataflow may use the handle; the stream, one instance, brings them
    /// together.
    ///
    /// It is a bounded stream like every other: if its sink is slow, the operators that write to it
    /// wait, and if its sink fails, the job does. It ends when all of those operators have ended.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("numbers");
    /// let (dead, letters) = flow.dead_letters("bad words");
    /// let words = flow.source("words", source::from_iter(["1", "one"])).parallel(2);
    /// let numbers = words.try_map(OnError::dead_letter(&dead), |word| word.parse::<u32>());
    /// let count = numbers.named("parse").count();
    /// let bad = letters.map(|letter| format!("{}: {letter}", letter.original)).collect();
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(count), Some(1));
    /// let text = "one: operator `parse` gave up after 1 attempt: invalid digit found in string";
    /// assert_eq!(report.take(bad), Some(vec![text.to_owned()]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn dead_letters<T: Send + 'static>(
        &self,
        name: &str,
    ) -> (DeadLetters<T>, DataStream<DeadLetter<T>>) {
        let blueprint = self.blueprint();
        let edge = blueprint.add_edge::<DeadLetter<T>>(name, EdgeOptions::default());
        let letters = DataStream::behind(self.clone(), edge, 1, "dead_letters").named(name);
        let marker = PhantomData;
        (DeadLetters { edge, marker }, letters)
    }
}

/// Where operators send the values that they give up on. Made by [`Dataflow::dead_letters`], and
/// good for operators of that dataflow only.
pub struct DeadLetters<T> {
    pub(crate) edge: EdgeId,
    marker: PhantomData<fn(T)>,
}

impl<T> Clone for DeadLetters<T> {
    fn clone(&self) -> Self {
        Self { edge: self.edge, marker: PhantomData }
    }
}

impl<T> fmt::Debug for DeadLetters<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeadLetters").field(&self.edge).finish()
    }
}

/// A value that an operator gave up on, and all there is to know about that. It is shown as what
/// happened, without the value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLetter<T> {
    /// The value, as the operator got it.
    pub original: T,
    /// The error of the last attempt.
    pub error: Arc<dyn StdError + Send + Sync>,
    /// How many attempts were made.
    pub attempts: u32,
    /// The operator's name.
    pub operator: Arc<str>,
    /// When it was given up, by the job's clock.
    pub time: Timestamp,
    /// When it happened: also the event time of this record.
    pub event_time: Timestamp,
}

impl<T> fmt::Display for DeadLetter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operator, attempts, error) = (&self.operator, self.attempts, &self.error);
        let plural = if attempts == 1 { "" } else { "s" };
        write!(f, "operator `{operator}` gave up after {attempts} attempt{plural}: {error}")
    }
}
