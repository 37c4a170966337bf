//! Finding every mistake in a graph before it runs, and settling what was left open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::blueprint::{
    Buffer, Distribution, EdgeId, EdgeNode, Graph, OperatorId, Role, StageId, StageNode,
};
use super::plan::{Plan, PlannedEdge, PlannedOperator, PlannedStage};
use crate::edge::{Capacity, Discipline, Order, WhenFull};
use crate::error::BuildError;
use crate::runtime::JobOptions;

/// How many full batches a channel holds when nobody chose.
const BATCHES_PER_CHANNEL: usize = 16;

pub(super) fn validate(graph: &Graph, options: &JobOptions) -> Result<Plan, Vec<BuildError>> {
    let mut mistakes = Vec::new();
    let names = names(graph, &mut mistakes);
    let name = |id: OperatorId| names.get(id.0).cloned().unwrap_or_default();
    if !graph.operators.iter().any(|node| node.role == Role::Source) {
        mistakes.push(BuildError::Empty(graph.name.to_string()));
    }
    find_strayed(graph, &name, &mut mistakes);
    find_refused(graph, &name, &mut mistakes);
    find_loose_ends(graph, &name, &mut mistakes);
    find_zeros(graph, &name, &mut mistakes);
    find_missing(graph, &name, &mut mistakes);
    super::identity::find_ambiguous(graph, options.state.as_deref(), &name, &mut mistakes);
    if mistakes.is_empty() {
        find_mismatches(graph, &name, &mut mistakes);
        find_cycles(graph, &name, &mut mistakes);
    }
    if mistakes.is_empty() {
        find_selective_fan_in(graph, &name, &mut mistakes);
        super::time::find_timeless(graph, &name, &mut mistakes);
    }
    if mistakes.is_empty() { Ok(plan(graph, options, &names)) } else { Err(mistakes) }
}

/// A name for each operator: the user's, or its kind, numbered from the second of a kind on.
fn names(graph: &Graph, mistakes: &mut Vec<BuildError>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    for name in graph.operators.iter().filter_map(|node| node.name.clone()) {
        if !taken.insert(name.clone()) {
            mistakes.push(BuildError::DuplicateName { name });
        }
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut settle = |kind: &'static str| loop {
        let count = counts.entry(kind).or_default();
        *count += 1;
        let name = if *count == 1 { kind.to_owned() } else { format!("{kind}-{count}") };
        if taken.insert(name.clone()) {
            return name;
        }
    };
    let nodes = graph.operators.iter();
    nodes.map(|node| node.name.clone().unwrap_or_else(|| settle(node.kind))).collect()
}

pub(super) type Name<'a> = dyn Fn(OperatorId) -> String + 'a;

fn find_strayed(graph: &Graph, name: &Name<'_>, mistakes: &mut Vec<BuildError>) {
    let strayed: BTreeSet<_> = graph.strayed.iter().copied().collect();
    mistakes.extend(strayed.into_iter().map(|id| BuildError::Strayed { operator: name(id) }));
}

fn find_refused(graph: &Graph, name: &Name<'_>, mistakes: &mut Vec<BuildError>) {
    mistakes.extend(graph.refused.iter().map(|(id, mistake)| BuildError::Refused {
        operator: name(*id),
        mistake: mistake.clone(),
    }));
}

fn find_loose_ends(graph: &Graph, name: &Name<'_>, mistakes: &mut Vec<BuildError>) {
    // Of a chain that was dropped, only the last operator says something useful.
    let mut loose: Option<usize> = None;
    for (index, node) in graph.operators.iter().enumerate() {
        if node.stage.is_none() {
            if loose.is_some_and(|last| last + 1 != index || node.role == Role::Source) {
                mistakes.extend(loose.map(|last| goes_nowhere(last, name)));
            }
            loose = Some(index);
        }
    }
    mistakes.extend(loose.map(|last| goes_nowhere(last, name)));
    for edge in &graph.edges {
        match (edge.producers.first(), edge.consumer) {
            (None, _) => {
                mistakes.push(BuildError::NoProducer { stream: edge.stream.clone() });
            }
            (Some(producer), None) => mistakes.push(goes_nowhere(producer.0, name)),
            (Some(_), Some(_)) => {}
        }
    }
    let producers: BTreeSet<_> = graph.edges.iter().flat_map(|edge| &edge.producers).collect();
    for stage in &graph.stages {
        let last = stage.operators.last();
        let ends = |id: &&OperatorId| {
            graph.operators.get(id.0).is_some_and(|node| node.role == Role::Sink)
                || producers.contains(*id)
        };
        mistakes.extend(last.filter(|id| !ends(id)).map(|last| goes_nowhere(last.0, name)));
    }
    mistakes.dedup();
}

