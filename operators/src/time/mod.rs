//! Event time: when records happened, and how far the stream has come.

pub mod event_time;
mod generator;
mod watermarks;

pub use generator::{BoundedDisorder, Punctuated, WatermarkGenerator};
pub use watermarks::Watermarks;
