//! Joins: streams that meet by key.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod as_of;
mod cogroup;
mod connect;
mod interval;
mod laws_interval;
mod laws_window;
mod modes;
mod oracle;
mod outer;
mod play;
mod rig;
mod window;