fn goes_nowhere(operator: usize, name: &Name<'_>) -> BuildError {
    BuildError::GoesNowhere { operator: name(OperatorId(operator)) }
}

fn find_zeros(graph: &Graph, name: &Name<'_>, mistakes: &mut Vec<BuildError>) {
    for stage in &graph.stages {
        if stage.parallelism == 0
            && let Some(&first) = stage.operators.first()
        {
            mistakes.push(BuildError::Zero { what: "the parallelism", operator: name(first) });
        }
    }
    for edge in &graph.edges {
        let zeros = [
            ("the output capacity", edge.options.capacity == Some(0)),
            ("the output batch size", edge.options.batch == Some(0)),
            ("the output capacity in bytes", edge.options.capacity_bytes == Some(0)),
            ("the most to conflate", edge.options.when_full == WhenFull::Conflate { max: 0 }),
        ];
        for (what, _) in zeros.into_iter().filter(|(_, zero)| *zero) {
            let operator =
                edge.producers.first().map_or_else(|| edge.stream.clone(), |&id| name(id));
            mistakes.push(BuildError::Zero { what, operator });
        }
    }
}

/// Words without the closure that they need.
fn find_missing(graph: &Graph, name: &Name<'_>, mistakes: &mut Vec<BuildError>) {
    for edge in &graph.edges {
        let conflates = matches!(edge.options.when_full, WhenFull::Conflate { .. });
        let missing = [
            ("conflates", "how two records become one", conflates && edge.merge.is_none()),
            (
                "gives out by priority",
                "what the priority is",
                edge.options.order == Order::Priority && edge.rank.is_none(),
            ),
        ];
        for (does, what, _) in missing.into_iter().filter(|(_, _, missing)| *missing) {
            let consumer = edge.consumer.and_then(|id| graph.stages.get(id.0));
            let first = consumer.and_then(|stage| stage.operators.first());
            let operator = first.map_or_else(|| edge.stream.clone(), |&id| name(id));
            mistakes.push(BuildError::Missing { operator, does, what });
        }
    }
}

fn producer_stage(graph: &Graph, producer: OperatorId) -> Option<(StageId, &StageNode)> {
    let stage = graph.operators.get(producer.0)?.stage?;
    Some((stage, graph.stages.get(stage.0)?))
}

fn find_mismatches(graph: &Graph, name: &Name<'_>, mistakes: &mut Vec<BuildError>) {
    for edge in &graph.edges {
        let Some(consumer) = edge.consumer.and_then(|id| graph.stages.get(id.0)) else {
            continue;
        };
        if edge.options.distribution != Distribution::Forward || consumer.parallelism == 1 {
            continue;
        }
        for &producer in &edge.producers {
            let Some((_, stage)) = producer_stage(graph, producer) else {
                continue;
            };
            if stage.parallelism != consumer.parallelism {
                mistakes.push(BuildError::Mismatch {
                    from: name(producer),
                    from_instances: stage.parallelism,
                    to: consumer.operators.first().map_or_else(String::new, |&id| name(id)),
                    to_instances: consumer.parallelism,
                });
            }
        }
    }
}

/// The stages that feed an edge.
fn feeding(graph: &Graph, edge: &EdgeNode) -> impl Iterator<Item = StageId> {
    edge.producers.iter().filter_map(|&id| producer_stage(graph, id).map(|(stage, _)| stage))
}

