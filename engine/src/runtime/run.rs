//! One run in the making: what a chain asks for while it is turned into running stages.

use std::any::Any;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::edges::{outboxes, receivers};
use super::job::JobShared;
use super::pump::PumpHead;
use super::shell::Shell;
use super::stage::{RunnableStage, Stage};
use super::{Head, OperatorContext, Seat, StageEnd};
use crate::batch::default_batch;
use crate::edge::{Discipline, Inputs, Outbox, Routed};
use crate::error::Error;
use crate::graph::blueprint::Graph;
use crate::graph::{EdgeId, OperatorId, Port, StageId};
use crate::link_state::LinkState;
use crate::metrics::{Channel, Counter, StageCounters};
use crate::random::Random;
use crate::state::{StateError, StateReader};
use crate::tail::Tail;
use crate::time::Clock;

/// A run in the making.
pub struct Run<'a> {
    core: &'a mut RunCore,
    graph: &'a Graph,
}

/// What all stages of a run share while it is built.
pub(super) struct RunCore {
    pub(super) shared: Arc<JobShared>,
    pub(super) tasks: Vec<StageTask>,
    pub(super) edges: HashMap<EdgeId, Box<dyn Any>>,
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

    /// The place of an operator in the stage that is being built.
    pub(super) fn seat(&self, operator: OperatorId, instance: usize) -> Seat {
        let registry = &self.shared.registry;
        let counters = registry.operators.get(operator.0).and_then(|of| of.get(instance));
        let stage = registry.plan.stages.get(self.stage.0);
        Seat {
            id: operator,
            name: registry.plan.operator_name(operator),
            instance,
            instances: stage.map_or(1, |stage| stage.parallelism),
            counters: counters.map(Arc::clone).unwrap_or_default(),
            culprit: Arc::clone(&self.culprit),
            end: Arc::clone(&self.end),
            stage: self.stage_counters(),
            keeps: self.uid(operator).zip(self.shared.options.snapshots.clone()),
        }
    }

    fn uid(&self, operator: OperatorId) -> Option<Arc<str>> {
        let plan = &self.shared.registry.plan;
        plan.operators.get(operator.0).and_then(|node| node.uid.clone())
    }

    /// Lets the operator of `seat` take over what it wrote in an earlier run, if there is something
    /// of it.
    fn restore(&self, seat: &Seat, operator: &mut dyn Fresh) -> Result<(), Error> {
        let state = self.shared.options.state.as_deref();
        let uid = self.uid(seat.id);
        let Some(written) = state.zip(uid).and_then(|(state, uid)| state.operator(&uid)) else {
            return Ok(());
        };
        let mut reader = StateReader::new(seat.instance, seat.instances, &written.entries)
            .with_version(written.version);
        let version = operator.state_version();
        let restored = if written.version > version {
            Err(StateError::new(format!(
                "its state is of version {}, and this program knows version {version}",
                written.version
            )))
        } else {
            operator.restore(&mut reader).and_then(|()| reader.finish())
        };
        restored.map_err(|error| Error::operator(&seat.name, error.into()))
    }

    /// The name of the operator that the stage begins with, which reads its edge.
    fn reader(&self) -> Arc<str> {
        let plan = &self.shared.registry.plan;
        let reader = plan.stages.get(self.stage.0).and_then(|stage| stage.operators.first());
        reader.map_or_else(|| Arc::from("?"), |&id| plan.operator_name(id))
    }

    fn discipline(&self, edge: EdgeId) -> Discipline {
        let planned = self.shared.registry.plan.edges.get(edge.0);
        planned.map(|edge| edge.discipline).unwrap_or_default()
    }

    /// What every stage has besides its head and kernel.
    fn shell(&self) -> Shell {
        let (clock, end) = (self.shared.registry.clock.clone(), Arc::clone(&self.end));
        Shell::new(clock, self.stage_counters(), end)
    }

    /// Puts a finished stage into the run.
    fn add_task(&mut self, stage: Box<dyn RunnableStage>) {
        let planned = self.shared.registry.plan.stages.get(self.stage.0);
        self.tasks.push(StageTask {
            name: planned.map_or_else(|| Arc::from("?"), |stage| Arc::clone(&stage.name)),
            instance: self.instance,
            counters: self.stage_counters(),
            culprit: Arc::clone(&self.culprit),
            stage,
            expendable: planned.is_some_and(|stage| stage.expendable),
            index: self.stage,
        });
    }

    /// Puts a stage into the run whose kernel reads for itself, a multiple of `batch` records of it
    /// at most whenever nobody holds it up.
    pub(super) fn add_pump(&mut self, batch: usize, kernel: Box<dyn Tail<Infallible>>) {
        // None of them is kept, so they may be more than a batch.
        let records = self.shared.options.batch_records.unwrap_or(16 * batch);
        let head = Box::new(PumpHead(Arc::clone(&self.shared)));
        let shell = self.shell();
        self.add_task(Box::new(Stage::new(head, kernel, shell).pulling(records, batch)));
    }
}

/// A fresh operator, about to take its seat.
pub(crate) trait Fresh {
    /// See [`Operator::open`](crate::operator::Operator::open).
    fn open(&mut self, context: &mut OperatorContext<'_>) -> Result<(), Error>;

    /// See [`Operator::restore`](crate::operator::Operator::restore).
    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError>;

    /// See [`Operator::STATE_VERSION`](crate::operator::Operator::STATE_VERSION).
    fn state_version(&self) -> u32;
}

impl<'a> Run<'a> {
    pub(super) const fn new(core: &'a mut RunCore, graph: &'a Graph) -> Self {
        Self { core, graph }
    }

    /// The place of an operator in this run.
    #[must_use]
    pub fn seat(&self, operator: OperatorId, instance: usize) -> Seat {
        self.core.seat(operator, instance)
    }

    /// The place of an operator, which takes it: it is opened, and takes over what it wrote in an
    /// earlier run, if there is something of it.
    pub(crate) fn take_seat(
        &mut self,
        operator: OperatorId,
        instance: usize,
        fresh: &mut dyn Fresh,
    ) -> Result<LinkState, Error> {
        let seat = self.core.seat(operator, instance);
        fresh.open(&mut OperatorContext::in_run(self.core, self.graph, &seat))?;
        self.core.restore(&seat, fresh)?;
        Ok(LinkState::new(seat, self.counts_by_operator()))
    }

    /// Whether each operator counts, and not only the ends of each stage.
    pub(crate) fn counts_by_operator(&self) -> bool {
        self.core.shared.options.count_by_operator
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
        let (discipline, reader) = (self.core.discipline(edge), self.core.reader());
        Inputs::new(receivers(self.core, self.graph, edge, instance), discipline, reader)
    }

    /// Puts a finished stage into the run.
    pub fn stage<T: Send + 'static>(&mut self, head: Box<dyn Head<T>>, kernel: Box<dyn Tail<T>>) {
        let shell = self.core.shell();
        self.core.add_task(Box::new(Stage::new(head, kernel, shell)));
    }

    /// Puts a stage into the run whose kernel reads for itself: see [`RunCore::add_pump`].
    pub(super) fn stage_that_pulls(&mut self, batch: usize, kernel: Box<dyn Tail<Infallible>>) {
        self.core.add_pump(batch, kernel);
    }
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("stage", &self.core.stage).finish_non_exhaustive()
    }
}
