//! The door to every sink: asynchronous ones, and synchronous code at the end of a stage.

use millstream_engine::Error;
use millstream_engine::chain::Chain;
use millstream_engine::graph::{EdgeOptions, OperatorId, Port, Role, StageBlueprint};
use millstream_engine::runtime::{Consumer, ConsumerTail, Run, SinkTail};
use millstream_engine::sink::{Sink, SinkFactory};
use millstream_engine::tail::EitherTail;

use crate::DataStream;

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// Ends the stream in a sink: one of [`sink`](crate::sink), or your own. A parallel stream has
    /// one for each instance.
    ///
    /// ```
    /// use millstream_engine::sink::{Sink, SinkStatus};
    /// use millstream_operators::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct Discard;
    ///
    /// impl Sink for Discard {
    ///     type Item = u32;
    ///     async fn write(
    ///         &mut self,
    ///         _records: &mut Vec<Record<u32>>,
    ///     ) -> Result<SinkStatus, OperatorError> {
    ///         Ok(SinkStatus::More)
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// # let flow = Dataflow::new("doc");
    /// flow.source("numbers", source::from_iter(0..3)).sink("discard", Discard);
    /// assert_eq!(flow.run().await?.records_written(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn sink<F>(self, name: &str, factory: F)
    where
        F: SinkFactory<Sink: Sink<Item = T>>,
    {
        self.write_to("sink", Some(name), factory);
    }

    /// Ends the stream in a sink that is called after its method, if it has no name of its own.
    pub(crate) fn write_to<F>(self, kind: &'static str, name: Option<&str>, factory: F)
    where
        F: SinkFactory<Sink: Sink<Item = T>>,
    {
        let (flow, chain, mut draft) = self.into_parts();
        let operator = flow.blueprint().add_operator(Role::Sink, kind, name);
        // One that it collects, and one that it writes.
        flow.blueprint().add_buffer::<T>(operator, 2);
        draft.operators.push(operator);
        flow.blueprint().add_stage(draft, ToSink { chain, operator, factory });
    }

    /// Ends the stream in synchronous code, and tells under which id the graph knows it.
    pub fn consume(self, kind: &'static str, consumer: impl Consumer<T>) -> OperatorId {
        let (flow, chain, mut draft) = self.into_parts();
        let operator = flow.blueprint().add_operator(Role::Sink, kind, None);
        draft.operators.push(operator);
        flow.blueprint().add_stage(draft, ToConsumer { chain, operator, consumer });
        operator
    }

    /// The same in one instance, into which those of a parallel stream are gathered first.
    pub(super) fn consume_in_one<S>(self, kind: &'static str, consumer: S) -> OperatorId
    where
        S: Consumer<T>,
    {
        if C::ALONE {
            return self.consume(kind, consumer);
        }
        let (alone, last) = (self.parallelism() == 1, self.last_operator());
        let (flow, chain, mut draft) = self.into_parts();
        let blueprint = flow.blueprint();
        if alone {
            let operator = blueprint.add_operator(Role::Sink, kind, None);
            draft.operators.push(operator);
            blueprint.add_stage(draft, ToOne { chain, end: End::Here(operator, consumer) });
            return operator;
        }
        let edge = blueprint.add_edge::<T>("gather", EdgeOptions::default());
        let port = blueprint.connect(edge, last);
        blueprint.add_stage(draft, ToOne { chain, end: End::<S>::There(port) });
        DataStream::behind(flow, edge, 1, "gather").consume(kind, consumer)
    }
}

/// A stage that ends in synchronous code, or in an edge to the one instance that does. Which of the
/// two it is only the graph knows, and the chain is compiled once for both.
struct ToOne<C, S> {
    chain: C,
    end: End<S>,
}

enum End<S> {
    Here(OperatorId, S),
    There(Port),
}

impl<C: Chain, S: Consumer<C::Item>> StageBlueprint for ToOne<C, S> {
    fn build(&self, run: &mut Run<'_>, instance: usize) -> Result<(), Error> {
        let tail = match &self.end {
            End::Here(operator, consumer) => {
                Some(EitherTail::First(ConsumerTail::new(run, *operator, instance, consumer)))
            }
            // Validation has seen to it that there is one.
            End::There(port) => {
                run.outboxes(*port, instance).into_iter().next().map(EitherTail::Second)
            }
        };
        tail.map_or(Ok(()), |tail| self.chain.finish(run, instance, tail))
    }
}

/// A stage that ends in a sink.
#[derive(Debug)]
pub struct ToSink<C, F> {
    chain: C,
    operator: OperatorId,
    factory: F,
}

impl<C, F> StageBlueprint for ToSink<C, F>
where
    C: Chain,
    F: SinkFactory<Sink: Sink<Item = C::Item>>,
{
    fn build(&self, run: &mut Run<'_>, instance: usize) -> Result<(), Error> {
        let tail = SinkTail::new(run, self.operator, instance, &self.factory)?;
        self.chain.finish(run, instance, tail)
    }
}

/// A stage that ends in synchronous code.
struct ToConsumer<C, S> {
    chain: C,
    operator: OperatorId,
    consumer: S,
}

impl<C: Chain, S: Consumer<C::Item>> StageBlueprint for ToConsumer<C, S> {
    fn build(&self, run: &mut Run<'_>, instance: usize) -> Result<(), Error> {
        let tail = ConsumerTail::new(run, self.operator, instance, &self.consumer);
        self.chain.finish(run, instance, tail)
    }
}
