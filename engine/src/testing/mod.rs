//! The test kit: one operator alone, probes for whole graphs, and virtual time.
//!
//! [`OperatorHarness`] drives one operator by hand. [`probe_source`] and [`probe_sink`] stand at
//! the ends of a whole graph: the test says when a record comes and when one is taken. Nothing here
//! waits for real time, on a runtime whose time is paused or with a [`VirtualClock`].

mod harness;
mod sink_probe;
mod source_probe;
mod watched;

pub use crate::time::VirtualClock;
pub use harness::{Event, OperatorHarness};
pub use sink_probe::{Ending, ProbedSink, SinkProbe, probe_sink};
pub use source_probe::{ProbedSource, SourceProbe, probe_source};
