//! `try_map_async` and its kin: calls that may fail or take too long, with a policy for those.

use std::fmt;
use std::future::Future;
use std::hash::Hash;

use millstream_engine::chain::{Boundary, Chain, Via};
use millstream_engine::graph::Port;
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::{Error, OperatorError, Record};

use super::attempts::{Answer, Attempts};
use super::calls::{LaneOf, Order};
use super::map_async_keyed::lane;
use super::{CallPolicy, Concurrency};
use crate::DataStream;
use crate::attempt::{AttemptRun, OnError};

/// A stage that calls, with what sees to those that were given up.
pub type Called<T, U> = Via<Boundary<Answer<T, U>>, Settle<T>>;

impl<T: Clone + Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// As [`map_async`](DataStream::map_async), with futures that may fail. `policy` says how long
    /// a value may take and what becomes of one that failed: an [`OnError`] will do, a
    /// [`CallPolicy`] has limits on time as well.
    ///
    /// A retry calls the closure again with a clone of the original value. While it waits, others
    /// go on; the results still leave in the order of the input.
    ///
    /// # Panics
    ///
    /// If `concurrency` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("numbers");
    /// let words = flow.source("words", source::from_iter(["1", "one", "2"]));
    /// let parse = |word: &'static str| async move { word.parse::<u32>() };
    /// let numbers = words.try_map_async(8, OnError::skip(), parse).collect();
    /// assert_eq!(flow.run().await?.take(numbers), Some(vec![1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn try_map_async<U, E, R, F>(
        self,
        concurrency: impl Into<Concurrency>,
        policy: impl Into<CallPolicy<T>>,
        f: F,
    ) -> DataStream<U, Called<T, U>>
    where
        U: Send + 'static,
        E: Into<OperatorError> + 'static,
        R: Future<Output = Result<U, E>> + Send + 'static,
        F: FnMut(T) -> R + Clone + Send + 'static,
    {
        let attempts = Attempts::new(policy.into(), f);
        self.try_call(concurrency.into(), Order::AsAdmitted, None, attempts)
    }

    /// As [`try_map_async`](DataStream::try_map_async), with results in the order in which they are
    /// there. None crosses a watermark, in either direction.
    ///
    /// # Panics
    ///
    /// If `concurrency` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("numbers");
    /// let (dead, letters) = flow.dead_letters("bad words");
    /// let words = flow.source("words", source::from_iter(["1", "one", "2"]));
    /// let parse = |word: &'static str| async move { word.parse::<u32>() };
    /// words.try_map_async_unordered(8, OnError::dead_letter(&dead), parse).ignore();
    /// let bad = letters.map(|letter| letter.original).collect();
    /// assert_eq!(flow.run().await?.take(bad), Some(vec!["one"]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn try_map_async_unordered<U, E, R, F>(
        self,
        concurrency: impl Into<Concurrency>,
        policy: impl Into<CallPolicy<T>>,
        f: F,
    ) -> DataStream<U, Called<T, U>>
    where
        U: Send + 'static,
        E: Into<OperatorError> + 'static,
        R: Future<Output = Result<U, E>> + Send + 'static,
        F: FnMut(T) -> R + Clone + Send + 'static,
    {
        let attempts = Attempts::new(policy.into(), f);
        self.try_call(concurrency.into(), Order::AsFinished, None, attempts)
    }

    /// As [`try_map_async`](DataStream::try_map_async), but for each key one value at a time, all
    /// its attempts included: a retry is overtaken by nothing of its key. Results leave in the
    /// order of the input.
    ///
    /// # Panics
    ///
    /// If `concurrency` is zero.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("numbers");
    /// let words = flow.source("words", source::from_iter(["1", "one", "2"]));
    /// let parse = |word: &'static str| async move { word.parse::<u32>() };
    /// let numbers =
    ///     words.try_map_async_keyed(8, OnError::skip(), |word| word.len(), parse).collect();
    /// assert_eq!(flow.run().await?.take(numbers), Some(vec![1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn try_map_async_keyed<K, U, E, R, F>(
        self,
        concurrency: impl Into<Concurrency>,
        policy: impl Into<CallPolicy<T>>,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
        f: F,
    ) -> DataStream<U, Called<T, U>>
    where
        K: Hash,
        U: Send + 'static,
        E: Into<OperatorError> + 'static,
        R: Future<Output = Result<U, E>> + Send + 'static,
        F: FnMut(T) -> R + Clone + Send + 'static,
    {
        let lane = Some(lane(key));
        let attempts = Attempts::new(policy.into(), f);
        self.try_call(concurrency.into(), Order::AsAdmitted, lane, attempts)
    }

    fn try_call<U, E, R, F>(
        self,
        concurrency: Concurrency,
        order: Order,
        lane: Option<LaneOf<T>>,
        attempts: Attempts<T, F>,
    ) -> DataStream<U, Called<T, U>>
    where
        U: Send + 'static,
        E: Into<OperatorError> + 'static,
        R: Future<Output = Result<U, E>> + Send + 'static,
        F: FnMut(T) -> R + Clone + Send + 'static,
    {
        let policy = attempts.on_error().clone();
        self.call("calls", concurrency, order, lane, attempts).via_with(|operator, blueprint| {
            let port = policy.connect(operator, blueprint);
            Settle { policy, port, given_up: 0, run: None }
        })
    }
}

/// Passes results on, and does with the values that were given up what the policy says.
pub struct Settle<T> {
    policy: OnError<T>,
    port: Option<Port>,
    /// The values given up since the last result.
    given_up: u32,
    run: Option<AttemptRun<T>>,
}

impl<T> Clone for Settle<T> {
    fn clone(&self) -> Self {
        Self { policy: self.policy.clone(), port: self.port, given_up: 0, run: None }
    }
}

impl<T> fmt::Debug for Settle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settle").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<T: Send + 'static, U: Send + 'static> Operator<Answer<T, U>> for Settle<T> {
    type Out = U;
    const NAME: &'static str = "try_map_async";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.run = Some(AttemptRun::open(context, self.port));
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<Answer<T, U>>,
        out: &mut impl Collector<U>,
    ) -> Result<(), OperatorError> {
        match (record.value, &mut self.run) {
            (Answer::Done(result), _) => {
                self.given_up = 0;
                out.push(Record::at(result, record.time));
                Ok(())
            }
            (Answer::GaveUp { original, error, attempts }, Some(run)) => {
                self.given_up = self.given_up.saturating_add(1);
                if self.policy.stops_after(self.given_up) {
                    return Err(error);
                }
                let original = original.map(|value| Record::at(value, record.time));
                run.give_up(&self.policy.at_last, original, attempts, error)
            }
            (Answer::GaveUp { error, .. }, None) => Err(error),
        }
    }

    #[inline]
    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.run.as_mut()?.side()
    }
}
