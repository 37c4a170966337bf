//! How a dataflow runs: stages as tasks, the job that owns them, and what is left of it at the end.

mod consumer;
mod context;
mod disorder;
mod edges;
mod handle;
mod head;
mod job;
mod link;
mod options;
mod output;
mod pause;
mod pump;
mod report;
mod run;
mod seat;
mod shared_task;
mod shell;
mod signals;
mod sink;
mod source;
mod spawn;
mod stage;
mod times;
mod watchdog;

pub use consumer::{Consumer, ConsumerTail};
pub use context::{BlockedTime, NestedContext, OperatorContext};
pub use handle::{JobHandle, JobObserver, JobState};
pub use head::{Head, HeadFactory};
pub use job::start;
pub use link::JobLink;
pub use options::JobOptions;
pub use output::Output;
pub use report::{EdgeReport, JobReport, Outcome};
pub use run::Run;
pub use sink::SinkTail;
pub use source::FromSource;

pub use seat::Seat;

pub(crate) use head::Seated;
pub(crate) use link::StageEnd;
pub(crate) use output::Outputs;
pub(crate) use run::Fresh;
