//! `kill_switch`: ends a stream from outside, cleanly or with an error.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator};
use millstream_engine::runtime::{JobLink, OperatorContext};
use millstream_engine::{Error, OperatorError, Record};

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Lets records through until `switch` is thrown. [`KillSwitch::shutdown`] then cancels what is
    /// before and ends what is behind: what has passed comes out, what has not is left where it is.
    /// [`KillSwitch::abort`] fails the job with its error.
    ///
    /// Either acts at once, while the stream waits for input too. Where it waits for room, a
    /// shutdown ends it here and what has passed goes on waiting; an abort fails the job as it
    /// stands. Emits when its input does, backpressures when its output does, and is fused.
    ///
    /// ```
    /// use millstream_operators::control::KillSwitch;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let switch = KillSwitch::new("enough");
    /// let flow = Dataflow::new("endless");
    /// let numbers = flow.source("numbers", source::from_iter(0_u64..)).kill_switch(&switch);
    /// let count = numbers.count();
    /// let job = flow.start()?;
    /// switch.shutdown();
    /// assert!(job.await?.take(count).is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn kill_switch(self, switch: &KillSwitch) -> DataStream<T, Via<C, Killable>> {
        self.via(Killable { switch: switch.clone(), seat: None })
    }
}

/// Whether a [`KillSwitch`] has been thrown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchState {
    /// Not yet.
    On,
    /// By [`KillSwitch::shutdown`].
    Shutdown,
    /// By [`KillSwitch::abort`].
    Aborted,
}

/// Ends every stream that it was given to, in any number of dataflows and runs.
///
/// Clones are the same switch. The first call wins, and every further one does nothing. A switch
/// that was thrown stays so: a stream that is started later ends before its first record, or fails
/// the start of its job. For switches of a run's own, build the graph with new ones.
#[derive(Clone)]
pub struct KillSwitch(Arc<Switch>);

struct Switch {
    name: String,
    state: AtomicU8,
    inner: Mutex<Inner>,
}

struct Inner {
    cause: Option<Arc<dyn StdError + Send + Sync>>,
    /// The streams that are running, of which there are as many as were started.
    streams: BTreeMap<u64, Stream>,
    next: u64,
}

/// A stream that is running.
struct Stream {
    job: JobLink,
    /// Of its stage, once that has come to rest.
    waker: Option<Waker>,
}

const ON: u8 = 0;
const SHUTDOWN: u8 = 1;
const ABORTED: u8 = 2;

impl KillSwitch {
    /// A switch that nobody has thrown. The name stands in the error of an abort.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let inner = Inner { cause: None, streams: BTreeMap::new(), next: 0 };
        let state = AtomicU8::new(ON);
        Self(Arc::new(Switch { name: name.to_owned(), state, inner: Mutex::new(inner) }))
    }

    /// Ends the streams: cancels what is before, and completes what is behind.
    pub fn shutdown(&self) {
        self.throw(SHUTDOWN, None);
    }

    /// Fails the jobs of the streams, each in the name of its operator.
    pub fn abort(&self, error: impl Into<Box<dyn StdError + Send + Sync>>) {
        self.throw(ABORTED, Some(Arc::from(error.into())));
    }

    /// Whether it has been thrown.
    #[must_use]
    pub fn state(&self) -> SwitchState {
        match self.0.state.load(Ordering::Acquire) {
            ON => SwitchState::On,
            SHUTDOWN => SwitchState::Shutdown,
            _ => SwitchState::Aborted,
        }
    }

    fn throw(&self, state: u8, cause: Option<Arc<dyn StdError + Send + Sync>>) {
        let mut inner = self.inner();
        if self.0.state.load(Ordering::Acquire) != ON {
            return;
        }
        inner.cause = cause;
        self.0.state.store(state, Ordering::Release);
        let streams = inner.streams.values_mut();
        let streams: Vec<_> = streams.map(|one| (one.job.clone(), one.waker.take())).collect();
        drop(inner);
        for (job, waker) in streams {
            // An abort reaches the job even where the stage is not asked for anything.
            if let Some(error) = self.error() {
                job.fail(error);
            }
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn is_thrown(&self) -> bool {
        self.0.state.load(Ordering::Acquire) != ON
    }

    fn error(&self) -> Option<OperatorError> {
        let cause = self.inner().cause.clone()?;
        Some(KillSwitchAborted { switch: self.0.name.clone(), cause }.into())
    }
}

impl fmt::Debug for KillSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KillSwitch")
            .field("name", &self.0.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Somebody called [`KillSwitch::abort`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("kill switch `{switch}` was thrown: {cause}")]
pub struct KillSwitchAborted {
    /// The name of the switch.
    pub switch: String,
    /// The error that was given.
    pub cause: Arc<dyn StdError + Send + Sync>,
}

/// The operator behind [`DataStream::kill_switch`].
#[derive(Debug)]
pub struct Killable {
    switch: KillSwitch,
    /// Under which number the switch knows this stream.
    seat: Option<u64>,
}

impl Clone for Killable {
    fn clone(&self) -> Self {
        Self { switch: self.switch.clone(), seat: None }
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        if let Some(seat) = self.seat {
            self.switch.inner().streams.remove(&seat);
        }
    }
}

impl<T: Send + 'static> Operator<T> for Killable {
    type Out = T;
    const NAME: &'static str = "kill_switch";

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        if let Some(error) = self.switch.error() {
            return Err(Error::operator(&context.name(), error));
        }
        let mut inner = self.switch.inner();
        let seat = inner.next;
        inner.next += 1;
        inner.streams.insert(seat, Stream { job: context.job(), waker: None });
        drop(inner);
        self.seat = Some(seat);
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        if !self.switch.is_thrown() {
            out.push(record);
        }
        Ok(())
    }

    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        let Some(seat) = self.seat else {
            return Ok(());
        };
        let mut inner = self.switch.inner();
        // Behind the lock, so that a switch that is thrown meanwhile finds the waker or is seen.
        if !self.switch.is_thrown()
            && let Some(stream) = inner.streams.get_mut(&seat)
            && !stream.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            stream.waker = Some(cx.waker().clone());
        }
        Ok(())
    }

    #[inline]
    fn done(&self) -> bool {
        self.switch.is_thrown()
    }
}
