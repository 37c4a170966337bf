//! `limited_by`: no faster than a rate that is shared with others.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::{OperatorError, Record};

use super::limiter::{Acquire, RateLimiter};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets records through no faster than `limiter` allows to all who share it: other operators,
    /// the other instances of this one, other dataflows. Nothing is dropped, and order and event
    /// times stay.
    ///
    /// Emits a record when the limiter grants it a unit; requests are served in the order in which
    /// they were made, and this operator makes one at a time. Backpressures while it waits, and
    /// when its output does. Ends with its input, behind the record that waits; a job that stops
    /// gives its place in the queue up.
    ///
    /// State: none. The record that waits goes out before a barrier, and what has been used of the
    /// limiter is not the stream's.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, timing::{Rate, RateLimiter}};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let limiter = RateLimiter::new("api", Rate::per_second(1000));
    /// let flow = Dataflow::new("calls");
    /// let calls = flow.source("numbers", source::from_iter(0..5)).limited_by(&limiter).count();
    /// assert_eq!(flow.run().await?.take(calls), Some(5));
    /// # Ok(())
    /// # }
    /// ```
    #[allow(
        clippy::type_complexity,
        reason = "the type names the chain and the closure, as those of other operators do"
    )]
    pub fn limited_by(
        self,
        limiter: &RateLimiter,
    ) -> DataStream<T, Via<C, LimitedBy<T, fn(&T) -> u32>>> {
        self.limited_by_weighted(limiter, |_| 1)
    }

    /// As [`limited_by`](DataStream::limited_by), where a record needs as many units as `cost`
    /// says.
    ///
    /// ```
    /// use millstream_operators::{prelude::*, timing::{Rate, RateLimiter}};
    ///
    /// # let flow = Dataflow::new("doc");
    /// let disk = RateLimiter::new("disk", Rate::per_second(1 << 24).with_burst(1 << 20));
    /// let lines = flow.source("lines", source::from_iter(["a line", "another"]));
    /// lines.limited_by_weighted(&disk, |line| line.len() as u32).ignore();
    /// # flow.validate().unwrap();
    /// ```
    pub fn limited_by_weighted<F>(
        self,
        limiter: &RateLimiter,
        cost: F,
    ) -> DataStream<T, Via<C, LimitedBy<T, F>>>
    where
        F: FnMut(&T) -> u32 + Clone + Send + 'static,
    {
        self.via(LimitedBy { limiter: limiter.clone(), cost, held: None, wait: None })
    }
}

/// The operator behind [`DataStream::limited_by`].
pub struct LimitedBy<T, F> {
    limiter: RateLimiter,
    cost: F,
    held: Option<Record<T>>,
    /// What the held record waits for.
    wait: Option<Acquire>,
}

impl<T, F: Clone> Clone for LimitedBy<T, F> {
    fn clone(&self) -> Self {
        let (limiter, cost) = (self.limiter.clone(), self.cost.clone());
        Self { limiter, cost, held: None, wait: None }
    }
}

impl<T, F> fmt::Debug for LimitedBy<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedBy")
            .field("limiter", &self.limiter)
            .field("waiting", &self.wait.is_some())
            .finish_non_exhaustive()
    }
}

impl<T, F> Operator<T> for LimitedBy<T, F>
where
    T: Send + 'static,
    F: FnMut(&T) -> u32 + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "limited_by";

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        let cost = (self.cost)(&record.value);
        if cost == 0 || self.limiter.try_acquire(cost) {
            out.push(record);
        } else {
            self.held = Some(record);
            self.wait = Some(self.limiter.acquire(cost));
        }
        Ok(())
    }

    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        if let Some(wait) = &mut self.wait
            && Pin::new(wait).poll(cx).is_ready()
        {
            self.wait = None;
        }
        Ok(())
    }

    #[inline]
    fn pending(&self) -> bool {
        self.held.is_some()
    }

    #[inline]
    fn waiting(&self) -> bool {
        self.wait.is_some()
    }

    fn resume(&mut self, out: &mut impl Collector<T>) -> Result<(), OperatorError> {
        if self.wait.is_none()
            && let Some(record) = self.held.take()
        {
            out.push(record);
        }
        Ok(())
    }
}
