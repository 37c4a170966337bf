//! Who waits for whom, and so who holds the job up.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::{ChannelMetrics, Doing, EdgeMetrics, InstanceMetrics, JobMetrics, StageMetrics};
use crate::graph::Role;

/// From which share of its time at work on a stage counts as the one that can't do more.
const BUSY_SHARE: f64 = 0.8;

/// Why a job is no faster, or stands still: see
/// [`JobHandle::explain`](crate::runtime::JobHandle::explain).
///
/// Shown as text, it is a dump of who waits for whom. It is worked out from what is counted anyway:
/// asking is safe while a job is stuck, and costs a running one a lock for each channel.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// Who holds the others up: where the waiting ends that begins at a full edge, that is the
    /// first busy one below those that are backpressured. Where nobody waits for room, who waits
    /// for something of its own, or is busy nearly all the time; failing that, the one source that
    /// everybody waits for.
    pub culprit: Option<Culprit>,
    /// The edges on which somebody waits for room, with their fill in percent.
    pub full_edges: Vec<(String, u64)>,
    /// The producers whose watermarks hold a consumer's back, with the edge.
    pub watermark_holders: Vec<(String, String)>,
    /// What each stage does with its time: name, and busy, idle and blocked in percent, which add
    /// up to a hundred.
    pub stages: Vec<(String, [u64; 3])>,
    /// The stages that have failed and were cut off, because the job can do without them.
    pub failed: Vec<String>,
    /// What each instance that is not over is doing, in the order of the graph.
    pub waits: Vec<Wait>,
}

/// Who holds a job up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Culprit {
    /// The name of the stage.
    pub stage: String,
    /// The instance, where the stage has several and not all of them do.
    pub instance: Option<usize>,
    /// The operator, where it is known: of sources, but not of an iterator in a stage that has been
    /// quick, of sinks and whoever waits for something of its own, of the others where the stage
    /// has only one or the run [counts by
    /// operator](crate::runtime::JobOptions::with_operator_counts).
    pub operator: Option<String>,
    /// In what way.
    pub why: Why,
    /// For how long, with nothing moving meanwhile.
    pub age: Duration,
}

/// In what way somebody holds a job up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// It is at work.
    Busy,
    /// It waits for a time that it has set, or for futures of its own.
    AwaitsItself,
    /// It is a sink, and the outside does not take what it has.
    SinkIsSlow,
    /// It is a source, and nothing comes from the outside.
    SourceIsQuiet,
    /// It is a source, and the job is paused.
    Paused,
    /// It is one of several that wait for each other.
    Deadlock,
}

/// What an instance of a stage is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wait {
    /// The name of the stage.
    pub stage: String,
    /// Which instance.
    pub instance: usize,
    /// What it is doing.
    pub doing: Doing,
    /// For how long, with nothing moving meanwhile.
    pub age: Duration,
    /// The operators that it waits for, its own ones included.
    pub on: Vec<String>,
}

/// An instance of a stage.
type Node = (usize, usize);

/// Where waiting leads.
enum Leads {
    /// To others.
    To(Vec<Node>),
    /// No further: with the operator, if it is known.
    Ends(Why, Option<usize>),
    /// Nowhere: it is over.
    Nowhere,
}

