//! `try_map`: a map that may fail.

use millstream_engine::OperatorError;
use millstream_engine::chain::Chain;

use super::{Attempted, Fallible, OnError};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns each value into another one, or fails. `policy` says what becomes of a value that
    /// failed.
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
    /// let flow = Dataflow::new("numbers");
    /// let words = flow.source("words", source::from_iter(["1", "one", "2"]));
    /// let numbers = words.try_map(OnError::skip(), |word| word.parse::<u32>()).collect();
    /// let report = flow.run().await?;
    /// assert_eq!(report.take(numbers), Some(vec![1, 2]));
    /// assert_eq!(report.metrics().operators[1].skipped, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_map<U, E, F>(
        self,
        policy: OnError<T>,
        f: F,
    ) -> DataStream<U, Attempted<C, T, TryMap<F>>>
    where
        U: Send + 'static,
        E: Into<OperatorError>,
        F: FnMut(&T) -> Result<U, E> + Clone + Send + 'static,
    {
        self.attempt(policy, TryMap { f })
    }
}

/// What [`DataStream::try_map`] does with a value.
#[derive(Clone, Debug)]
pub struct TryMap<F> {
    pub(super) f: F,
}

impl<T, U, E, F> Fallible<T> for TryMap<F>
where
    U: Send + 'static,
    E: Into<OperatorError>,
    F: FnMut(&T) -> Result<U, E> + Clone + Send + 'static,
{
    type Out = U;
    type Items = std::iter::Once<U>;
    type Answer = U;
    const NAME: &'static str = "try_map";

    #[inline]
    fn attempt(&mut self, value: &T) -> Result<U, OperatorError> {
        (self.f)(value).map_err(Into::into)
    }

    #[inline]
    fn items(answer: U, _value: T) -> Self::Items {
        std::iter::once(answer)
    }
}
