//! Edges that are more than a boundary: with a policy for when they are full, in an order of their
//! own, merging what waits, or with a disk behind them.

pub mod conflate;
#[cfg(feature = "files")]
pub mod disk_buffer;
#[cfg(feature = "files")]
mod disk_head;
#[cfg(feature = "files")]
mod disk_log;
#[cfg(feature = "files")]
mod disk_turn;
pub mod edge;
pub mod ordered;
pub mod when_full;
