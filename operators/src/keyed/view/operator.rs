//! `queryable`: lets the program around a job read what an operator keeps by key.

use std::fmt;
use std::sync::Arc;
use std::task::Context;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::{JobLink, OperatorContext, Outcome};
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use super::counter::{Counter, Counters};
use super::{ReadableKeys, StateView, ViewError};
use crate::DataStream;
use crate::keyed::limit::{BoundedKeys, KeyBound};
use crate::state::Checkpointed;

impl<T, C, O> DataStream<T, Via<C, O>>
where
    T: Send + 'static,
    C: Chain,
    O: Operator<C::Item, Out = T> + ReadableKeys,
{
    /// Lets the program around the job ask what the last operator keeps of its keys, while the job
    /// runs: gives the stream, and the [`StateView`] to ask.
    ///
    /// Each instance answers between two records, also while it waits for input, or for room
    /// behind it; a record has one flag to look at for it. Nothing else changes:
    /// [`uid`](DataStream::uid), [`max_keys`](DataStream::max_keys) and
    /// [`named`](DataStream::named) may be said before or behind it, and state that was written
    /// without is read with it.
    ///
    /// ```
    /// use futures_util::TryStreamExt;
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let flow = Dataflow::new("visits");
    /// let now = flow.source("now", source::from_iter(["ann", "bob", "ann"].map(String::from)));
    /// let visits = now.concat(flow.source("later", source::never()));
    /// let (counts, view) = visits.key_by_ref(String::as_str).running_count().queryable();
    ///
    /// let mut counts = counts.into_stream();
    /// for _ in 0..3 {
    ///     counts.try_next().await?;
    /// }
    /// assert_eq!(view.get("ann").await?, Some(2));
    /// assert_eq!(view.get("cid").await?, None);
    /// assert_eq!(view.len().await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What keeps nothing by key can't be asked:
    ///
    /// ```compile_fail
    /// # use millstream_operators::prelude::*;
    /// let flow = Dataflow::new("doc");
    /// flow.source("numbers", source::from_iter(0..9)).take(5).queryable();
    /// ```
    #[allow(clippy::type_complexity, reason = "a stream and its view")]
    pub fn queryable(self) -> (DataStream<T, Via<C, Queryable<O>>>, StateView<O::Key, O::Value>) {
        let (flow, chain, draft) = self.into_parts();
        let (chain, operator, id) = chain.into_parts();
        let (operator, view) = Queryable::new(operator);
        (DataStream::from_parts(flow, Via::new(chain, operator, id), draft), view)
    }
}

/// An operator whose state can be read from outside: the one inside, in everything else.
pub struct Queryable<O: ReadableKeys> {
    operator: O,
    desk: Desk<O::Key, O::Value>,
}

impl<O: ReadableKeys> Queryable<O> {
    /// The operator, and the view of what it keeps.
    #[must_use]
    pub fn new(operator: O) -> (Self, StateView<O::Key, O::Value>) {
        let counters = Arc::new(Counters::new());
        let view = StateView::new(Arc::clone(&counters));
        (Self { operator, desk: Desk::new(counters) }, view)
    }
}

impl<O: ReadableKeys + 'static> Queryable<O> {
    #[cold]
    fn answer(&self) {
        self.desk.counter.answer(&self.operator, None);
    }
}

impl<O: ReadableKeys + Clone> Clone for Queryable<O> {
    fn clone(&self) -> Self {
        let desk = Desk::new(Arc::clone(&self.desk.counters));
        Self { operator: self.operator.clone(), desk }
    }
}

impl<O: ReadableKeys + fmt::Debug> fmt::Debug for Queryable<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queryable").field(&self.operator).finish()
    }
}

impl<O: ReadableKeys + Checkpointed> Checkpointed for Queryable<O> {
    fn checkpointed(self) -> Self {
        Self { operator: self.operator.checkpointed(), ..self }
    }
}

