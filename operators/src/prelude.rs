//! What the author of a pipeline names.

pub use crate::aggregate::{
    self, Aggregate, BottomN, Count, DistinctCount, First, Last, Max, MaxBy, Mean, Min, MinBy,
    Ordered, Quantiles, Reduce, Sum, ToList, TopN,
};
pub use crate::attempt::{Backoff, DeadLetter, DeadLetters, OnError};
pub use crate::concurrent::{CallPolicy, Concurrency, Lookup};
pub use crate::control::KillSwitch;
pub use crate::fan::{MergeEnd, OnCancel, SideTag};
pub use crate::group::{AtLimit, Groups};
pub use crate::join::{EitherOrBoth, Interval};
pub use crate::keyed::{Change, KeyLimit, StateView, ViewError};
pub use crate::pattern::{AfterMatch, Match, Pattern};
pub use crate::recovery::{CircuitBreaker, RestartPolicy, Supervision};
pub use crate::time::{Alignment, Heartbeat, Watermarks};
pub use crate::timing::{Rate, RateLimiter};
#[cfg(feature = "calendar")]
pub use crate::window::Calendar;
pub use crate::window::trigger::{
    AfterEventTime, AfterProcessingTime, OnCount, OnEveryRecord, OnFinal, OnWatermark, Trigger,
};
pub use crate::window::{
    AlignedWindows, CountWindows, Firing, Global, Session, Sliding, TimeWindow, Tumbling, Windowed,
};
pub use crate::{DataStream, Dataflow, KeyedStream, sink, source};
pub use millstream_engine::chain::Chain;
pub use millstream_engine::edge::WhenFull;
pub use millstream_engine::operator::Collector;
pub use millstream_engine::runtime::{JobHandle, JobOptions, JobReport};
pub use millstream_engine::time::Timestamp;
pub use millstream_engine::{OperatorError, Record};
