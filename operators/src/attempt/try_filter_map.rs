//! `try_filter_map`: a filter and map that may fail.

use millstream_engine::OperatorError;
use millstream_engine::chain::Chain;

use super::{Attempted, Fallible, OnError};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Turns each value into another one or into none, or fails. `policy` says what becomes of a
    /// value that failed.
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
    /// let even = |word: &&str| word.parse::<u32>().map(|n| (n % 2 == 0).then_some(n));
    /// let words = flow.source("words", source::from_iter(["1", "two", "4"]));
    /// let even = words.try_filter_map(OnError::skip(), even).collect();
    /// assert_eq!(flow.run().await?.take(even), Some(vec![4]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_filter_map<U, E, F>(
        self,
        policy: OnError<T>,
        f: F,
    ) -> DataStream<U, Attempted<C, T, TryFilterMap<F>>>
    where
        U: Send + 'static,
        E: Into<OperatorError>,
        F: FnMut(&T) -> Result<Option<U>, E> + Clone + Send + 'static,
    {
        self.attempt(policy, TryFilterMap { f })
    }
}

/// What [`DataStream::try_filter_map`] does with a value.
#[derive(Clone, Debug)]
pub struct TryFilterMap<F> {
    pub(super) f: F,
}

impl<T, U, E, F> Fallible<T> for TryFilterMap<F>
where
    U: Send + 'static,
    E: Into<OperatorError>,
    F: FnMut(&T) -> Result<Option<U>, E> + Clone + Send + 'static,
{
    type Out = U;
    type Items = std::option::IntoIter<U>;
    type Answer = Option<U>;
    const NAME: &'static str = "try_filter_map";

    #[inline]
    fn attempt(&mut self, value: &T) -> Result<Option<U>, OperatorError> {
        (self.f)(value).map_err(Into::into)
    }

    #[inline]
    fn items(answer: Option<U>, _value: T) -> Self::Items {
        answer.into_iter()
    }
}
