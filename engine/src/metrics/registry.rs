//! Everything that counts in a run, and how its numbers are put together at one moment.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::snapshot::{
    ChannelMetrics, EdgeMetrics, InputMetrics, InstanceMetrics, JobMetrics, OperatorMetrics,
    StageMetrics, ratio,
};
use super::{
    Doing, DropReason, Drops, Explanation, InputGauge, Latency, OperatorCounters, StageCounters,
};
use crate::edge::{Discipline, EdgeProbe, EdgeStats, EdgeTimes};
use crate::graph::{OperatorId, Plan, PlannedEdge, Role};
use crate::time::{Clock, Timestamp};

/// Everything that counts in a run: made with it, and filled while its stages are built.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) plan: Arc<Plan>,
    pub(crate) clock: Clock,
    pub(crate) by_operator: bool,
    /// Whether the sources are held up from outside.
    pub(crate) paused: AtomicBool,
    pub(crate) stages: Vec<Vec<Arc<StageCounters>>>,
    pub(crate) operators: Vec<Vec<Arc<OperatorCounters>>>,
    /// Set once, when every stage has been built.
    pub(crate) channels: OnceLock<Vec<Vec<Channel>>>,
}

/// One channel of an edge.
pub(crate) struct Channel {
    /// Which of the edge's producers writes to it.
    pub(crate) producer: usize,
    /// The instances at its two ends.
    pub(crate) ends: (usize, usize),
    pub(crate) probe: Box<dyn EdgeProbe>,
    pub(crate) gauge: Arc<InputGauge>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("producer", &self.producer).finish_non_exhaustive()
    }
}

impl Registry {
    pub(crate) fn new(plan: Arc<Plan>, clock: Clock, by_operator: bool) -> Self {
        let of = |stage: usize| plan.stages.get(stage).map_or(0, |stage| stage.parallelism);
        let stages = (0..plan.stages.len()).map(|stage| fresh(of(stage))).collect();
        let operators = plan.operators.iter().map(|node| fresh(of(node.stage.0))).collect();
        let paused = AtomicBool::new(false);
        Self { plan, clock, by_operator, paused, stages, operators, channels: OnceLock::new() }
    }

    pub(crate) fn explain(&self) -> Explanation {
        self.snapshot().explain()
    }

    pub(crate) fn snapshot(&self) -> JobMetrics {
        let operators = (0..self.plan.operators.len()).map(|operator| self.operator(operator));
        let mut operators: Vec<_> = operators.collect();
        let mut stages: Vec<_> = (0..self.stages.len()).map(|stage| self.stage(stage)).collect();
        self.count_before_heads(&mut stages, &mut operators);
        self.follow(&stages, &mut operators);
        let edges: Vec<_> = (0..self.plan.edges.len()).map(|edge| self.edge(edge)).collect();
        for edge in &edges {
            let instances = stages.get_mut(edge.consumer).map(|stage| stage.now.iter_mut());
            for (to, instance) in instances.into_iter().flatten().enumerate() {
                let mut into = edge.channels.iter().filter(|channel| channel.to == to);
                instance.pending |= instance.live && into.any(|channel| channel.depth > 0);
            }
        }
        JobMetrics { pipeline: self.plan.name.to_string(), stages, operators, edges }
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
        let watermark = watermark.filter(|watermark| *watermark > Timestamp::MIN);
        let mut running = Latency::default();
        instances.iter().for_each(|counters| counters.running.read(&mut running));
        StageMetrics {
            name: planned.map_or_else(String::new, |stage| stage.name.to_string()),
            instances: instances.len(),
            started: count(&|counters| counters.started.load(Relaxed)),
            finished: count(&|counters| counters.finished.load(Relaxed)),
            failed: count(&|counters| counters.failed.load(Relaxed)),
            records_in: sum(&|counters| counters.records_in.get()),
            cancelled: sum(&|counters| counters.cancelled.get()),
            batches: sum(&|counters| counters.batches.get()),
            busy,
            idle,
            blocked,
            blocked_now: count(&|counters| counters.activity.doing() == Doing::AwaitsRoom),
            busy_now: count(&|counters| counters.activity.doing() == Doing::Working),
            watermark,
            lag: self.lag(watermark),
            running,
            now: instances.iter().map(|counters| self.instance(index, counters.now(now))).collect(),
        }
    }

    /// A source that waits in a paused job waits for that to go on, whatever it has to give.
    fn instance(&self, stage: usize, mut instance: InstanceMetrics) -> InstanceMetrics {
        let reads = self.plan.stages.get(stage).is_some_and(|stage| stage.input.is_none());
        if reads && instance.doing == Doing::AwaitsInput && self.paused.load(Relaxed) {
            instance.doing = Doing::Paused;
        }
        instance
    }

    /// How far event time is behind the wall clock.
    fn lag(&self, watermark: Option<Timestamp>) -> Option<Duration> {
        let behind = self.clock.timestamp().as_millis().saturating_sub(watermark?.as_millis());
        Some(Duration::from_millis(u64::try_from(behind).unwrap_or(0)))
    }

