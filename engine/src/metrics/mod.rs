//! What the engine counts, and how it is read: by the job's handle, by `explain`, and through the
//! `metrics` facade. All three show the same numbers.

mod counters;
mod drops;
mod explain;
mod publish;
mod snapshot;

pub use counters::{ByOperator, ByStage, Counter, Counting, OperatorCounters};
pub use drops::{DropReason, Drops};
pub use explain::Explanation;
pub use publish::{Publisher, describe, names};
pub use snapshot::{EdgeMetrics, JobMetrics, OperatorMetrics, StageMetrics};

pub(crate) use counters::{BLOCKED, BUSY, IDLE, InputGauge, StageCounters};
pub(crate) use snapshot::{Channel, Registry};
