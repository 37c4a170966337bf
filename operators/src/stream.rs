//! The typed handle of "records of `T` at this point of the graph".

use std::fmt;
use std::marker::PhantomData;

use millstream_engine::Error;
use millstream_engine::chain::{Boundary, Chain, Via};
use millstream_engine::edge::Router;
use millstream_engine::graph::{
    Blueprint, EdgeId, EdgeOptions, EventTimeUse, OperatorId, Port, Role, StageBlueprint,
    StageDraft,
};
use millstream_engine::operator::Operator;
use millstream_engine::runtime::{HeadFactory, Run};

use crate::Dataflow;

/// Records of `T` at one point of a dataflow.
///
/// `C` is the chain of operators since the last edge, which the compiler fuses into one loop.
/// Behind an edge, and after [`boxed`](DataStream::boxed), it is the default, and the type has a
/// short name. A function over streams takes `DataStream<T, impl Chain<Item = T>>`:
///
/// ```
/// use millstream_operators::prelude::*;
///
/// fn evens(
///     numbers: DataStream<u64, impl Chain<Item = u64>>,
/// ) -> DataStream<u64, impl Chain<Item = u64>> {
///     numbers.filter(|n| n % 2 == 0)
/// }
/// # let flow = Dataflow::new("doc");
/// # evens(flow.source("numbers", source::from_iter(0..10_u64))).ignore();
/// # flow.validate().unwrap();
/// ```
#[must_use = "a stream that goes nowhere is a mistake: end it in a sink"]
pub struct DataStream<T, C = Boundary<T>> {
    flow: Dataflow,
    chain: C,
    draft: StageDraft,
    marker: PhantomData<fn() -> T>,
}

impl<T: Send + 'static, C: Chain<Item = T>> DataStream<T, C> {
    /// A stream from its parts, for operators with more than one input or output.
    pub const fn from_parts(flow: Dataflow, chain: C, draft: StageDraft) -> Self {
        Self { flow, chain, draft, marker: PhantomData }
    }

    /// The dataflow, the chain since the last edge, and what is known of the stage so far.
    pub fn into_parts(self) -> (Dataflow, C, StageDraft) {
        (self.flow, self.chain, self.draft)
    }

    /// The dataflow it belongs to.
    #[must_use]
    pub const fn flow(&self) -> &Dataflow {
        &self.flow
    }

    /// How many instances the stage has.
    #[must_use]
    pub const fn parallelism(&self) -> usize {
        self.draft.parallelism
    }

    /// Puts an operator behind the stream: the one door for ours and for yours.
    ///
    /// ```
    /// use millstream_engine::operator::{Collector, Operator};
    /// use millstream_operators::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct Twice;
    ///
    /// impl<T: Clone + Send + 'static> Operator<T> for Twice {
    ///     type Out = T;
    ///     const NAME: &'static str = "twice";
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: Record<T>,
    ///         out: &mut impl Collector<T>,
    ///     ) -> Result<(), OperatorError> {
    ///         out.push(record.clone());
    ///         out.push(record);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream_engine::Error> {
    /// let flow = Dataflow::new("doubled");
    /// let all = flow.source("letters", source::from_iter(["a", "b"])).via(Twice).collect();
    /// assert_eq!(flow.run().await?.take(all), Some(vec!["a", "a", "b", "b"]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What is no operator does not compile:
    ///
    /// ```compile_fail
    /// # use millstream_operators::prelude::*;
    /// let flow = Dataflow::new("doubled");
    /// flow.source("letters", source::from_iter(["a", "b"])).via("twice").ignore();
    /// ```
    pub fn via<O: Operator<T>>(self, operator: O) -> DataStream<O::Out, Via<C, O>> {
        self.via_with(|_, _| operator)
    }

    /// As [`via`](DataStream::via), for an operator that has to know its place in the graph: to
    /// [connect](Blueprint::connect) itself to the edge of a side output.
    pub fn via_with<O: Operator<T>>(
        mut self,
        make: impl FnOnce(OperatorId, &Blueprint) -> O,
    ) -> DataStream<O::Out, Via<C, O>> {
        let blueprint = self.flow.blueprint();
        let id = blueprint.add_operator(Role::Operator, O::NAME, None);
        // Who sets it by that of its input needs one there, too.
        if O::NEEDS_TIME {
            blueprint.use_event_time(id, EventTimeUse::Needs);
        } else if O::SETS_TIME {
            blueprint.use_event_time(id, EventTimeUse::Sets);
        }
        let operator = make(id, blueprint);
        self.draft.operators.push(id);
        let chain = Via::new(self.chain, operator, id);
        DataStream { flow: self.flow, chain, draft: self.draft, marker: PhantomData }
    }

    /// Gives the last operator the name under which errors, logs and metrics speak of it. Without
    /// it, an operator is called after its method, and numbered from the second on. One that has a
    /// name keeps it: what was said inside a fragment wins over what is said outside.
    ///
    /// ```
    /// # use millstream_operators::prelude::*;
    /// let flow = Dataflow::new("doc");
    /// flow.source("lines", source::from_iter(["1"])).map(str::len).named("measure").ignore();
    /// assert_eq!(flow.graph().unwrap().operators[1].name, "measure");
    /// ```
    pub fn named(self, name: &str) -> Self {
        if let Some(&operator) = self.draft.operators.last() {
            self.flow.blueprint().name_operator(operator, name);
        }
        self
    }

    /// Forgets the chain's type, at the cost of one virtual call a batch: for a short type name,
    /// and for chains of more than some fifty operators, which otherwise take long to compile.
    ///
    /// ```
    /// use millstream_operators::prelude::*;
    ///
    /// fn lengths(words: DataStream<&'static str>) -> DataStream<usize> {
    ///     words.map(str::len).boxed()
    /// }
    /// # let flow = Dataflow::new("doc");
    /// # lengths(flow.source("words", source::from_iter(["a"])).boxed()).ignore();
    /// # flow.validate().unwrap();
    /// ```
    pub fn boxed(self) -> DataStream<T> {
        if let Some(&operator) = self.draft.operators.last() {
            self.flow.blueprint().add_buffer::<T>(operator, 1);
        }
        let chain = Boundary::erase(self.chain);
        DataStream { flow: self.flow, chain, draft: self.draft, marker: PhantomData }
    }

    /// Ends the stage, and begins another with a head of its own making: the door for every
    /// operator that waits, ours and yours. `kind` is its name where it is given none, and `buffer`
    /// the most records that it holds at once in an instance.
    ///
    /// Right behind an edge, the head reads that one, if there are to be as many instances: so what
    /// is said of that edge is what the head feels, and nothing else holds records on their way.
    /// A stream that has been [named](DataStream::named) there keeps its stage.
    pub fn through<F: HeadFactory<T>>(
        self,
        kind: &'static str,
        instances: usize,
        buffer: usize,
        factory: F,
    ) -> DataStream<F::Out> {
        let flow = self.flow.clone();
        if let Some(edge) = self.chain.edge()
            && self.draft.parallelism == instances
            && let &[operator] = self.draft.operators.as_slice()
            && !flow.blueprint().is_named(operator)
        {
            return DataStream::with_head(flow, edge, instances, operator, kind, buffer, factory);
        }
        let edge = flow.blueprint().add_edge::<T>(kind, EdgeOptions::default());
        self.forward(edge);
        DataStream::headed(flow, edge, instances, kind, buffer, factory)
    }

    /// Ends the stage in edges: gives each record to those that `router` picks. The router is
    /// cloned for each run and instance.
    pub fn route<R>(self, edges: &[EdgeId], router: R)
    where
        R: Router<T> + Clone + 'static,
        R::Out: 'static,
    {
        let operator = self.last_operator();
        let blueprint = self.flow.blueprint();
        let ports = edges.iter().map(|&edge| blueprint.connect(edge, operator)).collect();
        blueprint.add_stage(self.draft, ToEdges { chain: self.chain, ports, router, operator });
    }

    /// Ends the stage in one edge, instance to instance, or all to one.
    pub fn forward(self, edge: EdgeId) {
        let blueprint = self.flow.blueprint();
        let port = blueprint.connect(edge, self.last_operator());
        blueprint.add_stage(self.draft, ToEdge { chain: self.chain, port });
    }

    /// The operator that a stage's edges start from. Every stage begins with one.
    pub(crate) fn last_operator(&self) -> OperatorId {
        let unknown = || self.flow.blueprint().add_operator(Role::Operator, "stage", None);
        self.draft.operators.last().copied().unwrap_or_else(unknown)
    }
}