/// Every stage from which `stage` can be reached, itself included only if it feeds itself.
fn ancestors(graph: &Graph, stage: StageId) -> BTreeSet<StageId> {
    let mut found = BTreeSet::new();
    let mut open = vec![stage];
    while let Some(stage) = open.pop() {
        let edge = graph.stages.get(stage.0).and_then(|node| node.input);
        let Some(edge) = edge.and_then(|id| graph.edges.get(id.0)) else { continue };
        open.extend(feeding(graph, edge).filter(|&stage| found.insert(stage)));
    }
    found
}

fn find_cycles(graph: &Graph, name: &Name<'_>, mistakes: &mut Vec<BuildError>) {
    for stage in without_order(graph) {
        if ancestors(graph, stage).contains(&stage) {
            let first = graph.stages.get(stage.0).and_then(|node| node.operators.first());
            mistakes.push(BuildError::Cycle {
                operator: first.map_or_else(String::new, |&id| name(id)),
            });
            return;
        }
    }
}

/// The stages that are fed by a cycle, or part of one: none of a graph that can run, in which every
/// stage has its place behind all that feed it. To look for the ancestors of each stage would take
/// as many steps as a long graph has pairs of stages.
fn without_order(graph: &Graph) -> Vec<StageId> {
    let mut awaited = vec![0_usize; graph.stages.len()];
    let mut fed = vec![Vec::new(); graph.stages.len()];
    for (index, stage) in graph.stages.iter().enumerate() {
        let edge = stage.input.and_then(|id| graph.edges.get(id.0));
        for producer in edge.into_iter().flat_map(|edge| feeding(graph, edge)) {
            if let (Some(awaited), Some(fed)) = (awaited.get_mut(index), fed.get_mut(producer.0)) {
                *awaited += 1;
                fed.push(index);
            }
        }
    }
    let none_awaited = awaited.iter().enumerate().filter(|(_, awaited)| **awaited == 0);
    let mut open: Vec<usize> = none_awaited.map(|(index, _)| index).collect();
    while let Some(stage) = open.pop() {
        for index in fed.get(stage).into_iter().flatten() {
            if let Some(awaited) = awaited.get_mut(*index) {
                *awaited -= 1;
                if *awaited == 0 {
                    open.push(*index);
                }
            }
        }
    }
    let left = awaited.iter().enumerate().filter(|(_, awaited)| **awaited > 0);
    left.map(|(index, _)| StageId(index)).collect()
}

/// Whether a full channel of this edge stops who writes to it, for ever if need be. One that drops
/// instead makes the graphs safe that it parts.
const fn can_stop_its_producer(edge: &EdgeNode) -> bool {
    edge.options.when_full.can_hold_up()
}

/// Whether the reader of an edge may wait for one of its producers while another fills up.
const fn may_await(edge: &EdgeNode, awaited: usize, other: usize) -> bool {
    match edge.options.discipline {
        // Whoever merges takes what comes: only what it can't hand on stops it.
        Discipline::Merge => false,
        Discipline::Concat => awaited < other,
        Discipline::Select => awaited != other,
    }
}

/// A stage on a chain of stages that wait for each other, and why it is waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stuck {
    /// It has no input: those who feed it are stuck as well.
    Starving(StageId),
    /// It takes no input from this producer, counted within its edge.
    Stopped(StageId, usize),
}

