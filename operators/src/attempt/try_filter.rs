//! `try_filter`: a filter that may fail.

use millstream_engine::OperatorError;
use millstream_engine::chain::Chain;

use super::{Attempted, Fallible, OnError};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets through the records for which the closure answers `true`, or fails. `policy` says what
    /// becomes of a value that failed.
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
    /// let flow = Dataflow::new("even");
    /// let even = |word: &&str| word.parse::<u32>().map(|n| n % 2 == 0);
    /// let words = flow.source("words", source::from_iter(["1", "two", "4"]));
    /// let even = words.try_filter(OnError::skip(), even).collect();
    /// assert_eq!(flow.run().await?.take(even), Some(vec!["4"]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_filter<E, F>(
        self,
        policy: OnError<T>,
        f: F,
    ) -> DataStream<T, Attempted<C, T, TryFilter<F>>>
    where
        E: Into<OperatorError>,
        F: FnMut(&T) -> Result<bool, E> + Clone + Send + 'static,
    {
        self.attempt(policy, TryFilter { f })
    }
}

/// What [`DataStream::try_filter`] does with a value.
#[derive(Clone, Debug)]
pub struct TryFilter<F> {
    pub(super) f: F,
}

impl<T, E, F> Fallible<T> for TryFilter<F>
where
    T: Send + 'static,
    E: Into<OperatorError>,
    F: FnMut(&T) -> Result<bool, E> + Clone + Send + 'static,
{
    type Out = T;
    type Items = std::option::IntoIter<T>;
    type Answer = bool;
    const NAME: &'static str = "try_filter";

    #[inline]
    fn attempt(&mut self, value: &T) -> Result<bool, OperatorError> {
        (self.f)(value).map_err(Into::into)
    }

    #[inline]
    fn items(answer: bool, value: T) -> Self::Items {
        answer.then_some(value).into_iter()
    }
}
