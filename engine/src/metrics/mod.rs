//! What the engine counts, and how it is read: by the job's handle, by `explain`, and through the
//! `metrics` facade. All three show the same numbers.

mod activity;
mod counters;
mod drops;
mod explain;
mod histogram;
pub mod names;
mod publish;
mod registry;
mod snapshot;

pub use activity::Doing;
pub use counters::{Counter, OperatorCounters};
pub use drops::{DropReason, Drops};
pub use explain::{Culprit, Explanation, Wait, Why};
pub use histogram::Latency;
pub use names::describe;
pub use publish::Publisher;
pub use snapshot::{
    ChannelMetrics, EdgeMetrics, InputMetrics, InstanceMetrics, JobMetrics, OperatorMetrics,
    StageMetrics,
};

pub(crate) use activity::Activity;
pub(crate) use counters::{InputGauge, StageCounters, UNCOUNTED};
pub(crate) use histogram::Histogram;
pub(crate) use registry::{Channel, Registry};
