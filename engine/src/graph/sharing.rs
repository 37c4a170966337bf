//! Which stages share a task: branches of a fan-out that meet again.

use std::collections::BTreeSet;

use super::Plan;
use super::blueprint::StageId;
use super::plan::PlannedEdge;
use crate::edge::{Capacity, Discipline};

/// The most stages that share one.
const STAGES_MAX: usize = 32;

impl Plan {
    /// The stages that are to share a task, the one that feeds all others first.
    ///
    /// They are a fan-out, those of its branches that meet again in a merge, and that merge, unless
    /// something has been said of an edge between them, or one of them waits by a head of its own.
    pub(super) fn shared_tasks(&self) -> Vec<Vec<StageId>> {
        let mut taken = BTreeSet::new();
        let mut tasks = Vec::new();
        for index in 0..self.stages.len() {
            let mut stages = self.diamond(StageId(index));
            stages.truncate(STAGES_MAX);
            if stages.len() > 1 && stages.iter().all(|stage| !taken.contains(stage)) {
                taken.extend(stages.iter().copied());
                tasks.push(stages);
            }
        }
        tasks
    }

    /// Has edges within a shared task hand over twice as much at once. A batch costs as much to
    /// hand over as between tasks, and what these stages do with its records is little.
    pub(super) fn widen_shared_edges(&mut self) {
        let Self { operators, edges, shared, .. } = self;
        for edge in edges {
            let producers = edge.producers.iter().filter_map(|id| Some(operators.get(id.0)?.stage));
            let stages: Vec<_> = producers.chain([edge.consumer]).collect();
            if shared.iter().any(|task| stages.iter().all(|stage| task.contains(stage))) {
                let Capacity { records, batch, .. } = edge.capacity;
                edge.capacity.batch = records.min(batch.saturating_mul(2));
            }
        }
    }

    /// What shares a task with `first`, if that fans out.
    fn diamond(&self, first: StageId) -> Vec<StageId> {
        if !self.can_share(first) {
            return Vec::new();
        }
        let apart = |edge: &&PlannedEdge| edge.producers.len() == 1;
        let branches: Vec<_> =
            self.plain_outputs(first).filter(apart).map(|e| e.consumer).collect();
        let merges: Vec<_> =
            branches.iter().filter_map(|&branch| self.merge_behind(branch)).collect();
        let met = |merge: &StageId| merges.iter().filter(|other| *other == merge).count() > 1;
        let mut stages = vec![first];
        for &branch in &branches {
            if let Some(merge) = self.merge_behind(branch).filter(met) {
                stages.push(branch);
                if !stages.contains(&merge) {
                    stages.push(merge);
                }
            }
        }
        // In the order in which records go through them.
        if let Some((_, behind)) = stages.split_first_mut() {
            behind.sort_by_key(|stage| (!branches.contains(stage), *stage));
        }
        stages
    }

    /// The merge that `branch` flows into, if it flows nowhere else.
    fn merge_behind(&self, branch: StageId) -> Option<StageId> {
        let mut outputs = self.outputs(branch);
        let edge = outputs.next().filter(|edge| edge.plain && edge.producers.len() > 1)?;
        let merge = edge.discipline == Discipline::Merge && self.can_share(edge.consumer);
        (merge && outputs.next().is_none() && self.can_share(branch)).then_some(edge.consumer)
    }

    fn outputs(&self, stage: StageId) -> impl Iterator<Item = &PlannedEdge> {
        let of = move |edge: &&PlannedEdge| {
            let mut producers = edge.producers.iter().filter_map(|id| self.operators.get(id.0));
            producers.any(|operator| operator.stage == stage)
        };
        self.edges.iter().filter(of)
    }

    fn plain_outputs(&self, stage: StageId) -> impl Iterator<Item = &PlannedEdge> {
        self.outputs(stage).filter(|edge| edge.plain)
    }

    /// Whether a stage is one task that can go on with what it has at hand.
    fn can_share(&self, stage: StageId) -> bool {
        let Some(stage) = self.stages.get(stage.0) else {
            return false;
        };
        let head = stage.operators.first().and_then(|id| self.operators.get(id.0));
        stage.parallelism == 1 && !stage.expendable && head.is_some_and(|head| !head.heads)
    }
}