/// Every way of passing from a stage that waits to one it waits for. `through` is the channel by
/// which it was come to: waiting for that one itself would be no circle.
fn waits_for(graph: &Graph, stuck: Stuck, through: Option<(EdgeId, usize)>) -> Vec<Step> {
    let (Stuck::Starving(stage) | Stuck::Stopped(stage, _)) = stuck;
    let mut steps = Vec::new();
    let input = graph.stages.get(stage.0).and_then(|node| node.input);
    if let Some((id, edge)) = input.and_then(|id| Some((id, graph.edges.get(id.0)?))) {
        let from = |producer: usize| match stuck {
            Stuck::Starving(_) => true,
            Stuck::Stopped(_, by) => may_await(edge, producer, by),
        };
        for (index, &producer) in edge.producers.iter().enumerate().filter(|(at, _)| from(*at)) {
            if let Some((stage, _)) = producer_stage(graph, producer) {
                let to = Stuck::Starving(stage);
                steps.push(Step { to, through: (id, index), parts: None });
            }
        }
    }
    for (index, edge) in graph.edges.iter().enumerate() {
        let Some(consumer) = edge.consumer.filter(|_| can_stop_its_producer(edge)) else {
            continue;
        };
        for (producer, &operator) in edge.producers.iter().enumerate() {
            let own = producer_stage(graph, operator).is_some_and(|(of, _)| of == stage);
            let channel = (EdgeId(index, graph.id), producer);
            if own && through != Some(channel) {
                let to = Stuck::Stopped(consumer, producer);
                let parts = matches!(stuck, Stuck::Starving(_)).then_some(stage);
                steps.push(Step { to, through: channel, parts });
            }
        }
    }
    steps
}

/// From one stuck stage to the next.
struct Step {
    to: Stuck,
    through: (EdgeId, usize),
    /// The stage that fills one of its outputs while somebody starves at another.
    parts: Option<StageId>,
}

/// A stage that reads from certain inputs can wait for one of them while another fills up. If who
/// feeds the first is, by way of whatever else, stopped by that, all of them wait for ever.
///
/// What is followed is who may wait for whom, so that a few graphs are refused that could do
/// without: never one that can hang is let through.
fn find_selective_fan_in(graph: &Graph, name: &Name<'_>, mistakes: &mut Vec<BuildError>) {
    let selective = |edge: &&EdgeNode| edge.options.discipline != Discipline::Merge;
    for edge in graph.edges.iter().filter(selective) {
        let circle = edge.consumer.and_then(|reader| {
            (0..edge.producers.len()).find_map(|first| find_circle(graph, edge, reader, first))
        });
        if let Some(parts) = circle {
            let last = |id: StageId| graph.stages.get(id.0)?.operators.last().copied();
            let first = |id: StageId| graph.stages.get(id.0)?.operators.first().copied();
            mistakes.push(BuildError::SelectiveFanIn {
                fan_out: last(parts).map_or_else(String::new, name),
                fan_in: edge.consumer.and_then(first).map_or_else(String::new, name),
            });
        }
    }
}

/// Whether `reader`, while it waits for one of its producers, may be what that one waits for. Gives
/// the stage at which the branches part.
fn find_circle(graph: &Graph, edge: &EdgeNode, reader: StageId, awaited: usize) -> Option<StageId> {
    let id = graph.stages.get(reader.0)?.input?;
    let (stage, _) = producer_stage(graph, *edge.producers.get(awaited)?)?;
    let mut seen = BTreeSet::new();
    let mut open = vec![(Stuck::Starving(stage), (id, awaited), None)];
    while let Some((stuck, through, parted)) = open.pop() {
        for step in waits_for(graph, stuck, Some(through)) {
            let parted = parted.or(step.parts);
            match step.to {
                Stuck::Stopped(stage, by) if stage == reader && may_await(edge, awaited, by) => {
                    return parted;
                }
                _ => {}
            }
            if seen.insert((step.to, step.through)) {
                open.push((step.to, step.through, parted));
            }
        }
    }
    None
}

/// How many records the buffers of one instance have room for.
fn buffered(graph: &Graph, stage: &StageNode, options: &JobOptions) -> usize {
    let operators = stage.operators.iter();
    let nodes = operators.filter_map(|id| graph.operators.get(id.0));
    nodes
        .flat_map(|node| &node.buffers)
        .map(|buffer| match *buffer {
            Buffer::Batches { count, default_batch } => {
                options.batch_records.unwrap_or(default_batch).saturating_mul(count)
            }
            Buffer::Records(records) => records,
        })
        .fold(0, usize::saturating_add)
}

