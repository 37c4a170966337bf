//! How a job is to be run.

use std::sync::Arc;
use std::time::Duration;

use crate::state::{Snapshot, Snapshots};
use crate::time::Clock;

/// Choices about one run of a dataflow; the defaults are right for most.
///
/// ```
/// use millstream_engine::runtime::JobOptions;
///
/// let options = JobOptions::default().with_seed(7).with_edge_capacity(512);
/// ```
#[derive(Clone, Debug)]
pub struct JobOptions {
    pub(crate) clock: Option<Clock>,
    pub(crate) seed: u64,
    pub(crate) count_by_operator: bool,
    pub(crate) edge_capacity: Option<usize>,
    pub(crate) batch_records: Option<usize>,
    pub(crate) publish_every: Option<Duration>,
    pub(crate) drain_on_signals: Option<Duration>,
    pub(crate) stall_warning: Option<Duration>,
    pub(crate) schedule_seed: Option<u64>,
    pub(crate) state: Option<Arc<Snapshot>>,
    /// Where operators leave their state at a barrier.
    pub(crate) snapshots: Option<Snapshots>,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            clock: None,
            seed: 0,
            count_by_operator: false,
            edge_capacity: None,
            batch_records: None,
            publish_every: Some(Duration::from_secs(1)),
            drain_on_signals: None,
            stall_warning: Some(Duration::from_secs(60)),
            schedule_seed: None,
            state: None,
            snapshots: None,
        }
    }
}

impl JobOptions {
    /// Where the job reads time. Default: the system's clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// What everything random in the job starts from. Default: 0.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Counts at every operator what it filters out and adds, not only at the ends of each stage.
    /// [`explain`](super::JobHandle::explain) then also knows which operator of a slow stage is at
    /// work. It costs some tenths of a nanosecond for each operator and record. Default: off.
    #[must_use]
    pub const fn with_operator_counts(mut self, on: bool) -> Self {
        self.count_by_operator = on;
        self
    }

    /// The capacity, in records for each channel, of edges that have none of their own. Zero counts
    /// as one. Default: 16 batches.
    #[must_use]
    pub fn with_edge_capacity(mut self, records: usize) -> Self {
        self.edge_capacity = Some(records.max(1));
        self
    }

    /// The most records in a batch; on an edge, no more than its capacity. Zero counts as one. It
    /// changes speed and latency, never a result. Default: about 16 KiB of records, between 64 and
    /// 1,024 of them, and twice as many between stages that share a task.
    #[must_use]
    pub fn with_batch_records(mut self, records: usize) -> Self {
        self.batch_records = Some(records.max(1));
        self
    }

    /// How often the job's numbers go to the `metrics` facade, 10 ms at the shortest; at the end
    /// they always do. Default: every second. `None`: not even then.
    #[must_use]
    pub fn with_publish_every(mut self, every: Option<Duration>) -> Self {
        self.publish_every = every.map(|every| every.max(Duration::from_millis(10)));
        self
    }

    /// Warns in the log, with who waits for whom, when a stage has had work for this long and got
    /// nowhere with it: once, until it gets on. It is looked for four times as often, 10 ms at the
    /// shortest. Default: a minute. `None`: never.
    #[must_use]
    pub const fn with_stall_warning(mut self, after: Option<Duration>) -> Self {
        self.stall_warning = after;
        self
    }

    /// Disturbs the order in which stages run, and how much each does at a time, at random from
    /// `seed`: for tests that look for what depends on it. On a current-thread runtime and a
    /// [`VirtualClock`](crate::time::VirtualClock) the same seed gives the same run. See
    /// [`explore`](crate::testing::explore). Default: nothing is disturbed.
    #[must_use]
    pub const fn with_schedule_seed(mut self, seed: u64) -> Self {
        self.schedule_seed = Some(seed);
        self
    }

    /// Lets every operator go on from the state it has in `state`, by its `uid`; there may be more
    /// or fewer instances of it than there were. State that no operator has the `uid` for is a
    /// mistake, which is found before the job starts. Default: everybody begins with blank state.
    ///
    /// Sources are not moved back: what they hand over is what follows.
    #[must_use]
    pub fn with_state(mut self, state: Snapshot) -> Self {
        self.state = Some(Arc::new(state));
        self
    }

    /// Drains the job at the first ctrl-c or SIGTERM, within `deadline`, and aborts it at the
    /// second. Default: signals are left to the program.
    #[must_use]
    pub const fn with_drain_on_signals(mut self, deadline: Duration) -> Self {
        self.drain_on_signals = Some(deadline);
        self
    }
}
