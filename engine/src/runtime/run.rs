//! One run in the making: what a chain asks for while it is turned into running stages.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use super::job::JobShared;
use super::stage::{RunnableStage, Stage};
use super::{Head, Outputs, Seat};
use crate::batch::default_batch;
use crate::edge::{Inputs, Outbox, Receiver, Routed, Sender, Weight, timed_channel};
use crate::graph::blueprint::Graph;
use crate::graph::{EdgeId, OperatorId, Port, StageId};
use crate::metrics::{Channel, Counter, OperatorCounters, StageCounters};
use crate::random::Random;
use crate::tail::Tail;
use crate::time::Clock;

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
}

/// A stage that is ready to be spawned.
pub(super) struct StageTask {
    pub(super) name: Arc<str>,
    pub(super) instance: usize,
    pub(super) counters: Arc<StageCounters>,
    pub(super) culprit: Arc<OnceLock<Arc<str>>>,
    pub(super) stage: Box<dyn RunnableStage>,
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
        }
    }

    /// Turns to the next stage and instance.
    pub(super) fn turn_to(&mut self, stage: usize, instance: usize) {
        self.stage = StageId(stage);
        self.instance = instance;
        self.culprit = Arc::default();
    }

    fn stage_counters(&self) -> Arc<StageCounters> {
        let instances = self.shared.registry.stages.get(self.stage.0);
        let counters = instances.and_then(|instances| instances.get(self.instance));
        counters.map(Arc::clone).unwrap_or_default()
    }

    /// The channels of an edge, made when either end first asks.
    fn edge<T: Send + 'static>(&mut self, id: EdgeId) -> Option<&mut EdgeChannels<T>> {
        if !self.edges.contains_key(&id) {
            let made = self.make_edge::<T>(id)?;
            self.edges.insert(id, Box::new(made));
        }
        self.edges.get_mut(&id)?.downcast_mut()
    }

    fn make_edge<T: Send + 'static>(&mut self, id: EdgeId) -> Option<EdgeChannels<T>> {
        let plan = Arc::clone(&self.shared.registry.plan);
        let planned = plan.edges.get(id.0)?;
        let registered = self.channels.get_mut(id.0)?;
        let mut receivers: Vec<_> = (0..planned.consumer_instances).map(|_| Vec::new()).collect();
        let mut senders = Vec::new();
        for (producer, &instances) in planned.producer_instances.iter().enumerate() {
            let mut of_producer = Vec::new();
            for instance in 0..instances {
                let mut of_instance = Vec::new();
                for target in planned.targets(instance, instances) {
                    let clock = self.shared.registry.clock.clone();
                    let (sender, receiver) = timed_channel::<T>(planned.capacity, clock);
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
            run: Some((self.core, self.graph)),
            side: None,
        }
    }

    /// The job's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.core.shared.registry.clock.clone()
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
        let taken = self.core.edge::<T>(edge).and_then(|edge| edge.receivers.get_mut(instance));
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
        let stage = Stage::new(head, kernel, self.clock(), Arc::clone(&counters));
        let planned = self.core.shared.registry.plan.stages.get(self.core.stage.0);
        self.core.tasks.push(StageTask {
            name: planned.map_or_else(|| Arc::from("?"), |stage| Arc::clone(&stage.name)),
            instance: self.core.instance,
            counters,
            culprit: Arc::clone(&self.core.culprit),
            stage: Box::new(stage),
            index: self.core.stage,
        });
    }
}

fn outboxes<T: Send + 'static>(
    core: &mut RunCore,
    graph: &Graph,
    port: Port,
    instance: usize,
) -> Vec<Outbox<T>> {
    let cancelled = Arc::clone(&core.stage_counters().cancelled);
    let node = graph.edges.get(port.edge.0);
    let weight = node.and_then(|node| node.weight.as_ref()?.downcast_ref::<Weight<T>>().cloned());
    let producer = node.and_then(|node| node.producers.get(port.index).copied());
    let plan = Arc::clone(&core.shared.registry.plan);
    let name = producer.map_or_else(|| Arc::from("?"), |id| plan.operator_name(id));
    let edge = core.edge::<T>(port.edge);
    let of_producer = edge.and_then(|edge| edge.senders.get_mut(port.index));
    let senders = of_producer.and_then(|producer| producer.get_mut(instance)).map(std::mem::take);
    let outbox =
        |sender| Outbox::new(sender, weight.clone(), Arc::clone(&name), Arc::clone(&cancelled));
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
    /// Absent where an operator is driven by hand.
    run: Option<(&'a mut RunCore, &'a Graph)>,
    /// What is offered as a side output there.
    side: Option<Box<dyn Any>>,
}

impl<'a> OperatorContext<'a> {
    /// The context of an operator that is driven by hand.
    pub(crate) fn alone(clock: Clock, seat: &'a Seat) -> Self {
        Self { clock, seed: 0, outputs: Outputs::default(), seat, run: None, side: None }
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
        Random::fork(self.seed, self.seat.id.0, self.seat.instance)
    }

    /// A side output. `None` where the operator is driven by hand and has none.
    #[must_use]
    pub fn side_output<T: Send + 'static>(&mut self, port: Port) -> Option<Outbox<T>> {
        let Some((core, graph)) = self.run.as_mut() else {
            return self.side.take()?.downcast().ok().map(|outbox| *outbox);
        };
        outboxes(core, graph, port, self.seat.instance).into_iter().next()
    }

    /// What it needs to open operators of its own while it runs.
    #[must_use]
    pub fn nested(&self) -> NestedContext {
        NestedContext {
            clock: self.clock.clone(),
            random: self.random(),
            outputs: self.outputs.clone(),
            seat: self.seat.clone(),
        }
    }

    /// Where to leave the result of this run under the operator's own [`Output`](super::Output).
    pub fn output<T: Send + 'static>(&self) -> impl Fn(T) + Send + use<T> {
        let (outputs, operator) = (self.outputs.clone(), self.seat.id);
        move |value| outputs.put(operator, value)
    }
}

impl fmt::Debug for OperatorContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorContext").field("seat", &self.seat).finish_non_exhaustive()
    }
}

/// From which an operator opens others that it makes while it runs: they share its name and its
/// counters, and have neither side outputs nor the same randomness.
pub struct NestedContext {
    clock: Clock,
    random: Random,
    outputs: Outputs,
    seat: Seat,
}

impl NestedContext {
    /// The context of the next of them.
    pub fn context(&mut self) -> OperatorContext<'_> {
        OperatorContext {
            clock: self.clock.clone(),
            seed: self.random.next_u64(),
            outputs: self.outputs.clone(),
            seat: &self.seat,
            side: None,
            run: None,
        }
    }
}

impl fmt::Debug for NestedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NestedContext").field("seat", &self.seat).finish_non_exhaustive()
    }
}
