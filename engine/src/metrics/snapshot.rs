//! All of a job's numbers at one moment.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::counters::{BLOCKED, BUSY};
use super::{DropReason, Drops, InputGauge, OperatorCounters, StageCounters};
use crate::edge::{EdgeProbe, EdgeStats};
use crate::graph::{OperatorId, Plan, Role};
use crate::time::{Clock, Timestamp};

/// Everything that counts in a run: made with it, and filled while its stages are built.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) plan: Arc<Plan>,
    pub(crate) clock: Clock,
    pub(crate) by_operator: bool,
    pub(crate) stages: Vec<Vec<Arc<StageCounters>>>,
    pub(crate) operators: Vec<Vec<Arc<OperatorCounters>>>,
    /// Set once, when every stage has been built.
    pub(crate) channels: OnceLock<Vec<Vec<Channel>>>,
}

/// One channel of an edge.
pub(crate) struct Channel {
    /// Which of the edge's producers writes to it.
    pub(crate) producer: usize,
    pub(crate) probe: Box<dyn EdgeProbe>,
    pub(crate) gauge: Arc<InputGauge>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("producer", &self.producer).finish_non_exhaustive()
    }
}

/// A job's numbers at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct JobMetrics {
    /// The pipeline's name.
    pub pipeline: String,
    /// For each stage, in the order of the graph.
    pub stages: Vec<StageMetrics>,
    /// For each operator, in the order of the graph.
    pub operators: Vec<OperatorMetrics>,
    /// For each edge, in the order of the graph.
    pub edges: Vec<EdgeMetrics>,
}

/// What a stage has done, all its instances together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StageMetrics {
    /// The names of its operators.
    pub name: String,
    /// How many instances it has.
    pub instances: usize,
    /// How many of them have been started.
    pub started: usize,
    /// How many of them have come to their end.
    pub finished: usize,
    /// Records taken by the first operator.
    pub records_in: u64,
    /// Records that reached the end of the stage when nobody wanted them any more.
    pub cancelled: u64,
    /// Batches taken.
    pub batches: u64,
    /// Time spent working.
    pub busy: Duration,
    /// Time spent waiting for input.
    pub idle: Duration,
    /// Time spent waiting for room downstream.
    pub blocked: Duration,
    /// How many instances are waiting for room at this moment.
    pub blocked_now: usize,
    /// How many instances are working at this moment.
    pub busy_now: usize,
    /// The earliest watermark of its instances; `None` as long as one of them has seen none.
    pub watermark: Option<Timestamp>,
}

/// What an operator has done, all its instances together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OperatorMetrics {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// What part it plays.
    pub role: Role,
    /// The stage it belongs to, an index.
    pub stage: usize,
    /// Records taken; for a source, records read. Inside a stage it is derived from the counts of
    /// the operators before, and `None` where the run does not count by operator.
    pub records_in: Option<u64>,
    /// Records emitted; for a sink, records written.
    pub records_out: Option<u64>,
    /// Records taken and not passed on, whatever the reason.
    pub filtered: u64,
    /// Records emitted beyond one for each taken.
    pub added: u64,
    /// Of the filtered: dropped because of an error, as the policy says.
    pub skipped: u64,
    /// Of the filtered: sent to the dead letters.
    pub dead_letters: u64,
    /// What was dropped, by reason: those two, and every other.
    pub dropped: Drops,
    /// Errors that user code returned.
    pub errors: u64,
    /// Attempts made again after an error.
    pub retries: u64,
}

/// What an edge has carried, all its channels together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EdgeMetrics {
    /// The names of both ends.
    pub name: String,
    /// The stage that reads from it, an index.
    pub consumer: usize,
    /// The stages that write to it, indices.
    pub producers: Vec<usize>,
    /// Records put in.
    pub sent: u64,
    /// Records taken out.
    pub received: u64,
    /// Records in it now.
    pub depth: u64,
    /// The most records it may hold.
    pub capacity: u64,
    /// Bytes in it now, where they are weighed.
    pub bytes: u64,
    /// How many of its channels are full and have somebody waiting for room.
    pub blocked: usize,
    /// The producer whose watermark holds the consumer's back, and that watermark.
    pub held_by: Option<(String, Timestamp)>,
}

impl Registry {
    pub(crate) fn new(plan: Arc<Plan>, clock: Clock, by_operator: bool) -> Self {
        let of = |stage: usize| plan.stages.get(stage).map_or(0, |stage| stage.parallelism);
        let stages = (0..plan.stages.len()).map(|stage| fresh(of(stage))).collect();
        let operators = plan.operators.iter().map(|node| fresh(of(node.stage.0))).collect();
        Self { plan, clock, by_operator, stages, operators, channels: OnceLock::new() }
    }

    pub(crate) fn snapshot(&self) -> JobMetrics {
        let operators = (0..self.plan.operators.len()).map(|operator| self.operator(operator));
        let mut operators: Vec<_> = operators.collect();
        let mut stages: Vec<_> = (0..self.stages.len()).map(|stage| self.stage(stage)).collect();
        self.count_before_heads(&mut stages, &operators);
        self.follow(&stages, &mut operators);
        JobMetrics {
            pipeline: self.plan.name.to_string(),
            operators,
            edges: (0..self.plan.edges.len()).map(|edge| self.edge(edge)).collect(),
            stages,
        }
    }