impl<T: Send + 'static> DataStream<T> {
    /// The stream behind an edge, read by a stage of `parallelism` instances, whose first operator
    /// is called `kind`.
    pub fn behind(flow: Dataflow, edge: EdgeId, parallelism: usize, kind: &'static str) -> Self {
        let operator = flow.blueprint().add_operator(Role::Operator, kind, None);
        let draft = StageDraft { operators: vec![operator], input: Some(edge), parallelism };
        Self::from_parts(flow, Boundary::edge(edge), draft)
    }

    /// As [`behind`](DataStream::behind), where the first operator is the stage's head and holds at
    /// most `buffer` records.
    pub fn headed<In: Send + 'static>(
        flow: Dataflow,
        edge: EdgeId,
        parallelism: usize,
        kind: &'static str,
        buffer: usize,
        factory: impl HeadFactory<In, Out = T>,
    ) -> Self {
        let operator = flow.blueprint().add_operator(Role::Operator, kind, None);
        Self::with_head(flow, edge, parallelism, operator, kind, buffer, factory)
    }

    /// The same, where the first operator is there already.
    fn with_head<In: Send + 'static>(
        flow: Dataflow,
        edge: EdgeId,
        parallelism: usize,
        operator: OperatorId,
        kind: &'static str,
        buffer: usize,
        factory: impl HeadFactory<In, Out = T>,
    ) -> Self {
        flow.blueprint().mark_head(operator, kind);
        flow.blueprint().add_buffer_records(operator, buffer);
        let draft = StageDraft { operators: vec![operator], input: Some(edge), parallelism };
        Self::from_parts(flow, Boundary::head(edge, operator, factory), draft)
    }
}

impl<T, C> fmt::Debug for DataStream<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataStream").field("draft", &self.draft).finish_non_exhaustive()
    }
}

/// A stage that ends in one edge, with one channel for each instance.
struct ToEdge<C> {
    chain: C,
    port: Port,
}

impl<C: Chain> StageBlueprint for ToEdge<C> {
    fn build(&self, run: &mut Run<'_>, instance: usize) -> Result<(), Error> {
        // Validation has seen to it that there is one.
        let outboxes = run.outboxes(self.port, instance).into_iter();
        outboxes.take(1).try_for_each(|outbox| self.chain.finish(run, instance, outbox))
    }
}

/// A stage that ends in several channels.
struct ToEdges<C, R> {
    chain: C,
    ports: Vec<Port>,
    router: R,
    operator: OperatorId,
}

impl<C, R> StageBlueprint for ToEdges<C, R>
where
    C: Chain,
    R: Router<C::Item> + Clone + 'static,
    R::Out: 'static,
{
    fn build(&self, run: &mut Run<'_>, instance: usize) -> Result<(), Error> {
        let routed = run.routed(&self.ports, instance, self.router.clone(), self.operator);
        self.chain.finish(run, instance, routed)
    }
}
