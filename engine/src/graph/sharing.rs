//! Which stages share a task: branches of a fan-out that meet again, and of stages in a row two and
//! two.

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
/// The stages in a row that share one. Of eight, the guests were seldom cheap enough together: most
/// moved out, and had only become harder to reach (a thousand stages: 2.7 to 3.5 ns a record).
const ROW: usize = 2;
/// What a record may cost in the second of them. In tasks of their own two workers save no more
/// than that: stages that cheap hardly ever work side by side.
const ROW_CHEAP: Duration = Duration::from_nanos(5);

impl Plan {
    /// Which stages are to share a task. None does that has several instances or waits by a head of
    /// its own, nor across an edge of which something has been said.
    pub(super) fn shared_tasks(&self) -> Vec<PlannedTask> {
        let sharing = Sharing::of(self);
        let mut taken = BTreeSet::new();
        let mut tasks = sharing.diamonds(&mut taken);
        tasks.extend(sharing.rows(&taken));
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
}

/// A plan, and where each of its stages leads.
struct Sharing<'a> {
    plan: &'a Plan,
    outputs: Vec<Vec<&'a PlannedEdge>>,
}

impl<'a> Sharing<'a> {
    fn of(plan: &'a Plan) -> Self {
        let mut outputs = vec![Vec::new(); plan.stages.len()];
        for edge in &plan.edges {
            let producers = edge.producers.iter().filter_map(|id| plan.operators.get(id.0));
            let stages: BTreeSet<_> = producers.map(|operator| operator.stage.0).collect();
            for stage in stages {
                outputs.get_mut(stage).into_iter().for_each(|of| of.push(edge));
            }
        }
        Self { plan, outputs }
    }

    fn stages(&self) -> impl Iterator<Item = StageId> + use<> {
        (0..self.plan.stages.len()).map(StageId)
    }

    /// Each fan-out with those of its branches that meet again in a merge, and that merge. Notes
    /// whom it has `taken`.
    fn diamonds(&self, taken: &mut BTreeSet<StageId>) -> Vec<PlannedTask> {
        let mut tasks = Vec::new();
        for mut stages in self.stages().map(|first| self.diamond(first)) {
            stages.truncate(BRANCHES_MAX);
            if stages.len() > 1 && stages.iter().all(|stage| !taken.contains(stage)) {
                taken.extend(stages.iter().copied());
                tasks.push(PlannedTask { stages, cheap: BRANCH_CHEAP });
            }
        }
        tasks
    }

    /// Stages that follow each other, of those that are not `taken`.
    fn rows(&self, taken: &BTreeSet<StageId>) -> Vec<PlannedTask> {
        let followers: BTreeSet<_> = self.stages().filter_map(|id| self.follower(id)).collect();
        let mut tasks = Vec::new();
        for first in self.stages().filter(|stage| !followers.contains(stage)) {
            let row = std::iter::successors(Some(first), |&stage| self.follower(stage));
            // Either end may be part of a diamond, and nothing between them.
            let row: Vec<_> = row.filter(|stage| !taken.contains(stage)).collect();
            let rows = row.chunks(ROW).filter(|row| row.len() > 1);
            tasks.extend(rows.map(|row| PlannedTask { stages: row.to_vec(), cheap: ROW_CHEAP }));
        }
        tasks
    }

    fn diamond(&self, first: StageId) -> Vec<StageId> {
        if !self.can_share(first) {
            return Vec::new();
        }
        let outputs = self.outputs(first).iter().filter(|edge| is_simple(edge));
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

    /// The stage that `stage` alone feeds, if it feeds no other.
    fn follower(&self, stage: StageId) -> Option<StageId> {
        let edge = self.only_output(stage).filter(|edge| is_simple(edge))?;
        (self.can_share(stage) && self.can_share(edge.consumer)).then_some(edge.consumer)
    }

    fn only_output(&self, stage: StageId) -> Option<&'a PlannedEdge> {
        if let &[edge] = self.outputs(stage) { Some(edge) } else { None }
    }

    /// The edges that a stage writes to.
    fn outputs(&self, stage: StageId) -> &[&'a PlannedEdge] {
        self.outputs.get(stage.0).map_or(&[], Vec::as_slice)
    }

    /// Whether a stage is one task that can go on with what it has at hand.
    fn can_share(&self, stage: StageId) -> bool {
        let Some(stage) = self.plan.stages.get(stage.0) else {
            return false;
        };
        let head = stage.operators.first().and_then(|id| self.plan.operators.get(id.0));
        stage.parallelism == 1 && !stage.expendable && head.is_some_and(|head| !head.heads)
    }
}

/// Whether an edge has one writer, and nothing has been said of it.
fn is_simple(edge: &PlannedEdge) -> bool {
    edge.plain && edge.producers.len() == 1
}
