//! Event time: when records happened, and how far the stream has come.

pub mod event_time;
mod generator;
mod processing;
mod watermarks;

pub use generator::{BoundedDisorder, Punctuated, WatermarkGenerator};
pub(crate) use processing::ProcessingClock;
pub use watermarks::Watermarks;
