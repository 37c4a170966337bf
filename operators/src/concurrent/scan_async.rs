//! `scan_async`: a running fold whose every step is a future.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use millstream_engine::chain::Chain;
use pin_project::pin_project;

use super::Concurrency;
use super::calls::{Caller, Order};
use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Hands each value to a closure together with the state, and emits what the future gives
    /// beside the next state. Strictly one after another.
    ///
    /// Each run and instance begins with a clone of `initial`. It backpressures, ends and keeps
    /// event time as [`map_async`](DataStream::map_async) does.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("sums");
    /// let numbers = flow.source("numbers", source::from_iter(1..=3));
    /// let add = |sum: u32, n| async move { (sum + n, sum + n) };
    /// let sums = numbers.scan_async(0, add).collect();
    /// assert_eq!(flow.run().await?.take(sums), Some(vec![1, 3, 6]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn scan_async<S, U, R, F>(self, initial: S, f: F) -> DataStream<U>
    where
        S: Clone + Send + Sync + 'static,
        U: Send + 'static,
        R: Future<Output = (S, U)> + Send + 'static,
        F: FnMut(S, T) -> R + Clone + Send + 'static,
    {
        let caller = ScanCaller { initial, f, state: Arc::default() };
        self.call("scan_async", Concurrency::fixed(1), Order::AsAdmitted, None, caller)
    }
}

struct ScanCaller<S, F> {
    initial: S,
    f: F,
    /// What the call in flight leaves for the next one. There is never more than one.
    state: Arc<Mutex<Option<S>>>,
}

impl<S: Clone, F: Clone> Clone for ScanCaller<S, F> {
    fn clone(&self) -> Self {
        Self { initial: self.initial.clone(), f: self.f.clone(), state: Arc::default() }
    }
}

impl<S, T, U, R, F> Caller<T> for ScanCaller<S, F>
where
    S: Clone + Send + Sync + 'static,
    U: Send + 'static,
    R: Future<Output = (S, U)> + Send + 'static,
    F: FnMut(S, T) -> R + Clone + Send + 'static,
{
    type Out = U;
    type Call = ScanCall<S, R>;

    fn call(&mut self, value: T) -> Self::Call {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).take();
        let state = state.unwrap_or_else(|| self.initial.clone());
        ScanCall { step: (self.f)(state, value), state: Arc::clone(&self.state) }
    }
}

#[pin_project]
struct ScanCall<S, R> {
    #[pin]
    step: R,
    state: Arc<Mutex<Option<S>>>,
}

impl<S, U, R: Future<Output = (S, U)>> Future for ScanCall<S, R> {
    type Output = U;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<U> {
        let this = self.project();
        let (state, output) = ready!(this.step.poll(cx));
        *this.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        Poll::Ready(output)
    }
}
