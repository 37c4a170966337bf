//! All of a job's numbers at one moment.

use std::time::Duration;

use super::{Doing, Drops, Latency};
use crate::graph::Role;
use crate::time::Timestamp;

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
    /// Records that reached the end of the stage, or a side output, when nobody wanted them there
    /// any more.
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
    /// whole of it: the mean of what goes through between two looks at the clock, as often as it
    /// had records.
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
    /// and whoever waits for a timer it is, of the others if the run counts by operator. In a quick
    /// stage that begins with an iterator, it is not.
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
    /// Keys whose state was given up to make room for others.
    pub evicted_keys: u64,
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

#[allow(clippy::cast_precision_loss, reason = "a ratio")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