impl JobMetrics {
    /// Works out what holds the job up.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let full = self.edges.iter().filter(|edge| edge.blocked > 0);
        let holders = self.edges.iter().filter_map(|edge| {
            let (name, _) = edge.held_by.as_ref()?;
            (edge.producers.len() > 1).then(|| (name.clone(), edge.name.clone()))
        });
        let failed = self.stages.iter().filter(|stage| stage.failed > 0);
        Explanation {
            culprit: self.culprit(),
            full_edges: full.map(|edge| (edge.name.clone(), fill(edge))).collect(),
            watermark_holders: holders.collect(),
            stages: self.stages.iter().map(|stage| (stage.name.clone(), shares(stage))).collect(),
            failed: failed.map(|stage| stage.name.clone()).collect(),
            waits: self.live().map(|node| self.wait(node)).collect(),
        }
    }

    fn live(&self) -> impl Iterator<Item = Node> {
        let stages = self.stages.iter().enumerate();
        stages.flat_map(|(index, stage)| {
            let instances = stage.now.iter().enumerate().filter(|(_, instance)| instance.live);
            instances.map(move |(instance, _)| (index, instance))
        })
    }

    fn at(&self, (stage, instance): Node) -> Option<&InstanceMetrics> {
        self.stages.get(stage)?.now.get(instance)
    }

    fn doing(&self, node: Node) -> Doing {
        self.at(node).map_or(Doing::Nothing, |instance| instance.doing)
    }

    fn stage_of(&self, operator: usize) -> usize {
        self.operators.get(operator).map_or(usize::MAX, |operator| operator.stage)
    }

    fn incoming(&self, (stage, instance): Node) -> Vec<&ChannelMetrics> {
        let edges = self.edges.iter().filter(|edge| edge.consumer == stage);
        edges.flat_map(|edge| &edge.channels).filter(|channel| channel.to == instance).collect()
    }

    /// The channels out of an instance, each with who reads from it.
    fn outgoing(&self, (stage, instance): Node) -> Vec<(&ChannelMetrics, Node)> {
        let channels = self.edges.iter().flat_map(|edge| {
            edge.channels.iter().map(|channel| (channel, (edge.consumer, channel.to)))
        });
        let own = |channel: &ChannelMetrics| {
            self.stage_of(channel.producer) == stage && channel.from == instance
        };
        channels.filter(|(channel, _)| own(channel)).collect()
    }

    /// The operators of a stage, in order.
    fn operators_of(&self, stage: usize) -> Vec<usize> {
        let all = self.operators.iter().enumerate();
        all.filter(|(_, operator)| operator.stage == stage).map(|(index, _)| index).collect()
    }

    fn with_role(&self, stage: usize, role: Role) -> Option<usize> {
        let has = |index: &usize| self.operators.get(*index).is_some_and(|op| op.role == role);
        self.operators_of(stage).into_iter().find(has)
    }

    /// Who is at work in a stage where that was not written down: clear where it has one operator.
    fn only_operator(&self, stage: usize) -> Option<usize> {
        let operators = self.operators_of(stage);
        // The first operator behind an edge only stands for the edge, unless it is the only one.
        let behind_edge = self.edges.iter().any(|edge| edge.consumer == stage);
        match operators.as_slice() {
            [only] => Some(*only),
            [_, only] if behind_edge => Some(*only),
            _ => None,
        }
    }

    /// What an instance waits for.
    fn leads(&self, node: Node) -> Leads {
        let known = self.at(node).and_then(|instance| instance.at);
        match self.doing(node) {
            Doing::Nothing => Leads::Nowhere,
            Doing::Working => Leads::Ends(Why::Busy, known.or(self.only_operator(node.0))),
            Doing::AwaitsItself => {
                Leads::Ends(Why::AwaitsItself, known.or(self.operators_of(node.0).first().copied()))
            }
            Doing::AwaitsDemand => {
                Leads::To(self.outgoing(node).into_iter().map(|(_, reader)| reader).collect())
            }
            Doing::AwaitsRoom => {
                let outgoing = self.outgoing(node).into_iter();
                let full: Vec<_> = outgoing.filter(|(channel, _)| channel.blocked).collect();
                if full.is_empty() {
                    return Leads::Ends(Why::SinkIsSlow, self.with_role(node.0, Role::Sink));
                }
                Leads::To(full.into_iter().map(|(_, reader)| reader).collect())
            }
            Doing::Paused => Leads::Ends(Why::Paused, self.with_role(node.0, Role::Source)),
            Doing::AwaitsInput => self.leads_up(node),
        }
    }

    /// What an instance waits for that has nothing to do.
    fn leads_up(&self, node: Node) -> Leads {
        let incoming = self.incoming(node);
        if incoming.is_empty() {
            return Leads::Ends(Why::SourceIsQuiet, self.with_role(node.0, Role::Source));
        }
        let read = incoming.into_iter().filter(|channel| !channel.unread);
        let (full, empty): (Vec<_>, Vec<_>) = read.partition(|channel| channel.depth > 0);
        // Not one of several, then: what is there will be taken at once, or it would if the
        // operator at the head of the stage wanted it.
        if empty.is_empty() && !full.is_empty() {
            return Leads::Ends(Why::Busy, self.operators_of(node.0).first().copied());
        }
        let writer = |channel: &ChannelMetrics| (self.stage_of(channel.producer), channel.from);
        Leads::To(empty.into_iter().map(writer).collect())
    }

    /// Follows the waiting from `node` to where it ends.
    fn follow(
        &self,
        node: Node,
        path: &mut Vec<Node>,
        found: &mut Vec<(Node, Why, Option<usize>)>,
    ) {
        if path.contains(&node) {
            found.push((node, Why::Deadlock, None));
            return;
        }
        if found.iter().any(|(known, _, _)| *known == node) {
            return;
        }
        match self.leads(node) {
            Leads::Nowhere => {}
            Leads::Ends(why, operator) => found.push((node, why, operator)),
            Leads::To(others) => {
                path.push(node);
                for other in others {
                    self.follow(other, path, found);
                }
                path.pop();
            }
        }
    }

    fn ends(&self, from: impl Iterator<Item = Node>) -> Vec<(Node, Why, Option<usize>)> {
        let mut found = Vec::new();
        for node in from {
            self.follow(node, &mut Vec::new(), &mut found);
        }
        found
    }

    fn culprit(&self) -> Option<Culprit> {
        let held_up = self.live().filter(|node| self.doing(*node) == Doing::AwaitsRoom);
        let mut ends = self.ends(held_up);
        if ends.is_empty() {
            let own = self.live().filter(|node| self.doing(*node) == Doing::AwaitsItself);
            ends = self.ends(own);
        }
        if ends.is_empty() {
            let busy = |stage: &StageMetrics| {
                let [busy, _, _] = stage.ratios();
                busy >= BUSY_SHARE
            };
            let at_work = |node: &Node| self.doing(*node) == Doing::Working;
            let busy = self.live().filter(|(stage, _)| self.stages.get(*stage).is_some_and(busy));
            ends = self.ends(busy.filter(at_work));
        }
        if ends.is_empty() {
            // Quiet, then: from where the stream ends, back to who is silent.
            let last = self.live().filter(|node| self.outgoing(*node).is_empty());
            ends = self.ends(last);
            let silent: BTreeSet<_> = ends.iter().map(|((stage, _), _, _)| *stage).collect();
            let paused = ends.iter().any(|(_, why, _)| *why == Why::Paused);
            if silent.len() != 1 && !paused {
                return None;
            }
        }
        self.worst(&ends)
    }

    /// Of several ends the one that is the longest in its state, a wait for itself or the outside
    /// before mere work: a stage that works will be done.
    fn worst(&self, ends: &[(Node, Why, Option<usize>)]) -> Option<Culprit> {
        let age = |node: Node| self.at(node).map_or(Duration::ZERO, |instance| instance.age);
        let rank = |(node, why, _): &&(Node, Why, Option<usize>)| {
            let severity = match why {
                Why::SourceIsQuiet | Why::Paused => 0,
                Why::Busy => 1,
                _ => 2,
            };
            (severity, age(*node), std::cmp::Reverse(*node))
        };
        let (node, why, operator) = *ends.iter().max_by_key(rank)?;
        let stage = self.stages.get(node.0)?;
        let same = ends.iter().filter(|(other, _, _)| other.0 == node.0).count();
        let operator = operator.and_then(|index| self.operators.get(index));
        Some(Culprit {
            stage: stage.name.clone(),
            instance: (same < stage.instances).then_some(node.1),
            operator: operator.map(|operator| operator.name.clone()),
            why,
            age: age(node),
        })
    }

    fn wait(&self, node: Node) -> Wait {
        let name = |index: usize| self.operators.get(index).map(|operator| operator.name.clone());
        let first = |(stage, _): &Node| self.operators_of(*stage).first().copied();
        let last = |(stage, _): &Node| self.operators_of(*stage).last().copied();
        let on: BTreeSet<usize> = match self.leads(node) {
            Leads::Nowhere => BTreeSet::new(),
            Leads::Ends(_, operator) => operator.into_iter().collect(),
            Leads::To(others) if self.doing(node) == Doing::AwaitsInput => {
                others.iter().filter_map(last).collect()
            }
            Leads::To(others) => others.iter().filter_map(first).collect(),
        };
        Wait {
            stage: self.stages.get(node.0).map_or_else(String::new, |stage| stage.name.clone()),
            instance: node.1,
            doing: self.doing(node),
            age: self.at(node).map_or(Duration::ZERO, |instance| instance.age),
            on: on.into_iter().filter_map(name).collect(),
        }
    }
}

