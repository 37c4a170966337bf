//! `map_blocking`: work that blocks its thread, on threads of its own.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use millstream_engine::chain::Chain;
use tokio::task::JoinSet;

use super::Concurrency;
use super::calls::{Caller, Order};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Calls a closure that blocks, or computes for long, with each value, on the runtime's threads
    /// for blocking work, at most `concurrency` at a time in each instance. Results leave in the
    /// order of the input.
    ///
    /// It backpressures, ends and keeps event time as [`map_async`](DataStream::map_async) does. A
    /// closure that runs can't be stopped: when the job is aborted it comes to its end by itself,
    /// and its result is dropped; those that have not begun never do. Each call costs some
    /// microseconds, so what takes less belongs in [`map`](DataStream::map).
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
    /// let flow = Dataflow::new("sizes");
    /// let paths = flow.source("paths", source::from_iter(["Cargo.toml", "no such file"]));
    /// let found = paths.map_blocking(4, |path| std::fs::metadata(path).is_ok()).collect();
    /// assert_eq!(flow.run().await?.take(found), Some(vec![true, false]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn map_blocking<U, F>(self, concurrency: impl Into<Concurrency>, f: F) -> DataStream<U>
    where
        U: Send + 'static,
        F: FnMut(T) -> U + Clone + Send + 'static,
    {
        self.call("map_blocking", concurrency.into(), Order::AsAdmitted, None, Blocking { f })
    }
}

#[derive(Clone)]
struct Blocking<F> {
    f: F,
}

impl<T, U, F> Caller<T> for Blocking<F>
where
    T: Send + 'static,
    U: Send + 'static,
    F: FnMut(T) -> U + Clone + Send + 'static,
{
    type Out = U;
    type Call = BlockingCall<U>;

    fn call(&mut self, value: T) -> BlockingCall<U> {
        let mut f = self.f.clone();
        let mut work = JoinSet::new();
        work.spawn_blocking(move || f(value));
        BlockingCall(work)
    }
}

/// One closure on a thread. Dropped before it has begun, it never does.
struct BlockingCall<U>(JoinSet<U>);

impl<U: 'static> Future for BlockingCall<U> {
    type Output = U;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<U> {
        match ready!(self.0.poll_join_next(cx)) {
            Some(Ok(result)) => Poll::Ready(result),
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is shutting down, and the stage with it.
                Err(_) => Poll::Pending,
            },
            None => Poll::Pending,
        }
    }
}
