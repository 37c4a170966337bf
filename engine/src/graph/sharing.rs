//! Which stages share a task: branches of a fan-out that meet again, and stages in a row.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Plan;
use super::blueprint::StageId;
use super::plan::{PlannedEdge, PlannedTask};
use crate::edge::{Capacity, Discipline};

/// The most stages of branches that share one.
const BRANCHES_MAX: usize = 32;
/// What a record may cost in each branch, and in their merge.
const BRANCH_CHEAP: Duration = Duration::from_nanos(40);
/// The most stages in a row that share one.
const ROW_MAX: usize = 8;
/// What a record may cost in all stages of a row but the first. In tasks of their own two workers
/// save no more than that: stages that cheap hardly ever work side by side.
const ROW_CHEAP: Duration = Duration::from_nanos(5);

impl Plan {
    /// Which stages are to share a task. None does where something has been said of an edge between
    /// them, nor if it has several instances, or waits by a head of its own.
    pub(super) fn shared_tasks(&self) -> Vec<PlannedTask> {
        let all = || (0..self.stages.len()).map(StageId);
        let mut taken = BTreeSet::new();
        let mut tasks = Vec::new();
        for mut stages in all().map(|first| self.diamond(first)) {
            stages.truncate(BRANCHES_MAX);
            if stages.len() > 1 && stages.iter().all(|stage| !taken.contains(stage)) {
                taken.extend(stages.iter().copied());
                let guests = u32::try_from(stages.len() - 1).unwrap_or(u32::MAX);
                tasks.push(PlannedTask { stages, cheap: BRANCH_CHEAP.saturating_mul(guests) });
            }
        }
        let followers: BTreeSet<_> = all().filter_map(|stage| self.follower(stage)).collect();
        for first in all().filter(|stage| !followers.contains(stage)) {
            let mut row = self.row(first);
            // Its ends may be those of a diamond.
            row.retain(|stage| !taken.contains(stage));
            let rows = row.chunks(ROW_MAX).filter(|row| row.len() > 1);
            tasks.extend(rows.map(|row| PlannedTask { stages: row.to_vec(), cheap: ROW_CHEAP }));
        }
        tasks
    }

    /// Which of the shared tasks a stage is in.
    pub(super) fn shared_task_of(&self, stage: StageId) -> Option<usize> {
        self.shared.iter().position(|task| task.stages.contains(&stage))
    }

    /// Has edges within a shared task hand over twice as much at once. A batch costs as much to
    /// hand over as between tasks, and what these stages do with its records is little.
    pub(super) fn widen_shared_edges(&mut self) {
        let Self { operators, edges, shared, .. } = self;
        for edge in edges {
            let producers = edge.producers.iter().filter_map(|id| Some(operators.get(id.0)?.stage));
            let ends: Vec<_> = producers.chain([edge.consumer]).collect();
            if shared.iter().any(|task| ends.iter().all(|stage| task.stages.contains(stage))) {
                let Capacity { records, batch, .. } = edge.capacity;
                edge.capacity.batch = records.min(batch.saturating_mul(2));
            }
        }
    }

    /// If `first` fans out: with those of its branches that meet again in a merge, and that merge.
    fn diamond(&self, first: StageId) -> Vec<StageId> {
        if !self.can_share(first) {
            return Vec::new();
        }
        let outputs = self.outputs(first).filter(|edge| is_simple(edge));
        let branches: Vec<_> = outputs.map(|edge| edge.consumer).collect();
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
        let edge = self.only_output(branch)?;
        let meets = edge.plain && edge.producers.len() > 1 && edge.discipline == Discipline::Merge;
        (meets && self.can_share(branch) && self.can_share(edge.consumer)).then_some(edge.consumer)
    }

    /// `first`, the stage behind it, and so on.
    fn row(&self, first: StageId) -> Vec<StageId> {
        std::iter::successors(Some(first), |&stage| self.follower(stage)).collect()
    }

    /// The stage that `stage` alone feeds, if it feeds no other.
    fn follower(&self, stage: StageId) -> Option<StageId> {
        let edge = self.only_output(stage).filter(|edge| is_simple(edge))?;
        (self.can_share(stage) && self.can_share(edge.consumer)).then_some(edge.consumer)
    }

    fn only_output(&self, stage: StageId) -> Option<&PlannedEdge> {
        let mut outputs = self.outputs(stage);
        outputs.next().filter(|_| outputs.next().is_none())
    }

    fn outputs(&self, stage: StageId) -> impl Iterator<Item = &PlannedEdge> {
        let of = move |edge: &&PlannedEdge| {
            let mut producers = edge.producers.iter().filter_map(|id| self.operators.get(id.0));
            producers.any(|operator| operator.stage == stage)
        };
        self.edges.iter().filter(of)
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

/// Whether nobody else writes to an edge, and nothing has been said of it.
fn is_simple(edge: &PlannedEdge) -> bool {
    edge.plain && edge.producers.len() == 1
}
