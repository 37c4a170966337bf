//! One run in the making: what a chain asks for while it is turned into running stages.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::job::JobShared;
use super::stage::{RunnableStage, Stage};
use super::{Head, JobLink, Outputs, Seat, StageEnd};
use crate::batch::default_batch;
use crate::edge::{
    Forgiving, Inputs, Merge, Order, Outbox, Rank, Receiver, Routed, Sender, Sorting, Terms,
    Weight, WhenFull, channel_with,
};
use crate::graph::blueprint::Graph;
use crate::graph::{EdgeId, OperatorId, Port, StageId};
use crate::metrics::{Channel, Counter, OperatorCounters, StageCounters};
use crate::random::Random;
use crate::tail::Tail;
use crate::time::{Clock, Instant};

/// A run in the making, counting as `M` says.
pub struct Run<'a, M> {
    core: &'a mut RunCore,
    graph: &'a Graph,
    marker: PhantomData<M>,
}

/// What all stages of a run share while it is built.
pub(super) struct RunCore {
    pub(super) shared: Arc<JobShared>,
    pub(super) tasks: Vec<StageTask>,
    edges: HashMap<EdgeId, Box<dyn Any>>,
    pub(super) channels: Vec<Vec<Channel>>,
    stage: StageId,
    instance: usize,
    culprit: Arc<OnceLock<Arc<str>>>,
    end: Arc<StageEnd>,
}

/// A stage that is ready to be spawned.
pub(super) struct StageTask {
    pub(super) name: Arc<str>,
    pub(super) instance: usize,
    pub(super) counters: Arc<StageCounters>,
    pub(super) culprit: Arc<OnceLock<Arc<str>>>,
    pub(super) stage: Box<dyn RunnableStage>,
    /// Whether the job goes on without it if it fails.
    pub(super) expendable: bool,
    pub(super) index: StageId,
}

/// The channels of one edge that nobody has taken yet.
struct EdgeChannels<T> {
    /// By producer, instance and target.
    senders: Vec<Vec<Vec<Sender<T>>>>,
    /// By consuming instance, each with its producer and its place in the registry.
    receivers: Vec<Vec<(usize, usize, Receiver<T>)>>,
}

impl RunCore {
    pub(super) fn new(shared: Arc<JobShared>) -> Self {
        let edges = shared.registry.plan.edges.len();
        Self {
            shared,
            tasks: Vec::new(),
            edges: HashMap::new(),
            channels: (0..edges).map(|_| Vec::new()).collect(),
            stage: StageId(0),
            instance: 0,
            culprit: Arc::default(),
            end: Arc::default(),
        }
    }

    /// Turns to the next stage and instance.
    pub(super) fn turn_to(&mut self, stage: usize, instance: usize) {
        self.stage = StageId(stage);
        self.instance = instance;
        self.culprit = Arc::default();
        self.end = Arc::default();
    }

    fn stage_counters(&self) -> Arc<StageCounters> {
        let instances = self.shared.registry.stages.get(self.stage.0);
        let counters = instances.and_then(|instances| instances.get(self.instance));
        counters.map(Arc::clone).unwrap_or_default()
    }

    /// The channels of an edge, made when either end first asks.
    fn edge<T: Send + 'static>(
        &mut self,
        graph: &Graph,
        id: EdgeId,
    ) -> Option<&mut EdgeChannels<T>> {
        if !self.edges.contains_key(&id) {
            let made = self.make_edge::<T>(graph, id)?;
            self.edges.insert(id, Box::new(made));
        }
        self.edges.get_mut(&id)?.downcast_mut()
    }

    fn make_edge<T: Send + 'static>(
        &mut self,
        graph: &Graph,
        id: EdgeId,
    ) -> Option<EdgeChannels<T>> {
        let plan = Arc::clone(&self.shared.registry.plan);
        let planned = plan.edges.get(id.0)?;
        let rank = graph.edges.get(id.0).and_then(|edge| said::<Rank<T>>(edge.rank.as_ref()));
        let expendable = |stage: StageId| plan.stages.get(stage.0).is_some_and(|s| s.expendable);
        let registered = self.channels.get_mut(id.0)?;
        let mut receivers: Vec<_> = (0..planned.consumer_instances).map(|_| Vec::new()).collect();
        let mut senders = Vec::new();
        for (producer, &instances) in planned.producer_instances.iter().enumerate() {
            let mut of_producer = Vec::new();
            let operator = planned.producers.get(producer);
            let writes = operator.and_then(|id| plan.operators.get(id.0)).map(|one| one.stage);
            // Who can be done without must not bring down who can't.
            let forgiving = Forgiving {
                producer: !expendable(planned.consumer) && writes.is_some_and(expendable),
                consumer: expendable(planned.consumer) && !writes.is_some_and(expendable),
            };
            for instance in 0..instances {
                let mut of_instance = Vec::new();
                for target in planned.targets(instance, instances) {
                    let sorting = match (planned.order, &rank) {
                        (Order::Lifo, _) => Sorting::Lifo,
                        (Order::Priority, Some(rank)) => Sorting::Priority(Arc::clone(rank)),
                        (Order::Fifo | Order::Priority, _) => Sorting::Fifo,
                    };
                    let clock = self.shared.registry.clock.clone();
                    let (sender, receiver) =
                        channel_with::<T>(planned.capacity, sorting, forgiving, Some(clock));
                    let (probe, gauge) = (sender.probe(), Arc::default());
                    receivers.get_mut(target)?.push((producer, registered.len(), receiver));
                    let ends = (instance, target);
                    registered.push(Channel { producer, ends, probe, gauge });
                    of_instance.push(sender);
                }
                of_producer.push(of_instance);
            }
            senders.push(of_producer);
        }
        Some(EdgeChannels { senders, receivers })
    }
}