impl<O: ReadableKeys + BoundedKeys> BoundedKeys for Queryable<O> {
    type Value = <O as BoundedKeys>::Value;

    fn bounded(self, bound: KeyBound<Self::Value>) -> Self {
        Self { operator: self.operator.bounded(bound), ..self }
    }
}

/// The operator's side of its counter, which is closed when it goes.
struct Desk<K: 'static, V: 'static> {
    counters: Arc<Counters<K, V>>,
    counter: Arc<Counter<K, V>>,
    job: Option<JobLink>,
}

impl<K, V> Desk<K, V> {
    fn new(counters: Arc<Counters<K, V>>) -> Self {
        Self { counters, counter: Arc::new(Counter::new()), job: None }
    }

    fn open(&mut self, context: &OperatorContext<'_>) {
        let job = context.job();
        self.counters.open(&job, context.instance(), context.instances(), &self.counter);
        self.job = Some(job);
    }
}

impl<K, V> Drop for Desk<K, V> {
    fn drop(&mut self) {
        let Some(job) = &self.job else {
            return;
        };
        self.counter.close(match job.outcome() {
            Outcome::Completed => ViewError::Ended,
            Outcome::Failed => ViewError::Failed,
            _ => ViewError::Aborted,
        });
    }
}

impl<In, O: Operator<In> + ReadableKeys> Operator<In> for Queryable<O> {
    type Out = O::Out;
    const NAME: &'static str = O::NAME;
    const SETS_TIME: bool = O::SETS_TIME;
    const NEEDS_TIME: bool = O::NEEDS_TIME;
    const STATE_VERSION: u32 = O::STATE_VERSION;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.operator.open(context)?;
        self.desk.open(context);
        Ok(())
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<In>,
        out: &mut impl Collector<O::Out>,
    ) -> Result<(), OperatorError> {
        if self.desk.counter.is_asked() {
            self.answer();
        }
        self.operator.process(record, out)
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<O::Out>,
    ) -> Result<(), OperatorError> {
        if self.desk.counter.is_asked() {
            self.answer();
        }
        self.operator.on_watermark(watermark, out)
    }

    fn on_timer(
        &mut self,
        now: Instant,
        out: &mut impl Collector<O::Out>,
    ) -> Result<(), OperatorError> {
        self.operator.on_timer(now, out)
    }

    fn before_barrier(&mut self, out: &mut impl Collector<O::Out>) -> Result<(), OperatorError> {
        self.operator.before_barrier(out)
    }

    fn before_idle(&mut self, out: &mut impl Collector<O::Out>) -> Result<(), OperatorError> {
        self.operator.before_idle(out)
    }

    fn on_end(&mut self, out: &mut impl Collector<O::Out>) -> Result<(), OperatorError> {
        // From here on it gives away what it keeps.
        self.answer();
        self.desk.counter.close(ViewError::Ended);
        self.operator.on_end(out)
    }

    #[inline]
    fn pending(&self) -> bool {
        self.operator.pending()
    }

    fn resume(&mut self, out: &mut impl Collector<O::Out>) -> Result<(), OperatorError> {
        self.operator.resume(out)
    }

    #[inline]
    fn waiting(&self) -> bool {
        self.operator.waiting()
    }

    #[inline]
    fn done(&self) -> bool {
        self.operator.done()
    }

    #[inline]
    fn next_timer(&self) -> Option<Instant> {
        self.operator.next_timer()
    }

    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Result<(), OperatorError> {
        self.operator.poll_outside(cx)?;
        self.desk.counter.answer(&self.operator, Some(cx));
        Ok(())
    }

    #[inline]
    fn watermark(&mut self) -> Option<Timestamp> {
        self.operator.watermark()
    }

    #[inline]
    fn idle(&self) -> bool {
        self.operator.idle()
    }

    #[inline]
    fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.operator.side()
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<(), StateError> {
        self.operator.snapshot(state)
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.operator.restore(state)
    }
}
