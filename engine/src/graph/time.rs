//! Finding operators that work by event time where records could come that have none.

use super::blueprint::{EventTimeUse, Graph, OperatorId, Role, StageDraft};
use super::validate::Name;
use crate::error::BuildError;

pub(super) fn find_timeless(graph: &Graph, name: &Name<'_>, mistakes: &mut Vec<BuildError>) {
    let before: Vec<Vec<OperatorId>> =
        (0..graph.operators.len()).map(|index| before(graph, OperatorId(index))).collect();
    for (index, node) in graph.operators.iter().enumerate() {
        if node.time == EventTimeUse::Needs
            && let Some(ahead) = before.get(index)
            && let Some(source) = find_source(graph, &before, ahead.clone())
        {
            let (operator, origin) = (name(OperatorId(index)), name(source));
            mistakes.push(BuildError::NoEventTime { operator, origin });
        }
    }
}

/// The operators whose output an operator is given.
fn before(graph: &Graph, operator: OperatorId) -> Vec<OperatorId> {
    let node = graph.operators.get(operator.0);
    let stage = node.and_then(|node| graph.stages.get(node.stage?.0));
    let Some(stage) = stage else {
        return Vec::new();
    };
    let place = stage.operators.iter().position(|id| *id == operator).unwrap_or_default();
    match place.checked_sub(1).and_then(|before| stage.operators.get(before)) {
        Some(before) => vec![*before],
        None => {
            let edge = stage.input.and_then(|edge| graph.edges.get(edge.0));
            edge.map(|edge| edge.producers.clone()).unwrap_or_default()
        }
    }
}

/// Whether all records that come to the end of a stage, which is still being drawn up, have event
/// time.
pub(super) fn has_event_time(graph: &Graph, draft: &StageDraft) -> bool {
    let nodes = || draft.operators.iter().filter_map(|id| graph.operators.get(id.0));
    if nodes().any(|node| node.time == EventTimeUse::Sets) {
        return true;
    }
    let Some(edge) = draft.input.and_then(|edge| graph.edges.get(edge.0)) else {
        return false;
    };
    let before: Vec<Vec<OperatorId>> =
        (0..graph.operators.len()).map(|index| before(graph, OperatorId(index))).collect();
    find_source(graph, &before, edge.producers.clone()).is_none()
}

/// A source whose records come from one of `open`, and on their way by nobody who says when they
/// happened.
fn find_source(
    graph: &Graph,
    before: &[Vec<OperatorId>],
    mut open: Vec<OperatorId>,
) -> Option<OperatorId> {
    let mut seen = vec![false; graph.operators.len()];
    while let Some(id) = open.pop() {
        let node = graph.operators.get(id.0)?;
        let seen = seen.get_mut(id.0)?;
        if node.time == EventTimeUse::Sets || std::mem::replace(seen, true) {
            continue;
        }
        if node.role == Role::Source {
            return Some(id);
        }
        open.extend(before.get(id.0).into_iter().flatten());
    }
    None
}