    /// Of a stage that begins with a head of its own making, what went into that: all it gave,
    /// undoing what it added and filtered. What it gave when nobody wanted it any more counts as
    /// filtered too.
    fn count_before_heads(&self, stages: &mut [StageMetrics], operators: &mut [OperatorMetrics]) {
        for ((planned, stage), counters) in self.plan.stages.iter().zip(stages).zip(&self.stages) {
            let first = planned.operators.first();
            let heads = first.filter(|id| self.heads(**id));
            if let Some(head) = heads.and_then(|id| operators.get_mut(id.0)) {
                let sum = |of: &dyn Fn(&StageCounters) -> u64| counters.iter().map(|c| of(c)).sum();
                let given: u64 = sum(&|counters| counters.given.get());
                let unwanted: u64 = sum(&|counters| counters.unwanted.get());
                stage.records_in = (given + head.filtered).saturating_sub(head.added);
                head.filtered += unwanted;
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
            evicted_keys: sum(&|c| c.evicted_keys.get()),
        }
    }

    fn edge(&self, index: usize) -> EdgeMetrics {
        let planned = self.plan.edges.get(index);
        let channels = self.channels.get().and_then(|edges| edges.get(index));
        let channels = channels.map_or(&[][..], Vec::as_slice);
        let stats: Vec<EdgeStats> = channels.iter().map(|channel| channel.probe.stats()).collect();
        let times: Vec<EdgeTimes> = channels.iter().map(|channel| channel.probe.times()).collect();
        let sum = |of: &dyn Fn(&EdgeStats) -> u64| stats.iter().map(of).sum();
        let counting = channels.iter().filter(|channel| !channel.gauge.idle.load(Relaxed));
        let holder = counting.min_by_key(|channel| channel.gauge.watermark.get());
        let held_by = holder.and_then(|channel| {
            let producer = *planned?.producers.get(channel.producer)?;
            let name = self.plan.operator_name(producer).to_string();
            Some((name, channel.gauge.watermark.get()))
        });
        let producers = planned.map_or(&[][..], |edge| edge.producers.as_slice());
        let of_producer = |id: &OperatorId| self.plan.operators.get(id.0).map(|node| node.stage.0);
        let looks = times.iter().map(|times| times.looks).sum();
        let mut queueing = Latency::default();
        times.iter().for_each(|times| queueing.add(&times.queueing));
        let turn = planned.and_then(|edge| turn(edge, channels));
        let channel = |((channel, stats), times): ((&Channel, &EdgeStats), &EdgeTimes)| {
            let gauge = &channel.gauge;
            let turned = turn.is_some_and(|producer| producer != channel.producer);
            ChannelMetrics {
                producer: producers.get(channel.producer).map_or(0, |id| id.0),
                from: channel.ends.0,
                to: channel.ends.1,
                depth: stats.depth,
                capacity: stats.capacity,
                blocked: stats.blocked,
                waits: times.waits,
                blocked_for: times.blocked,
                unread: turned || gauge.ended.load(Relaxed) || gauge.held.load(Relaxed),
            }
        };
        EdgeMetrics {
            name: planned.map_or_else(String::new, |edge| edge.name.to_string()),
            consumer: planned.map_or(0, |edge| edge.consumer.0),
            producers: producers.iter().filter_map(of_producer).collect(),
            sent: sum(&|stats| stats.sent),
            received: sum(&|stats| stats.received),
            depth: sum(&|stats| stats.depth),
            capacity: sum(&|stats| stats.capacity),
            bytes: sum(&|stats| stats.bytes),
            dropped: Drops::one(
                planned.map(|edge| edge.when_full).unwrap_or_default().reason(),
                sum(&|stats| stats.dropped),
            ),
            blocked: stats.iter().filter(|stats| stats.blocked).count(),
            held_by,
            mean_depth: ratio(times.iter().map(|times| times.found).sum(), looks),
            blocked_for: times.iter().map(|times| times.blocked).sum(),
            queueing,
            inputs: producers.iter().enumerate().map(|one| self.input(one, channels)).collect(),
            channels: channels.iter().zip(&stats).zip(&times).map(channel).collect(),
        }
    }

    fn input(&self, (index, id): (usize, &OperatorId), channels: &[Channel]) -> InputMetrics {
        let gauges = channels.iter().filter(|channel| channel.producer == index);
        let gauges: Vec<_> = gauges.map(|channel| &channel.gauge).collect();
        let counting = gauges.iter().filter(|gauge| !gauge.idle.load(Relaxed));
        // Of those that are idle, how far they had got.
        let watermark = counting.map(|gauge| gauge.watermark.get()).min();
        let watermark = watermark.or(gauges.iter().map(|gauge| gauge.watermark.get()).max());
        let watermark = watermark.filter(|watermark| *watermark > Timestamp::MIN);
        InputMetrics {
            producer: self.plan.operator_name(*id).to_string(),
            watermark,
            lag: self.lag(watermark),
            idle: gauges.iter().all(|gauge| gauge.idle.load(Relaxed)),
        }
    }
}

/// Where producers are read one after the other, whose turn it is.
fn turn(edge: &PlannedEdge, channels: &[Channel]) -> Option<usize> {
    let open = channels.iter().filter(|channel| !channel.gauge.ended.load(Relaxed));
    let first = open.map(|channel| channel.producer).min();
    first.filter(|_| edge.discipline == Discipline::Concat)
}

fn fresh<T: Default>(count: usize) -> Vec<Arc<T>> {
    std::iter::repeat_with(Arc::default).take(count).collect()
}
