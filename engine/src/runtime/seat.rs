//! An operator's place in a run: who it is, what it counts, and how a panic in it gets its name.

use std::sync::{Arc, OnceLock};

use crate::batch::Barrier;
use crate::graph::OperatorId;
use crate::metrics::{OperatorCounters, StageCounters};
use crate::random::Random;
use crate::runtime::StageEnd;
use crate::state::{Snapshots, StateError, StateWriter};

/// One operator of one instance.
#[derive(Clone, Debug)]
pub struct Seat {
    pub(super) id: OperatorId,
    pub(super) name: Arc<str>,
    pub(super) instance: usize,
    pub(super) instances: usize,
    pub(super) counters: Arc<OperatorCounters>,
    pub(crate) culprit: Arc<OnceLock<Arc<str>>>,
    pub(super) end: Arc<StageEnd>,
    /// The stage's, for who is at work.
    pub(super) stage: Arc<StageCounters>,
    /// Under what, and where, it leaves its state.
    pub(super) keeps: Option<(Arc<str>, Snapshots)>,
}

impl Seat {
    /// A place outside any graph, for an operator that is driven by hand.
    pub(crate) fn alone(name: &str) -> Self {
        Self {
            id: OperatorId(0),
            name: Arc::from(name),
            instance: 0,
            instances: 1,
            counters: Arc::default(),
            culprit: Arc::default(),
            end: Arc::default(),
            stage: Arc::default(),
            keeps: None,
        }
    }

    /// The operator's name in the graph.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) const fn id(&self) -> OperatorId {
        self.id
    }

    /// Lets it be known that this operator is at work from here on.
    #[inline]
    pub(crate) fn begin_work(&self) {
        self.stage.activity.work_at(Some(self.id));
    }

    /// Lets it be known that this operator is at work no longer.
    pub(crate) fn end_work(&self) {
        self.stage.activity.work_at(None);
    }

    /// What this instance counts.
    #[must_use]
    pub fn counters(&self) -> &OperatorCounters {
        &self.counters
    }

    pub(crate) const fn instance(&self) -> usize {
        self.instance
    }

    pub(crate) const fn instances(&self) -> usize {
        self.instances
    }

    pub(crate) fn shared_counters(&self) -> Arc<OperatorCounters> {
        Arc::clone(&self.counters)
    }

    /// Lets `write` write the operator's state of this instance down, if somebody wants it.
    pub(crate) fn snapshot(
        &self,
        barrier: Barrier,
        kind: &str,
        version: u32,
        write: impl FnOnce(&mut StateWriter) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let Some((uid, snapshots)) = &self.keeps else {
            return Ok(());
        };
        let mut state = StateWriter::new(self.instance);
        write(&mut state)?;
        snapshots.add(barrier, uid, kind, version, state.into_entries());
        Ok(())
    }

    /// Randomness of this instance's own, from a job's seed.
    pub(crate) fn random(&self, seed: u64) -> Random {
        Random::fork(seed, self.id.0, self.instance)
    }

    /// Names this operator if the code until [`Guard::disarm`] panics. Inner operators come first,
    /// so the first name is the culprit's.
    #[inline]
    pub(crate) const fn guard(&self) -> Guard<'_> {
        Guard(self)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn blame(&self) {
        // A second name is an outer operator's.
        self.culprit.set(Arc::clone(&self.name)).ok();
    }
}

/// Runs only while unwinding: on the good path it is forgotten.
pub(crate) struct Guard<'a>(&'a Seat);

impl Guard<'_> {
    #[inline]
    pub(crate) const fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for Guard<'_> {
    // Passes on the seat and not itself: a guard whose address is taken would be stored, for every
    // operator and record.
    #[inline]
    fn drop(&mut self) {
        self.0.blame();
    }
}