impl<'a, M> Run<'a, M> {
    pub(super) const fn new(core: &'a mut RunCore, graph: &'a Graph) -> Self {
        Self { core, graph, marker: PhantomData }
    }

    /// The same run, seen by code that is compiled for a way of counting of its own.
    pub(crate) const fn recount<N>(&mut self) -> Run<'_, N> {
        Run { core: self.core, graph: self.graph, marker: PhantomData }
    }

    /// The place of an operator in this run.
    #[must_use]
    pub fn seat(&self, operator: OperatorId, instance: usize) -> Seat {
        let registry = &self.core.shared.registry;
        let counters = registry.operators.get(operator.0).and_then(|of| of.get(instance));
        let stage = registry.plan.stages.get(self.core.stage.0);
        Seat {
            id: operator,
            name: registry.plan.operator_name(operator),
            instance,
            instances: stage.map_or(1, |stage| stage.parallelism),
            counters: counters.map(Arc::clone).unwrap_or_default(),
            culprit: Arc::clone(&self.core.culprit),
            end: Arc::clone(&self.core.end),
            stage: self.core.stage_counters(),
        }
    }

    /// What an operator may ask for when it is opened.
    pub fn operator_context<'b>(&'b mut self, seat: &'b Seat) -> OperatorContext<'b> {
        OperatorContext {
            clock: self.core.shared.registry.clock.clone(),
            seed: self.core.shared.options.seed,
            outputs: self.core.shared.outputs.clone(),
            seat,
            job: Arc::downgrade(&self.core.shared),
            run: Some((self.core, self.graph)),
            side: None,
        }
    }

    /// The job's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.core.shared.registry.clock.clone()
    }

    /// Randomness of an instance's own, from the job's seed.
    pub(crate) fn random(&self, seat: &Seat) -> Random {
        seat.random(self.core.shared.options.seed)
    }

    /// The job's stop signals.
    pub(crate) fn shared(&self) -> &Arc<JobShared> {
        &self.core.shared
    }

    /// Counts what reached the end of the stage when nobody wanted it any more.
    pub(crate) fn cancelled(&self) -> Arc<Counter> {
        Arc::clone(&self.core.stage_counters().cancelled)
    }

    /// How many records of `T` a source or sink handles at once.
    #[must_use]
    pub fn batch_records<T>(&self) -> usize {
        self.core.shared.options.batch_records.unwrap_or(const { default_batch::<T>() })
    }

    /// The outboxes of one producing instance, one for each instance that it writes to.
    #[must_use]
    pub fn outboxes<T: Send + 'static>(&mut self, port: Port, instance: usize) -> Vec<Outbox<T>> {
        outboxes(self.core, self.graph, port, instance)
    }

    /// The tail that gives each record to the instances and branches that `router` picks.
    #[must_use]
    pub fn routed<T: Send + 'static, R>(
        &mut self,
        ports: &[Port],
        instance: usize,
        router: R,
        operator: OperatorId,
    ) -> Routed<T, R> {
        let outboxes = ports.iter().flat_map(|&port| self.outboxes(port, instance)).collect();
        Routed::new(outboxes, router, self.seat(operator, instance))
    }

    /// The head of an instance that reads from `edge`.
    #[must_use]
    pub fn inputs<T: Send + 'static>(&mut self, edge: EdgeId, instance: usize) -> Inputs<T> {
        let plan = Arc::clone(&self.core.shared.registry.plan);
        let stage = plan.stages.get(self.core.stage.0);
        let reader = stage.and_then(|stage| stage.operators.first());
        let name = reader.map_or_else(|| Arc::from("?"), |&id| plan.operator_name(id));
        let discipline = plan.edges.get(edge.0).map(|edge| edge.discipline).unwrap_or_default();
        let taken =
            self.core.edge::<T>(self.graph, edge).and_then(|edge| edge.receivers.get_mut(instance));
        let taken = taken.map(std::mem::take).unwrap_or_default();
        let channels = self.core.channels.get(edge.0).map_or(&[][..], Vec::as_slice);
        let inputs = taken.into_iter().map(|(producer, channel, receiver)| {
            let gauge = channels.get(channel).map(|channel| Arc::clone(&channel.gauge));
            (producer, gauge.unwrap_or_default(), receiver)
        });
        Inputs::new(inputs, discipline, name)
    }

    /// Puts a finished stage into the run.
    pub fn stage<T: Send + 'static>(&mut self, head: Box<dyn Head<T>>, kernel: Box<dyn Tail<T>>) {
        let counters = self.core.stage_counters();
        let end = Arc::clone(&self.core.end);
        let stage = Stage::new(head, kernel, self.clock(), Arc::clone(&counters), end);
        let planned = self.core.shared.registry.plan.stages.get(self.core.stage.0);
        self.core.tasks.push(StageTask {
            name: planned.map_or_else(|| Arc::from("?"), |stage| Arc::clone(&stage.name)),
            instance: self.core.instance,
            counters,
            culprit: Arc::clone(&self.core.culprit),
            stage: Box::new(stage),
            expendable: planned.is_some_and(|stage| stage.expendable),
            index: self.core.stage,
        });
    }
}

