//! The test kit: one operator alone, probes for whole graphs, and virtual time.

mod harness;

pub use crate::time::VirtualClock;
pub use harness::{Event, OperatorHarness};
