//! All of a job's numbers at one moment.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

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
    /// How many of them have failed and were cut off, because the job can do without them.
    pub failed: usize,
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
    /// How far that watermark is behind the wall clock.
    pub lag: Option<Duration>,
    /// How long its operators have a record, which with what lies in their way downstream is the
    /// whole of it: the mean of each uninterrupted run, as often as it had records.
    pub running: Latency,
    /// For each instance, what it is doing.
    pub now: Vec<InstanceMetrics>,
}

/// What an instance of a stage is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceMetrics {
    /// What it is doing.
    pub doing: Doing,
    /// For how long, with nothing moving meanwhile.
    pub age: Duration,
    /// The operator that is at work or waited for, an index, where it is known: of sources, sinks
    /// and whoever waits for a timer it is, of the others if the run counts by operator.
    pub at: Option<usize>,
    /// Records taken by the first operator.
    pub records_in: u64,
    /// Whether it has work that is not done: records in front of it, in hand, or not handed on.
    pub pending: bool,
    /// Whether it has been started and is not over.
    pub live: bool,
}

impl StageMetrics {
    /// The shares of its time spent busy, idle and blocked: three numbers that add up to one. A
    /// stage that has not spent any time has been idle.
    #[must_use]
    pub fn ratios(&self) -> [f64; 3] {
        let spent = self.busy + self.idle + self.blocked;
        if spent.is_zero() {
            return [0.0, 1.0, 0.0];
        }
        let share = |part: Duration| part.as_secs_f64() / spent.as_secs_f64();
        let (busy, blocked) = (share(self.busy), share(self.blocked));
        [busy, (1.0 - busy - blocked).max(0.0), blocked]
    }

    /// For how long an instance has had work and got nowhere with it; zero where each gets on.
    #[must_use]
    pub fn stalled(&self) -> Duration {
        let stalled = self.now.iter().filter(|instance| instance.pending);
        stalled.map(|instance| instance.age).max().unwrap_or_default()
    }
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
    /// Of the records put in: what its policy dropped because there was no room, or merged into
    /// another, by reason.
    pub dropped: Drops,
    /// How many of its channels are full and have somebody waiting for room.
    pub blocked: usize,
    /// The producer whose watermark holds the consumer's back, and that watermark.
    pub held_by: Option<(String, Timestamp)>,
    /// How many records the consumer found on average when it looked.
    pub mean_depth: f64,
    /// How long its producers have waited for room, all channels together.
    pub blocked_for: Duration,
    /// How long records waited in it, by a sample of them.
    pub queueing: Latency,
    /// For each producer, how far its time is.
    pub inputs: Vec<InputMetrics>,
    /// Each channel.
    pub channels: Vec<ChannelMetrics>,
}

impl EdgeMetrics {
    /// How full it is, between 0 and 1.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        ratio(self.depth, self.capacity)
    }
}

/// One of the producers of an edge, all its channels together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InputMetrics {
    /// The operator.
    pub producer: String,
    /// The earliest watermark of its channels; `None` as long as one of them has seen none.
    pub watermark: Option<Timestamp>,
    /// How far that watermark is behind the wall clock.
    pub lag: Option<Duration>,
    /// Whether it takes no part in the consumer's watermark: idle or ended.
    pub idle: bool,
}

/// One channel, from one instance to another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelMetrics {
    /// The operator that writes to it, an index.
    pub producer: usize,
    /// The instance that writes to it.
    pub from: usize,
    /// The instance that reads from it.
    pub to: usize,
    /// Records in it now.
    pub depth: u64,
    /// The most records it may hold.
    pub capacity: u64,
    /// Whether its writer waits for room.
    pub blocked: bool,
    /// How often its writer had to wait for room.
    pub waits: u64,
    /// How long its writer has waited for room.
    pub blocked_for: Duration,
    /// Whether it is not read for the time being: it has ended, waits at a barrier, or it is not
    /// its turn.
    pub unread: bool,
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

#[allow(clippy::cast_precision_loss, reason = "a ratio")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn fresh<T: Default>(count: usize) -> Vec<Arc<T>> {
    std::iter::repeat_with(Arc::default).take(count).collect()
}