/// What was said of an edge's records, by its type.
fn said<T: Clone + 'static>(what: Option<&Box<dyn Any + Send>>) -> Option<T> {
    what?.downcast_ref::<T>().cloned()
}

fn outboxes<T: Send + 'static>(
    core: &mut RunCore,
    graph: &Graph,
    port: Port,
    instance: usize,
) -> Vec<Outbox<T>> {
    let cancelled = Arc::clone(&core.stage_counters().cancelled);
    let node = graph.edges.get(port.edge.0);
    let weight = node.and_then(|node| said::<Weight<T>>(node.weight.as_ref()));
    let merge = node.and_then(|node| said::<Merge<T>>(node.merge.as_ref()));
    let producer = node.and_then(|node| node.producers.get(port.index).copied());
    let plan = Arc::clone(&core.shared.registry.plan);
    let name = producer.map_or_else(|| Arc::from("?"), |id| plan.operator_name(id));
    let planned = plan.edges.get(port.edge.0);
    let special =
        planned.filter(|edge| edge.when_full != WhenFull::Block || edge.order == Order::Priority);
    let reader = special.and_then(|edge| plan.stages.get(edge.consumer.0)?.operators.first());
    let seat = special.map(|_| {
        let id = reader.copied().unwrap_or(OperatorId(0));
        Seat {
            id,
            name: plan.operator_name(id),
            instance,
            instances: 1,
            // Those that it counts with belong to the task behind the edge.
            counters: Arc::default(),
            culprit: Arc::clone(&core.culprit),
            stage: core.stage_counters(),
            end: Arc::clone(&core.end),
        }
    });
    let clock = core.shared.registry.clock.clone();
    let terms = |seat: &Seat| {
        let when_full = special.map(|edge| edge.when_full).unwrap_or_default();
        Terms::new(when_full, merge.clone(), seat.clone(), clock.clone())
    };
    let edge = core.edge::<T>(graph, port.edge);
    let of_producer = edge.and_then(|edge| edge.senders.get_mut(port.index));
    let senders = of_producer.and_then(|producer| producer.get_mut(instance)).map(std::mem::take);
    let outbox = |sender| {
        Outbox::new(sender, weight.clone(), Arc::clone(&name), Arc::clone(&cancelled))
            .on_terms(seat.as_ref().map(terms))
    };
    senders.unwrap_or_default().into_iter().map(outbox).collect()
}

impl<M> fmt::Debug for Run<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("stage", &self.core.stage).finish_non_exhaustive()
    }
}

/// What an operator may ask for when it is opened.
pub struct OperatorContext<'a> {
    clock: Clock,
    seed: u64,
    outputs: Outputs,
    seat: &'a Seat,
    job: Weak<JobShared>,
    /// Absent where an operator is driven by hand.
    run: Option<(&'a mut RunCore, &'a Graph)>,
    /// What is offered as a side output there.
    side: Option<Box<dyn Any>>,
}

