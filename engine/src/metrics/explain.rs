//! Naming the stage that holds the rest up.

use std::fmt;
use std::time::Duration;

use super::{JobMetrics, StageMetrics};

/// Why a job is no faster, in words: see
/// [`JobHandle::explain`](crate::runtime::JobHandle::explain).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The stage that holds the others up: the first one below a full edge that does not itself
    /// wait for room.
    pub culprit: Option<String>,
    /// The edges on which somebody waits for room, with their fill in percent.
    pub full_edges: Vec<(String, u64)>,
    /// The producers whose watermarks hold a consumer's back, with the edge.
    pub watermark_holders: Vec<(String, String)>,
    /// What each stage does with its time: name, and busy, idle and blocked in percent.
    pub stages: Vec<(String, [u64; 3])>,
}

impl JobMetrics {
    /// Works out what holds the job up.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let full = self.edges.iter().filter(|edge| edge.blocked > 0);
        let full_edges: Vec<_> = full.clone().map(|edge| (edge.name.clone(), fill(edge))).collect();
        // Of the full edges, the one whose reader waits for nobody below it.
        let culprit = full
            .filter(|edge| {
                !self
                    .edges
                    .iter()
                    .any(|below| below.blocked > 0 && below.producers.contains(&edge.consumer))
            })
            .find_map(|edge| self.stages.get(edge.consumer))
            .map(|stage| stage.name.clone());
        // Where nothing is full, a stage whose sink makes it wait says so itself.
        let culprit = culprit.or_else(|| {
            self.stages.iter().find(|stage| stage.blocked_now > 0).map(|stage| stage.name.clone())
        });
        let holders = self.edges.iter().filter_map(|edge| {
            let (name, _) = edge.held_by.as_ref()?;
            (edge.producers.len() > 1).then(|| (name.clone(), edge.name.clone()))
        });
        Explanation {
            culprit,
            full_edges,
            watermark_holders: holders.collect(),
            stages: self.stages.iter().map(|stage| (stage.name.clone(), shares(stage))).collect(),
        }
    }
}

fn fill(edge: &super::EdgeMetrics) -> u64 {
    edge.depth * 100 / edge.capacity.max(1)
}

fn shares(stage: &StageMetrics) -> [u64; 3] {
    let spent = [stage.busy, stage.idle, stage.blocked];
    let total: Duration = spent.iter().sum();
    spent.map(|one| {
        let share = one.as_nanos() * 100 / total.as_nanos().max(1);
        u64::try_from(share).unwrap_or(100)
    })
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.culprit {
            Some(stage) => writeln!(f, "held up by `{stage}`")?,
            None => writeln!(f, "nobody waits for room")?,
        }
        for (edge, fill) in &self.full_edges {
            writeln!(f, "  full: {edge} ({fill} %)")?;
        }
        for (producer, edge) in &self.watermark_holders {
            writeln!(f, "  `{producer}` holds back the watermark of {edge}")?;
        }
        for (stage, [busy, idle, blocked]) in &self.stages {
            writeln!(f, "  {busy:>3} % busy {idle:>3} % idle {blocked:>3} % blocked  {stage}")?;
        }
        Ok(())
    }
}
