//! `take_until_signal`: a stream that ends when a future is ready.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::{OperatorContext, StageSignal};
use millstream_engine::{Error, OperatorError, Record};

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets records through until a future is ready, then ends the stream and cancels its input.
    /// `signal` makes the future of each run and instance; it may wait for anything, but must not
    /// block.
    ///
    /// It acts at once, also while the stream waits for input or for room. Emits when its input
    /// does, backpressures when its output does. Ends with its input, and then drops the future.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    /// use std::sync::Arc;
    /// use tokio::sync::Notify;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let enough = Arc::new(Notify::new());
    /// let signal = Arc::clone(&enough);
    /// let flow = Dataflow::new("until told");
    /// let waiting = flow.source("never", source::never::<u32>());
    /// let none = waiting
    ///     .take_until_signal(move || {
    ///         let signal = Arc::clone(&signal);
    ///         async move { signal.notified().await }
    ///     })
    ///     .collect();
    /// let job = flow.start()?;
    /// enough.notify_one();
    /// assert_eq!(job.await?.take(none), Some(vec![]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_until_signal<S, F>(self, signal: S) -> DataStream<T, Via<C, TakeUntilSignal<S, F>>>
    where
        S: Fn() -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.via(TakeUntilSignal { signal, waiting: None })
    }
}

/// The operator behind [`DataStream::take_until_signal`].
pub struct TakeUntilSignal<S, F> {
    signal: S,
    waiting: Option<Waiting<F>>,
}

struct Waiting<F> {
    /// None once it was ready. `done` only looks, and yet has to poll.
    future: RefCell<Option<Pin<Box<F>>>>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// Remembers that the future wants to be polled.
struct Bell {
    rung: AtomicBool,
    stage: StageSignal,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.stage.wake();
    }
}

impl<F: Future<Output = ()>> Waiting<F> {
    #[inline]
    fn is_over(&self) -> bool {
        if self.bell.rung.load(Ordering::Acquire) {
            self.bell.rung.store(false, Ordering::Release);
            self.poll();
        }
        self.future.borrow().is_none()
    }

    #[cold]
    fn poll(&self) {
        let mut future = self.future.borrow_mut();
        let mut cx = Context::from_waker(&self.waker);
        if future.as_mut().is_some_and(|future| future.as_mut().poll(&mut cx).is_ready()) {
            *future = None;
        }
    }
}

impl<S: Clone, F> Clone for TakeUntilSignal<S, F> {
    fn clone(&self) -> Self {
        Self { signal: self.signal.clone(), waiting: None }
    }
}

impl<S, F> fmt::Debug for TakeUntilSignal<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TakeUntilSignal")
    }
}

impl<T, S, F> Operator<T> for TakeUntilSignal<S, F>
where
    T: Send + 'static,
    S: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "take_until_signal";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), stage: context.signal() });
        let waker = Waker::from(Arc::clone(&bell));
        let future = RefCell::new(Some(Box::pin((self.signal)())));
        self.waiting = Some(Waiting { future, bell, waker });
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if !Operator::<T>::done(self) {
            out.push(record);
        }
        Ok(())
    }

    #[inline]
    fn done(&self) -> bool {
        self.waiting.as_ref().is_some_and(Waiting::is_over)
    }
}
