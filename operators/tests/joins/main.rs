//! Joins: streams that meet by key.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod as_of;
mod connect;
mod interval;
mod laws_interval;
mod modes;
mod oracle;
mod outer;
mod rig;
