//! Which records come too late for a join, and what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use millstream_engine::Record;
use millstream_engine::metrics::{DropReason, OperatorCounters};
use millstream_engine::operator::SideOutput;
use millstream_engine::runtime::OperatorContext;
use millstream_engine::time::Timestamp;

use crate::fan::SidePort;

/// Whether `time` is over, so that no record of it will follow.
pub(super) fn is_over(time: Timestamp, watermark: Timestamp) -> bool {
    time < watermark || watermark == Timestamp::MAX
}

/// How long records may come late, and where those go that come later.
pub(super) struct Lateness<T> {
    grace: Duration,
    port: Option<SidePort<T>>,
    counters: Arc<OperatorCounters>,
}

impl<T> Lateness<T> {
    pub(super) fn new(grace: Duration, port: Option<SidePort<T>>) -> Self {
        Self { grace, port, counters: Arc::default() }
    }

    pub(super) const fn grace(&self) -> Duration {
        self.grace
    }

    /// When a record of `time` may come for the last time.
    pub(super) fn end(&self, time: Timestamp) -> Timestamp {
        time.saturating_add(self.grace)
    }
}

impl<T: Send + 'static> Lateness<T> {
    pub(super) fn open(&mut self, context: &mut OperatorContext<'_>) {
        self.counters = context.counters();
        if let Some(port) = &mut self.port {
            port.open(context);
        }
    }

    /// Whether a record comes too late.
    #[inline]
    pub(super) fn is_late(&self, time: Timestamp, watermark: Timestamp) -> bool {
        // Most come on time.
        time < watermark && is_over(self.end(time), watermark)
    }

    /// Sends one that does to where they go.
    #[cold]
    pub(super) fn take(&mut self, record: Record<T>) {
        match &mut self.port {
            Some(port) => port.emit(record),
            None => self.counters.dropped(DropReason::Late, 1),
        }
    }

    pub(super) fn side(&mut self) -> Option<&mut dyn SideOutput> {
        self.port.as_mut().map(|port| port as &mut dyn SideOutput)
    }
}

/// As that of an operator: the configuration, with nothing of a run.
impl<T> Clone for Lateness<T> {
    fn clone(&self) -> Self {
        Self::new(self.grace, self.port.clone())
    }
}
