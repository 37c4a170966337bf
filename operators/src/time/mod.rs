//! Event time: when records happened, and how far the stream has come.

mod alignment;
pub mod event_time;
mod generator;
mod heartbeat;
mod processing;
mod quiet;
mod watermarks;

pub use alignment::Alignment;
pub use generator::{BoundedDisorder, Punctuated, WatermarkGenerator};
pub use heartbeat::Heartbeat;
pub(crate) use processing::ProcessingClock;
pub use watermarks::Watermarks;