/// Whether a stage ends in a sink that keeps nothing on its way.
fn consumes(graph: &Graph, stage: &StageNode) -> bool {
    let last = stage.operators.last();
    last.and_then(|id| graph.operators.get(id.0))
        .is_some_and(|node| node.role == Role::Sink && node.buffers.is_empty())
}

/// How many records an edge hands over at once, where `batch` is what was asked for.
fn handed_over(edge: &EdgeNode, batch: usize) -> usize {
    let picks = edge.options.when_full.is_lossy() || edge.options.order != Order::Fifo;
    // To drop or reorder one record is to know its weight.
    if picks && edge.weight.is_some() { 1 } else { batch }
}

/// For each stage, whether the job goes on without it if it fails.
fn expendable(graph: &Graph) -> Vec<bool> {
    let mut expendable = vec![false; graph.stages.len()];
    loop {
        let spared = |index: usize, stage: &StageNode| {
            let edge = stage.input.and_then(|id| graph.edges.get(id.0));
            expendable.get(index) == Some(&false)
                && edge.is_some_and(|edge| {
                    let of = |stage: StageId| expendable.get(stage.0) == Some(&true);
                    edge.options.expendable || feeding(graph, edge).all(of)
                })
        };
        let mut stages = graph.stages.iter().enumerate();
        let Some((found, _)) = stages.find(|&(index, stage)| spared(index, stage)) else {
            return expendable;
        };
        if let Some(one) = expendable.get_mut(found) {
            *one = true;
        }
    }
}

fn plan(graph: &Graph, options: &JobOptions, names: &[String]) -> Plan {
    let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(name.as_str())).collect();
    let name = |id: &OperatorId| names.get(id.0).map_or("", |name| name.as_ref());
    let stages =
        graph.stages.iter().zip(expendable(graph)).map(|(stage, expendable)| PlannedStage {
            name: Arc::from(stage.operators.iter().map(name).collect::<Vec<_>>().join(" → ")),
            operators: stage.operators.clone(),
            input: stage.input,
            parallelism: stage.parallelism,
            buffered: buffered(graph, stage, options),
            consumes: consumes(graph, stage),
            expendable,
        });
    let operators = graph.operators.iter().zip(&names).filter_map(|(node, name)| {
        let (kind, role, heads) = (node.kind, node.role, node.heads);
        let (name, uid) = (Arc::clone(name), node.uid.as_deref().map(Arc::from));
        Some(PlannedOperator { name, kind, role, heads, stage: node.stage?, uid })
    });
    let edges = graph.edges.iter().filter_map(|edge| {
        let consumer = edge.consumer?;
        let stage = graph.stages.get(consumer.0)?;
        let from: Vec<_> = edge.producers.iter().map(name).collect();
        let to = stage.operators.first().map_or("", name);
        let usual = options.batch_records.unwrap_or(edge.default_batch);
        let batch = edge.options.batch.unwrap_or(usual);
        let records = edge.options.capacity.or(options.edge_capacity);
        let records = records.unwrap_or(batch.max(usual).saturating_mul(BATCHES_PER_CHANNEL));
        let producers = edge.producers.iter();
        let instances = |&id| producer_stage(graph, id).map_or(1, |(_, stage)| stage.parallelism);
        Some(PlannedEdge {
            name: Arc::from(format!("{} → {to}", from.join(", "))),
            producers: edge.producers.clone(),
            producer_instances: producers.map(instances).collect(),
            consumer,
            consumer_instances: stage.parallelism,
            distribution: edge.options.distribution,
            discipline: edge.options.discipline,
            when_full: edge.options.when_full,
            order: edge.options.order,
            plain: edge.is_plain(),
            capacity: Capacity {
                records,
                bytes: edge.options.capacity_bytes.unwrap_or(usize::MAX),
                batch: handed_over(edge, batch).clamp(1, records),
            },
        })
    });
    let mut plan = Plan {
        name: Arc::clone(&graph.name),
        operators: operators.collect(),
        stages: stages.collect(),
        edges: edges.collect(),
        shared: Vec::new(),
    };
    plan.shared = plan.shared_tasks();
    if options.batch_records.is_none() {
        plan.widen_shared_edges();
    }
    plan
}