    fn stage(&self, index: usize) -> StageMetrics {
        let planned = self.plan.stages.get(index);
        let instances = self.stages.get(index).map_or(&[][..], Vec::as_slice);
        let sum = |of: &dyn Fn(&StageCounters) -> u64| instances.iter().map(|c| of(c)).sum();
        let now = self.clock.now();
        let mut spent = [Duration::ZERO; 3];
        for instance in instances {
            for (total, one) in spent.iter_mut().zip(instance.activity.read(now)) {
                *total += one;
            }
        }
        let [busy, idle, blocked] = spent;
        let count = |of: &dyn Fn(&StageCounters) -> bool| {
            instances.iter().filter(|counters| of(counters)).count()
        };
        let watermark = instances.iter().map(|counters| counters.watermark.get()).min();
        StageMetrics {
            name: planned.map_or_else(String::new, |stage| stage.name.to_string()),
            instances: instances.len(),
            started: count(&|counters| counters.started.load(Relaxed)),
            finished: count(&|counters| counters.finished.load(Relaxed)),
            records_in: sum(&|counters| counters.records_in.get()),
            cancelled: sum(&|counters| counters.cancelled.get()),
            batches: sum(&|counters| counters.batches.get()),
            busy,
            idle,
            blocked,
            blocked_now: count(&|counters| counters.activity.state() == BLOCKED),
            busy_now: count(&|counters| counters.activity.state() == BUSY),
            watermark: watermark.filter(|watermark| *watermark > Timestamp::MIN),
        }
    }

    /// What a stage counts as taken is what its head gave it: the first operator's input is what
    /// went into that.
    fn count_before_heads(&self, stages: &mut [StageMetrics], operators: &[OperatorMetrics]) {
        for (planned, stage) in self.plan.stages.iter().zip(stages) {
            let first = planned.operators.first();
            let heads = first.filter(|id| self.heads(**id));
            if let Some(head) = heads.and_then(|id| operators.get(id.0)) {
                stage.records_in = (stage.records_in + head.filtered).saturating_sub(head.added);
            }
        }
    }

    fn heads(&self, operator: OperatorId) -> bool {
        self.plan.operators.get(operator.0).is_some_and(|planned| planned.heads)
    }

    /// What goes into an operator is what came out of the one before.
    fn follow(&self, stages: &[StageMetrics], operators: &mut [OperatorMetrics]) {
        for (planned, stage) in self.plan.stages.iter().zip(stages) {
            let mut flowing = Some(stage.records_in);
            for &id in &planned.operators {
                let Some(operator) = operators.get_mut(id.0) else {
                    continue;
                };
                operator.records_in = flowing;
                flowing = match operator.role {
                    Role::Source => flowing,
                    // The count of what is written is the sink's own.
                    Role::Sink => operator.records_out,
                    Role::Operator if self.by_operator || self.heads(id) => {
                        flowing.map(|n| (n + operator.added).saturating_sub(operator.filtered))
                    }
                    Role::Operator => None,
                };
                operator.records_out = flowing;
            }
        }
    }

    fn operator(&self, index: usize) -> OperatorMetrics {
        let planned = self.plan.operators.get(index);
        let instances = self.operators.get(index).map_or(&[][..], Vec::as_slice);
        let sum = |of: &dyn Fn(&OperatorCounters) -> u64| instances.iter().map(|c| of(c)).sum();
        let role = planned.map_or(Role::Operator, |node| node.role);
        let mut dropped = Drops::default();
        for instance in instances {
            dropped += instance.drops();
        }
        OperatorMetrics {
            name: planned.map_or_else(String::new, |node| node.name.to_string()),
            kind: planned.map_or("", |node| node.kind),
            role,
            stage: planned.map_or(0, |node| node.stage.0),
            records_in: None,
            records_out: (role == Role::Sink).then(|| sum(&|c| c.delivered.get())),
            filtered: sum(&|c| c.filtered.get()),
            added: sum(&|c| c.added.get()),
            skipped: dropped.of(DropReason::Skipped),
            dead_letters: dropped.of(DropReason::DeadLetter),
            dropped,
            errors: sum(&|c| c.errors.get()),
            retries: sum(&|c| c.retries.get()),
        }
    }

    fn edge(&self, index: usize) -> EdgeMetrics {
        let planned = self.plan.edges.get(index);
        let channels = self.channels.get().and_then(|edges| edges.get(index));
        let channels = channels.map_or(&[][..], Vec::as_slice);
        let stats: Vec<EdgeStats> = channels.iter().map(|channel| channel.probe.stats()).collect();
        let sum = |of: &dyn Fn(&EdgeStats) -> u64| stats.iter().map(of).sum();
        let counting = channels.iter().filter(|channel| !channel.gauge.idle.load(Relaxed));
        let holder = counting.min_by_key(|channel| channel.gauge.watermark.get());
        let held_by = holder.and_then(|channel| {
            let producer = *planned?.producers.get(channel.producer)?;
            let name = self.plan.operator_name(producer).to_string();
            Some((name, channel.gauge.watermark.get()))
        });
        let producers = planned.map_or(&[][..], |edge| edge.producers.as_slice()).iter();
        EdgeMetrics {
            name: planned.map_or_else(String::new, |edge| edge.name.to_string()),
            consumer: planned.map_or(0, |edge| edge.consumer.0),
            producers: producers
                .filter_map(|id| self.plan.operators.get(id.0).map(|node| node.stage.0))
                .collect(),
            sent: sum(&|stats| stats.sent),
            received: sum(&|stats| stats.received),
            depth: sum(&|stats| stats.depth),
            capacity: sum(&|stats| stats.capacity),
            bytes: sum(&|stats| stats.bytes),
            blocked: stats.iter().filter(|stats| stats.blocked).count(),
            held_by,
        }
    }
}

fn fresh<T: Default>(count: usize) -> Vec<Arc<T>> {
    std::iter::repeat_with(Arc::default).take(count).collect()
}