impl<'a> OperatorContext<'a> {
    /// The context of an operator that is driven by hand.
    pub(crate) fn alone(clock: Clock, seat: &'a Seat) -> Self {
        let (outputs, job) = (Outputs::default(), Weak::new());
        Self { clock, seed: 0, outputs, seat, job, run: None, side: None }
    }

    /// Offers a side output to an operator that is driven by hand.
    pub(crate) fn offer_side<T: Send + 'static>(&mut self, outbox: Outbox<T>) {
        self.side = Some(Box::new(outbox));
    }

    /// The operator's name in the graph.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.seat.name)
    }

    /// Which instance this is.
    #[must_use]
    pub const fn instance(&self) -> usize {
        self.seat.instance
    }

    /// How many instances there are.
    #[must_use]
    pub const fn instances(&self) -> usize {
        self.seat.instances
    }

    /// The job's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// What this instance counts.
    #[must_use]
    pub fn counters(&self) -> Arc<OperatorCounters> {
        Arc::clone(&self.seat.counters)
    }

    /// Randomness of this instance's own, from the job's seed.
    #[must_use]
    pub fn random(&self) -> Random {
        self.seat.random(self.seed)
    }

    /// How long the stage has been kept from going on by what comes behind it.
    #[must_use]
    pub fn blocked_time(&self) -> BlockedTime {
        BlockedTime(self.run.as_ref().map(|(core, _)| core.stage_counters()))
    }

    /// A side output. `None` where the operator is driven by hand or opened again, and has none.
    #[must_use]
    pub fn side_output<T: Send + 'static>(&mut self, port: Port) -> Option<Outbox<T>> {
        let Some((core, graph)) = self.run.as_mut() else {
            return self.side.take()?.downcast().ok().map(|outbox| *outbox);
        };
        outboxes(core, graph, port, self.seat.instance).into_iter().next()
    }

    /// Where to leave the result of this run under the operator's own [`Output`](super::Output).
    pub fn output<T: Send + 'static>(&self) -> impl Fn(T) + Send + use<T> {
        let (outputs, operator) = (self.outputs.clone(), self.seat.id);
        move |value| outputs.put(operator, value)
    }

    /// A link to the job, for whoever outside may fail it, and to learn how it ends.
    #[must_use]
    pub fn job(&self) -> JobLink {
        JobLink {
            end: Arc::clone(&self.seat.end),
            job: self.job.clone(),
            operator: Arc::clone(&self.seat.name),
        }
    }

    /// What is needed to open an operator in this place later, in the middle of the run.
    #[must_use]
    pub fn detached(&self) -> Detached {
        Detached {
            clock: self.clock.clone(),
            seed: self.seed,
            outputs: self.outputs.clone(),
            seat: self.seat.clone(),
            job: self.job.clone(),
        }
    }
}

/// An operator's place in a run, kept for later: whoever replaces an operator in the middle of a
/// run opens the new one by it. There are no side outputs to be had any more, because the first
/// operator took them.
pub struct Detached {
    clock: Clock,
    seed: u64,
    outputs: Outputs,
    seat: Seat,
    job: Weak<JobShared>,
}

impl Detached {
    /// What the operator may ask for.
    #[must_use]
    pub fn context(&self) -> OperatorContext<'_> {
        OperatorContext {
            clock: self.clock.clone(),
            seed: self.seed,
            outputs: self.outputs.clone(),
            seat: &self.seat,
            job: self.job.clone(),
            run: None,
            side: None,
        }
    }
}

impl fmt::Debug for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detached").field("seat", &self.seat).finish_non_exhaustive()
    }
}

/// How long one instance of a stage has been blocked: had output that what comes behind did not
/// take. Time that it waits for input with all its output gone, or for a timer of its own, is not
/// counted.
///
/// The difference between two readings tells an operator how much of the time between was not its
/// input's fault.
#[derive(Clone)]
pub struct BlockedTime(Option<Arc<StageCounters>>);

impl BlockedTime {
    /// The time blocked so far. Zero where the operator is driven by hand.
    #[must_use]
    pub fn until(&self, now: Instant) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |counters| {
            let [_busy, _idle, blocked] = counters.activity.read(now);
            blocked
        })
    }
}

impl Default for BlockedTime {
    /// That of an operator which has not been opened: none.
    fn default() -> Self {
        Self(None)
    }
}

impl fmt::Debug for BlockedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockedTime")
    }
}

impl fmt::Debug for OperatorContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorContext").field("seat", &self.seat).finish_non_exhaustive()
    }
}