fn fill(edge: &EdgeMetrics) -> u64 {
    edge.depth * 100 / edge.capacity.max(1)
}

fn shares(stage: &StageMetrics) -> [u64; 3] {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
    let [busy, _, blocked] = stage.ratios().map(|share| (share * 100.0) as u64);
    [busy, 100 - busy - blocked, blocked]
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.stage)?;
        if let Some(instance) = self.instance {
            write!(f, " (instance {instance})")?;
        }
        let operator = self.operator.as_deref();
        match (self.why, operator) {
            (Why::Busy, Some(operator)) => write!(f, ": `{operator}` is at work"),
            (Why::Busy, None) => f.write_str(": it is at work"),
            (Why::AwaitsItself, operator) => {
                write!(f, ": `{}` waits for something of its own", operator.unwrap_or("?"))
            }
            (Why::SinkIsSlow, operator) => {
                write!(f, ": `{}` waits for the outside to take", operator.unwrap_or("?"))
            }
            (Why::SourceIsQuiet, operator) => {
                write!(f, ": `{}` waits for the outside to give", operator.unwrap_or("?"))
            }
            (Why::Paused, operator) => {
                write!(f, ": `{}` is paused with its job", operator.unwrap_or("?"))
            }
            (Why::Deadlock, _) => f.write_str(": it waits for itself, by way of others"),
        }?;
        write!(f, ", for {:.3?}", self.age)
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, instance, doing, age, on } = self;
        let doing = match doing {
            Doing::Nothing => "nothing",
            Doing::Working => "at work",
            Doing::AwaitsInput => "waits for input",
            Doing::AwaitsRoom => "waits for room",
            Doing::AwaitsItself => "waits for something of its own",
            Doing::AwaitsDemand => "waits to be asked",
            Doing::Paused => "is paused",
        };
        write!(f, "{stage} [{instance}]: {doing}")?;
        if !on.is_empty() {
            write!(f, ", `{}`", on.join("`, `"))?;
        }
        write!(f, ", for {age:.3?}")
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.culprit {
            Some(culprit) => writeln!(f, "held up by {culprit}")?,
            None => writeln!(f, "nobody waits for room")?,
        }
        for (edge, fill) in &self.full_edges {
            writeln!(f, "  full: {edge} ({fill} %)")?;
        }
        for (producer, edge) in &self.watermark_holders {
            writeln!(f, "  `{producer}` holds back the watermark of {edge}")?;
        }
        for stage in &self.failed {
            writeln!(f, "  failed, and cut off: {stage}")?;
        }
        for (stage, [busy, idle, blocked]) in &self.stages {
            writeln!(f, "  {busy:>3} % busy {idle:>3} % idle {blocked:>3} % blocked  {stage}")?;
        }
        for wait in &self.waits {
            writeln!(f, "  {wait}")?;
        }
        Ok(())
    }
}
