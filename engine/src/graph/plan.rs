//! A graph that has been found right, with every name and number settled.

use std::sync::Arc;
use std::time::Duration;

use super::blueprint::{Distribution, EdgeId, OperatorId, Role, StageId};
use super::view::{EdgeView, GraphView, OperatorView, StageView};
use crate::edge::{Capacity, Discipline, Forgiving, Order, WhenFull};

/// What a run is made from.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: Arc<str>,
    pub(crate) operators: Vec<PlannedOperator>,
    pub(crate) stages: Vec<PlannedStage>,
    pub(crate) edges: Vec<PlannedEdge>,
    /// The stages that share a task, task by task.
    pub(crate) shared: Vec<PlannedTask>,
}

/// Stages that share a task for as long as they are cheap.
#[derive(Debug)]
pub(crate) struct PlannedTask {
    /// The one that feeds all others first.
    pub(crate) stages: Vec<StageId>,
    /// What a record may cost in each of them but the first.
    pub(crate) cheap: Duration,
}

#[derive(Debug)]
pub(crate) struct PlannedOperator {
    pub(crate) name: Arc<str>,
    pub(crate) kind: &'static str,
    pub(crate) role: Role,
    /// Whether its output is what its stage takes.
    pub(crate) heads: bool,
    pub(crate) stage: StageId,
    /// Under what its state is found again.
    pub(crate) uid: Option<Arc<str>>,
}

#[derive(Debug)]
pub(crate) struct PlannedStage {
    /// The names of its operators, in order.
    pub(crate) name: Arc<str>,
    pub(crate) operators: Vec<OperatorId>,
    pub(crate) input: Option<EdgeId>,
    pub(crate) parallelism: usize,
    /// The records that the buffers of one instance have room for.
    pub(crate) buffered: usize,
    /// Whether its last operator takes each record at once and for good.
    pub(crate) consumes: bool,
    /// Whether the job goes on without it if it fails.
    pub(crate) expendable: bool,
}

#[derive(Debug)]
pub(crate) struct PlannedEdge {
    pub(crate) name: Arc<str>,
    pub(crate) producers: Vec<OperatorId>,
    /// How many instances each producer has.
    pub(crate) producer_instances: Vec<usize>,
    pub(crate) consumer: StageId,
    pub(crate) consumer_instances: usize,
    pub(crate) distribution: Distribution,
    pub(crate) discipline: Discipline,
    pub(crate) capacity: Capacity,
    pub(crate) when_full: WhenFull,
    pub(crate) order: Order,
    /// Whether nobody has said anything of it.
    pub(crate) plain: bool,
}

impl PlannedEdge {
    /// The consuming instances that one producing instance writes to.
    pub(crate) fn targets(&self, instance: usize, instances: usize) -> std::ops::Range<usize> {
        match self.distribution {
            Distribution::Forward if instances == self.consumer_instances => instance..instance + 1,
            // Validation has seen to it that everything else that is forwarded goes to one.
            Distribution::Forward => 0..1,
            Distribution::Rebalance | Distribution::Key => 0..self.consumer_instances,
        }
    }

    /// How many channels it has.
    pub(crate) fn channels(&self) -> usize {
        let of = |&instances| self.targets(0, instances).len() * instances;
        self.producer_instances.iter().map(of).sum()
    }
}

/// One channel of an edge.
pub(crate) struct PlannedChannel {
    /// Which of the edge's producers writes to it.
    pub(crate) producer: usize,
    /// The instances at its two ends.
    pub(crate) ends: (usize, usize),
    pub(crate) capacity: Capacity,
    pub(crate) order: Order,
    pub(crate) forgiving: Forgiving,
}

impl Plan {
    /// The channels of an edge: those of one producing instance after those of another.
    pub(crate) fn channels(&self, edge: EdgeId) -> Vec<PlannedChannel> {
        let mut channels = Vec::new();
        let Some(planned) = self.edges.get(edge.0) else {
            return channels;
        };
        let expendable = |stage: StageId| self.stages.get(stage.0).is_some_and(|s| s.expendable);
        for (producer, &instances) in planned.producer_instances.iter().enumerate() {
            let operator = planned.producers.get(producer);
            let writes = operator.and_then(|id| self.operators.get(id.0)).map(|one| one.stage);
            // Who can be done without must not bring down who can't.
            let forgiving = Forgiving {
                producer: !expendable(planned.consumer) && writes.is_some_and(expendable),
                consumer: expendable(planned.consumer) && !writes.is_some_and(expendable),
            };
            for instance in 0..instances {
                channels.extend(planned.targets(instance, instances).map(|target| {
                    let (ends, capacity, order) =
                        ((instance, target), planned.capacity, planned.order);
                    PlannedChannel { producer, ends, capacity, order, forgiving }
                }));
            }
        }
        channels
    }

    pub(crate) fn operator_name(&self, id: OperatorId) -> Arc<str> {
        self.operators.get(id.0).map_or_else(|| Arc::from("?"), |node| Arc::clone(&node.name))
    }

    /// The most records that can be between the sources and the sinks, state left aside: in each
    /// channel its capacity and the batch that its producer collects, and in each instance of a
    /// stage its buffers and the batch that it works on. Of that batch one record less: the record
    /// that is being worked on is in hand, or already counted behind the stage.
    fn records_in_flight_max(&self) -> usize {
        let edges = self.edges.iter().map(|edge| {
            edge.channels()
                .saturating_mul(edge.capacity.records.saturating_add(edge.capacity.batch))
        });
        let stages = self.stages.iter().map(|stage| {
            let edge = stage.input.and_then(|edge| self.edges.get(edge.0));
            let input = edge.map_or(0, |edge| edge.capacity.batch);
            let taken = usize::from(!stage.consumes);
            let instance = input.saturating_add(stage.buffered).saturating_sub(taken);
            stage.parallelism.saturating_mul(instance)
        });
        edges.chain(stages).fold(0, usize::saturating_add)
    }

    pub(crate) fn view(&self) -> GraphView {
        GraphView {
            name: self.name.to_string(),
            operators: self
                .operators
                .iter()
                .map(|node| OperatorView {
                    name: node.name.to_string(),
                    kind: node.kind,
                    role: node.role,
                    stage: node.stage.0,
                })
                .collect(),
            stages: self
                .stages
                .iter()
                .enumerate()
                .map(|(index, stage)| StageView {
                    name: stage.name.to_string(),
                    operators: stage.operators.iter().map(|id| id.0).collect(),
                    instances: stage.parallelism,
                    shared_task: self.shared_task_of(StageId(index)),
                })
                .collect(),
            edges: self.edges.iter().map(PlannedEdge::view).collect(),
            records_in_flight_max: self.records_in_flight_max(),
        }
    }
}

impl PlannedEdge {
    fn view(&self) -> EdgeView {
        EdgeView {
            name: self.name.to_string(),
            producers: self.producers.iter().map(|id| id.0).collect(),
            consumer: self.consumer.0,
            distribution: self.distribution,
            channels: self.channels(),
            when_full: self.when_full,
            order: self.order,
            capacity_records: self.capacity.records,
            batch_records: self.capacity.batch,
        }
    }
}
