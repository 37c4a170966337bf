//! One run in the making: what a chain asks for while it is turned into running stages.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use super::job::JobShared;
use super::stage::{RunnableStage, Stage};
use super::{Head, OperatorContext, Seat, StageEnd};
use crate::batch::default_batch;
use crate::edge::{
    Forgiving, Inputs, Merge, Order, Outbox, Rank, Receiver, Routed, Sender, Sorting, Terms,
    Weight, WhenFull, channel_with,
};
use crate::error::Error;
use crate::graph::blueprint::Graph;
use crate::graph::{EdgeId, OperatorId, Port, StageId};
use crate::metrics::{Channel, Counter, StageCounters};
use crate::random::Random;
use crate::state::{StateError, StateReader};
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

    pub(super) fn stage_counters(&self) -> Arc<StageCounters> {
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
            keeps: self.uid(operator).zip(self.core.shared.options.snapshots.clone()),
        }
    }

    fn uid(&self, operator: OperatorId) -> Option<Arc<str>> {
        let plan = &self.core.shared.registry.plan;
        plan.operators.get(operator.0).and_then(|node| node.uid.clone())
    }

    /// Lets `restore` take over what the operator of `seat` wrote in an earlier run, if there is
    /// something of it.
    pub(crate) fn restore(
        &self,
        seat: &Seat,
        version: u32,
        restore: impl FnOnce(&mut StateReader<'_>) -> Result<(), StateError>,
    ) -> Result<(), Error> {
        let state = self.core.shared.options.state.as_deref();
        let uid = self.uid(seat.id);
        let Some(written) = state.zip(uid).and_then(|(state, uid)| state.operator(&uid)) else {
            return Ok(());
        };
        let mut reader = StateReader::new(seat.instance, seat.instances, &written.entries)
            .with_version(written.version);
        let restored = if written.version > version {
            Err(StateError::new(format!(
                "its state is of version {}, and this program knows version {version}",
                written.version
            )))
        } else {
            restore(&mut reader).and_then(|()| reader.finish())
        };
        restored.map_err(|error| Error::operator(&seat.name, error.into()))
    }

    /// What an operator may ask for when it is opened.
    pub fn operator_context<'b>(&'b mut self, seat: &'b Seat) -> OperatorContext<'b> {
        OperatorContext::in_run(self.core, self.graph, seat)
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

    /// How many records of `T` a kernel that reads for itself reads at most, before it is looked
    /// whether it should go on. None of them is kept, so they may be more than a batch.
    pub(super) fn pull_records<T>(&self) -> usize {
        self.core.shared.options.batch_records.unwrap_or(const { 16 * default_batch::<T>() })
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
        self.stage_that_pulls(0, head, kernel);
    }

    /// The same of a stage whose kernel reads up to `records` for itself whenever the head lets it.
    pub(super) fn stage_that_pulls<T: Send + 'static>(
        &mut self,
        records: usize,
        head: Box<dyn Head<T>>,
        kernel: Box<dyn Tail<T>>,
    ) {
        let counters = self.core.stage_counters();
        let end = Arc::clone(&self.core.end);
        let stage =
            Stage::new(head, kernel, self.clock(), Arc::clone(&counters), end).pulling(records);
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

pub(super) fn outboxes<T: Send + 'static>(
    core: &mut RunCore,
    graph: &Graph,
    port: Port,
    instance: usize,
) -> Vec<Outbox<T>> {
    let cancelled = Arc::clone(&core.stage_counters().cancelled);
    let woken = Arc::clone(&core.stage_counters().woken);
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
            keeps: None,
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
            .waking(Arc::clone(&woken))
            .on_terms(seat.as_ref().map(terms))
    };
    senders.unwrap_or_default().into_iter().map(outbox).collect()
}

impl<M> fmt::Debug for Run<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("stage", &self.core.stage).finish_non_exhaustive()
    }
}
