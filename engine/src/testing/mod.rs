//! The test kit: one operator alone, probes for whole graphs, and virtual time.
//!
//! [`OperatorHarness`] drives one operator by hand. [`probe_source`] and [`probe_sink`] stand at
//! the ends of a whole graph: the test says when a record comes and when one is taken.
//! [`TestDriver`] runs such a graph from a plain test, step by step; [`explore`] runs one under
//! many schedules, each from a seed. [`assert_survives_crashes`] stops an operator everywhere and
//! goes on, and [`assert_nothing_left`] looks for what a job forgot. Nothing here waits for real
//! time, on a runtime whose time is paused or with a [`VirtualClock`].

mod checks;
mod driver;
mod harness;
mod side_probe;
mod sink_probe;
mod source_probe;
mod watched;

pub use crate::time::VirtualClock;
pub use checks::{Step, assert_nothing_left, assert_survives_crashes, explore};
pub use driver::TestDriver;
pub use harness::{Event, OperatorHarness};
pub use side_probe::SideProbe;
pub use sink_probe::{Ending, ProbedSink, SinkProbe, probe_sink};
pub use source_probe::{ProbedSource, SourceProbe, probe_source};
