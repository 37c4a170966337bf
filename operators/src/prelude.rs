//! What the author of a pipeline names.

pub use crate::attempt::{Backoff, DeadLetter, DeadLetters, OnError};
pub use crate::concurrent::{CallPolicy, Concurrency, Lookup};
pub use crate::control::KillSwitch;
pub use crate::fan::{MergeEnd, OnCancel, SideTag};
pub use crate::group::{AtLimit, Groups};
pub use crate::recovery::{CircuitBreaker, RestartPolicy, Supervision};
pub use crate::time::Watermarks;
pub use crate::timing::{Rate, RateLimiter};
pub use crate::window::{Session, Sliding};
pub use crate::{DataStream, Dataflow, KeyedStream, sink, source};
pub use millstream_engine::chain::Chain;
pub use millstream_engine::edge::WhenFull;
pub use millstream_engine::runtime::{JobHandle, JobOptions, JobReport};
pub use millstream_engine::time::Timestamp;
pub use millstream_engine::{OperatorError, Record};
