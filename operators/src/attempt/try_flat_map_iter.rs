//! `try_flat_map_iter`: a `flat_map_iter` that may fail.

use millstream_engine::OperatorError;
use millstream_engine::chain::Chain;

use super::{Attempted, Fallible, OnError};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns each value into the items of an iterator, or fails before the first of them. `policy`
    /// says what becomes of a value that failed.
    ///
    /// Emits when its input does, or when a retry succeeds. Backpressures when its output or the
    /// dead letters do, and while it waits to try again; ends with its input, behind the last
    /// retry. Order and event times stay.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("countdown");
    /// let down = |word: &&str| word.parse::<u32>().map(|n| (1..=n).rev());
    /// let words = flow.source("words", source::from_iter(["2", "two", "1"]));
    /// let numbers = words.try_flat_map_iter(OnError::skip(), down).collect();
    /// assert_eq!(flow.run().await?.take(numbers), Some(vec![2, 1, 1]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_flat_map_iter<I, E, F>(
        self,
        policy: OnError<T>,
        f: F,
    ) -> DataStream<I::Item, Attempted<C, T, TryFlatMapIter<F>>>
    where
        I: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static> + 'static,
        E: Into<OperatorError>,
        F: FnMut(&T) -> Result<I, E> + Clone + Send + 'static,
    {
        self.attempt(policy, TryFlatMapIter { f })
    }
}

/// What [`DataStream::try_flat_map_iter`] does with a value.
#[derive(Clone, Debug)]
pub struct TryFlatMapIter<F> {
    pub(super) f: F,
}

impl<T, I, E, F> Fallible<T> for TryFlatMapIter<F>
where
    I: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static> + 'static,
    E: Into<OperatorError>,
    F: FnMut(&T) -> Result<I, E> + Clone + Send + 'static,
{
    type Out = I::Item;
    type Items = I::IntoIter;
    type Answer = I;
    const NAME: &'static str = "try_flat_map_iter";

    #[inline]
    fn attempt(&mut self, value: &T) -> Result<I, OperatorError> {
        (self.f)(value).map_err(Into::into)
    }

    #[inline]
    fn items(answer: I, _value: T) -> Self::Items {
        answer.into_iter()
    }
}
