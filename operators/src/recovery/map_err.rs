//! `map_err`: another error in place of the one an operator returned.

use std::fmt;
use std::task::Context;

use millstream_engine::chain::{Chain, Via};
use millstream_engine::operator::{Collector, Operator, SideOutput};
use millstream_engine::runtime::OperatorContext;
use millstream_engine::state::{StateError, StateReader, StateWriter};
use millstream_engine::time::{Instant, Timestamp};
use millstream_engine::{Error, OperatorError, Record};

use crate::DataStream;
use crate::state::Checkpointed;

impl<C: Chain, O: Operator<C::Item>> DataStream<O::Out, Via<C, O>> {
    /// Puts another error in place of each that the operator said last, and no other, returns: to
    /// say more than it can, or to give it a type that somebody decides by. The job's error still
    /// names the operator. A panic stays as it is, and so does an error that the operator handles
    /// itself, as the `try_…` words do by their policy.
    ///
    /// It changes nothing else, and costs nothing as long as there is no error.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let flow = Dataflow::new("numbers");
    /// let words = flow.source("words", source::from_iter(["1", "one"]));
    /// let numbers = words.try_map(OnError::fail(), |word| word.parse::<u32>());
    /// numbers.map_err(|error| OperatorError::new(format!("a bad word: {error}"))).ignore();
    /// let text = "operator `try_map` failed: a bad word: invalid digit found in string";
    /// assert_eq!(flow.run().await.unwrap_err().to_string(), text);
    /// # }
    /// ```
    pub fn map_err<F>(self, f: F) -> DataStream<O::Out, Via<C, MapErr<O, F>>>
    where
        F: Fn(OperatorError) -> OperatorError + Clone + Send + 'static,
    {
        let (flow, chain, draft) = self.into_parts();
        let (chain, operator, id) = chain.into_parts();
        DataStream::from_parts(flow, Via::new(chain, MapErr { operator, f }, id), draft)
    }
}

/// An operator whose errors are replaced: see [`DataStream::map_err`].
#[derive(Clone)]
pub struct MapErr<O, F> {
    operator: O,
    f: F,
}

impl<O: Checkpointed, F> Checkpointed for MapErr<O, F> {
    fn checkpointed(self) -> Self {
        Self { operator: self.operator.checkpointed(), ..self }
    }
}

impl<O: fmt::Debug, F> fmt::Debug for MapErr<O, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapErr").field("operator", &self.operator).finish_non_exhaustive()
    }
}

impl<In, O, F> Operator<In> for MapErr<O, F>
where
    O: Operator<In>,
    F: Fn(OperatorError) -> OperatorError + Clone + Send + 'static,
{
    type Out = O::Out;
    const NAME: &'static str = O::NAME;
    const STATELESS: bool = O::STATELESS;
    const SETS_TIME: bool = O::SETS_TIME;
    const NEEDS_TIME: bool = O::NEEDS_TIME;
    const STATE_VERSION: u32 = O::STATE_VERSION;

    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error> {
        self.operator.open(context)
    }

    #[inline]
    fn process(
        &mut self,
        record: Record<In>,
        out: &mut impl Collector<O::Out>,
    ) -> Result<(), OperatorError> {
        self.operator.process(record, out).map_err(&self.f)
    }

    #[inline]
    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut impl Collector<O::Out>,
    ) -> Result<(), OperatorError> {
        self.operator.on_watermark(watermark, out).map_err(&self.f)
    }

    fn on_timer(
        &mut self,
        now: Instant,
        out: &mut impl Collector<O::Out>,
    ) -> Result<(), OperatorError> {
        self.operator.on_timer(now, out).map_err(&self.f)
    }

    fn before_barrier(&mut self, out: &mut impl Collector<O::Out>) -> Result<(), OperatorError> {
        self.operator.before_barrier(out).map_err(&self.f)
    }

    fn before_idle(&mut self, out: &mut impl Collector<O::Out>) -> Result<(), OperatorError> {
        self.operator.before_idle(out).map_err(&self.f)
    }

    fn on_end(&mut self, out: &mut impl Collector<O::Out>) -> Result<(), OperatorError> {
        self.operator.on_end(out).map_err(&self.f)
    }

    #[inline]
    fn pending(&self) -> bool {
        self.operator.pending()
    }

    fn resume(&mut self, out: &mut impl Collector<O::Out>) -> Result<(), OperatorError> {
        self.operator.resume(out).map_err(&self.f)
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
        self.operator.poll_outside(cx).map_err(&self.f)
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
